"""What has to change in an older state that is put back, since the world has gone on without it.

Systems remember the fencing tokens and runs of what came later, so tokens and ids go on far behind them. No rule writes
before a person has looked: what runs have written since the backup is unknown here, and a rule that cannot find its
partners again would write it twice. What was about to be done may have been done long ago, so it is not done again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.text import msg
from webapp.access.models import access_session
from webapp.backups import filling
from webapp.events.models import event_action, event_lease
from webapp.extensions import Actor, House
from webapp.rulebook import reading as rulebook
from webapp.rulebook import services as rules
from webapp.rulebook.models import rule
from webapp.runs import plans
from webapp.runs.claims import EVERY_RULE
from webapp.runs.models import fence, kept_log, rule_cursor, run, run_chunk
from webapp.runs.outbox import receipts
from webapp.runs.sagas import leaving
from webapp.runs.transactions.models import global_transaction, transaction_branch
from webapp.runs.transactions.states import State

GAP = 1_000_000
"""So many ids are passed over: more than runs and records were made since the backup."""
REMEMBERED = ("run", "global_transaction", "event_action", "notice")
"""Tables whose ids other systems were told, beside those of entities."""
ALIVE = ("queued", "running", "suspended")
_SINCE = msg("A backup was put back. This may have been done since; try it again if it was not.")


@dataclass(frozen=True)
class Held:
    """A rule that waits for a person, and whether it finds what it has written since the backup."""

    name: str
    finds: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as the command line shows it."""
        return {"rule": self.name, "finds_its_records": self.finds}


@dataclass(frozen=True)
class Settled:
    """What was changed in the state that was put back."""

    held: tuple[Held, ...]
    runs: tuple[int, ...]
    logs: tuple[str, ...]
    sessions: int
    actions: int
    transactions: int
    deliveries: int
    sagas: int

    def to_json(self) -> dict[str, Any]:
        """Return what the audit log keeps of it."""
        return {
            "held": [one.to_json() for one in self.held],
            "cancelled_runs": list(self.runs),
            "read_anew": list(self.logs),
            "sessions_ended": self.sessions,
            "actions_not_done": self.actions,
            "transactions_undecided": self.transactions,
            "deliveries_not_made": self.deliveries,
            "steps_left": self.sagas,
        }


def beyond(last_ids: Mapping[str, int]) -> dict[str, int]:
    """Return the last ids of a backup with a gap behind those that other systems may know."""
    known = {*REMEMBERED, *(name for name in last_ids if name.startswith("e_"))}
    return {**last_ids, **{name: last_ids.get(name, 0) + GAP for name in known}}


def settle(house: House, tx: sa.Connection, actor: Actor, *, ids: bool = True) -> Settled:
    """Make an older state safe to go on from; `ids` were passed over already where it was just filled in."""
    now = house.clock()
    _raise_tokens(tx, now)
    if ids:
        filling.pass_over(tx, beyond(filling.last_ids(tx)))
    plans.forget(tx, now, 0)  # they may have been carried out since
    return Settled(
        held=_hold(house, tx, actor, now),
        runs=_cancel(tx, now),
        logs=_read_anew(tx),
        sessions=tx.execute(sa.delete(access_session)).rowcount,
        actions=_leave(tx, now),
        transactions=_let_go(tx),
        deliveries=receipts.leave(tx, now, _SINCE),
        sagas=leaving.leave(tx, now, _SINCE),
    )


def _raise_tokens(tx: sa.Connection, now: datetime) -> None:
    """Let tokens be higher than any that was given out since: they grow by one a run, and this by one a millisecond."""
    floor = int(now.timestamp() * 1000)
    tx.execute(sa.update(fence).where(fence.c.token < floor).values(token=floor))
    if tx.scalar(sa.select(fence.c.token).where(fence.c.rule_name == EVERY_RULE)) is None:
        tx.execute(sa.insert(fence).values(rule_name=EVERY_RULE, token=floor))


def _hold(house: House, tx: sa.Connection, actor: Actor, now: datetime) -> tuple[Held, ...]:
    held = []
    for row in rulebook.list_rules(tx):
        if row.published is None:
            continue
        rules.pause(house, row.name, actor, tx)
        if row.kind == "sync":
            tx.execute(sa.update(rule).where(rule.c.id == row.id).values(held_at=now))
            held.append(Held(row.name, finds_again(row.published)))
    return tuple(held)


def finds_again(document: Mapping[str, Any]) -> bool:
    """Tell whether a rule finds records that it has written and has no link of: by their key, or by `correlate`."""
    if document.get("correlate"):
        return True
    key, ways = document.get("key") or {}, document.get("direction", "two_way")
    pairs = document.get("fields") or []
    sides = {"left_to_right": ("right",), "right_to_left": ("left",)}.get(ways, ("left", "right"))
    return all(any(pair.get(side) == key.get(side) for pair in pairs) for side in sides)


def _cancel(tx: sa.Connection, now: datetime) -> tuple[int, ...]:
    """End what waited, worked or had failed half-way through a chunk; its plan is of another day."""
    half = sa.exists().where(run_chunk.c.run_id == run.c.id, run_chunk.c.state == "planned")
    ended = sa.or_(run.c.state.in_(ALIVE), sa.and_(run.c.state == "failed", half))
    ids = tuple(tx.scalars(sa.select(run.c.id).where(ended).order_by(run.c.id)))
    why = msg("The run ended when a backup was put back.").to_json()
    values = {"state": "cancelled", "ended_at": now, "message": why, "pause_by": None, "lease_until": None}
    tx.execute(sa.update(run).where(run.c.id.in_(ids)).values(values))
    return ids


def _read_anew(tx: sa.Connection) -> tuple[str, ...]:
    """Forget how far logs of changes were read: systems have let go what came since, so all records are compared."""
    names = tuple(tx.scalars(sa.select(kept_log.c.rule_name).distinct().order_by(kept_log.c.rule_name)))
    tx.execute(sa.delete(rule_cursor).where(rule_cursor.c.rule_id.in_(sa.select(kept_log.c.rule_id))))
    return names


def _leave(tx: sa.Connection, now: datetime) -> int:
    """Leave actions of event rules to a person: e-mails and calls that waited may have been sent since."""
    waits = event_action.c.state.in_(("pending", "running"))
    values = {
        "state": "failed",
        "problem": _SINCE.to_json(),
        "ended_at": now,
        "lease_until": None,
        "worker": None,
        "ticket": None,
    }
    tx.execute(sa.delete(event_lease))
    return tx.execute(sa.update(event_action).where(waits).values(values)).rowcount


def _let_go(tx: sa.Connection) -> int:
    """Forget transactions that were undecided: they may have been committed since, so that none is undone unasked."""
    undecided = global_transaction.c.state == State.PREPARING.value
    ids = sa.select(global_transaction.c.id).where(undecided)
    tx.execute(sa.delete(transaction_branch).where(transaction_branch.c.transaction_id.in_(ids)))
    return tx.execute(sa.delete(global_transaction).where(undecided)).rowcount
