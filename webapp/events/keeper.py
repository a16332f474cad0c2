"""The work on events: take those that wait, in order; fire timers; store what follows, in one transaction a turn.

What a turn gives is a function of what is stored. Whatever goes wrong - a lost lease, a full disk, the end of the
process - what is in memory is thrown away and made again from the database.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError
from rules.events.interface import EngineFailed, Event, Step, TooLarge
from rules.text import N_, Message, msg
from webapp.audit.services import Event as AuditEvent
from webapp.audit.services import Subject, record
from webapp.audit.tags import Tag
from webapp.events import lease, results, runners
from webapp.events.hand import Hand
from webapp.events.models import event, event_rule_clock
from webapp.events.results import Done, Taken, Turn
from webapp.events.runners import Identity, Runner, Signature
from webapp.extensions import SYSTEM, House
from webapp.rulebook.library import library

BATCH = 100
"""Events that one turn takes."""
DEEPEST = 10
"""Actions of event rules that may stand behind an event; one behind more is heard by no rule."""
_TOO_DEEP = msg("No rule hears this event: {limit} actions of event rules in a row have led to it.", limit=DEEPEST)

_BEGINNING = datetime.min.replace(tzinfo=UTC)

log = logging.getLogger(__name__)


class Keeper:
    """Works on events while it holds the lease."""

    def __init__(self, house: House, holder: str) -> None:
        self._house = house
        self._holder = holder
        self._hand = Hand(house)
        self._runners: list[Runner] | None = None
        self._signature: Signature = ()
        self._token = 0

    def turn(self) -> bool:
        """Do one turn of work; tell whether there was any."""
        held = lease.hold(self._house, self._holder)
        if held is None:
            self._runners = None
            return False
        try:
            return self._turn(held)
        except EngineFailed:
            log.exception("The engine of event rules failed")
            self._hand.failed()
            self._runners = None
            return True
        except lease.Lost:
            self._runners = None
            return False
        except Exception:
            self._runners = None
            raise

    def close(self) -> None:
        """Give the lease back."""
        lease.give_up(self._house, self._holder)

    def _turn(self, held: lease.Lease) -> bool:
        loaded = self._loaded(held)
        now = self._house.clock()
        with self._house.db.read() as tx:
            waiting = tx.execute(
                sa.select(event).where(event.c.position.is_(None)).order_by(event.c.id).limit(BATCH)
            ).all()
        turn = Turn(held.position, held.clock or _BEGINNING)
        for row in sorted(waiting, key=lambda one: (min(one.at, one.received_at), one.id)):
            self._take(turn, loaded, row)
        if len(waiting) < BATCH:
            turn.clock = max(turn.clock, now)
        for runner in loaded:
            due = runner.ready.engine.due()
            if due is not None and due <= turn.clock:
                self._hand.take((runner.who.rule_id, runner.who.version))
                self._note(turn, runner, runner.advance(turn.clock), 0)
        if turn.empty:
            self._hand.rest()
            return False
        with self._house.db.begin() as tx:
            lease.confirm(tx, held, turn.position, turn.clock)
            results.store(tx, turn, self._house.clock())
        self._hand.lay_down()
        return True

    def _take(self, turn: Turn, loaded: list[Runner], row: Any) -> None:
        turn.position += 1
        turn.clock = max(turn.clock, min(row.at, row.received_at))
        one = Event(row.uid, row.type, row.at, row.data)
        notes: list[Message] = []
        if row.depth > DEEPEST:
            notes.append(_TOO_DEEP)
        else:
            busy: dict[int, set[str]] = {}
            for runner in loaded:
                if one.type in runner.ready.listener.types:
                    self._hand.take((runner.who.rule_id, runner.who.version))
                    notes += self._hear(turn, runner, one, row.depth, busy.setdefault(runner.who.rule_id, set()))
        turn.taken.append(Taken(row.id, turn.position, turn.clock, tuple(notes[:10])))

    def _hear(self, turn: Turn, runner: Runner, one: Event, depth: int, busy: set[str]) -> list[Message]:
        """Let a version take an event; an older one only for what it began, which a newer one then leaves to it."""
        heard, notes = runner.ready.listener.hear(turn.position, one)
        for part in heard:
            if part.key in busy:
                continue
            if not runner.who.current:
                if not runner.holds(part.key):
                    continue
                busy.add(part.key)
            self._note(turn, runner, runner.feed(part, turn.clock), depth)
        return [note.message for note in notes] if runner.who.current else []

    def _note(self, turn: Turn, runner: Runner, steps: list[Step], depth: int) -> None:
        own = f"{turn.position}:"
        for step in steps:
            works = tuple(runner.ready.works(step))
            turn.done.append(Done(runner, step, works, depth if step.cause.startswith(own) else 0))
        for note in runner.ready.engine.notes:
            log.info("event rule %s: %s", runner.who.name, note.message.template)  # keys are values of records
        runner.ready.engine.notes.clear()
        turn.changed[runner.who.rule_id, runner.who.version] = runner

    def _loaded(self, held: lease.Lease) -> list[Runner]:
        """Return the rules at work, loaded anew where something has changed or this process has just taken over."""
        with self._house.db.read() as tx:
            known = runners.signature(tx)
        if self._runners is None or known != self._signature or held.token != self._token:
            self._stop_hopeless()
            self._runners = self._load(known)
            self._signature, self._token = known, held.token
        return self._runners

    def _load(self, known: Signature) -> list[Runner]:
        shelf = library(self._house)
        found = []
        with self._house.db.read() as tx:
            who = runners.identities(tx, known)
            documents = runners.documents(tx, who)
        for one in who:
            self._hand.take((one.rule_id, one.version))
            try:
                with self._house.db.read() as tx:
                    found.append(runners.load(tx, one, documents[one.rule_id, one.version], shelf))
            except (DocumentError, TooLarge, KeyError) as error:
                self._stop(one, msg("The rule cannot be read: {problem}", problem=str(error)))
        self._hand.rest()
        return found

    def _stop_hopeless(self) -> None:
        for rule_id, version in self._hand.hopeless():
            with self._house.db.read() as tx:
                name = next((row[1] for row in runners.signature(tx) if row[0] == rule_id), "")
            text = N_("The engine has failed several times at this rule. Change the rule and publish it again.")
            self._stop(Identity(rule_id, name, version, current=True), msg(text))
            self._hand.forget((rule_id, version))

    def _stop(self, who: Identity, problem: Message) -> None:
        now = self._house.clock()
        table = event_rule_clock
        mine = (table.c.rule_id == who.rule_id, table.c.version == who.version)
        with self._house.db.begin() as tx:
            if tx.execute(sa.update(table).where(*mine).values(problem=problem.to_json())).rowcount == 0:
                values = {"rule_id": who.rule_id, "version": who.version, "clock": now, "problem": problem.to_json()}
                tx.execute(sa.insert(table).values(**values))
            after = {"version": who.version, "problem": str(problem)}
            record(tx, SYSTEM, now, AuditEvent(Tag.EVENT_RULE_STOPPED, Subject("rule", who.name), None, after))


def waiting_since(tx: sa.Connection) -> datetime | None:
    """Return when the oldest event came in that was not taken yet."""
    found: datetime | None = tx.scalar(sa.select(sa.func.min(event.c.received_at)).where(event.c.position.is_(None)))
    return found
