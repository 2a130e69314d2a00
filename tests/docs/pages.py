"""The pages of this repository, and what stands in them: fenced blocks, headings, links."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def pages():
    """Every page that people read, as paths from the root."""
    patterns = ["*.md", "docs/*.md", "examples/**/*.md", "deploy/**/*.md", ".github/*.md"]
    found = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(str(path.relative_to(ROOT)) for path in found if "node_modules" not in path.parts)


def text(page):
    return (ROOT / page).read_text()


@dataclasses.dataclass
class Snippet:
    page: str
    line: int
    language: str
    text: str
    heading: str

    @property
    def name(self):
        """What lists call it: the page and the first line."""
        return self.page, self.text.strip().splitlines()[0].strip()

    def __str__(self):
        return f"{self.page}:{self.line}: {self.name[1]}"


def snippets(page):
    """The fenced blocks of a page; a block that is only indented counts as commands."""
    found, fence, heading, blank, listed = [], None, "", True, False
    indented = None
    for number, line in enumerate(text(page).splitlines(), 1):
        if fence is None and (opened := re.match(r"( *)```(.*)", line)):
            fence, block = opened[1], Snippet(page, number, opened[2].strip(), "", heading)
        elif fence is not None:
            if line.strip() == "```":
                found.append(block)
                fence = None
            else:
                block.text += line.removeprefix(fence) + "\n"
        elif re.match(r"#+ ", line):
            heading = line.lstrip("# ")
        elif line.startswith("    ") and line.strip() and (blank or indented) and not listed:
            if indented is None:
                indented = Snippet(page, number, "sh", "", heading)
                found.append(indented)
            indented.text += line[4:] + "\n"
        if not line.startswith("    "):
            indented = None
        if line.strip() and not line.startswith(" "):
            listed = bool(re.match(r"([-*]|\d+\.) ", line))
        blank = not line.strip()
    assert fence is None, f"{page}: a fence that does not end"
    return found


def prose(page):
    """A page without its fenced blocks."""
    return re.sub(r"^( *)```.*?^\1```", "", text(page), flags=re.S | re.M)


def anchors(page):
    """The names under which its headings can be linked to, as GitHub and mdBook make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.M)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


def links(page):
    """Where a page leads to within the repository: (path from the root, anchor)."""
    for target in re.findall(r"\]\(<?([^)>\s]+)>?\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        whole = (ROOT / page).parent / path if path else ROOT / page
        yield target, whole.resolve(), anchor
