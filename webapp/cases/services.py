"""What is done with cases: open, assign, comment, close; each deed is audited in its own transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.cases import history, hooks, seen
from webapp.cases.models import case_comment, case_item
from webapp.cases.sagas import KIND as SAGA
from webapp.extensions import Actor, House
from webapp.rulebook import reading as rulebook
from webapp.runs.models import pair_case
from webapp.runs.sight_records import filled

STATES = ("open", "closed")
LONGEST_TEXT = 10_000


class CaseRefused(Exception):
    """Something cannot be done with a case; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class CaseMissing(CaseRefused):
    """There is no case of this number."""

    def __init__(self, case_id: int) -> None:
        super().__init__(msg("There is no case {id}.", id=case_id))


@dataclass(frozen=True)
class NewCase:
    """A case to be opened.

    `origin` names what opens it: while a case of the same origin is known, no second one is opened.
    """

    kind: str
    title: str
    subject: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    rule_name: str | None = None
    assignee: str | None = None
    origin: str | None = None


@dataclass(frozen=True)
class Case:
    """A case as lists and pages show it."""

    id: int
    kind: str
    title: str
    subject: str
    details: dict[str, Any]
    rule_name: str | None
    origin: str | None
    state: str
    assignee: str | None
    opened_at: datetime
    opened_by: str
    closed_at: datetime | None
    closed_by: str | None
    resolution: str | None
    pair_id: int | None = None
    situation: str | None = None


@dataclass(frozen=True)
class Comment:
    """What somebody said about a case."""

    id: int
    at: datetime
    by: str
    text: str


@dataclass(frozen=True)
class Wanted:
    """Which cases a list shows; None means any. `before` and `upto` are numbers of cases."""

    state: str | None = "open"
    kind: str | None = None
    rule_name: str | None = None
    assignee: str | None = None
    before: int | None = None
    situation: str | None = None
    opened_before: datetime | None = None
    nobodys: bool = False
    upto: int | None = None
    cases: tuple[int, ...] | None = None


def open_case(house: House, new: NewCase, actor: Actor, tx: sa.Connection | None = None) -> int:
    """Open a case and return its number; that of the known one where its origin has been seen."""
    if not new.title.strip():
        raise CaseRefused(msg("Say in a few words what the case is about."))
    with _writing(house, tx) as own:
        if new.origin is not None:
            known = own.scalar(sa.select(case_item.c.id).where(case_item.c.origin == new.origin))
            if known is not None:
                return int(known)
        now = house.clock()
        values = {
            "kind": new.kind,
            "title": new.title[:500],
            "subject": new.subject[:500],
            "details": dict(new.details),
            "rule_name": new.rule_name,
            "assignee": new.assignee,
            "origin": new.origin,
        }
        row = own.execute(
            sa.insert(case_item).values(**values, state="open", opened_at=now, opened_by=actor.name[:128])
        )
        case_id = int(row.inserted_primary_key[0])  # type: ignore[index]
        record(own, actor, now, Event(Tag.CASE_OPENED, _subject(case_id), None, values))
        history.note(own, [case_id], history.Deed("opened", now, actor.name))
        about = (new.kind, new.title, new.subject, new.rule_name, new.assignee)
        for tell in hooks.opened:
            tell(own, hooks.Opened(case_id, *about, actor, now))
        _tell_assigned(own, [case_id], new.assignee, actor, now)
        return case_id


def _tell_assigned(tx: sa.Connection, cases: Sequence[int], assignee: str | None, actor: Actor, at: datetime) -> None:
    if assignee and cases:
        for tell in hooks.assigned:
            tell(tx, hooks.Assigned(tuple(cases), assignee, actor, at))


def get(tx: sa.Connection, case_id: int) -> Case:
    """Return a case as who asks may see it; raises `CaseMissing` where there is none for them."""
    found = seen.shown(tx, [stored(tx, case_id)])
    if not found:
        raise CaseMissing(case_id)
    return found[0]


def stored(tx: sa.Connection, case_id: int) -> Case:
    """Return a case with all that it holds, whoever asks; raises `CaseMissing`."""
    row = tx.execute(sa.select(case_item).where(case_item.c.id == case_id)).mappings().one_or_none()
    if row is None:
        raise CaseMissing(case_id)
    return Case(**row)


def of_pair(tx: sa.Connection, pair: int) -> int | None:
    """Return the case of a pair of records that waits, or has waited."""
    return tx.scalar(sa.select(case_item.c.id).where(case_item.c.pair_id == pair))


def listing(tx: sa.Connection, wanted: Wanted, limit: int = 50) -> list[Case]:
    """Return cases, the latest first, as far as who asks may see them."""

    def fetch(behind: int | None, count: int) -> list[Case]:
        asked = conditions(replace(wanted, before=behind))
        query = sa.select(case_item).where(*asked).order_by(case_item.c.id.desc()).limit(count)
        return [Case(**row) for row in tx.execute(query).mappings()]

    return filled(fetch, lambda some: seen.shown(tx, some), lambda case: case.id, wanted.before, limit)


def count(tx: sa.Connection, wanted: Wanted) -> int:
    """Return how many cases there are."""
    return int(tx.scalar(sa.select(sa.func.count()).select_from(case_item).where(*conditions(wanted))) or 0)


def counts(tx: sa.Connection, wanted: Wanted, column: str) -> dict[str | None, int]:
    """Return how many cases there are by a column, most first."""
    by, number = case_item.c[column], sa.func.count()
    query = sa.select(by, number).where(*conditions(wanted)).group_by(by).order_by(number.desc(), by)
    return {row[0]: row[1] for row in tx.execute(query)}


def undecided(tx: sa.Connection, cases: Sequence[Case]) -> set[int]:
    """Return the cases among these whose record waits for a decision; the others wait for a run, or for words."""
    pairs = {case.pair_id: case.id for case in cases if case.pair_id is not None}
    query = sa.select(pair_case.c.id).where(pair_case.c.id.in_(pairs), pair_case.c.state == "open")
    return {pairs[number] for number in tx.scalars(query)}


def next_open(tx: sa.Connection, case_id: int, rule_name: str) -> int | None:
    """Return the next case of a rule whose record waits for a decision, behind this one or from the first on."""
    table = case_item.c
    query = (
        sa.select(table.id)
        .join(pair_case, pair_case.c.id == table.pair_id)
        .where(table.rule_name == rule_name, table.state == "open", pair_case.c.state == "open", table.id != case_id)
        .order_by(table.id < case_id, table.id)
    )
    return tx.scalar(query.limit(1))


def assign_many(house: House, wanted: Wanted, assignee: str | None, actor: Actor) -> int:
    """Give the open cases of a selection to somebody, or to nobody; returns how many change hands."""
    with house.db.begin() as tx:
        mine = (*conditions(wanted), case_item.c.state == "open", case_item.c.assignee.is_distinct_from(assignee))
        rows = tx.execute(sa.select(case_item.c.id, case_item.c.assignee).where(*mine)).all()
        now, after = house.clock(), {"assignee": assignee}
        events = [Event(Tag.CASE_ASSIGNED, _subject(row.id), {"assignee": row.assignee}, after) for row in rows]
        for start in range(0, len(rows), 500):
            ids = [row.id for row in rows[start : start + 500]]
            tx.execute(sa.update(case_item).where(case_item.c.id.in_(ids)).values(after))
            history.note(tx, ids, history.Deed("assigned", now, actor.name, told=after))
        record(tx, actor, now, *events)
        _tell_assigned(tx, [row.id for row in rows], assignee, actor, now)
    return len(rows)


def comments(tx: sa.Connection, case_id: int) -> list[Comment]:
    """Return what was said about a case, the oldest first."""
    table = case_comment
    query = sa.select(table.c.id, table.c.at, table.c.by, table.c.text).where(table.c.case_id == case_id)
    return [Comment(**row) for row in tx.execute(query.order_by(table.c.id)).mappings()]


def comment(house: House, case_id: int, text: str, actor: Actor) -> int:
    """Say something about a case; returns the number of the comment."""
    text = text.strip()
    if not text or len(text) > LONGEST_TEXT:
        raise CaseRefused(msg("Write a comment of at most {limit} characters.", limit=LONGEST_TEXT))
    with house.db.begin() as tx:
        get(tx, case_id)
        now = house.clock()
        values = {"case_id": case_id, "at": now, "by": actor.name[:128], "text": text}
        row = tx.execute(sa.insert(case_comment).values(values))
        record(tx, actor, now, Event(Tag.CASE_COMMENTED, _subject(case_id), None, {"text": text}))
        return int(row.inserted_primary_key[0])  # type: ignore[index]


def assign(house: House, case_id: int, assignee: str | None, actor: Actor) -> None:
    """Give a case to somebody, or to nobody."""
    with house.db.begin() as tx:
        old = _open(tx, case_id)
        if old.assignee == assignee:
            return
        tx.execute(sa.update(case_item).where(case_item.c.id == case_id).values(assignee=assignee))
        before, after = {"assignee": old.assignee}, {"assignee": assignee}
        now = house.clock()
        record(tx, actor, now, Event(Tag.CASE_ASSIGNED, _subject(case_id), before, after))
        history.note(tx, [case_id], history.Deed("assigned", now, actor.name, told=after))
        _tell_assigned(tx, [case_id], assignee, actor, now)


def close(house: House, case_id: int, resolution: str, actor: Actor, tx: sa.Connection | None = None) -> None:
    """Close a case with what was decided; raises `CaseRefused` where it is closed already."""
    if len(resolution) > LONGEST_TEXT:
        raise CaseRefused(msg("Write at most {limit} characters.", limit=LONGEST_TEXT))
    with _writing(house, tx) as own:
        _closable(own, _open(own, case_id))
        now = house.clock()
        values = {"state": "closed", "closed_at": now, "closed_by": actor.name[:128], "resolution": resolution.strip()}
        own.execute(sa.update(case_item).where(case_item.c.id == case_id).values(values))
        after = {"state": "closed", "resolution": resolution.strip()}
        record(own, actor, now, Event(Tag.CASE_CLOSED, _subject(case_id), {"state": "open"}, after))
        history.note(own, [case_id], history.Deed("closed", now, actor.name))


def reopen(house: House, case_id: int, actor: Actor) -> None:
    """Open a closed case again."""
    with house.db.begin() as tx:
        get(tx, case_id)
        old = stored(tx, case_id)
        if old.state == "open":
            return
        if old.pair_id is not None:
            raise CaseRefused(msg("This record is settled. It gets a new case if its systems disagree again."))
        values = {"state": "open", "closed_at": None, "closed_by": None, "resolution": None}
        tx.execute(sa.update(case_item).where(case_item.c.id == case_id).values(values))
        before = {"state": "closed", "resolution": old.resolution}
        now = house.clock()
        record(tx, actor, now, Event(Tag.CASE_REOPENED, _subject(case_id), before, {"state": "open"}))
        history.note(tx, [case_id], history.Deed("reopened", now, actor.name))


def _open(tx: sa.Connection, case_id: int) -> Case:
    found = get(tx, case_id)
    if found.state != "open":
        raise CaseRefused(msg("Case {id} is closed. Open it again first.", id=case_id))
    return found


def _closable(tx: sa.Connection, case: Case) -> None:
    """Raise `CaseRefused` where a record waits for a decision; one of a rule that is gone waits for nothing."""
    if case.kind == SAGA:
        raise CaseRefused(msg("See to the record under Runs › Transactions; the case closes with that."))
    if case.pair_id is None:
        return
    if rulebook.find(tx, case.rule_name or "") is not None:
        raise CaseRefused(msg("Decide what happens to the record; the case closes once a run has done so."))
    tx.execute(sa.update(pair_case).where(pair_case.c.id == case.pair_id).values(state="settled"))


def _subject(case_id: int) -> Subject:
    return Subject("case", str(case_id))


def conditions(wanted: Wanted) -> Iterator[sa.ColumnElement[bool]]:
    """Yield what a case has to meet to be wanted."""
    table = case_item.c
    for name in ("state", "kind", "rule_name", "assignee", "situation"):
        value = getattr(wanted, name)
        if value is not None:
            yield table[name] == value
    if wanted.nobodys:
        yield table.assignee.is_(None)
    if wanted.cases is not None:
        yield table.id.in_(wanted.cases)
    if wanted.before is not None:
        yield table.id < wanted.before
    if wanted.upto is not None:
        yield table.id <= wanted.upto
    if wanted.opened_before is not None:
        yield table.opened_at < wanted.opened_before


@contextmanager
def _writing(house: House, tx: sa.Connection | None) -> Iterator[sa.Connection]:
    if tx is not None:
        yield tx
        return
    with house.db.begin() as own:
        yield own
