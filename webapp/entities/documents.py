"""`kind: entity` documents: plain data to `Entity` and back. Mistakes come as problems with the path of the key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from rules.documents.build import build as build_document
from rules.documents.build import plain
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.validation import Validation as RecordValidation
from rules.text import Message, msg
from webapp.entities.checks import check
from webapp.entities.document_schema import document_schema
from webapp.entities.model import Choice, Entity, EntityField, Kind, Label, Validation

_LABELS = ("label", "help")
_PLAIN = (
    "required",
    "unique",
    "indexed",
    "searchable",
    "personal",
    "encrypted",
    "exact",
    "default",
    "computed",
    "currency",
    "entity",
    "on_delete",
    "was",
)
_NUMBERS = ("length", "precision", "scale")


def parse(document: Mapping[str, Any], version: int = 0) -> Entity:
    """Return the entity that a document describes; raises `DocumentError` with every mistake found."""
    problems = [_problem(error) for error in _validator().iter_errors(dict(document))]
    if problems:
        raise DocumentError(sorted(problems, key=lambda p: p.path))
    entity = build(document, version)
    problems = list(check(entity))
    if problems:
        raise DocumentError(problems)
    return entity


def build(document: Mapping[str, Any], version: int = 0) -> Entity:
    """Return the entity of a document that has the right shape, unchecked."""
    return Entity(
        name=document["name"],
        label=_label(document.get("label")),
        help=_label(document.get("help")),
        title=document.get("title", ""),
        fields=tuple(_field(f) for f in document["fields"]),
        validations=tuple(build_document(RecordValidation, v) for v in document.get("validations", ())),
        version=version,
        key=document.get("key", ""),
    )


def to_document(entity: Entity) -> dict[str, Any]:
    """Return the document of an entity; keys at their default are left out."""
    document: dict[str, Any] = {"kind": "entity", "name": entity.name}
    document.update({k: v for k in _LABELS if (v := _label_document(getattr(entity, k)))})
    if entity.title:
        document["title"] = entity.title
    document["fields"] = [_field_document(f) for f in entity.fields]
    if entity.validations:
        document["validations"] = [plain(v) for v in entity.validations]
    return document


def stored_document(entity: Entity) -> dict[str, Any]:
    """Return the document of an entity together with how its table keeps encrypted fields."""
    document = to_document(entity)
    marked = [
        {**field, **({"sealed": own.sealed} if own.sealed else {})}
        for field, own in zip(document["fields"], entity.fields, strict=True)
    ]
    return {**document, "fields": marked, **({"key": entity.key} if entity.key else {})}


def public(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document of a stored one."""
    return to_document(build(stored))


def _field(data: Mapping[str, Any]) -> EntityField:
    validation = data.get("validation")
    return EntityField(
        name=data["name"],
        kind=Kind(data["type"]),
        label=_label(data.get("label")),
        help=_label(data.get("help")),
        validation=Validation(validation["expression"], _label(validation.get("message"))) if validation else None,
        choices=tuple(Choice(c["value"], _label(c.get("label"))) for c in data.get("choices", ())),
        sealed=data.get("sealed", ""),
        **{key: data[key] for key in (*_PLAIN, *_NUMBERS) if data.get(key) is not None},
    )


def _field_document(field: EntityField) -> dict[str, Any]:
    plain = EntityField(field.name)
    document: dict[str, Any] = {"name": field.name, "type": field.kind.value}
    document.update({k: v for k in _LABELS if (v := _label_document(getattr(field, k)))})
    document.update(
        {k: getattr(field, k) for k in (*_PLAIN, *_NUMBERS) if k != "was" and getattr(field, k) != getattr(plain, k)}
    )
    if field.validation:
        message = _label_document(field.validation.message)
        document["validation"] = {
            "expression": field.validation.expression,
            **({"message": message} if message else {}),
        }
    if field.choices:
        document["choices"] = [_choice_document(c) for c in field.choices]
    return document


def _choice_document(choice: Choice) -> dict[str, Any]:
    label = _label_document(choice.label)
    return {"value": choice.value, **({"label": label} if label else {})}


def _label(data: Any) -> Label:
    if isinstance(data, str):
        return Label(data)
    return Label(data.get("en", ""), data.get("zh", "")) if data else Label()


def _label_document(label: Label) -> dict[str, str]:
    return {k: v for k, v in (("en", label.en), ("zh", label.zh)) if v}


@cache
def _validator() -> Draft202012Validator:
    return Draft202012Validator(document_schema())


def _problem(error: ValidationError) -> DocumentProblem:
    path = "/".join(str(part) for part in error.absolute_path)
    return DocumentProblem(path, next(_sentences(error)))


def _sentences(error: ValidationError) -> Iterator[Message]:
    kind: str = str(error.validator)
    wanted: Any = error.validator_value
    found: Any = error.instance
    if kind == "required":
        missing = next(name for name in wanted if name not in found)
        yield msg("'{key}' is missing.", key=missing)
    elif kind == "additionalProperties":
        unknown = ", ".join(sorted(set(found) - set(_known(error.schema))))
        yield msg("'{key}' is not known here. Remove it or correct its spelling.", key=unknown)
    elif kind == "enum":
        yield msg("'{value}' is not one of {known}.", value=error.instance, known=", ".join(wanted))
    elif kind == "pattern":
        yield _pattern_sentence(error)
    yield msg("This value does not fit: {detail}", detail=error.message)


def _pattern_sentence(error: ValidationError) -> Message:
    value, key = error.instance, error.absolute_path[-1]
    if key == "currency":
        return msg("'{value}' is not a currency of three capital letters, such as CNY.", value=value)
    if key == "value":
        return msg(
            "'{value}' cannot be a choice: quotes, backslashes, commas and line breaks are not allowed.", value=value
        )
    return msg(
        "'{value}' is not a name: start with a small letter, go on with small letters, digits and _.", value=value
    )


def _known(schema: Any) -> list[str]:
    return list(schema["properties"])
