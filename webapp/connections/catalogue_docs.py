"""The part of the documentation that is about one connector, shown in the console."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from webapp.connections.catalogue_entries import Entry

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Page:
    """Where documentation is: an address elsewhere, or a file of ours and a heading in it."""

    address: str = ""
    file: Path | None = None
    anchor: str = ""

    def html(self) -> Markup | None:
        """Return the part below the heading, None where the file is not installed. Its own HTML is shown as text."""
        if self.file is None or not self.file.is_file():
            return None
        text = section(self.file.read_text("utf-8"), self.anchor)
        # an address of the repository leads nowhere in the console
        text = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", text)
        made = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
        made = made.replace("<table>", '<table tabindex="0">')  # wide ones scroll, by keyboard too
        return Markup(made)  # noqa: S704 - escaped above


def page_of(entry: Entry) -> Page | None:
    """Return where the documentation of a connector is: what its tests name, or what its package says."""
    named = entry.rating.results.evidence.get("documented", ()) if entry.rating else ()
    if entry.origin and entry.origin.documentation.startswith(("https://", "http://")):
        return Page(entry.origin.documentation)
    for place in named:
        if place.startswith("https://"):
            return Page(place)
        file, _, anchor = place.partition("#")
        path = ROOT / file
        if entry.origin and not entry.origin.plugin and path.is_file():
            return Page("", path, anchor)
    return None


def section(text: str, anchor: str) -> str:
    """Return the part of a page below a heading, up to the next one of its level; the whole page without an anchor."""
    if not anchor:
        return text
    found: list[str] = []
    depth, fenced = 0, False
    for line in text.splitlines():
        fenced ^= line.startswith("```")
        heading = None if fenced else re.match(r"(#+) +(.+)$", line)
        if heading and depth and len(heading[1]) <= depth:
            break
        if heading and not depth and _anchor(heading[2]) == anchor:
            depth = len(heading[1])
        elif depth:
            found.append(line)
    return "\n".join(found)


def _anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
