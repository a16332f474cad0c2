"""The text of messages: records as JSON, XML or CSV, taken apart and put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

import polars as pl
from lxml import etree

from connectors.builtin.files_csv import names_of_columns
from connectors.builtin.files_csv_scan import Dialect, Scanner
from connectors.builtin.files_xml import local, values_of
from connectors.builtin.files_xml_write import unstorable
from connectors.builtin.queue_options import PayloadOptions
from connectors.builtin.safe_xml import parser
from connectors.casting import canonical
from connectors.json_records import decoded_or_error, encode, json_values, member, sample_of
from connectors.sampling import JSON_KIND, Sample
from connectors.value_text import PLAIN
from rules.schema import FieldType, Schema
from rules.text import Message as Text
from rules.text import msg

Record = Mapping[str, Any]
TYPES = {"json": "application/json", "xml": "application/xml", "csv": "text/csv"}
"""What the formats are called in the headers of messages."""


class Unreadable(Exception):
    """A message whose text is no record."""

    def __init__(self, message: Text) -> None:
        super().__init__(str(message))
        self.message = message


def text_of_body(body: bytes) -> str:
    """Return a message as people see it; bytes that are no UTF-8 text are shown as such."""
    return body.decode("utf-8", "backslashreplace")


class Payload:
    """Takes messages apart and puts them together, as the settings say."""

    def __init__(self, options: PayloadOptions) -> None:
        self.options = options
        self._read = {"json": self._json, "xml": self._xml, "csv": self._csv}[options.format]
        self._dialect = Dialect(delimiter=options.delimiter, header=options.header)

    def records(self, body: bytes) -> Sequence[Record]:
        """Return the records of a message; raises `Unreadable`."""
        return self._read(body)

    def sample(self, records: Sequence[Record]) -> Sample:
        """Return a sample of records, with the kinds of their values where the format has some."""
        found = sample_of(records, complete=False)
        if self.options.format == "json":
            return found
        kinds = {name: seen for name, seen in found.kinds.items() if JSON_KIND in seen}
        return Sample(found.columns, kinds, complete=False)

    def columns(self, record: Record, schema: Schema) -> Record:
        """Return a record whose JSON fields hold values: XML and CSV hold them as text."""
        if self.options.format == "json":
            return record
        nested = [f.name for f in schema.fields if f.type is FieldType.JSON and isinstance(record.get(f.name), str)]
        return {**record, **{n: decoded_or_error(record[n]) for n in nested if canonical(record[n]) is not None}}

    def body(self, record: Record, schema: Schema) -> bytes:
        """Return a record as the text of a message."""
        if self.options.format == "json":
            return encode(json_values(record, schema))
        texts = {name: PLAIN.text(value) for name, value in record.items()}
        return self._xml_body(texts) if self.options.format == "xml" else self._csv_body(texts)

    def unstorable(self, records: pl.DataFrame) -> Mapping[int, tuple[str, Text]]:
        """Return the rows that the format cannot hold."""
        return unstorable(records) if self.options.format == "xml" else {}

    def _json(self, body: bytes) -> Sequence[Record]:
        found = decoded_or_error(body if self.options.as_json is None else self.options.as_json(body))
        if isinstance(found, Exception):
            raise Unreadable(msg("The message is not valid JSON: {problem}.", problem=str(found)))
        try:
            found = member(found, self.options.records_path)
        except KeyError as error:
            raise self._no_record() from error
        records = found if isinstance(found, list) else [found]
        if not all(isinstance(record, dict) for record in records):
            raise self._no_record()
        return records

    def _xml(self, body: bytes) -> Sequence[Record]:
        try:
            root = etree.fromstring(body, parser())
        except (etree.XMLSyntaxError, ValueError) as error:
            raise Unreadable(msg("The message is not well-formed XML: {problem}.", problem=str(error))) from error
        dtd = root.getroottree().docinfo.internalDTD
        if dtd is not None and any(True for _ in dtd.iterentities()):
            raise Unreadable(msg("The message defines XML entities, which are not accepted."))
        wanted = [part for part in self.options.records_path.replace("/", ".").split(".") if part]
        return [values_of(element) for element in _below([root], wanted)] if wanted else [values_of(root)]

    def _csv(self, body: bytes) -> Sequence[Record]:
        try:
            lines = StringIO(body.decode("utf-8-sig"), newline="")
        except UnicodeDecodeError as error:
            raise Unreadable(msg("The message is not UTF-8 text: {problem}.", problem=str(error))) from error
        rows = []
        for record in Scanner(lines, self._dialect):
            if record.problem is not None:
                raise Unreadable(record.problem)
            rows += [record.cells] if record.cells is not None else []
        names = names_of_columns(rows[0] if rows else (), header=self.options.header)
        values = rows[1:] if self.options.header else rows
        if any(len(row) != len(names) for row in values):
            raise Unreadable(msg("The lines of the message do not have the same number of fields."))
        return [dict(zip(names, row, strict=True)) for row in values]

    def _xml_body(self, texts: Mapping[str, str | None]) -> bytes:
        element = etree.Element("record")
        for name, text in texts.items():
            if text is None:
                continue
            if name.startswith("@"):
                element.set(name[1:], text)
            elif name == "#text":
                element.text = text
            else:
                etree.SubElement(element, name).text = text
        return etree.tostring(element, encoding="UTF-8")

    def _csv_body(self, texts: Mapping[str, str | None]) -> bytes:
        rows: list[list[str | None]] = [list(texts)] if self.options.header else []
        written = [[self._dialect.token(cell) for cell in row] for row in (*rows, list(texts.values()))]
        return "".join(f"{self._dialect.delimiter.join(row)}\n" for row in written).encode()

    def _no_record(self) -> Unreadable:
        path = self.options.records_path
        if path:
            return Unreadable(msg("The message has no record at '{path}'.", path=path))
        return Unreadable(msg("The message is not a JSON object with fields."))


def _below(elements: Sequence[Any], path: Sequence[str]) -> list[Any]:
    """Return the elements that a path of names leads to, from the outermost element on."""
    found = [element for element in elements if local(element) == path[0]]
    if len(path) == 1:
        return found
    return [e for parent in found for e in _below(list(parent.iterchildren(tag=etree.Element)), path[1:])]
