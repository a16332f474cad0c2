"""XML files: records read one by one, entities and networks shut out, documents rewritten around their records.

A record is an element; its fields are its attributes (`@id`), its child elements (`name`) and its own text (`#text`).
A child with children of its own, or one that is repeated, is JSON. Names are taken without their namespace.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
from lxml import etree

from connectors.builtin.files_format import SAMPLE_BYTES, SAMPLE_RECORDS, RawPage, Texts
from connectors.builtin.files_options import Options
from connectors.builtin.files_overlay import Overlay
from connectors.builtin.files_xml_blocks import Block, Blocks, document
from connectors.builtin.files_xml_write import XmlWriter, unstorable
from connectors.casting import canonical
from connectors.errors import Fatal, Forbidden
from connectors.json_records import encode, names_of
from connectors.sampling import JSON_KIND, Sample
from connectors.value_text import styles_of
from rules.schema import FieldType, Schema
from rules.text import Message, msg

_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_STYLE_RECORDS = 1_000
Element = Any
Values = dict[str, Any]


class XmlFile:
    """One XML file; places are the numbers of the records."""

    place = "record {}"
    names: tuple[str, ...] | None = None

    def __init__(self, path: Path, options: Options) -> None:
        self.path = path
        self.wanted = [part for part in options.record_path.split("/") if part]

    def sample(self) -> Sample:
        """Return the whole file if it is small, else its first records."""
        whole = self.path.stat().st_size <= SAMPLE_BYTES
        return self._sample(None if whole else SAMPLE_RECORDS)

    def pages(self, schema: Schema, after: int, first: int, size: int) -> Iterator[RawPage]:
        """Yield the records behind a number."""
        as_json = {field.name for field in schema.fields if field.type is FieldType.JSON}
        found = document(self.path, self._is_record) if "#text" not in schema else None
        begun, whole = 0, found is not None
        for block in Blocks(self.path, found, schema.names).blocks(size) if found else ():
            columns = None if block is None else self._columns(block, schema, as_json)
            if block is None or columns is None:
                whole = False
                break
            begin, begun = begun, begun + block.count
            for start in range(max(after - begin, 0), block.count, size):
                page = _page(block, columns.slice(start, size), (begin + start, first), start)
                first += page.columns.height
                yield page
        if not whole:
            yield from self._closely(schema, as_json, (max(after, begun), first), size)

    def _columns(self, block: Block, schema: Schema, as_json: Collection[str]) -> pl.DataFrame | None:
        """Return the columns of a block, None if it is not made of whole records."""
        if block.columns is None:
            records = block.records()
            return None if records is None else _frame([values_of(record) for record in records], schema, as_json)
        given = block.columns
        made = [pl.Series(n, given[n] if n in given.columns else [None] * block.count, pl.String) for n in schema.names]
        return pl.DataFrame([_as_json(column) if column.name in as_json else column for column in made])

    def _closely(
        self, schema: Schema, as_json: Collection[str], place: tuple[int, int], size: int
    ) -> Iterator[RawPage]:
        """Yield the records behind a number from the document as a whole."""
        after, first = place
        records = self._records(after)
        while found := list(islice(records, size)):
            columns = _frame([record for _, record, _ in found], schema, as_json)
            places = [number for number, _, _ in found]
            yield RawPage(columns, places, [text for _, _, text in found], [], places[-1], first)
            first += len(found)

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Message]]:
        """Return the rows with characters or names that XML does not have."""
        return unstorable(records)

    def merge(self, overlay: Overlay, target: Path) -> None:
        """Write the document anew: what is around the records and untouched records as they are."""
        styles = styles_of(self._sample(_STYLE_RECORDS))
        with self._readable():
            tree = etree.parse(str(self.path), _parser()) if self.path.stat().st_size else self._new_tree()
            self._check_entities(tree)
        found = [element for path, element in _walk(tree.getroot(), []) if self._is_record(path)]
        writer = XmlWriter(overlay, styles, tree, self.wanted)
        writer.copy(found, [values_of(element) for element in found])
        writer.append(found[-1] if found else None)
        tree.write(
            str(target), encoding=tree.docinfo.encoding or "UTF-8", xml_declaration=True,
            standalone=tree.docinfo.standalone,  # type: ignore[arg-type]
        )  # fmt: skip

    def _sample(self, most: int | None) -> Sample:
        records = [values for _, values, _ in islice(self._records(), most)]
        names = names_of(records)
        nested = {n for n in names if any(isinstance(v.get(n), (dict, list)) for v in records)}
        columns = [pl.Series(n, [_text(v.get(n), as_json=n in nested) for v in records], pl.String) for n in names]
        kinds = dict.fromkeys(nested, frozenset({JSON_KIND}))
        return Sample(pl.DataFrame(columns), kinds, complete=most is None)

    def _records(self, after: int = 0) -> Iterator[tuple[int, Values, str]]:
        """Yield number, values and text of the records behind a number."""
        if not self.path.stat().st_size:
            return
        for number, element in enumerate(self._elements(), 1):
            if number > after:
                text = etree.tostring(element, encoding="unicode", with_tail=False)
                yield number, values_of(element), text
            _forget(element)

    def _elements(self) -> Iterator[Element]:
        path: list[str] = []
        events = self._events()
        for event, element in events:
            if event == "start":
                path.append(local(element))
                if len(path) == 1:
                    self._check_entities(element.getroottree())
                continue
            if self._is_record(path):
                yield element
            path.pop()

    def _events(self) -> Iterator[tuple[str, Element]]:
        with self._readable(), self.path.open("rb") as file:
            yield from etree.iterparse(
                file, events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False,
                huge_tree=False, remove_comments=True, remove_pis=True,
            )  # fmt: skip

    def _is_record(self, path: Sequence[str]) -> bool:
        """Tell whether the element at a path of names is a record: as configured, or below the outermost element."""
        if not self.wanted:
            return len(path) == 2
        if len(self.wanted) == 1:
            return path[-1] == self.wanted[0] and self.wanted[0] not in path[:-1]
        return list(path) == self.wanted

    def _check_entities(self, tree: Any) -> None:
        dtd = tree.docinfo.internalDTD
        if dtd is not None and any(True for _ in dtd.iterentities()):
            raise Forbidden(
                msg("The file '{name}' defines entities, which are not accepted.", name=self.path.name),
                msg("Ask for the file without a document type definition."),
                object_name=self.path.name,
            )

    def _new_tree(self) -> Any:
        return etree.ElementTree(etree.Element(self.wanted[0] if len(self.wanted) > 1 else "records"))

    def _readable(self) -> Readable:
        return Readable(self.path.name)


class Readable:
    """Turns a mistake in an XML document into an error that says where it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        """Begin to read."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, etree.XMLSyntaxError):
            raise Fatal(
                msg("The file '{name}' is not well-formed XML: {problem}.", name=self.name, problem=str(error.msg)),
                msg("Write the file again, or correct it at that place."),
                object_name=self.name,
            ) from error


def local(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return _bare(element.tag)


def _bare(name: str) -> str:
    return str(name).rpartition("}")[2]  # etree.QName refuses some names that it has read, such as "a:"


def values_of(element: Element) -> Values:
    """Return the fields of a record: texts, and JSON values where there is more than text."""
    values: Values = {f"@{_bare(n)}": v for n, v in element.attrib.items() if n != _NIL}
    repeated: dict[str, list[Any]] = {}
    for child in element:
        repeated.setdefault(local(child), []).append(_value(child))
    values.update({name: found[0] if len(found) == 1 else found for name, found in repeated.items()})
    own = element.text or ""
    if own.strip() or (own and not len(element)):
        values["#text"] = own
    return values


def _value(element: Element) -> Any:
    if element.get(_NIL) in ("true", "1"):
        return None
    if len(element) or any(name != _NIL for name in element.attrib):
        return values_of(element)
    return element.text or ""


def _text(value: Any, *, as_json: bool) -> str | None:
    if value is None or (isinstance(value, str) and not as_json):
        return value
    if isinstance(value, str) and canonical(value) is not None:
        return value
    return encode(value).decode()


def _frame(records: Sequence[Values], schema: Schema, as_json: Collection[str]) -> pl.DataFrame:
    return pl.DataFrame(
        [pl.Series(n, [_text(v.get(n), as_json=n in as_json) for v in records], pl.String) for n in schema.names]
    )


def _as_json(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [_text(value, as_json=True) for value in column], pl.String)


def _page(block: Block, columns: pl.DataFrame, place: tuple[int, int], start: int) -> RawPage:
    before, first = place
    texts = Texts(columns.height, lambda row: block.shown(start + row))
    end = before + columns.height
    return RawPage(columns, range(before + 1, end + 1), texts, [], end, first)


def _parser() -> Any:
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)


def _walk(element: Element, above: list[str]) -> Iterator[tuple[list[str], Element]]:
    path = [*above, local(element)]
    yield path, element
    for child in element.iterchildren(tag=etree.Element):
        yield from _walk(child, path)


def _forget(element: Element) -> None:
    """Give back the memory of a record and of what lies before it."""
    element.clear(keep_tail=True)
    while element.getprevious() is not None:
        del element.getparent()[0]
