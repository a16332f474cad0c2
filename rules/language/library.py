"""What rules may use besides the fields of a record: lookup tables that admins define, links of other rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from rules.schema import Field, FieldType


@dataclass(frozen=True, eq=False)
class Lookup:
    """A lookup table: key -> one value a column.

    Keys and values are plain Python values as a column of their type gives them (`str`, `int`, `Decimal`, `float`,
    `bool`, `date`, `datetime`), or None for an empty value. Tables are told apart by identity, so that programs can
    share one however large it is.
    """

    name: str
    key: FieldType
    columns: tuple[Field, ...]
    entries: Mapping[Any, tuple[Any, ...]]


@dataclass(frozen=True, eq=False)
class Library:
    """What a rule uses, by name.

    Lookup tables, decision tables (`rules.documents.decision_table.DecisionTable`) and the links of sync rules
    (`rules.mapping.references.LinkTable`).
    """

    lookups: Mapping[str, Lookup] = field(default_factory=lambda: MappingProxyType({}))
    tables: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    links: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


EMPTY = Library()
