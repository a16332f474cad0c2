"""Plain XML records block by block: those that have nothing but text elements are read by xml2arrow.

A block is plain if every tag in it is accounted for: one for each record, and one for each value that was found. Where
that is not so (nested or repeated elements, attributes, comments ...), the block is left to lxml, which sees all.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import re2
import xml2arrow
from lxml import etree

from connectors.builtin.files_format import FIRST_BLOCK, block_bytes
from connectors.builtin.safe_xml import parser

_LARGEST = 32 * 1024 * 1024
_PLAIN_NAME = re.compile(r"[A-Za-z_\u0080-\uffff][\w.-]*")
_SPECIAL = r"""<[!?]|/>|=["']|]]>"""
"""What plain records do not have."""
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f]"
"""What XML does not have."""
_EMPTY = b"\x1d"
_ENDS = re.compile(rb"(\s|</[^<>]+>)*")


class Document(NamedTuple):
    """What is around the records: what is before the first one, and the tag of each."""

    head: bytes
    tag: bytes
    wrapper: bytes


def document(path: Path, is_record: Callable[[Sequence[str]], bool]) -> Document | None:
    """Return where the records of a document are, or None if it has to be read whole."""
    pull = etree.XMLPullParser(("start", "end"), resolve_entities=False, no_network=True)
    stack: list[str] = []
    read = b""
    with path.open("rb") as file:
        while block := file.read(65536):
            read += block
            try:
                pull.feed(block)
                found = _first(pull, stack, is_record)
            except etree.XMLSyntaxError:
                return None
            if found is not None:
                return _placed(found, read)
            if len(read) > FIRST_BLOCK:
                return None
    return None


def _first(pull: Any, stack: list[str], is_record: Callable[[Sequence[str]], bool]) -> Any:
    for event, element in pull.read_events():
        if event == "end":
            stack.pop()
            continue
        stack.append(etree.QName(element).localname)
        if is_record(stack):
            return element
    return None


def _placed(element: Any, read: bytes) -> Document | None:
    tag, tree = etree.QName(element).localname, element.getroottree()
    encoding = (tree.docinfo.encoding or "UTF-8").upper()
    if element.prefix or encoding not in ("UTF-8", "ASCII", "US-ASCII") or tree.docinfo.internalDTD is not None:
        return None
    if not _PLAIN_NAME.fullmatch(tag) or read.startswith((b"\xff\xfe", b"\xfe\xff")):
        return None
    found = re.search(rb"<" + re.escape(tag.encode()) + rb"[\s/>]", read)
    if found is None or b"<!--" in read[: found.start()] or b"<![" in read[: found.start()]:
        return None
    spaces = "".join(f' xmlns{":" + p if p else ""}="{uri}"' for p, uri in element.nsmap.items())
    return Document(read[: found.start()], tag.encode(), f"<records{spaces}>".encode())


class Block:
    """Some whole records: their text, their number, and their columns, or None where they are not plain."""

    def __init__(self, owner: Blocks, text: bytes, count: int, columns: pl.DataFrame | None) -> None:
        self.text, self.count, self.columns = text, count, columns
        self._owner = owner

    def records(self) -> list[Any] | None:
        """Return the elements of the records, None if the block does not consist of them."""
        found = self._owner.found
        try:
            root = etree.fromstring(found.wrapper + self.text + b"</records>", parser())
        except etree.XMLSyntaxError:
            return None
        records = list(root)
        tag = found.tag.decode()
        if len(records) != self.count or any(etree.QName(record).localname != tag for record in records):
            return None
        self._owner.learn({etree.QName(child).localname for record in records for child in record})
        return records

    def shown(self, row: int) -> str:
        """Return the text of one record."""
        end = b"</" + self._owner.found.tag + b">"
        return (self._texts[row].strip() + end).decode(errors="replace")

    @cached_property
    def _texts(self) -> list[bytes]:
        return self.text.split(b"</" + self._owner.found.tag + b">")


class Blocks:
    """Reads the records of a document from one of them on."""

    def __init__(self, path: Path, found: Document, names: Sequence[str]) -> None:
        self.path, self.found = path, found
        self.names = [name for name in names if _PLAIN_NAME.fullmatch(name)]
        self._end = b"</" + found.tag + b">"

    def learn(self, names: set[str]) -> None:
        """Take in names of elements that are there, wanted or not, so that their tags are accounted for."""
        self.names += sorted(name for name in names - set(self.names) if _PLAIN_NAME.fullmatch(name))

    def blocks(self, size: int) -> Iterator[Block | None]:
        """Yield the records in blocks of about `size`; None where the rest has to be read as a whole document."""
        wanted = FIRST_BLOCK
        with self.path.open("rb") as file:
            file.seek(len(self.found.head))
            left = b""
            while True:
                data = file.read(wanted)
                text = left + data
                end = text.rfind(self._end)
                if end < 0:
                    if not data or len(text) > _LARGEST:
                        break
                    left = text
                    continue
                end += len(self._end)
                text, left = text[:end], text[end:]
                block = self._block(text)
                yield block
                wanted = block_bytes(size, len(text), block.count, _LARGEST)
                if not data:
                    break
        if not self._is_end(left):
            yield None

    def _is_end(self, rest: bytes) -> bool:
        """Tell whether what is behind the last record is nothing but the ends of the elements around it."""
        if not _ENDS.fullmatch(rest):
            return False
        try:
            etree.fromstring(self.found.head + rest, parser())
        except etree.XMLSyntaxError:
            return False
        return True

    def _block(self, text: bytes) -> Block:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n") if b"\r" in text else text
        columns = self._columns(text, _CONTROL)
        if columns is None and not _bytewise(_CONTROL).search(text):
            filled = self._filled(text)
            columns = None if filled is None else self._columns(filled)
            columns = None if columns is None else columns.with_columns(pl.all().replace(_EMPTY.decode(), ""))
        return Block(self, text, text.count(self._end) if columns is None else columns.height, columns)

    def _columns(self, text: bytes, more: str = "<!") -> pl.DataFrame | None:
        if _bytewise(f"{_SPECIAL}|{more}").search(text):
            return None
        try:
            batch = _parser(self.found.tag.decode(), tuple(self.names)).parse(b"<r>" + text + b"</r>")["r"]
        except Exception:  # noqa: BLE001 - whatever it is, lxml looks at the block
            return None
        values = sum(len(column) - column.null_count for column in batch.columns)
        if text.count(b"<") != 2 * (batch.num_rows + values):
            return None
        return pl.DataFrame(pl.from_arrow(batch))

    def _filled(self, text: bytes) -> bytes | None:
        """Return a block whose empty elements hold a sign, None if it has none of ours."""
        filled = text
        for name in (name.encode() for name in self.names):
            sign = b"<" + name + b">" + _EMPTY + b"</" + name + b">"
            for empty in (b"<" + name + b"></" + name + b">", b"<" + name + b"/>", b"<" + name + b" />"):
                filled = filled.replace(empty, sign)
        return filled if filled is not text and len(filled) != len(text) else None


@cache
def _bytewise(pattern: str) -> Any:
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # type: ignore[attr-defined]
    return re2.compile(pattern.encode(), options)


@cache
def _parser(tag: str, names: tuple[str, ...]) -> xml2arrow.XmlToArrowParser:
    fields = [{"name": name, "xml_path": f"/r/{tag}/{name}", "data_type": "Utf8", "nullable": True} for name in names]
    table = {"name": "r", "xml_path": "/r", "levels": [], "fields": fields}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"tables": [table]}, file)
        file.flush()
        return xml2arrow.XmlToArrowParser(file.name)
