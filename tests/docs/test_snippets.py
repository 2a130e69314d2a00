"""Every fenced block of every page is run, or stands in a list that says why not. A new one that is in no list fails."""

import json
import re
import subprocess
import unittest

import scenes
from pages import ROOT, pages, snippets, text
from shell import BINARY, Shell

ALL = [snippet for page in pages() for snippet in snippets(page)]
ROUTE = '\n[[routes]]\nmatch = "GET /x"\nrespond = { text = "x" }\n'
# What a part of a rules file may need around it to be a whole one.
AROUND = [
    "{}",
    '[service]\ngrpc = "127.0.0.1:8081"\n{}',
    "{}" + ROUTE,
    '[[routes]]\nmatch = "GET /x"\nauth = ["bearer"]\n{}\nrespond = { text = "x" }\n',
    '[[routes]]\nmatch = "GET /x"\n{}\n',
    '[limits.per-user]\nkey = "user"\n{}\n[[routes]]\nmatch = "GET /x"\nauth = ["bearer"]\nlimits = ["per-user"]\n'
    'respond = { text = "x" }\n',
]


def of(*languages):
    return [snippet for snippet in ALL if snippet.language in languages]


def told(command, name, content):
    """The exit code of a command about a file, and what it says."""
    shell = Shell()
    try:
        path = shell.directory / name
        path.write_text(content)
        done = subprocess.run([BINARY, command, name], cwd=path.parent, capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr
    finally:
        shell.close()


def validated(rules):
    return told("validate", "wrong.toml", rules)


def holds(rules):
    return any(validated(around.replace("{}", rules))[0] == 0 for around in AROUND)


class Snippets(unittest.TestCase):
    def test_every_snippet_is_run_or_says_why_not(self):
        known = {"sh", "toml", "rust", "rust,no_run", "json"}
        wrong = []
        for snippet in ALL:
            if snippet.language == "sh" and all(re.match(scenes.MEASURES, line) for line in snippet.text.splitlines()):
                scripts = re.findall(r"^(?:python3 )?(bench/\S+\.py)", snippet.text, re.M)
                wrong += [f"{snippet}: {script} is not there" for script in scripts if not (ROOT / script).exists()]
                continue
            listed = [name for name, list_ in scenes.LISTS.items() if snippet.name in list_]
            if snippet.language == "sh" or snippet.language not in known:
                if len(listed) != 1:
                    wrong.append(f"{snippet} is in {listed or 'no list'} of tests/docs/scenes.py")
            elif snippet.language.startswith("rust") and not listed and snippet.page not in self.compiled():
                wrong.append(f"{snippet} is no documentation test: its page is in neither crates/tollgate-tower/src/pages.rs nor crates/tollgate-redis/src/lib.rs")
        names = {snippet.name for snippet in ALL}
        for list_ in scenes.LISTS.values():
            wrong += [f"{page}: there is no block `{first}` any more" for page, first in set(list_) - names]
        self.assertEqual(wrong, [])

    def test_what_is_run_elsewhere_is_run_there(self):
        for list_ in scenes.LISTS.values():
            for name, reason in list_.items():
                for place in re.findall(r"(?:crates|tests)/[\w./-]*\w", str(reason)):
                    self.assertTrue((ROOT / place).exists(), f"{name}: {place} is not there")

    def compiled(self):
        """Pages whose Rust is compiled and run with the documentation tests."""
        source = text("crates/tollgate-tower/src/pages.rs") + text("crates/tollgate-redis/src/lib.rs")
        return [path for path in re.findall(r'include_str!\("(?:\.\./)*([^"]+)"\)', source)]

    def test_rules_are_right(self):
        for snippet in of("toml"):
            if snippet.name in scenes.WRONG_RULES:
                continue
            with self.subTest(str(snippet)):
                lines = [line for line in snippet.text.splitlines() if line.strip()]
                # Alternatives stand below one another, each for itself.
                apart = all(re.match(r"\w+ = ", line) for line in lines) and all(holds(line) for line in lines)
                self.assertTrue(apart or holds(snippet.text), validated(snippet.text + ROUTE)[1])

    def test_wrong_rules_are_answered_as_the_page_says(self):
        for name in scenes.WRONG_RULES:
            at = next(index for index, snippet in enumerate(ALL) if snippet.name == name)
            with self.subTest(str(ALL[at])):
                code, said = validated(ALL[at].text)
                self.assertEqual(code, 2)
                self.assertEqual(said.strip(), ALL[at + 1].text.strip())

    def test_json_is_json(self):
        for snippet in of("json"):
            with self.subTest(str(snippet)):
                json.loads(snippet.text)

    def test_commands_do_what_the_page_says(self):
        for snippet in of("sh"):
            scene = scenes.RUN.get(snippet.name)
            if scene is None:
                continue
            with self.subTest(str(snippet)):
                shell = Shell()
                try:
                    for name, content in scene.files.items():
                        (shell.directory / name).write_text(content)
                    for command in scene.before:
                        shell.type(command)
                    wrote = shell.type(snippet.text + "\n" + scene.after)
                finally:
                    shell.close()
                for expected in scene.says:
                    self.assertRegex(wrote, expected)

    def test_files_of_others_become_what_the_page_says(self):
        for name in scenes.ENVOY_FILES:
            at = next(index for index, snippet in enumerate(ALL) if snippet.name == name)
            with self.subTest(str(ALL[at])):
                code, said = told("convert", "ratelimit.yaml", ALL[at].text)
                self.assertEqual(code, 0, said)
                section = [line for line in said.splitlines() if not line.startswith("#")]
                self.assertEqual("\n".join(section).strip(), ALL[at + 1].text.strip())


if __name__ == "__main__":
    unittest.main()
