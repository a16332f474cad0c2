"""Files with rows, as people have them: CSV in any usual encoding and with any usual separator, and XLSX."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from connectors.builtin.files_xlsx import rows_of
from connectors.errors import ConnectorError
from rules.text import Message, msg

MAX_BYTES = 256 * 1024 * 1024
MAX_COLUMNS = 500
_ZIP = b"PK\x03\x04"
_SAMPLE = 1 << 16


class Unreadable(ValueError):
    """A file is no table; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def rows(stream: IO[bytes]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of a file; blank rows are left out. Raises `Unreadable`."""
    data = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise Unreadable(msg("The file is larger than {size} MB. Split it.", size=MAX_BYTES >> 20))
    found = _xlsx(data) if data.startswith(_ZIP) else _csv(data)
    for line, cells in found:
        if len(cells) > MAX_COLUMNS:
            raise Unreadable(msg("Line {line} has more than {count} columns.", line=line, count=MAX_COLUMNS))
        if any(cells):
            yield line, cells


def _xlsx(data: bytes) -> Iterator[tuple[int, list[str]]]:
    with tempfile.NamedTemporaryFile(suffix=".xlsx") as file:
        file.write(data)
        file.flush()
        try:
            for number, cells in rows_of(Path(file.name)):
                yield number, [(cell or "").strip() for cell in cells]
        except ConnectorError:
            raise Unreadable(msg("The workbook cannot be read. Open it in a spreadsheet and save it again.")) from None


def _csv(data: bytes) -> Iterator[tuple[int, list[str]]]:
    text = _decoded(data)
    if "\x00" in text:
        raise Unreadable(msg("This is neither a CSV file nor a workbook (XLSX)."))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_separator(text[:_SAMPLE]), strict=False)
    try:
        for row in reader:
            yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise Unreadable(msg("Line {line} cannot be read: {detail}", line=reader.line_num, detail=str(error))) from None


def _decoded(data: bytes) -> str:
    for encoding in ("utf-8-sig", "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "gb18030", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unreadable(msg("The characters of the file cannot be read. Save it as UTF-8."))


def _separator(sample: str) -> str:
    """Return the separator that stands most often outside quotes in the first line."""
    first = sample.lstrip("\r\n").split("\n", 1)[0]
    plain = "".join(first.split('"')[::2])
    return max((",", ";", "\t", "|"), key=plain.count)
