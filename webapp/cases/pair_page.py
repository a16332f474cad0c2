"""What the page of a record that waits shows, and the choice that its form sends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from werkzeug.datastructures import MultiDict

from rules.schema import Schema
from rules.text import Message
from webapp.cases import words
from webapp.cases.fields import Cell, FieldRow, cell, label, rows, typed
from webapp.cases.preview import Known
from webapp.cases.words import other, present
from webapp.extensions import House
from webapp.rulebook.library import library
from webapp.rulebook.side_names import SideNames, side_names
from webapp.runs import pair_cases
from webapp.runs.models import run
from webapp.runs.pair_cases import PairCase
from webapp.runs.pair_choices import FIELDS, LEFT, OPTIONS, RECORD, RIGHT, VALUE, numbered


@dataclass(frozen=True)
class Option:
    """Something that may be done with the record."""

    value: str
    label: Message
    told: Message


@dataclass(frozen=True)
class Line:
    """A pair of fields of two records that may be the same."""

    label: str
    own: Cell
    theirs: Cell


@dataclass(frozen=True)
class Candidate:
    """A possible partner, with its values beside those of the record."""

    key: str
    called: str
    confidence: float | None
    lines: tuple[Line, ...]

    @property
    def value(self) -> str:
        """Return what its choice is called in the form."""
        return f"link:{self.key}"

    @property
    def same(self) -> int:
        """Return how many values are the same."""
        return sum(line.own.same for line in self.lines)


@dataclass(frozen=True)
class PairView:
    """A pair that waits, and all that its page is made of."""

    pair: PairCase
    names: SideNames
    known: Known
    asked: Mapping[str, Mapping[str, Any]]

    @property
    def schemas(self) -> Mapping[str, Schema]:
        """Return the fields of both sides."""
        return self.known.schemas

    @property
    def title(self) -> Message:
        """Return what the case is about."""
        return words.title(self.pair, self.names)

    @property
    def by_field(self) -> bool:
        """Tell whether each field is chosen, rather than what happens to the record."""
        return not OPTIONS.get(self.pair.situation)

    def rows(self, chosen: Mapping[str, Any] | None, error: tuple[str, str] = ("", "")) -> list[FieldRow]:
        """Return the fields in question."""
        return rows(self.asked, self.schemas, chosen, error)

    @property
    def options(self) -> list[Option]:
        """Return what may be done with the record, apart from linking it."""
        deeds = [deed for deed in OPTIONS.get(self.pair.situation, ()) if deed != "link"]
        named, told = words.deed_label, words.deed_told
        return [Option(deed, named(deed, self.pair, self.names), told(deed, self.pair, self.names)) for deed in deeds]

    @property
    def side(self) -> str:
        """Return the side whose record is there."""
        return present(self.pair)

    @property
    def record(self) -> list[tuple[str, Cell]]:
        """Return the record that is there, with the fields that the rule speaks of first."""
        values = self.pair.details.get(self.side) or {}
        mapped = [
            str(one.get(self.side)) for one in self.known.document.get(FIELDS) or [] if one.get(self.side) in values
        ]
        ordered = [*dict.fromkeys(mapped), *(name for name in values if name not in mapped)]
        return [(self._label(self.side, name), cell(values[name])) for name in ordered]

    @property
    def candidates(self) -> list[Candidate]:
        """Return the possible partners, the surest first."""
        found = self.pair.details.get("candidates") or []
        made = [self._candidate(one) for one in found]
        return sorted(made, key=lambda one: -(one.confidence or 0))

    def _candidate(self, one: Mapping[str, Any]) -> Candidate:
        record = one.get("record") or {}
        own = self.pair.details.get(self.side) or {}
        there = other(self.side)
        lines = []
        for entry in self.known.document.get(FIELDS) or []:
            mine, theirs = own.get(entry.get(self.side)), record.get(entry.get(there))
            if mine is not None or theirs is not None:
                named = label({side: {"name": entry.get(side)} for side in (LEFT, RIGHT)})
                lines.append(Line(named, cell(mine, theirs), cell(theirs, mine)))
        confidence = one.get("confidence")
        sure = None if confidence is None else float(confidence)
        return Candidate(str(one.get("key")), words.called_by(record), sure, tuple(lines))

    def _label(self, side: str, name: str) -> str:
        schema = self.schemas.get(side)
        return (schema[name].label if schema is not None and name in schema else "") or name

    def choice(self, form: MultiDict[str, str]) -> dict[str, Any]:
        """Return the choice of a form, as it stands; what is missing is for the check to refuse."""
        choice: dict[str, Any] = {name: form.get(name, getattr(self.pair, name)) for name in ("seen", "answered")}
        if not self.by_field:
            picked = form.get("pick", "")
            deed, _, key = picked.partition(":")
            return {**choice, RECORD: deed, **({"key": key} if deed == "link" else {})}
        every = form.get("all")
        if every in (LEFT, RIGHT):
            return {**choice, FIELDS: {number: {"take": every} for number in self.asked}}
        return {**choice, FIELDS: {n: take for n in self.asked if (take := self._take(n, form)) is not None}}

    def _take(self, number: str, form: MultiDict[str, str]) -> dict[str, Any] | None:
        take = form.get(f"take:{number}")
        if take != VALUE:
            return {"take": take} if take in (LEFT, RIGHT) else None
        return {"take": VALUE, VALUE: self.typed(number, form.get(f"value:{number}", ""))}

    def typed(self, number: str, text: str) -> Any:
        """Return what a person has typed for a field as a value of it."""
        name = str((self.asked[number].get(LEFT) or {}).get("name") or "")
        schema = self.schemas.get(LEFT)
        return typed(text, schema[name] if schema is not None and name in schema else None)


def view(house: House, tx: sa.Connection, pair: PairCase) -> PairView:
    """Return all that the page of a pair is made of."""
    row = tx.execute(sa.select(run.c.document, run.c.schemas, run.c.uses).where(run.c.id == pair.run_id)).one_or_none()
    document = dict(row.document) if row else {}
    known = Known(document, pair_cases.schemas_of(tx, pair.run_id, document), library(house, row.uses if row else None))
    return PairView(pair, side_names(tx, document), known, numbered(pair.details, document))
