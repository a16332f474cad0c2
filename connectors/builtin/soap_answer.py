"""Reading SOAP answers: records taken from the stream of elements by the WSDL's types, without a tree of them."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import unquote

import polars as pl
from lxml import etree
from zeep.wsdl.messages.multiref import process_multiref

from connectors.builtin.files_xml import values_of
from connectors.builtin.safe_xml import SAFE, parser
from connectors.builtin.soap_message import ENVELOPES, NIL, XSI_TYPE
from connectors.builtin.soap_scan import Scanned, scanned
from connectors.builtin.soap_types import ANY, TEXT, Kind, Types, XsdType
from connectors.builtin.soap_wsdl import forbidden
from connectors.json_records import encode
from rules.schema import FieldType

Node = Any
Row = list[Any]
Rows = pl.DataFrame | list[Any]
"""Records as text columns, or as JSON values where their fields are not known."""
_CHUNK = 64 * 1024
_HELD = 64
"""Records that are kept until their memory is given back."""
_INCLUDE = "{http://www.w3.org/2004/08/xop/include}Include"


@dataclass(frozen=True)
class Message:
    """An answer as it came: the XML, and the attachments by their id."""

    content: bytes
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    url: str = ""
    encoded: bool = False


@dataclass
class Answer:
    """What an answer holds: the records, and all else as a tree."""

    rows: Rows
    body: Node

    def first(self) -> Node | None:
        """Return the outermost element of the body."""
        return self.body[0] if len(self.body) else None

    def text(self, path: str) -> str | None:
        """Return the text at a path below the outermost element, None where there is nothing."""
        top = self.first()
        return None if top is None else text_at(top, path)


class Records:
    """Takes the records out of an answer; `columns` says what of them, None takes nothing."""

    def __init__(self, path: str, columns: Columns | Untyped | None) -> None:
        self.path = [part for part in path.split("/") if part]
        self.columns = columns
        self._parent: Node = None
        self._done: list[Node] = []

    def of(self, message: Message) -> Answer:
        """Return what a message holds; raises `etree.XMLSyntaxError` and `Forbidden`."""
        columns = self.columns
        if columns is None or not self.path or message.encoded:
            return self._whole(message)
        regular = columns.scanned(message.content, self.path[-1])
        if regular is not None:
            answer = self._regular(regular, message)
            if answer is not None:
                return answer
        rows: list[Row] = []
        root = self._walk(message, lambda element: rows.append(columns.row(element, message.attachments)))
        return self._answer(root, columns.gather(rows), message)

    def _regular(self, regular: Scanned, message: Message) -> Answer | None:
        """Return the answer with the records that were scanned, None if they are not those that are meant."""
        places: list[Mapping[str | None, str]] = []
        root = self._walk(replace(message, content=regular.around), lambda element: places.append(element.nsmap))
        found = regular.columns(places[0]) if len(places) == 1 else None
        return None if found is None else self._answer(root, pl.DataFrame(found), message)

    def _walk(self, message: Message, take: Callable[[Node], None]) -> Node:
        """Hand over the records of a message one by one; return the outermost element."""
        self._parent, self._done = None, []
        pull = etree.XMLPullParser(events=("end",), tag="{*}" + self.path[-1], **SAFE)
        for start in range(0, len(message.content), _CHUNK):
            pull.feed(message.content[start : start + _CHUNK])
            for _, element in pull.read_events():
                if self._is_record(element):
                    take(element)
                    self._forget(element, message)
        return pull.close()

    def _whole(self, message: Message) -> Answer:
        answer = self._answer(etree.fromstring(message.content, parser()), [], message)
        if message.encoded:
            process_multiref(answer.body)  # type: ignore[no-untyped-call]
        top, columns = answer.first(), self.columns
        if columns is not None:
            found = [] if top is None else [n for n in nodes_at(top, self.path) if n.get(NIL) != "true"]
            answer.rows = columns.gather([columns.row(node, message.attachments) for node in found])
        return answer

    def _answer(self, root: Node, rows: Rows, message: Message) -> Answer:
        self._check(root, message)
        body = next((child for child in root if etree.QName(child).localname == "Body"), None)
        if etree.QName(root).namespace not in ENVELOPES.values() or body is None:
            raise NoEnvelope(etree.QName(root).localname)
        return Answer(rows, body)

    def _is_record(self, element: Node) -> bool:
        """Tell whether an element with the name of the records is at their place."""
        parent = element.getparent()
        if parent is self._parent:
            return parent is not None
        above = [etree.QName(node).localname for node in element.iterancestors()][::-1]
        if above[:2] != ["Envelope", "Body"] or above[3:] != self.path[:-1] or len(above) < 3:
            return False
        self._parent = parent
        return True

    def _forget(self, element: Node, message: Message) -> None:
        """Give back the memory of the records before, some at a time."""
        self._done.append(element)
        if len(self._done) == 1:
            self._check(element, message)
        if len(self._done) > _HELD:
            for done in self._done[:-1]:
                done.getparent().remove(done)
            del self._done[:-1]

    def _check(self, element: Node, message: Message) -> None:
        if element.getroottree().docinfo.doctype:
            raise forbidden(message.url)


class NoEnvelope(Exception):
    """The XML is no SOAP message; the text is the name of its outermost element."""


class Columns:
    """Takes the texts of wanted fields from a record: leaves as they are, all else as JSON text."""

    def __init__(self, types: Types, record: XsdType, wanted: Sequence[tuple[str, FieldType]]) -> None:
        """Prepare for records of a type.

        Args:
            types: The types of the WSDL.
            record: The type of the records, None where the WSDL does not tell it.
            wanted: The paths of the fields, and their types.
        """
        self.types = types
        self.count = len(wanted)
        self._json = [kind is FieldType.JSON for _, kind in wanted]
        self._leaves: dict[str, int] = {}
        self._deep: dict[str, list[tuple[int, list[str], XsdType, bool]]] = {}
        self._attributes: dict[str, int] = {}
        self._text: int | None = None
        self._lists: list[int] = []
        self._places: dict[str, int] = {}
        members = types.members(record)
        self._regular = [name for name, m in members.items() if not m.many and _is_plain(types.kind(m.type))]
        for index, (path, _) in enumerate(wanted):
            first, *below = path.split("/")
            member = members.get(first) or members.get(ANY)
            kind = types.kind(member.type) if member else None
            many = member is not None and member.many and first != TEXT
            if first.startswith("@"):
                self._attributes[first[1:]] = index
            elif first == TEXT:
                self._text = index
            elif below or many or kind is None or kind.type is FieldType.BINARY or first in self._leaves:
                self._deep.setdefault(first, []).append((index, below, member.type if member else None, many))
                self._lists += [index] if many and not below else []
            else:
                self._leaves[first] = index

    def scanned(self, content: bytes, record: str) -> Scanned | None:
        """Return the records of an answer if all of them are of a regular form and only plain values are wanted."""
        if len(self._leaves) != self.count:
            return None
        order = [name for name in self._regular if name in self._leaves]
        found = scanned(content, record, self._regular, order) if len(order) == self.count else None
        return found and replace(found, order=tuple(order.index(name) for name in self._leaves))

    def gather(self, rows: list[Row]) -> pl.DataFrame:
        """Return rows as text columns."""
        columns = zip(*rows, strict=True) if rows else [()] * self.count
        return pl.DataFrame([pl.Series(str(number), column, pl.String) for number, column in enumerate(columns)])

    def row(self, record: Node, attachments: Mapping[str, bytes]) -> Row:
        """Return the texts of a record."""
        row: Row = [None] * self.count
        places = self._places
        for child in record:
            tag = child.tag
            try:
                index = places[tag]
            except KeyError:
                index = places[tag] = self._place(tag)
            if index < 0:
                self._take_deep(row, child, attachments)
                continue
            text = child.text
            row[index] = text if text is not None else (None if child.get(NIL) in ("true", "1") else "")
        if self._attributes or self._text is not None:
            self._take_own(row, record)
        for index in self._lists:
            row[index] = None if row[index] is None else encode(row[index]).decode()
        return row

    def _place(self, tag: str) -> int:
        """Return the column of an element that is one value, -1 for all others."""
        name = _local(tag)
        return self._leaves.get(name, -1) if name not in self._deep else -1

    def _take_own(self, row: Row, record: Node) -> None:
        for name, value in record.attrib.items():
            index = self._attributes.get(name.rpartition("}")[2])
            if index is not None and name != NIL:
                row[index] = value
        if self._text is not None and record.get(NIL) not in ("true", "1"):
            row[self._text] = record.text or ""

    def _take_deep(self, row: Row, child: Node, attachments: Mapping[str, bytes]) -> None:
        name = _local(child.tag)
        if name in self._leaves:  # a field of its own, and others are deeper in it
            row[self._leaves[name]] = _leaf(child, attachments)
        for index, below, xsd_type, many in self._deep.get(name, ()):
            if below:
                row[index] = row[index] if row[index] is not None else text_at(child, "/".join(below), attachments)
                continue
            kind = self.types.kind(xsd_type)
            if kind is not None and not many:
                row[index] = _leaf(child, attachments)
                continue
            value = Reader(self.types, attachments).value(child, xsd_type)
            if many:
                row[index] = [*(row[index] or []), value]
            elif value is not None:
                row[index] = value if isinstance(value, str) and not self._json[index] else encode(value).decode()


class Untyped:
    """Takes whole records, whatever their fields are."""

    def scanned(self, content: bytes, record: str) -> None:
        """Return nothing: what is not known is parsed."""

    def gather(self, rows: list[Row]) -> list[Any]:
        """Return the JSON values."""
        return [row[0] for row in rows]

    def row(self, record: Any, attachments: Any) -> Row:  # noqa: ARG002 - of no use for a sample
        """Return the record as one JSON value."""
        return [values_of(record)]


class Reader:
    """Makes JSON values of elements."""

    def __init__(self, types: Types, attachments: Mapping[str, bytes]) -> None:
        self.types = types
        self.attachments = attachments

    def value(self, element: Node, declared: XsdType) -> Any:
        """Return the JSON value of an element: numbers and yes or no by its type, lists where several may stand."""
        if element.get(NIL) in ("true", "1"):
            return None
        xsd_type = self._type(element, declared)
        kind = self.types.kind(xsd_type)
        if kind is not None:
            return _typed(_leaf(element, self.attachments) or "", kind.type)
        if self.types.is_any(xsd_type):
            return values_of(element) if len(element) or element.attrib else element.text or ""
        members = self.types.members(xsd_type)
        if set(members) == {ANY} and members[ANY].type is not None:
            return [self.value(child, members[ANY].type) for child in element]
        values = {} if xsd_type is declared else {"@xsi:type": xsd_type.qname.localname}
        return self._filled(values, element, members)

    def _filled(self, values: dict[str, Any], element: Node, members: Mapping[str, Any]) -> dict[str, Any]:
        for name, text in element.attrib.items():
            member = members.get("@" + name.rpartition("}")[2])
            if member is not None:
                values[member.name] = self._leaf_value(text, member.type)
        for child in element:
            self._add(values, child, members)
        if TEXT in members:
            values[TEXT] = self._leaf_value(element.text or "", members[TEXT].type)
        return values

    def _add(self, values: dict[str, Any], child: Node, members: Mapping[str, Any]) -> None:
        name = etree.QName(child).localname
        member = members.get(name) or members.get(ANY)
        value = self.value(child, member.type if member else None)
        if (member is not None and member.many) or name in values:
            before = values.get(name, [])
            values[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            values[name] = value

    def _leaf_value(self, text: str, xsd_type: XsdType) -> Any:
        kind = self.types.kind(xsd_type)
        return _typed(text, kind.type if kind else FieldType.TEXT)

    def _type(self, element: Node, declared: XsdType) -> XsdType:
        named = element.get(XSI_TYPE)
        if not named:
            return declared
        prefix, _, name = named.rpartition(":")
        found = self.types.derived(etree.QName(element.nsmap.get(prefix or None), name))
        if found is None or found.qname == getattr(declared, "qname", None):
            return declared
        return found.resolve()


def nodes_at(top: Node, path: list[str]) -> list[Node]:
    """Return the elements that a path of names leads to below an element; an empty path leads to itself."""
    nodes = [top]
    for part in path:
        nodes = [child for node in nodes for child in node if part in ("*", etree.QName(child).localname)]
    return nodes


def text_at(top: Node, path: str, attachments: Mapping[str, bytes] | None = None) -> str | None:
    """Return the text that a path leads to below an element, None where there is none or it is empty by `xsi:nil`."""
    *above, last = [part for part in path.split("/") if part] or [""]
    if last.startswith("@"):
        found = nodes_at(top, above)
        return None if not found else next((v for n, v in found[0].attrib.items() if _local(n) == last[1:]), None)
    if last not in ("", TEXT):
        above = [*above, last]
    nodes = nodes_at(top, above)
    return _leaf(nodes[0], attachments or {}) if nodes else None


def _is_plain(kind: Kind | None) -> bool:
    return kind is not None and kind.type is not FieldType.BINARY


def _leaf(element: Node, attachments: Mapping[str, bytes]) -> str | None:
    if element.get(NIL) in ("true", "1"):
        return None
    include = element.find(_INCLUDE) if len(element) else None
    if include is not None:
        return base64.b64encode(attachments[unquote(include.get("href", "").removeprefix("cid:"))]).decode()
    return element.text or ""


def _typed(text: str, kind: FieldType) -> Any:
    """Return a text as the JSON value of its type; what does not fit stays text."""
    with contextlib.suppress(ValueError, InvalidOperation):
        if kind is FieldType.INTEGER:
            return int(text)
        if kind is FieldType.DECIMAL:
            return Decimal(text.strip())
        if kind is FieldType.BOOLEAN and text.strip() in ("true", "false", "1", "0"):
            return text.strip() in ("true", "1")
        if kind is FieldType.FLOAT and text.strip() not in ("INF", "-INF", "NaN"):
            return float(text)
    return text


def _local(name: str) -> str:
    return name.rpartition("}")[2]
