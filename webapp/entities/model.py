"""What an entity is: names, labels, fields, and the columns and schema that follow from them. Plain and frozen."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from rules.documents.validation import Validation as RecordValidation
from rules.schema import Field, FieldType, Schema
from rules.text import N_


class Kind(StrEnum):
    """The type of an entity's field, as an admin picks it."""

    TEXT = "text"
    LONG_TEXT = "long_text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    MONEY = "money"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "datetime"
    CHOICE = "choice"
    MULTI_CHOICE = "multi_choice"
    REFERENCE = "reference"
    EMAIL = "email"
    PHONE = "phone"
    URL = "url"
    JSON = "json"
    FILE = "file"


KIND_LABELS: dict[Kind, str] = {
    Kind.TEXT: N_("Text"),
    Kind.LONG_TEXT: N_("Long text"),
    Kind.INTEGER: N_("Whole number"),
    Kind.DECIMAL: N_("Decimal number"),
    Kind.MONEY: N_("Money"),
    Kind.BOOLEAN: N_("Yes or no"),
    Kind.DATE: N_("Date"),
    Kind.DATETIME: N_("Date and time"),
    Kind.CHOICE: N_("Choice"),
    Kind.MULTI_CHOICE: N_("Several choices"),
    Kind.REFERENCE: N_("Reference"),
    Kind.EMAIL: N_("E-mail"),
    Kind.PHONE: N_("Phone"),
    Kind.URL: N_("Web address"),
    Kind.JSON: N_("JSON"),
    Kind.FILE: N_("File"),
}

FIELD_TYPES: dict[Kind, FieldType] = {
    Kind.INTEGER: FieldType.INTEGER,
    Kind.REFERENCE: FieldType.INTEGER,
    Kind.DECIMAL: FieldType.DECIMAL,
    Kind.MONEY: FieldType.DECIMAL,
    Kind.BOOLEAN: FieldType.BOOLEAN,
    Kind.DATE: FieldType.DATE,
    Kind.DATETIME: FieldType.DATETIME,
    Kind.MULTI_CHOICE: FieldType.JSON,
    Kind.JSON: FieldType.JSON,
}

TEXT_KINDS = frozenset({Kind.TEXT, Kind.LONG_TEXT, Kind.EMAIL, Kind.PHONE, Kind.URL})
NUMBER_KINDS = frozenset({Kind.DECIMAL, Kind.MONEY})
CHOICE_KINDS = frozenset({Kind.CHOICE, Kind.MULTI_CHOICE})
UNINDEXED_KINDS = frozenset({Kind.LONG_TEXT, Kind.JSON, Kind.MULTI_CHOICE, Kind.FILE})
"""Kinds whose values are too long, or not ordered, for an index."""

LENGTHS: dict[Kind, int] = {
    Kind.TEXT: 200,
    Kind.EMAIL: 254,
    Kind.PHONE: 40,
    Kind.URL: 2000,
    Kind.CHOICE: 100,
    Kind.FILE: 400,
}
MAX_TEXT = 500
SCALED_DIGITS = 18
"""Up to this precision a decimal fits an integer of 64 bits (docs/decisions/exact-decimals.md)."""

SYSTEM_FIELDS: tuple[Field, ...] = (
    Field("id", FieldType.INTEGER, nullable=False, generated=True),
    Field("created_at", FieldType.DATETIME, nullable=False, generated=True),
    Field("created_by", FieldType.TEXT, nullable=False, length=128, generated=True),
    Field("updated_at", FieldType.DATETIME, nullable=False, generated=True),
    Field("updated_by", FieldType.TEXT, nullable=False, length=128, generated=True),
    Field("version", FieldType.INTEGER, nullable=False, generated=True),
)
SYSTEM_NAMES = tuple(f.name for f in SYSTEM_FIELDS)
SYSTEM_LABELS: dict[str, str] = {
    "id": N_("No."),
    "created_at": N_("Created"),
    "created_by": N_("Created by"),
    "updated_at": N_("Changed"),
    "updated_by": N_("Changed by"),
    "version": N_("Version"),
}


@dataclass(frozen=True)
class Label:
    """A text in English and Chinese; where Chinese is empty, English is shown."""

    en: str = ""
    zh: str = ""

    def text(self, language: str) -> str:
        """Return the text in `language` ("en", "zh")."""
        return self.zh if language.startswith("zh") and self.zh else self.en


@dataclass(frozen=True)
class Choice:
    """One value of a choice field."""

    value: str
    label: Label = Label()


@dataclass(frozen=True)
class Validation:
    """A condition that a record has to meet, and what to tell who breaks it."""

    expression: str
    message: Label = Label()


@dataclass(frozen=True)
class EntityField:
    """One field of an entity; attributes that its kind does not know are at their defaults."""

    name: str
    kind: Kind = Kind.TEXT
    label: Label = Label()
    help: Label = Label()
    required: bool = False
    unique: bool = False
    indexed: bool = False
    searchable: bool = False
    personal: bool = False
    encrypted: bool = False
    exact: bool = False
    """An encrypted field can be found by its exact value."""
    default: Any = field(default=None, hash=False)
    validation: Validation | None = None
    computed: str = ""
    length: int | None = None
    precision: int = SCALED_DIGITS
    scale: int = 2
    currency: str = ""
    """Fixed currency of a money field; empty: each record has its own."""
    choices: tuple[Choice, ...] = ()
    entity: str = ""
    on_delete: str = "restrict"
    was: str = field(default="", compare=False)
    """The field's former name; read when a definition is planned, never stored."""
    sealed: str = ""
    """The mark of the columns that hold its tokens, from the first value that was encrypted to the last decrypted."""

    @property
    def type(self) -> FieldType:
        """Return the type that records carry."""
        return FIELD_TYPES.get(self.kind, FieldType.TEXT)

    @property
    def max_length(self) -> int | None:
        """Return the longest text allowed, in characters."""
        return self.length or LENGTHS.get(self.kind)

    @property
    def has_index(self) -> bool:
        """Tell whether lists can be sorted by the field."""
        return self.indexed or self.unique or self.kind is Kind.REFERENCE

    @property
    def values(self) -> tuple[str, ...]:
        """Return the values of a choice field."""
        return tuple(choice.value for choice in self.choices)

    def choice_label(self, value: str, language: str) -> str:
        """Return what a choice value is called."""
        found = next((c.label.text(language) for c in self.choices if c.value == value), "")
        return found or value

    @cached_property
    def fields(self) -> tuple[Field, ...]:
        """Return the schema fields: one, and for money the currency as well."""
        decimal = self.kind in NUMBER_KINDS
        main = Field(
            self.name,
            self.type,
            nullable=not self.required,
            length=self.max_length,
            precision=self.precision if decimal else None,
            scale=self.scale if decimal else None,
            generated=bool(self.computed),
            has_default=self.default is not None,
            label=self.label.en,
        )
        if self.kind is not Kind.MONEY:
            return (main,)
        fixed = bool(self.currency)
        return main, Field(
            self.currency_name, length=3, nullable=fixed or not self.required, generated=fixed, label=self.label.en
        )

    @property
    def currency_name(self) -> str:
        """Return the name of a money field's currency column."""
        return f"{self.name}_currency"


@dataclass(frozen=True)
class Entity:
    """A record type: what an admin has designed, at one version (0: not stored yet)."""

    name: str
    label: Label = Label()
    fields: tuple[EntityField, ...] = ()
    title: str = ""
    """The field that names a record; empty: the first text field."""
    help: Label = Label()
    validations: tuple[RecordValidation, ...] = ()
    """What records have to meet beyond what their fields say."""
    version: int = field(default=0, compare=False)
    key: str = ""
    """The name of the data key that encrypts; empty: nothing ever was."""

    @cached_property
    def by_name(self) -> dict[str, EntityField]:
        """Return name -> field."""
        return {f.name: f for f in self.fields}

    @cached_property
    def owner_of(self) -> dict[str, EntityField]:
        """Return column name -> the field it belongs to; system columns belong to none."""
        return {column.name: f for f in self.fields for column in f.fields}

    @cached_property
    def schema(self) -> Schema:
        """Return the schema of the entity's records as rules and the hub see it."""
        own = tuple(column for f in self.fields for column in f.fields)
        return Schema((SYSTEM_FIELDS[0], *own, *SYSTEM_FIELDS[1:]), ("id",))

    @cached_property
    def data_names(self) -> tuple[str, ...]:
        """Return the columns that hold the admin's fields."""
        return tuple(column.name for f in self.fields for column in f.fields)

    @cached_property
    def title_field(self) -> str:
        """Return the name of the field that names a record ("id" where there is none)."""
        if self.title:
            return self.title
        named = (f.name for f in self.fields if f.kind in (Kind.TEXT, Kind.EMAIL, Kind.PHONE) and not f.encrypted)
        return next(named, "id")

    @cached_property
    def encrypted(self) -> frozenset[str]:
        """Return the fields whose values are encrypted."""
        return frozenset(f.name for f in self.fields if f.encrypted)

    @cached_property
    def clear(self) -> frozenset[str]:
        """Return the columns whose values are not encrypted."""
        return frozenset(self.schema.names) - self.encrypted

    @cached_property
    def searchable(self) -> tuple[str, ...]:
        """Return the fields that the search box looks into."""
        return tuple(f.name for f in self.fields if f.searchable)

    @cached_property
    def sortable(self) -> tuple[str, ...]:
        """Return the columns that lists can be sorted by."""
        return ("id", "updated_at", *(f.name for f in self.fields if f.has_index and not f.sealed))

    @property
    def table_name(self) -> str:
        """Return the name of the table that holds the records."""
        return f"e_{self.name}"
