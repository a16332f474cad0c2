"""Asks the validations of a batch: conditions and references of all records at once, uniqueness in their order.

A condition that is true is met. One that is false or empty is not, and one that cannot be worked out is not either; its
error is told. Uniqueness is asked last: a record that is left out or parked for another reason does not take its values
away from a later one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Protocol

import polars as pl

from rules.documents.validation import OnFailure, Reference, Validation
from rules.language import Program, RowError
from rules.language.results import shown
from rules.schema import Schema
from rules.text import Message, msg
from rules.validations.compile import Compiled
from rules.validations.uniqueness import MARKS, Claims, claims
from rules.validations.verdicts import Tally, Verdict, Verdicts

_SEEN = 6
_CONDITION = 120


class Known(Protocol):
    """What is known outside the batch; both are asked once a batch and validation."""

    def held(self, asked: Claims) -> pl.Series:
        """Return for each claim the key of another record that has the values already, null where none has."""

    def exists(self, reference: Reference, values: pl.Series) -> pl.Series:
        """Return a mask of the values (different, none empty) that exist where the reference says."""


@dataclass
class _Batch:
    records: pl.DataFrame
    keys: pl.Series
    usable: pl.Series
    known: Known
    failures: list[tuple[int, int, Verdict]] = field(default_factory=list)
    tallies: dict[str, Tally] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)

    def fail(self, place: int, verdict: Verdict) -> None:
        self.failures.append((verdict.row, place, verdict))
        if verdict.severity is not OnFailure.WARN:
            self.blocked.add(verdict.row)


class Validator:
    """The validations of one document, ready to be asked."""

    def __init__(self, validations: Sequence[Compiled], schema: Schema) -> None:
        self._all = tuple(validations)
        self._order = schema.names

    def check(
        self, batch: pl.DataFrame, known: Known, usable: pl.Series | None = None, keys: pl.Series | None = None
    ) -> Verdicts:
        """Return the verdicts on a batch.

        Args:
            batch: the records, with at least the fields that the validations name.
            known: what is known outside the batch.
            usable: a mask of the records to ask; all if left out.
            keys: what each record is called in messages to others; null where it has no name yet.
        """
        every = pl.repeat(value=True, n=batch.height, dtype=pl.Boolean, eager=True)
        none = pl.Series([None] * batch.height, dtype=pl.String)
        asking = _Batch(batch, none if keys is None else keys, every if usable is None else usable, known)
        unique: list[tuple[int, Compiled, pl.Series]] = []
        for place, item in enumerate(self._all):
            asked = self._when(place, item, asking)
            if item.check is not None:
                self._condition(place, item.validation, item.check, asked, asking)
            elif item.validation.reference is not None:
                _reference(place, item.validation, item.validation.reference, asked, asking)
            else:
                unique.append((place, item, asked))
        marks = _unique(unique, asking)
        failures = tuple(verdict for _, _, verdict in sorted(asking.failures, key=lambda found: found[:2]))
        return Verdicts(failures, _tallied(self._all, asking.tallies, failures), marks)

    def _when(self, place: int, item: Compiled, asking: _Batch) -> pl.Series:
        """Return which records the validation is asked for; where that cannot be said, it is not met."""
        if item.when is None:
            asking.tallies[item.validation.name] = Tally(int(asking.usable.sum()), 0)
            return asking.usable
        rows = asking.usable.arg_true()
        found = item.when.evaluate(asking.records[rows])
        for error in found.errors:
            asking.fail(place, self._failed(item.validation, item.when, error, int(rows[error.row]), asking))
        chosen = rows.filter(found.values.fill_null(value=False))
        asking.tallies[item.validation.name] = Tally(len(chosen) + len(found.errors), 0)
        return _mask(chosen, asking.records.height)

    def _condition(
        self, place: int, validation: Validation, program: Program, asked: pl.Series, asking: _Batch
    ) -> None:
        rows = asked.arg_true()
        found = program.evaluate(asking.records[rows])
        for error in found.errors:
            asking.fail(place, self._failed(validation, program, error, int(rows[error.row]), asking))
        broken = {error.row for error in found.errors}
        words, name = _words(validation), _only(program)
        for row in (~found.values.fill_null(value=False)).arg_true().to_list():
            if row not in broken:
                at = int(rows[row])
                seen = self._seen(program, asking.records, at)
                asking.fail(place, Verdict(at, validation, words, seen, name))

    def _failed(self, validation: Validation, program: Program, error: RowError, row: int, asking: _Batch) -> Verdict:
        text = msg("{problem} It cannot be worked out: {detail}", problem=_words(validation), detail=error.message)
        seen = self._seen(program, asking.records, row)
        return Verdict(row, validation, text, seen, _only(program), error.column)

    def _seen(self, program: Program, records: pl.DataFrame, row: int) -> tuple[tuple[str, str], ...]:
        names = [name for name in self._order if name in program.fields][:_SEEN]
        return tuple((name, _shown(records[name][row])) for name in names)


def _shown(value: object) -> str:
    """Return a value as a message quotes it; a decimal without the zeros that only its field adds."""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else shown(value)


def _only(program: Program) -> str | None:
    return next(iter(program.fields)) if len(program.fields) == 1 else None


def _reference(place: int, validation: Validation, reference: Reference, asked: pl.Series, asking: _Batch) -> None:
    column = asking.records[reference.field]
    full = column.is_not_null() & (column != "") if column.dtype == pl.String else column.is_not_null()
    rows = (asked & full).arg_true()
    values = column[rows]
    different = values.unique(maintain_order=True)
    if different.is_empty():
        return
    there = asking.known.exists(reference, different)
    absent = different.filter(~there)
    for row in values.is_in(absent.implode()).arg_true().to_list():
        text = msg(
            "{problem} There is no record of {object} with {key} {value}.",
            problem=_words(validation),
            object=reference.object,
            key=reference.key,
            value=_shown(values[row]),
        )
        asking.fail(place, Verdict(int(rows[row]), validation, text, field=reference.field))


def _unique(asked: Sequence[tuple[int, Compiled, pl.Series]], asking: _Batch) -> pl.DataFrame:
    """Go through the records in order; return the marks of those that have their values for themselves."""
    wanted: list[tuple[int, Claims, dict[int, int]]] = []
    for place, item, mask in asked:
        made = claims(item.validation, asking.records, asking.keys, mask)
        wanted.append((place, made, {row: number for number, row in enumerate(made.rows.to_list())}))
    held = [asking.known.held(made).to_list() if len(made.rows) else [] for _, made, _ in wanted]
    digests = [made.digests.to_list() for _, made, _ in wanted]
    taken: list[dict[bytes, int]] = [{} for _ in wanted]
    for row in sorted({row for _, _, rows in wanted for row in rows} - asking.blocked):
        free: list[tuple[int, bytes]] = []
        for number, (place, made, rows) in enumerate(wanted):
            if row not in rows:
                continue
            digest, other = digests[number][rows[row]], held[number][rows[row]]
            if other is None and digest not in taken[number]:
                free.append((number, digest))
            else:
                other = asking.keys[taken[number][digest]] if other is None else other
                asking.fail(place, _double(made, rows[row], row, other))
        if row not in asking.blocked:
            for number, digest in free:
                taken[number][digest] = row
    return _marks(wanted, taken, asking.keys)


def _double(made: Claims, number: int, row: int, other: str | None) -> Verdict:
    validation = made.validation
    names = ", ".join(validation.unique)
    words = {"problem": _words(validation), "fields": names}
    if other is None:
        text = msg("{problem} Another record further up has the same {fields}.", **words)
    else:
        text = msg("{problem} The record '{other}' has the same {fields}.", **words, other=other)
    seen = tuple((name, _shown(made.values[name][number])) for name in validation.unique)
    return Verdict(row, validation, text, seen, validation.unique[0] if len(validation.unique) == 1 else None)


def _marks(
    wanted: Sequence[tuple[int, Claims, dict[int, int]]], taken: Sequence[dict[bytes, int]], keys: pl.Series
) -> pl.DataFrame:
    parts = [
        pl.DataFrame(
            {
                "validation": [made.validation.name] * len(mine),
                "digest": list(mine),
                "key": keys[list(mine.values())],
            },
            schema=MARKS,
        )
        for (_, made, _), mine in zip(wanted, taken, strict=True)
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=MARKS)


def _words(validation: Validation) -> Message:
    """Return what the admin has written, or what the validation asks."""
    if validation.message:
        text = validation.message.strip()
        return msg("{text}", text=text if text[-1:] in ".!?。！？" else f"{text}.")
    if validation.check is not None:
        text = validation.check if len(validation.check) <= _CONDITION else validation.check[: _CONDITION - 3] + "..."
        return msg("'{name}' is not met: {condition}.", name=validation.name, condition=text)
    return msg("'{name}' is not met.", name=validation.name)


def _mask(rows: pl.Series, height: int) -> pl.Series:
    return pl.repeat(value=False, n=height, dtype=pl.Boolean, eager=True).scatter(rows, values=True)


def _tallied(validations: Sequence[Compiled], asked: dict[str, Tally], failures: Sequence[Verdict]) -> dict[str, Tally]:
    failed: dict[str, int] = {item.validation.name: 0 for item in validations}
    for verdict in failures:
        failed[verdict.validation.name] += 1
    return {name: Tally(asked[name].asked, asked[name].asked - number) for name, number in failed.items()}
