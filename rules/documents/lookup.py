"""The lookup table as a document: a key and its values, row by row, for the function `lookup()` of expressions."""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import Any

from rules.documents.build import build
from rules.documents.lookup_values import READERS, Unfit, decimals
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.shape import NAME, entry, json_schema
from rules.documents.validate import validate
from rules.language.library import Lookup
from rules.schema import Field, FieldType
from rules.text import N_, msg

KIND = "lookup"
MAX_ENTRIES = 20_000
MAX_PROBLEMS = 100
_KEYS = ["text", "integer", "date"]
_VALUES = ["text", "integer", "decimal", "float", "boolean", "date", "datetime", "local_datetime"]


@dataclass(frozen=True)
class LookupKey:
    """What the entries are found by."""

    name: str = entry("What the key is called.", minLength=1, maxLength=200)
    type: FieldType = entry("The type of the keys.", FieldType.TEXT, enum=_KEYS)


@dataclass(frozen=True)
class LookupColumn:
    """One value of each entry."""

    name: str = entry("The name of the column.", minLength=1, maxLength=200)
    type: FieldType = entry("The type of its values.", FieldType.TEXT, enum=_VALUES)


@dataclass(frozen=True, kw_only=True)
class LookupTable:
    """A whole lookup table."""

    name: str = entry("The name of the table: small letters, digits and underscores.", pattern=NAME)
    label: str = entry("What people call the table; its name if left out.", "", maxLength=200)
    key: LookupKey = entry("What the entries are found by.")
    columns: tuple[LookupColumn, ...] = entry("The values of each entry.", minItems=1, maxItems=100)
    entries: tuple[Any, ...] = entry(
        "The entries: each a list of the key and one value a column, null where there is none.",
        (),
        items={"type": "array"},
        maxItems=MAX_ENTRIES,
    )


@cache
def lookup_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a lookup table document."""
    kind = {"const": KIND, "description": "What the document describes."}
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Lookup table"}
    plain: dict[str, Any] = json.loads(json.dumps({**head, **json_schema(LookupTable, kind=kind)}))
    return plain


def parse_lookup(document: Mapping[str, Any]) -> Lookup:
    """Return the table that a document describes; raises `DocumentError`."""
    problems = validate(document, lookup_schema())
    if problems:
        raise DocumentError(problems)
    table = build(LookupTable, {name: value for name, value in document.items() if name != "kind"})
    columns, rows = _columns(table), _Rows(table)
    entries = {row[0]: tuple(row[1:]) for row in rows.read()}
    wrong = [*columns, *islice(rows.problems, MAX_PROBLEMS)]
    if wrong:
        raise DocumentError(wrong)
    fields = tuple(
        _field(column, [values[number] for values in entries.values()]) for number, column in enumerate(table.columns)
    )
    return Lookup(table.name, table.key.type, fields, MappingProxyType(entries))


def _columns(table: LookupTable) -> Iterator[DocumentProblem]:
    counts = Counter([table.key.name, *(column.name for column in table.columns)])
    for number, column in enumerate(table.columns):
        if counts[column.name] > 1:
            text = N_("The name '{name}' stands twice. Give each column, and the key, a name of its own.")
            yield DocumentProblem(f"columns/{number}/name", msg(text, name=column.name))


def _field(column: LookupColumn, values: list[Any]) -> Field:
    scale = decimals(values) if column.type is FieldType.DECIMAL else None
    return Field(column.name, column.type, scale=scale)


class _Rows:
    """Reads the entries of a table; `problems` says what is wrong with them."""

    def __init__(self, table: LookupTable) -> None:
        self.problems: list[DocumentProblem] = []
        self._entries = table.entries
        self._columns: tuple[LookupKey | LookupColumn, ...] = (table.key, *table.columns)
        self._readers = [READERS[column.type] for column in self._columns]
        self._seen: dict[Any, int] = {}

    def read(self) -> Iterator[list[Any]]:
        """Yield the usable entries: key and values."""
        for number, row in enumerate(self._entries):
            if len(row) != len(self._columns):
                text = N_("An entry has the key and {count} values here, {wanted} in all; this one has {found}.")
                sizes = {"count": len(self._columns) - 1, "wanted": len(self._columns), "found": len(row)}
                self.problems.append(DocumentProblem(f"entries/{number}", msg(text, **sizes)))
            else:
                values = self._values(number, row)
                if self._new(number, row[0], values[0]):
                    yield values

    def _values(self, number: int, row: list[Any]) -> list[Any]:
        return [self._value(number, place, value) for place, value in enumerate(row)]

    def _value(self, number: int, place: int, value: Any) -> Any:
        try:
            return None if value is None else self._readers[place](value)
        except Unfit as unfit:
            text = N_("{reason} This is '{column}' of entry {number}.")
            message = msg(text, reason=unfit.message, column=self._columns[place].name, number=number + 1)
            self.problems.append(DocumentProblem(f"entries/{number}/{place}", message))
            return None

    def _new(self, number: int, written: Any, key: Any) -> bool:
        """Note the key; tell whether it is one, and not there yet."""
        first = self._seen.setdefault(key, number)
        if written is None:
            text = N_("Entry {number} has no key.")
            self.problems.append(DocumentProblem(f"entries/{number}/0", msg(text, number=number + 1)))
        elif key is not None and first != number:
            text = N_("The key '{key}' stands twice: in entries {first} and {number}.")
            message = msg(text, key=str(key), first=first + 1, number=number + 1)
            self.problems.append(DocumentProblem(f"entries/{number}/0", message))
        return key is not None and first == number
