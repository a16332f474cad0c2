"""Rules that come before a rule, and rules whose records its fields refer to: as pages show them, and back again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from rules.documents.relations import before, circle
from webapp.rulebook.editing import Document, listed, part_of, set_or_drop
from webapp.rulebook.reading import RuleRow, list_rules
from webapp.rulebook.relations import SYNC
from webapp.rulebook.translation import translate as _

Choices = list[tuple[str, str]]
_SIDES = ("left", "right")


def reference_choices(tx: sa.Connection, document: Mapping[str, Any]) -> Choices:
    """Return the rules that link records of the same two connections, and those that the document names anyway."""
    ways = (connections_of(document), connections_of(document)[::-1])
    fit = {row.name: _title(row) for row in _sync_rules(tx) if connections_of(row.document) in ways}
    named = [str(entry["reference"]) for entry in listed(document, "fields") if entry.get("reference")]
    fit |= {name: _("%(name)s (does not fit)", name=name) for name in named if name not in fit}
    return [("", _("– no records –")), *sorted(fit.items())] if fit else []


def before_choices(tx: sa.Connection, document: Mapping[str, Any]) -> Choices:
    """Return the rules that can run before a rule: those that do not come after it themselves."""
    own = str(document.get("name"))
    rows = _sync_rules(tx)
    graph = {row.name: before(row.document) for row in rows}
    return [
        (row.name, _title(row)) for row in rows if row.name != own and not circle(own, {**graph, own: (row.name,)})
    ] + [(name, name) for name in named_after(document) if name not in graph]


def with_order(document: Document, names: Sequence[str], *, asked: bool) -> Document:
    """Return the document with the rules that were chosen to run before it."""
    if not asked:
        return document
    new = dict(document)
    old = named_after(document)
    chosen = [name for name in old if name in names] + [name for name in dict.fromkeys(names) if name not in old]
    set_or_drop(new, "after", [name for name in chosen if name], [])
    return new


def named_after(document: Mapping[str, Any]) -> list[str]:
    """Return the rules that a document names under `after`."""
    found = document.get("after")
    return [name for name in found if isinstance(name, str)] if isinstance(found, list) else []


def sentences(document: Mapping[str, Any]) -> list[str]:
    """Return which rules come before a rule, and what its fields refer to, in plain words."""
    told = []
    if names := list(before(document)):
        told.append(_("It runs after %(names)s.", names=", ".join(names)))
    for entry in listed(document, "fields"):
        if entry.get("reference"):
            text = _(
                "%(field)s refers to records of %(rule)s: each side gets the key of the linked record.", **_of(entry)
            )
            told.append(text)
    return told


def _of(entry: Mapping[str, Any]) -> dict[str, str]:
    fields = dict.fromkeys(str(entry[side]) for side in _SIDES if entry.get(side))
    return {"field": " / ".join(fields), "rule": str(entry["reference"])}


def connections_of(document: Mapping[str, Any]) -> tuple[str, str]:
    """Return the connections of the left and the right side, empty where a draft has none."""
    left, right = (str(part_of(document, side).get("connection") or "") for side in _SIDES)
    return left, right


def _sync_rules(tx: sa.Connection) -> list[RuleRow]:
    return [row for row in list_rules(tx) if row.kind == SYNC]


def _title(row: RuleRow) -> str:
    return f"{row.label} ({row.name})" if row.label else row.name
