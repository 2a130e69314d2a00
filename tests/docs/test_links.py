"""What pages lead to is there, and the book has every page."""

import re
import unittest

from pages import ROOT, anchors, links, pages, prose, text


class Links(unittest.TestCase):
    def test_every_link_leads_somewhere(self):
        wrong = []
        for page in pages():
            for target, path, anchor in links(page):
                if not path.is_relative_to(ROOT) or not path.exists():
                    wrong.append(f"{page}: {target} is not there")
                elif anchor and path.suffix == ".md":
                    if anchor not in anchors(str(path.relative_to(ROOT))):
                        wrong.append(f"{page}: {target} names no heading")
        self.assertEqual(wrong, [])

    def test_the_book_has_every_page_of_docs_once(self):
        listed = re.findall(r"\]\(([^)]+)\)", text("docs/SUMMARY.md"))
        there = [page.removeprefix("docs/") for page in pages() if page.startswith("docs/")]
        self.assertEqual(sorted(listed), sorted(set(there) - {"SUMMARY.md"}))

    def test_commands_that_pages_name_are_there(self):
        targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.M))
        wrong = []
        for page in pages():
            for name in re.findall(r"`make ([a-z][a-z-]*)[^`]*`", prose(page)):
                if name not in targets:
                    wrong.append(f"{page}: `make {name}`")
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
