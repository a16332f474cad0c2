"""The steps of a record's history: what a run, a person or a case did to it, when, and how that is proven."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import polars as pl
import sqlalchemy as sa

from rules.documents import digest as document_digest
from rules.text import Message, msg
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.evidence.places import Ends, Keys, Place
from webapp.evidence.prover import BROKEN, Check, Prover, Seal
from webapp.rulebook.models import rule, rule_version
from webapp.runs.models import run, run_chunk
from webapp.runs.pipeline import made
from webapp.runs.pipeline.codec import column_text, columns_of, digest
from webapp.runs.pipeline.sides import OTHER
from webapp.runs.reading import RecordRow, RunRow

_SHOWN = ("before", "after", "own_before", "own_after")
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """What changed in one system; `before` is None for a record that was created, `after` for one that was deleted."""

    place: Place
    before: Values | None
    after: Values | None
    side: str = ""
    """The side of the rule that caused it."""


@dataclass(frozen=True)
class Step:
    """One thing that happened to the record, with what caused it and its proof.

    `deed` is created, updated, deleted, quarantined, skipped, or event for what people and cases did.
    """

    at: datetime
    deed: str
    who: str
    seal: Seal
    places: tuple[Place, ...] = ()
    changes: tuple[Change, ...] = ()
    what: Message | None = None
    reason: Message | str | None = None
    run: RunRow | None = None
    record_no: int = 0
    rule: str = ""
    version: int | None = None
    worker: str | None = None
    owner: str | None = None
    """With whose rights the rule worked; None: with those of the installation."""
    via: str = "system"
    url: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the published JSON form."""
        told = {"at": self.at, "deed": self.deed, "who": self.who, "via": self.via, "rule": self.rule or None}
        changes = [{"place": vars(c.place), "before": c.before, "after": c.after} for c in self.changes]
        ran = {
            "version": self.version,
            "run": self.run.id if self.run else None,
            "worker": self.worker,
            "owner": self.owner,
        }
        texts = {name: str(said) if said else None for name, said in (("what", self.what), ("reason", self.reason))}
        return {**told, **ran, **texts, "changes": changes, "seal": self.seal.to_json()}


@dataclass(frozen=True)
class Part:
    """The chunk in which a run noted a record, and what it noted."""

    no: int
    at: datetime
    own: str
    """The digest of what is stored now."""
    row: Mapping[str, Any]


def part_of(tx: sa.Connection, row: RecordRow) -> Part | None:
    """Return where a run's chunks hold a record; None where they hold it no more."""
    mine = (run_chunk.c.run_id == row.run_id, run_chunk.c.state == "done")
    columns = (run_chunk.c.no, run_chunk.c.records, run_chunk.c.at)
    chunks = tx.execute(sa.select(*columns).where(*mine).order_by(run_chunk.c.no)).all()
    for chunk in _likely_first(chunks, row.record_no):
        blob = tx.scalar(sa.select(run_chunk.c.outcomes).where(*mine, run_chunk.c.no == chunk.no)) or b""
        found = _in(blob, row)
        if found is not None:
            return Part(chunk.no, chunk.at, digest(blob), found)
    return None


def _likely_first(chunks: Sequence[Any], number: int) -> Sequence[Any]:
    """Return chunks, the one that has a record by the count of those before it in front."""
    read = 0
    for place, chunk in enumerate(chunks):
        read += chunk.records
        if number and read >= number:
            return [chunk, *chunks[:place], *chunks[place + 1 :]]
    return chunks


def _in(blob: bytes, row: RecordRow) -> Mapping[str, Any] | None:
    if not blob:
        return None
    names = ("record_no", "left_key", "right_key")
    try:
        mask = columns_of(blob, "outcomes", names).select(_named(row)).to_series()
        return made.outcomes(blob).filter(mask).row(0, named=True) if mask.any() else None
    except (pl.exceptions.PolarsError, ValueError, StopIteration, KeyError):  # what is stored is no chunk any more
        return None


def _named(row: RecordRow) -> pl.Expr:
    if row.record_no:
        return (pl.col("record_no") == row.record_no).fill_null(value=False)
    same = (pl.col(name).eq_missing(pl.lit(getattr(row, name))) for name in ("left_key", "right_key"))
    return pl.all_horizontal(pl.col("record_no").is_null(), *same)


class RunSteps:
    """Makes steps of what runs noted of records."""

    def __init__(self, tx: sa.Connection, prover: Prover) -> None:
        self._tx, self._prover, self._keys = tx, prover, Keys(tx)

    def step(self, row: RecordRow, done: RunRow, ends: Ends, own: str) -> Step:
        """Return what a run did to a record that it read on the side `own`."""
        part = part_of(self._tx, row)
        event = self._event(row.run_id, part.no) if part else None
        seal = self._prover.seal(event, self._checks(row, done, part, event))
        told: Mapping[str, Any] = part.row if part else {name: getattr(row, name) for name in _SHOWN}
        places = self._places(row, ends, own)
        reason = Message.from_json(row.reason) if row.reason else None
        at = part.at if part else done.ended_at or done.started_at or done.requested_at
        step = Step(at, _deed(row), done.requested_by, seal, tuple(places.values()), _changes(told, row, places, own))
        caused: dict[str, Any] = {"rule": done.rule_name, "version": done.rule_version}
        ran: dict[str, Any] = {"run": done, "worker": done.worker, "url": f"/runs/{row.run_id}"}
        ran["owner"] = self._owner(done, event)
        return replace(step, reason=reason, record_no=row.record_no, **caused, **ran)

    def _places(self, row: RecordRow, ends: Ends, own: str) -> dict[str, Place]:
        sides = {own: row.left_key, OTHER[own]: row.right_key}
        return {side: self._keys.place(ends.of(side), key) for side, key in sides.items() if key is not None}

    def _event(self, run_id: int, chunk: int) -> Any:
        mine = (audit_event.c.run_id == run_id, audit_event.c.tag == Tag.RUN_CHUNK)
        rows = self._tx.execute(sa.select(audit_event).where(*mine).order_by(audit_event.c.id))
        return next((one for one in rows if (one.after or {}).get("chunk") == chunk), None)

    def _owner(self, done: RunRow, event: Any) -> str | None:
        """Return with whose rights the rule worked then, as events tell; where none does, as it is now."""
        table = audit_event.c
        mine = (table.subject_kind == "rule", table.subject == done.rule_name, table.tag == Tag.RULE_OWNED)
        moves = self._tx.execute(sa.select(table.id, table.before, table.after).where(*mine).order_by(table.id)).all()
        if not moves or event is None:
            found = self._tx.scalar(sa.select(rule.c.owner).where(rule.c.id == done.rule_id))
            return found or None
        told = [move.after for move in moves if move.id < event.id] or [moves[0].before]
        return (told[-1] or {}).get("owner") or None

    def _checks(self, row: RecordRow, done: RunRow, part: Part | None, event: Any) -> Iterator[Check]:
        if part is None:
            yield Check(holds=False, claim=msg("The stored parts of run {run} hold this record no more.", run=done.id))
            return
        names = {"no": part.no, "run": done.id}
        if event is not None:
            same = event.after.get("digest") == part.own
            good = "The records of part {no} of run {run} have the digest that the event holds."
            yield _told(good, "The stored records of part {no} of run {run} were changed.", same, names)
        same = all(getattr(row, name) == part.row[name] for name in ("outcome", *_SHOWN))
        same = same and all(column_text(part.row[name]) == getattr(row, name) for name in ("left_key", "right_key"))
        good = "This record stands in part {no} of run {run} as it is listed."
        yield _told(good, "The list of run {run} says something else of this record than part {no}.", same, names)
        yield from self._version(done)
        yield from self._asked(done)

    def _asked(self, done: RunRow) -> Iterator[Check]:
        """Yield whether a run is what was asked for as the log tells it: by whom, which rule, version and document."""
        mine = (audit_event.c.run_id == done.id, audit_event.c.tag == Tag.RUN_REQUESTED)
        event = self._tx.execute(sa.select(audit_event).where(*mine).order_by(audit_event.c.id).limit(1)).one_or_none()
        if event is None:  # the retention may have removed it
            return
        executed = self._tx.scalar(sa.select(run.c.document).where(run.c.id == done.id))
        now = (done.requested_by, done.rule_name, done.rule_version, document_digest(executed or {}))
        said = event.after or {}
        told = (event.actor_name, event.subject, said.get("rule_version"), said.get("document_digest"))
        same = now == told and self._prover.seal(event).state != BROKEN
        good = "Event {event} asked for run {run}: the same rule, version and person."
        bad = "Event {event} asked for another run than {run} is: who, rule, version or document differ."
        yield _told(good, bad, same, {"event": event.id, "run": done.id})

    def _version(self, done: RunRow) -> Iterator[Check]:
        if done.rule_version is None:
            return
        mine = (rule_version.c.rule_id == done.rule_id, rule_version.c.version == done.rule_version)
        published = self._tx.scalar(sa.select(rule_version.c.document).where(*mine))
        executed = self._tx.scalar(sa.select(run.c.document).where(run.c.id == done.id))
        if published is not None:
            names = {"version": done.rule_version, "rule": done.rule_name, "run": done.id}
            good = "Run {run} executed version {version} of {rule} as it is published."
            yield _told(good, "Run {run} did not execute what version {version} says.", published == executed, names)


def _told(good: str, bad: str, holds: bool, names: Mapping[str, Any]) -> Check:
    return Check(holds=holds, claim=msg(good if holds else bad, **names))


def _deed(row: RecordRow) -> str:
    return row.outcome if row.outcome in ("created", "updated", "deleted", "quarantined") else "skipped"


def _changes(told: Mapping[str, Any], row: RecordRow, places: Mapping[str, Place], own: str) -> tuple[Change, ...]:
    found = []
    for side, names in ((OTHER[own], _SHOWN[:2]), (own, _SHOWN[2:])):
        before, after = (json.loads(told[name]) if told[name] else None for name in names)
        place = places.get(side)
        if place is not None and (before or after) and row.outcome != "quarantined":
            found.append(Change(place, before, after, side))
    return tuple(found)
