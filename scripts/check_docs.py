"""Check the documentation: every relative link leads somewhere, every Python block parses.

Started by ``make docs``; prints each finding as ``file:line: what`` and exits 1 if there is one.
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

PROJECT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
FENCE = re.compile(r"^(\s*)(```+|~~~+)\s*([\w-]*)")
HEADING = re.compile(r"^#{1,6}\s+(.*?)\s*#*$")
ELSEWHERE = re.compile(r"^[a-z][a-z0-9+.-]*:", re.IGNORECASE)


@dataclass(frozen=True)
class Line:
    """A line of prose: outside every code block."""

    number: int
    text: str


@dataclass(frozen=True)
class Block:
    """A code block."""

    number: int
    language: str
    text: str


def pages() -> list[Path]:
    """The documents that are checked."""
    return sorted([*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")])


def parts(page: Path) -> Iterator[Line | Block]:
    """A page as lines of prose and blocks of code."""
    opened: tuple[int, str, str] | None = None
    code: list[str] = []
    for number, text in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = FENCE.match(text)
        if opened is None:
            if fence:
                opened, code = (number, fence[2], fence[3].lower()), []
            else:
                yield Line(number, text)
        elif fence and fence[2].startswith(opened[1]) and not fence[3]:
            yield Block(opened[0], opened[2], textwrap.dedent("\n".join(code)))
            opened = None
        else:
            code.append(text)


def anchors(page: Path) -> set[str]:
    """What can stand after ``#`` in a link to that page."""
    titles = (HEADING.match(part.text) for part in parts(page) if isinstance(part, Line))
    return {anchor(title[1]) for title in titles if title}


def anchor(title: str) -> str:
    """A heading as repository browsers write its address."""
    plain = re.sub(r"[^\w\- ]", "", title.lower().replace("`", ""))
    return plain.replace(" ", "-")


def link_problem(page: Path, link: str) -> str | None:
    """What is wrong with a link, if anything; addresses elsewhere are not visited."""
    if ELSEWHERE.match(link):
        return None
    path, _, fragment = unquote(link).partition("#")
    target = (page.parent / path).resolve() if path else page
    if not target.exists():
        return f"link to {link}: there is no such file"
    if not target.is_relative_to(PROJECT):
        return f"link to {link}: leads out of the project"
    if fragment and target.suffix == ".md" and fragment not in anchors(target):
        return f"link to {link}: the page has no such heading"
    return None


def problems(page: Path) -> Iterator[tuple[int, str]]:
    """Everything that is wrong with a page, by line."""
    for part in parts(page):
        if isinstance(part, Line):
            for link in LINK.findall(re.sub(r"`[^`]*`", "", part.text)):
                if problem := link_problem(page, link):
                    yield part.number, problem
        elif part.language in {"python", "py"}:
            try:
                ast.parse(part.text)
            except SyntaxError as error:
                yield part.number + (error.lineno or 1), f"Python block does not parse: {error.msg}"


def main() -> int:
    """Check every page; the exit code."""
    checked, found = pages(), 0
    for page in checked:
        for number, problem in problems(page):
            print(f"{page.relative_to(PROJECT)}:{number}: {problem}")
            found += 1
    print(f"docs: {len(checked)} pages, {found} problems")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
