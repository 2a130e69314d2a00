"""Commands of README and docs/deploying.md, run as they stand there, on another port."""

import re
import unittest

from engine import ROOT, Engine, answers, free_port, until


def commands(page, heading):
    """The first block of commands below a heading, line by line; a line that goes on is one with the next."""
    text = (ROOT / page).read_text()
    block = re.search(rf"^#+ {re.escape(heading)}\n.*?```sh\n(.*?)```", text, re.S | re.M)[1]
    return block.replace("\\\n", "").strip().splitlines()


class Pages(unittest.TestCase):
    def setUp(self):
        self.engine = Engine()
        self.addCleanup(self.engine.remove_everything)

    def type(self, page, heading):
        """Runs the commands, and answers with what each wrote. `true` stands for cargo: the binary is built."""
        port = str(free_port())
        wrote = {}
        for line in commands(page, heading):
            command = re.sub("^make ", "make CARGO=true ", line)
            command = command.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
            if command.startswith("curl"):
                until(lambda: answers(f"http://127.0.0.1:{port}/"), "somebody answers")
            wrote[line] = self.engine.run("bash", "-ec", command).stdout.strip()
        return wrote

    def said(self, wrote, start):
        return next(text for line, text in wrote.items() if line.startswith(start))

    def test_a_container_as_the_readme_has_it(self):
        wrote = self.type("README.md", "In a container")
        self.assertIn('"username":"ann"', self.said(wrote, "curl"))

    def test_a_container_as_the_page_has_it(self):
        wrote = self.type("docs/deploying.md", "A container")
        self.assertIn('"username":"ann"', self.said(wrote, "curl"))
        self.assertEqual(self.said(wrote, "podman exec tollgate /tollgate health"), "ready")
        self.assertIn("ann", self.said(wrote, "podman exec tollgate /tollgate user list"))

    def test_compose_as_the_page_has_it(self):
        wrote = self.type("docs/deploying.md", "Compose")
        self.assertEqual(self.said(wrote, "curl"), "Hello, World!")


if __name__ == "__main__":
    unittest.main()
