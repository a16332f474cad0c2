"""What must hold within an entity's definition beyond the shape of its document."""

from __future__ import annotations

from collections.abc import Iterator

from rules.documents.problems import DocumentProblem
from rules.text import Message, msg
from webapp.entities.model import (
    CHOICE_KINDS,
    NUMBER_KINDS,
    SYSTEM_NAMES,
    TEXT_KINDS,
    UNINDEXED_KINDS,
    Entity,
    EntityField,
    Kind,
)
from webapp.entities.values import BadValue, from_plain

RESERVED = frozenset(
    {"true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import"}
    | {"let", "loop", "package", "namespace", "return", "var", "void", "while"}
)
"""Words of the expression language; a field of this name could not be used in an expression."""


def check(entity: Entity) -> Iterator[DocumentProblem]:
    """Yield what is wrong with a definition taken by itself."""
    yield from _names(entity)
    for number, field in enumerate(entity.fields):
        for key, message in _field(field):
            yield DocumentProblem(f"fields/{number}/{key}", message)
    if entity.title and entity.title not in entity.by_name:
        yield DocumentProblem("title", msg("There is no field '{name}'.", name=entity.title))


def _names(entity: Entity) -> Iterator[DocumentProblem]:
    seen: dict[str, str] = {}
    for number, field in enumerate(entity.fields):
        path = f"fields/{number}/name"
        if field.name in SYSTEM_NAMES:
            yield DocumentProblem(
                path, msg("'{name}' is filled in by Syncline itself; choose another name.", name=field.name)
            )
        elif field.name in RESERVED:
            yield DocumentProblem(
                path, msg("'{name}' is a word of the expression language; choose another name.", name=field.name)
            )
        for column in field.fields:
            if column.name in seen:
                yield DocumentProblem(path, msg("The name '{name}' is used twice.", name=column.name))
            seen[column.name] = field.name


def _field(field: EntityField) -> Iterator[tuple[str, Message]]:
    yield from _parts(field)
    yield from _flags(field)
    yield from _bounds(field)
    yield from _default(field)


def _parts(field: EntityField) -> Iterator[tuple[str, Message]]:
    if field.kind in CHOICE_KINDS:
        if not field.choices:
            yield "choices", msg("List the values to choose from.")
        if len(set(field.values)) < len(field.choices):
            yield "choices", msg("A choice is listed twice.")
    elif field.choices:
        yield "choices", msg("Only choice fields have choices.")
    if field.kind is Kind.REFERENCE and not field.entity:
        yield "entity", msg("Say which entity the reference points to.")
    if field.kind is not Kind.REFERENCE and field.entity:
        yield "entity", msg("Only references point to an entity.")
    if field.required and field.kind is Kind.REFERENCE and field.on_delete == "clear":
        yield "on_delete", msg("A required reference cannot be emptied; refuse the deletion instead.")


def _flags(field: EntityField) -> Iterator[tuple[str, Message]]:
    if field.kind in UNINDEXED_KINDS:
        for flag in ("unique", "indexed"):
            if getattr(field, flag):
                yield flag, msg("A field of this type cannot have an index.")
    if field.unique and field.kind is Kind.BOOLEAN:
        yield "unique", msg("A yes-or-no field cannot be unique.")
    if field.searchable and field.kind not in TEXT_KINDS:
        yield "searchable", msg("Only text, e-mail, phone and web address fields can be searched.")
    if field.computed:
        yield from _computed(field)


def _computed(field: EntityField) -> Iterator[tuple[str, Message]]:
    if field.default is not None:
        yield "default", msg("A computed field has no default.")
    if field.kind in (Kind.MULTI_CHOICE, Kind.REFERENCE, Kind.FILE, Kind.JSON):
        yield "computed", msg("A field of this type cannot be computed.")
    if field.kind is Kind.MONEY and not field.currency:
        yield "currency", msg("Computed money needs a fixed currency.")


def _bounds(field: EntityField) -> Iterator[tuple[str, Message]]:
    if field.length is not None and field.kind not in (Kind.TEXT, Kind.EMAIL, Kind.PHONE, Kind.URL):
        yield "length", msg("Only text, e-mail, phone and web address fields have a length.")
    if field.kind in NUMBER_KINDS and field.scale > field.precision:
        yield "scale", msg("There cannot be more digits behind the point than digits at all.")
    if field.currency and field.kind is not Kind.MONEY:
        yield "currency", msg("Only money fields have a currency.")


def _default(field: EntityField) -> Iterator[tuple[str, Message]]:
    if field.default is None or field.computed:
        return
    if field.kind in (Kind.REFERENCE, Kind.FILE):
        yield "default", msg("A field of this type has no default.")
        return
    if (field.kind, field.default) in ((Kind.DATE, "today"), (Kind.DATETIME, "now")):
        return
    if field.kind is Kind.MONEY and not field.currency:
        yield "default", msg("Money with a currency per record has no default.")
        return
    try:
        from_plain(field, field.default)
    except BadValue as error:
        yield "default", error.message
