"""What can be written in an expression, for the editor's completion and for the condition builder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import polars as pl

from rules.language.condition import Relation, ValueKind
from rules.language.functions.registry import FUNCTIONS, Function, Group
from rules.language.writing import field_text
from rules.schema import Field, FieldType
from webapp.rulebook import wording
from webapp.rulebook.editor_words import editor_words
from webapp.rulebook.language_help import described
from webapp.rulebook.samples import shown
from webapp.rulebook.scopes import Scope
from webapp.rulebook.translation import translate as _

VALUES, DISTINCT, LONGEST = 20, 40, 60
_KINDS = {
    FieldType.TEXT: ValueKind.TEXT,
    FieldType.TIME: ValueKind.TEXT,
    FieldType.INTEGER: ValueKind.NUMBER,
    FieldType.DECIMAL: ValueKind.NUMBER,
    FieldType.FLOAT: ValueKind.NUMBER,
    FieldType.BOOLEAN: ValueKind.BOOLEAN,
    FieldType.DATE: ValueKind.DATE,
    FieldType.DATETIME: ValueKind.DATETIME,
    FieldType.LOCAL_DATETIME: ValueKind.LOCAL_DATETIME,
}
_LISTED = frozenset({FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.TIME})
_PARAMETER = re.compile(r"(\w+): ([^,)]+)")


def vocabulary(scope: Scope, lookups: Iterable[str] = ()) -> dict[str, Any]:
    """Return fields with examples, functions, words of the language, lookup tables and relations, as plain data."""
    names = _TypeNames()
    return {
        "fields": [_field(field, scope, names) for field in scope.schema.fields],
        "functions": [_function(function, names) for group in Group for function in _of(group)],
        "words": words(),
        "lookups": list(lookups),
        "texts": editor_words(),
        "relations": {kind: relations(kind) for kind in [*ValueKind, ""]},
    }


class _TypeNames(dict[str, str]):
    """What types are called; each is translated once."""

    def __missing__(self, type_: str) -> str:
        self[type_] = wording.type_name(type_)
        return self[type_]


def _field(field: Field, scope: Scope, names: _TypeNames) -> dict[str, Any]:
    column = scope.records[field.name] if field.name in scope.records.columns else pl.Series()
    present = column.drop_nulls()
    return {
        "name": field.name,
        "text": _written(field.name, scope),
        "label": field.label,
        "type": field.type.value,
        "type_name": names[field.type.value],
        "kind": _KINDS.get(field.type, ""),
        "nullable": field.nullable,
        "sample": (shown(present[0]) or "")[:LONGEST] if len(present) else None,
        "values": _values(field, present),
    }


def _written(name: str, scope: Scope) -> str:
    """Return how a field is written; what a table decides, and a part of a field, as a path: `credit.limit`."""
    first, _dot, rest = name.partition(".")
    plain = bool(rest) and all(field_text(part) == part for part in name.split("."))
    path = plain and ("." not in rest or first in scope.schema)
    return name if path else field_text(name)


def _values(field: Field, present: pl.Series) -> list[str]:
    """Return the values that occur, most frequent first; none where nearly every record has its own."""
    if field.type not in _LISTED or not len(present):
        return []
    counted = present.value_counts(sort=True)
    if len(counted) > DISTINCT:
        return []
    texts = [shown(value) or "" for value in counted[field.name].to_list()]
    return [text for text in texts if text and len(text) <= LONGEST][:VALUES]


def _of(group: Group) -> list[Function]:
    return [function for function in FUNCTIONS.values() if function.group is group]


def _function(function: Function, names: _TypeNames) -> dict[str, Any]:
    found = described(function.name)
    signatures = [_signature(text, names) for text in found.signatures]
    return {
        "name": function.name,
        "group": _(function.group.value),
        "doc": found.doc,
        "signatures": signatures,
        "example": found.example,
        "result": found.result,
        "member": found.insert.startswith("."),
        "receives": sorted(
            {overload.parameters[0].kind.value for overload in function.overloads if overload.parameters}
        ),
    }


def _signature(text: str, names: _TypeNames) -> dict[str, Any]:
    inside, _arrow, result = text.partition("(")[2].rpartition(") -> ")
    parameters = [{"name": name, "type": names[type_]} for name, type_ in _PARAMETER.findall(inside + ")")]
    return {"parameters": parameters, "result": names[result or _arrow]}


def words() -> list[dict[str, str]]:
    """Return the words of the language that are no functions, with what they mean."""
    told = (
        ("true", "", _("Yes.")),
        ("false", "", _("No.")),
        ("null", "", _("An empty value.")),
        ("in", "", _("Tells whether a value is in a list: country in ['CN', 'DE'].")),
        ("record", "record", _('The whole record, for fields with other names: record["客户名称"].')),
        ("has", "has(record.${field})", _("Tells whether a field or a part of JSON is there and not empty.")),
        ("all", ".all(${item}, ${condition})", _("Tells whether a condition holds for all items of a list.")),
        ("exists", ".exists(${item}, ${condition})", _("Tells whether a condition holds for some item of a list.")),
        ("exists_one", ".exists_one(${item}, ${condition})", _("Tells whether it holds for exactly one item.")),
        ("map", ".map(${item}, ${expression})", _("Works out a value for each item of a list.")),
        ("filter", ".filter(${item}, ${condition})", _("Keeps the items for which a condition holds.")),
    )
    return [{"name": name, "snippet": snippet, "doc": doc} for name, snippet, doc in told]


def relations(kind: str) -> list[dict[str, Any]]:
    """Return what can be asked of a field of a kind, in words, with how many values it takes (9: a list)."""
    moment = kind in {ValueKind.DATE, ValueKind.DATETIME, ValueKind.LOCAL_DATETIME}
    said = _said(moment=moment)
    return [{"name": r.value, "label": said[r], "values": _COUNTS.get(r, 1)} for r in _RELATIONS.get(kind, _ORDERED)]


def _said(*, moment: bool) -> dict[Relation, str]:
    return {
        Relation.IS: _("is"),
        Relation.IS_NOT: _("is not"),
        Relation.CONTAINS: _("contains"),
        Relation.NOT_CONTAINS: _("does not contain"),
        Relation.STARTS: _("starts with"),
        Relation.NOT_STARTS: _("does not start with"),
        Relation.ENDS: _("ends with"),
        Relation.NOT_ENDS: _("does not end with"),
        Relation.MATCHES: _("matches the pattern"),
        Relation.NOT_MATCHES: _("does not match the pattern"),
        Relation.ONE_OF: _("is one of"),
        Relation.NONE_OF: _("is none of"),
        Relation.GREATER: _("is after") if moment else _("is more than"),
        Relation.AT_LEAST: _("is on or after") if moment else _("is at least"),
        Relation.LESS: _("is before") if moment else _("is less than"),
        Relation.AT_MOST: _("is on or before") if moment else _("is at most"),
        Relation.BETWEEN: _("is between"),
        Relation.EMPTY: _("is empty"),
        Relation.FILLED: _("is not empty"),
        Relation.BLANK: _("is empty or only spaces"),
        Relation.NOT_BLANK: _("is more than spaces"),
    }


_EMPTY = (Relation.EMPTY, Relation.FILLED)
_ORDERED = (
    Relation.IS,
    Relation.IS_NOT,
    Relation.GREATER,
    Relation.AT_LEAST,
    Relation.LESS,
    Relation.AT_MOST,
    Relation.BETWEEN,
    Relation.ONE_OF,
    Relation.NONE_OF,
    *_EMPTY,
)
_RELATIONS: dict[str, tuple[Relation, ...]] = {
    ValueKind.TEXT: (
        Relation.IS,
        Relation.IS_NOT,
        Relation.ONE_OF,
        Relation.NONE_OF,
        Relation.CONTAINS,
        Relation.NOT_CONTAINS,
        Relation.STARTS,
        Relation.NOT_STARTS,
        Relation.ENDS,
        Relation.NOT_ENDS,
        Relation.MATCHES,
        Relation.NOT_MATCHES,
        Relation.BLANK,
        Relation.NOT_BLANK,
        *_EMPTY,
        *_ORDERED[2:7],
    ),
    ValueKind.BOOLEAN: (Relation.IS, Relation.IS_NOT, *_EMPTY),
    "": _EMPTY,
}
_COUNTS = {
    Relation.BETWEEN: 2,
    Relation.ONE_OF: 9,
    Relation.NONE_OF: 9,
    **dict.fromkeys((*_EMPTY, Relation.BLANK, Relation.NOT_BLANK), 0),
}
