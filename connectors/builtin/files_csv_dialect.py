"""How a CSV file is written: its encoding, delimiter and line ends, found by looking."""

from __future__ import annotations

import codecs
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import BinaryIO, TextIO

from connectors.builtin.files_csv_scan import Dialect, Scanner
from connectors.builtin.files_options import AUTO, CODECS, Options
from connectors.plain_texts import is_utf8, whole_characters

_BLOCK = 1024 * 1024
_LOOKED_AT = 50
_DELIMITERS = (",", ";", "\t", "|")


def dialect_of(path: Path, options: Options) -> Dialect:
    """Return the dialect of a file: what the settings say, and what the file shows where they say nothing."""
    encoding = _encoding(path) if options.encoding in (AUTO, "utf-8") else CODECS[options.encoding]
    if options.encoding == "utf-8" and encoding != "utf-8-sig":  # the mark at the beginning is no part of the text
        encoding = "utf-8"
    with opened(path, encoding) as file:
        lines = list(islice(file, _LOOKED_AT))
    delimiter = options.delimiter
    if delimiter == AUTO:
        delimiter = _delimiter(lines, options.quote, path)
    newline = next((end for end in ("\r\n", "\n", "\r") if lines and lines[0].endswith(end)), "\n")
    return Dialect(encoding, delimiter, options.quote, newline, options.header, options.null_text)


def opened(path: Path, encoding: str) -> TextIO:
    """Open a file as text with its line ends kept; undecodable bytes stay recognisable where the encoding allows it."""
    errors = "strict" if encoding.startswith("utf-16") else "surrogateescape"
    return path.open(encoding=encoding, errors=errors, newline="")


def _encoding(path: Path) -> str:
    """Return the encoding by its mark, else UTF-8 if the whole file is valid UTF-8, else GB18030."""
    with path.open("rb") as file:
        begin = file.read(4)
        if begin.startswith(codecs.BOM_UTF8):
            return "utf-8-sig"
        if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        file.seek(0)
        if _is_utf8(file):
            return "utf-8"
    return "gb18030" if _mostly(path, "gb18030") >= _mostly(path, "utf-8") else "utf-8"


def _is_utf8(file: BinaryIO) -> bool:
    """Tell whether all of a file is UTF-8, several times as fast as by decoding it."""
    rest = b""
    while block := file.read(_BLOCK):
        data = rest + block
        end = whole_characters(data, len(data))
        if not is_utf8(data[:end]):
            return False
        rest = data[end:]
    return is_utf8(rest)


def _mostly(path: Path, encoding: str) -> int:
    """Return how many of the first lines that are not ASCII can be decoded."""
    with path.open("rb") as file:
        lines = [line for line in islice(file, 10_000) if not line.isascii()]
    return sum(_decodes(line, encoding) for line in lines)


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _delimiter(lines: Sequence[str], quote: str, path: Path) -> str:
    """Return the delimiter that gives most of the first records the same number of fields, more than one."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    best, score = ",", 0
    for delimiter in _DELIMITERS:
        records = Scanner(lines, Dialect(delimiter=delimiter, quote=quote))
        widths = Counter(len(record.cells) for record in records if record.cells)
        width, count = max(widths.items(), key=lambda item: item[1], default=(0, 0))
        if width > 1 and count > score:
            best, score = delimiter, count
    return best
