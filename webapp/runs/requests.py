"""What people ask of runs: start, cancel, resume, replay. A run row is committed first; whoever rings comes after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError, digest, parse_sync
from rules.documents.policies import Priority
from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from rules.text import N_, Message, msg
from webapp import tracing
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import Actor, House
from webapp.rulebook import reading as rulebook
from webapp.rulebook.kinds import kind_of
from webapp.rulebook.library import pins
from webapp.rulebook.models import rule
from webapp.runs import endings, ordering, turns
from webapp.runs.claims import one_at_a_time
from webapp.runs.models import run, run_chunk, run_log
from webapp.runs.pipeline.chunk import add_counts
from webapp.runs.pipeline.journal import paused_by
from webapp.runs.plans import forget
from webapp.runs.reading import ACTIVE, RunRow, get

MODES = ("simulate", "shadow", "live")
SIDES = ("left", "right")
RETRY = Actor("system", "Dependants")
"""Asks for runs over parked records once the records that they refer to are linked."""
_TOLD = ("of", "differing", "side", "where", "range", "sample")
_SOURCE = {Direction.LEFT_TO_RIGHT: "left", Direction.RIGHT_TO_LEFT: "right"}


class RunRefused(Exception):
    """The run cannot be started, cancelled or resumed; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def start(
    house: House, rule_name: str, mode: str, actor: Actor, *, draft: bool = False, tx: sa.Connection | None = None
) -> int:
    """Request a run of a rule and return its number; raises `RunRefused`.

    Only what is published may write; a draft can be simulated.
    """
    if mode not in MODES:
        raise RunRefused(msg("'{mode}' is not a mode; use simulate, shadow or live.", mode=mode))
    if draft and mode != "simulate":
        raise RunRefused(msg("A draft can only be simulated. Publish the rule first."))
    if tx is not None:
        return _start(house, tx, rule_name, mode, actor, draft=draft)
    with house.db.begin() as own:
        return _start(house, own, rule_name, mode, actor, draft=draft)


def _start(house: House, tx: sa.Connection, rule_name: str, mode: str, actor: Actor, *, draft: bool) -> int:
    row = rulebook.find(tx, rule_name)
    if row is None:
        raise RunRefused(msg("There is no rule called '{name}'.", name=rule_name))
    if not kind_of(row.document).runs:
        raise RunRefused(msg("'{name}' is not a rule that runs; other rules ask it.", name=rule_name))
    if not draft and row.published is None:
        raise RunRefused(
            msg("The rule '{name}' is not published yet. Publish it, or simulate the draft.", name=rule_name)
        )
    one_at_a_time(tx, row.id)
    if mode == "live":
        refuse_while_at_work(tx, row.id, rule_name)
        refuse_while_paused(tx, row.id, rule_name)
    if mode == "simulate":
        forget(tx, house.clock(), house.settings.plan_days)
    uses_draft = draft and row.draft is not None
    values = {
        "rule_id": row.id,
        "rule_name": row.name,
        "rule_version": None if uses_draft else row.published_version,
        "document": row.draft if uses_draft else row.published or row.document,
        "mode": mode,
        "kind": "sync",
    }
    run_id = insert(house, tx, values, actor)
    if mode == "live":
        ordering.hold(tx, run_id, row.name, row.published or {})
    return run_id


def replay(house: House, rule_name: str, entries: tuple[int, ...], actor: Actor, tx: sa.Connection) -> int:
    """Request a run over quarantined records, in the caller's transaction."""
    row = rulebook.find(tx, rule_name)
    if row is None or row.published is None:
        raise RunRefused(
            msg("The rule '{name}' is not published any more, so nothing can be replayed.", name=rule_name)
        )
    head = {"rule_id": row.id, "rule_name": row.name, "rule_version": row.published_version, "document": row.published}
    return insert(house, tx, {**head, "mode": "live", "kind": "replay", "selection": list(entries)}, actor)


def records(house: House, rule_name: str, wanted: Sequence[Mapping[str, str]], actor: Actor, tx: sa.Connection) -> int:
    """Request a run over single records, `{"side": "left" | "right", "key": "..."}` each, in the caller's transaction.

    Returns its number; raises `RunRefused` where nothing is wanted or the rule is not published.
    """
    chosen = [{"side": one["side"], "key": one["key"]} for one in wanted]
    if not chosen:
        raise RunRefused(msg("Name at least one record to run '{name}' for.", name=rule_name))
    if bad := next((one["side"] for one in chosen if one["side"] not in SIDES), None):
        raise RunRefused(msg("'{side}' is not a side; use left or right.", side=bad))
    row = rulebook.find(tx, rule_name)
    if row is None or row.published is None:
        raise RunRefused(msg("The rule '{name}' is not published, so it cannot run.", name=rule_name))
    _refuse_other_side(row.published, rule_name, chosen)
    head = {"rule_id": row.id, "rule_name": row.name, "rule_version": row.published_version, "document": row.published}
    return insert(house, tx, {**head, "mode": "live", "kind": "records", "parameters": {"records": chosen}}, actor)


def _refuse_other_side(document: Mapping[str, Any], name: str, chosen: Sequence[Mapping[str, str]]) -> None:
    """Raise `RunRefused` for records of a side that a rule which flows one way does not read."""
    source = _SOURCE.get(executed_way(document))
    if source and any(one["side"] != source for one in chosen):
        raise RunRefused(msg("'{name}' reads {side} only; name the record by its key there.", name=name, side=source))


def insert(house: House, tx: sa.Connection, values: dict[str, Any], actor: Actor) -> int:
    """Commit a run that waits for a worker, with the caller's transaction; `values` are columns of the run."""
    try:
        parse_sync(values["document"])
    except DocumentError as error:
        raise RunRefused(
            msg("The rule cannot be executed: {problem}", problem=str(error.problems[0].message))
        ) from error
    if values["mode"] == "live" and values["kind"] != "approved":
        refuse_while_held(tx, values["rule_id"], values["rule_name"])
    now = house.clock()
    common = {
        "state": "queued",
        "counts": add_counts([]),
        "chunks": 0,
        "token": 0,
        "attempts": 0,
        "requested_by": actor.name,
        "requested_at": now,
        "uses": pins(tx),
        "traceparent": tracing.stamp("request run"),
        **_turn(values, actor, now),
    }
    run_id = int(tx.execute(sa.insert(run).values({**common, **values})).inserted_primary_key[0])  # type: ignore[index]
    after = {k: values[k] for k in ("mode", "kind", "rule_version")} | {"document_digest": digest(values["document"])}
    after |= _about(values.get("parameters") or {})
    record(tx, actor, now, Event(Tag.RUN_REQUESTED, Subject("rule", values["rule_name"]), None, after, run_id=run_id))
    return run_id


def _turn(values: Mapping[str, Any], actor: Actor, now: datetime) -> dict[str, Any]:
    """Return what says when a run gets its turn, and which systems it keeps busy."""
    document = values["document"]
    priority = document.get("priority", Priority.NORMAL)
    sides = {f"{side}_connection": document[side]["connection"] for side in SIDES}
    return {"priority": priority, "turn_at": turns.turn_at(now, priority, values["kind"], actor.kind), **sides}


def prioritise(house: House, run_id: int, priority: str, actor: Actor) -> None:
    """Give a run that waits another priority than its rule's; raises `RunRefused`."""
    if priority not in set(Priority):
        raise RunRefused(msg("'{priority}' is no priority; use {known}.", priority=priority, known=", ".join(Priority)))
    with house.db.begin() as tx:
        row = get(tx, run_id)
        turn = turns.turn_at(row.requested_at, priority, row.kind, actor.kind)
        waits = (run.c.id == run_id, run.c.state == "queued")
        if tx.execute(sa.update(run).where(*waits).values(priority=priority, turn_at=turn)).rowcount != 1:
            raise RunRefused(msg("Run {run} does not wait any more.", run=run_id))
        event = Event(Tag.RUN_PRIORITISED, Subject("rule", row.rule_name), None, {"priority": priority}, run_id=run_id)
        record(tx, actor, house.clock(), event)


def _about(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the audit log keeps of what a run is for; keys may tell of people, so only their digest."""
    told = {name: parameters[name] for name in _TOLD if parameters.get(name) is not None}
    if chosen := parameters.get("records"):
        told |= {"records": len(chosen), "records_digest": digest({"records": chosen})}
    return told


def cancel(house: House, run_id: int, actor: Actor) -> None:
    """Cancel a run: at once where it only waits, else behind the chunk at hand."""
    with house.db.begin() as tx:
        one_at_a_time(tx, get(tx, run_id).rule_id)
        row = get(tx, run_id)
        if row.state not in ACTIVE and row.state not in ("suspended", "failed"):
            raise RunRefused(msg("Run {run} has ended already.", run=run_id))
        now, works = house.clock(), row.state == "running"
        values = {"cancel_requested": True} if works else {"state": "cancelled", "ended_at": now}
        tx.execute(sa.update(run).where(run.c.id == run_id).values(**values))
        record(tx, actor, now, Event(Tag.RUN_CANCELLED, Subject("rule", row.rule_name), run_id=run_id))
        if not works:
            endings.tell(tx, run_id, now)


def pause(house: House, run_id: int, actor: Actor) -> None:
    """Let a run stop and keep its place: at once where it only waits, else behind the chunk at hand.

    Raises `RunRefused` where it has ended, or is asked to stop already.
    """
    with house.db.begin() as tx:
        one_at_a_time(tx, get(tx, run_id).rule_id)
        row = get(tx, run_id)
        if (reason := _not_to_pause(row)) is not None:
            raise RunRefused(reason)
        now = house.clock()
        values: dict[str, Any] = {"pause_by": actor.name[:128]}
        at_once, why = row.state == "queued" and not _begun(tx, run_id), paused_by(actor.name[:128])
        if at_once:
            values |= {"state": "suspended", "ended_at": now, "message": why.to_json()}
        tx.execute(sa.update(run).where(run.c.id == run_id).values(**values))
        line = msg("{name} paused the run.", name=actor.name).to_json()
        tx.execute(sa.insert(run_log).values(run_id=run_id, at=now, level="info", message=line))
        record(tx, actor, now, Event(Tag.RUN_PAUSED, Subject("rule", row.rule_name), run_id=run_id))
        if at_once:
            endings.tell(tx, run_id, now, why)


def _begun(tx: sa.Connection, run_id: int) -> bool:
    """Tell whether a chunk may be half-way in a system: a worker finishes it before the run rests."""
    half = sa.exists().where(run_chunk.c.run_id == run_id, run_chunk.c.state == "planned")
    return bool(tx.scalar(sa.select(half)))


def _not_to_pause(row: RunRow) -> Message | None:
    if row.paused:
        return msg("Run {run} is paused already.", run=row.id)
    if not row.active:
        return msg("Run {run} is {state}; only a run that waits or works can be paused.", run=row.id, state=row.state)
    if row.kind == "verify":
        return msg("Run {run} only compares and would begin anew; cancel it instead.", run=row.id)
    if row.cancel_requested or row.pause_by:
        return msg("Run {run} is stopping already.", run=row.id)
    return None


def refuse_while_held(tx: sa.Connection, rule_id: int, name: str) -> None:
    """Raise `RunRefused` where an older state was put back, and nobody has looked yet what the rule would do now."""
    if tx.scalar(sa.select(rule.c.held_at).where(rule.c.id == rule_id)) is not None:
        text = N_(
            "A backup was put back, which knows nothing of what '{name}' has written since. Simulate it, approve its "
            "plan if that is right, and resume the rule."
        )
        raise RunRefused(msg(text, name=name))


def refuse_while_paused(tx: sa.Connection, rule_id: int, name: str) -> None:
    """Raise `RunRefused` while a live run of the rule is paused: it goes on where it stopped, or is cancelled."""
    paused = (run.c.rule_id == rule_id, run.c.mode == "live", run.c.state == "suspended", run.c.pause_by.is_not(None))
    found = tx.execute(sa.select(run.c.id, run.c.pause_by).where(*paused)).first()
    if found:
        text = N_("Run {run} of '{name}' was paused by {who}. Resume it, or cancel it.")
        raise RunRefused(msg(text, run=found.id, name=name, who=found.pause_by))


def refuse_while_at_work(tx: sa.Connection, rule_id: int, name: str) -> None:
    """Raise `RunRefused` while a live run of the rule waits or works."""
    live = (run.c.rule_id == rule_id, run.c.mode == "live", run.c.state.in_(ACTIVE))
    working = tx.scalar(sa.select(run.c.id).where(*live, run.c.requested_by != RETRY.name))  # those only take turns
    if working:
        text = N_("Run {run} of '{name}' is still at work. Wait for it, or cancel it.")
        raise RunRefused(msg(text, run=working, name=name))


def resume(house: House, run_id: int, actor: Actor) -> None:
    """Let a failed or suspended run go on behind its last chunk."""
    with house.db.begin() as tx:
        one_at_a_time(tx, get(tx, run_id).rule_id)
        row = get(tx, run_id)
        if row.state not in ("failed", "suspended"):
            raise RunRefused(
                msg("Run {run} is {state}; only a failed or suspended run can be resumed.", run=run_id, state=row.state)
            )
        if row.mode == "live":
            refuse_while_at_work(tx, row.rule_id, row.rule_name)
            if row.kind != "approved":
                refuse_while_held(tx, row.rule_id, row.rule_name)
        values = {"state": "queued", "announced_at": None, "message": None, "ended_at": None, "cancel_requested": False}
        values |= {"pause_by": None}
        tx.execute(sa.update(run).where(run.c.id == run_id).values(values))
        line = msg("{name} resumed the run.", name=actor.name).to_json()
        tx.execute(sa.insert(run_log).values(run_id=run_id, at=house.clock(), level="info", message=line))
        record(tx, actor, house.clock(), Event(Tag.RUN_RESUMED, Subject("rule", row.rule_name), run_id=run_id))
