"""What is said in several places is the same in all of them."""

import re
import subprocess
import tomllib
import unittest

from pages import ROOT, pages, prose, text

CARGO = tomllib.loads(text("Cargo.toml"))["workspace"]["package"]


class Habits(unittest.TestCase):
    def test_the_oldest_rust_is_the_same_wherever_it_is_named(self):
        for page in pages():
            for version in re.findall(r"Rust toolchain[^.]*?(\d\.\d+) or later", prose(page).replace("\n", " ")):
                self.assertEqual(version, CARGO["rust-version"], page)
        named = re.search(r"(\d\.\d+) or later", text("README.md"))
        self.assertIsNotNone(named, "README.md names the oldest Rust")
        compiler = re.search(r"rustc (\d+)\.(\d+)", subprocess.check_output(["rustc", "--version"], text=True))
        oldest = tuple(map(int, CARGO["rust-version"].split(".")))
        self.assertGreaterEqual(tuple(map(int, compiler.groups())), oldest)

    def test_every_crate_says_version_licence_and_oldest_rust_once_for_all(self):
        for manifest in ROOT.glob("crates/*/Cargo.toml"):
            package = tomllib.loads(manifest.read_text())["package"]
            for key in ["version", "license", "rust-version", "edition"]:
                self.assertEqual(package[key], {"workspace": True}, f"{manifest}: {key}")
            self.assertTrue(package["description"], manifest)

    def test_the_changelog_has_what_is_not_released_and_the_version_is_one_of_it(self):
        changelog = text("CHANGELOG.md")
        self.assertIn("## [Unreleased]", changelog)
        self.assertIn(CARGO["version"], changelog)

    def test_figures_of_the_readme_are_those_of_the_benchmarks(self):
        table = re.search(r"\| \| AMD EPYC \| Intel Xeon \| bar \|.*?\n\n", text("README.md"), re.S)[0]
        figures = re.findall(r"\d+\.\d+", " ".join(" ".join(row.split("|")[2:4]) for row in table.strip().splitlines()))
        self.assertGreater(len(figures), 20)
        measured = re.findall(r"\d+\.\d+", text("docs/benchmarks.md"))
        self.assertEqual(set(figures) - set(measured), set())


if __name__ == "__main__":
    unittest.main()
