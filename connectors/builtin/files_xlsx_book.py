"""The parts of an Excel workbook that its sheets refer to: names, shared texts and the formats of dates.

Excel's own values are read as they are stored; the libraries for that round numbers or lose the empty text.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lxml import etree

from connectors.errors import Fatal, Misconfigured
from rules.text import Message, msg

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
DAMAGED = (zipfile.BadZipFile, zlib.error, OSError, EOFError, KeyError, ValueError, NotImplementedError, RuntimeError)
"""What reading an archive that is damaged, encrypted or packed in another way raises."""
LARGEST = 1024 * 1024 * 1024
"""So large may the unpacked parts of a workbook be together."""
LARGEST_TEXTS = 256 * 1024 * 1024
"""So large may its shared texts be, which are held in memory: short ones take up to four times as much there."""

_TEXTS = "xl/sharedstrings.xml"
DAY, MOMENT, CLOCK = "day", "moment", "clock"
_BUILT_IN = {14: DAY, 15: DAY, 16: DAY, 17: DAY, 22: MOMENT, 18: CLOCK, 19: CLOCK, 20: CLOCK, 21: CLOCK, 45: CLOCK}
_BUILT_IN |= dict.fromkeys((*range(27, 32), 36, *range(50, 55), 57, 58), DAY) | dict.fromkeys((32, 33, 34, 35), CLOCK)
_LITERAL = re.compile(r'"[^"]*"|\\.|\[(?![hms]+\])[^\]]*\]|_.|\*.', re.IGNORECASE)

_ESCAPE = re.compile("_x([0-9A-Fa-f]{4})_")
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\ufffe\uffff]")


@dataclass(frozen=True)
class Sheet:
    """A sheet of a workbook: its name, and the part that holds it."""

    name: str
    part: str


class Book:
    """One workbook, opened for reading."""

    def __init__(self, path: Path) -> None:
        """Open a workbook; raises `Fatal` if the file is none or unpacks to too much."""
        self.path = path
        try:
            self.zip = zipfile.ZipFile(path)
        except DAMAGED as error:
            raise self.broken(error) from error
        infos = self.zip.infolist()
        size = sum(info.file_size for info in infos)
        if size > LARGEST:
            raise self._too_large(msg("The workbook '{name}' unpacks to {size} MB, which is too much.",
                                      name=path.name, size=size // 1024**2))  # fmt: skip
        size = sum(info.file_size for info in infos if info.filename.lower() == _TEXTS)
        if size > LARGEST_TEXTS:
            raise self._too_large(msg("The texts of the workbook '{name}' unpack to {size} MB, which is too much.",
                                      name=path.name, size=size // 1024**2))  # fmt: skip

    def _too_large(self, said: Message) -> Fatal:
        return Fatal(said, msg("Ask for the data as CSV."), object_name=self.path.name)

    def close(self) -> None:
        """Close the file."""
        self.zip.close()

    def sheet(self, name: str) -> Sheet:
        """Return the sheet called `name`, or the first one; raises `Misconfigured` with the names there are."""
        if not name and self.sheets:
            return self.sheets[0]
        for sheet in self.sheets:
            if sheet.name.casefold() == name.casefold():
                return sheet
        raise Misconfigured(
            msg("The workbook '{file}' has no sheet '{name}'.", file=self.path.name, name=name),
            msg("Its sheets are: {names}.", names=", ".join(sheet.name for sheet in self.sheets) or "-"),
            object_name=self.path.name,
        )

    def elements(self, part: str, tag: str | None = None) -> Iterator[tuple[str, Any]]:
        """Yield the ends of the elements called `tag`, or starts and ends of all; raises `Fatal` for a broken part."""
        events = ("end",) if tag else ("start", "end")
        try:
            with self.zip.open(part) as file:
                yield from etree.iterparse(
                    file,
                    events=events,
                    tag=tag,
                    resolve_entities=False,
                    no_network=True,
                    load_dtd=False,
                    huge_tree=True,
                )
        except (etree.XMLSyntaxError, *DAMAGED) as error:
            raise self.broken(error) from error

    @cached_property
    def sheets(self) -> list[Sheet]:
        """Return the sheets in their order."""
        targets = self._targets
        root = self._root("xl/workbook.xml")
        found = root.findall(f"{MAIN}sheets/{MAIN}sheet") if root is not None else []
        return [Sheet(s.get("name"), targets[s.get(_RELATION)]) for s in found if s.get(_RELATION) in targets]

    @cached_property
    def from_1904(self) -> bool:
        """Tell whether days are counted from 1904, as on old Macs."""
        root = self._root("xl/workbook.xml")
        properties = root.find(f"{MAIN}workbookPr") if root is not None else None
        return properties is not None and properties.get("date1904") in ("1", "true")

    @cached_property
    def texts(self) -> list[str]:
        """Return the shared texts."""
        part = next((p for p in self.zip.namelist() if p.lower() == _TEXTS), None)
        if part is None:
            return []
        found: list[str] = []
        for _, element in self.elements(part, f"{MAIN}si"):
            found.append(unescaped(text_of(element)))
            forget(element)
        return found

    @cached_property
    def kinds(self) -> list[str | None]:
        """Return for each cell style whether it shows a number as day, moment or clock."""
        root = self._root("xl/styles.xml")
        if root is None:
            return []
        own = {int(f.get("numFmtId")): f.get("formatCode") or "" for f in root.iter(f"{MAIN}numFmt")}
        styles = root.findall(f"{MAIN}cellXfs/{MAIN}xf")
        numbers = (int(style.get("numFmtId") or 0) for style in styles)
        return [_kind(own[number]) if number in own else _BUILT_IN.get(number) for number in numbers]

    def broken(self, error: Exception) -> Fatal:
        """Return the error for a file that is no workbook."""
        return Fatal(
            msg("The file '{name}' is not a readable Excel workbook: {problem}.",
                name=self.path.name, problem=str(error)),
            msg("Save it again as XLSX, without a password."),
            object_name=self.path.name,
        )  # fmt: skip

    @cached_property
    def _targets(self) -> dict[str, str]:
        root = self._root("xl/_rels/workbook.xml.rels")
        return {r.get("Id"): _part(r.get("Target")) for r in root} if root is not None else {}

    def _root(self, part: str) -> Any:
        if part not in self.zip.namelist():
            return None
        try:
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
            return etree.fromstring(self.zip.read(part), parser)
        except (etree.XMLSyntaxError, *DAMAGED) as error:
            raise self.broken(error) from error


def forget(element: Any) -> None:
    """Give back the memory of an element and of those before it."""
    element.clear()
    while element.getprevious() is not None:
        del element.getparent()[0]


def text_of(element: Any) -> str:
    """Return the text of a shared or inline string: its runs, without the readings of Asian words."""
    return "".join(t.text or "" for t in element.iter(f"{MAIN}t") if t.getparent().tag != f"{MAIN}rPh")


def escaped(text: str) -> str:
    """Return a text as a workbook stores it: characters that XML does not have, by their number."""
    text = _ESCAPE.sub("_x005F_x\\1_", text)
    return _CONTROL.sub(lambda found: f"_x{ord(found[0]):04X}_", text)


def unescaped(text: str) -> str:
    """Return the text that a workbook stores."""
    if "_x" not in text:
        return text
    return _ESCAPE.sub(_character, text)


def _character(found: re.Match[str]) -> str:
    number = int(found[1], 16)
    return found[0] if 0xD800 <= number < 0xE000 else chr(number)


def _part(target: str) -> str:
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join("xl", target))


def _kind(code: str) -> str | None:
    plain = _LITERAL.sub("", code.split(";", maxsplit=1)[0]).lower()
    day, clock = bool(re.search(r"[yd]", plain)), bool(re.search(r"[hs]", plain))
    if day and clock:
        return MOMENT
    if day or (not clock and "m" in plain):
        return DAY
    return CLOCK if clock else None
