"""Events that Syncline itself gives: records of entities and the ends of runs, in the transaction of what they tell.

`record.customer.created`, `.updated` and `.deleted` hold the record's id and values (of a changed record what was
before as well); `run.succeeded`, `run.failed` and so on hold the run's number, rule, mode and counts; `rule.late`,
`rule.failing` and `rule.recovered` hold the rule whose service level is not met, or met again, and why. What waits for
people is told of in `waiting`. They are stored only while a rule listens to them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from webapp.entities import frames, history, records, storage
from webapp.entities import hooks as entity_hooks
from webapp.entities.hooks import Changed
from webapp.events import waiting
from webapp.events.intake import Incoming, store
from webapp.events.listening import depth_of, listened
from webapp.runs import hooks as run_hooks
from webapp.runs.hooks import Ended, LevelMoved


def register() -> None:
    """Hang this room in where records change and runs end; done once in every process that may do either."""
    if records_changed not in entity_hooks.changed:
        entity_hooks.changed.append(records_changed)
    if level_moved not in run_hooks.levels:
        run_hooks.levels.append(level_moved)
    if run_ended not in run_hooks.ended:
        run_hooks.ended.append(run_ended)
    waiting.register()


def records_changed(tx: sa.Connection, changed: Changed) -> None:
    """Give an event for each record that was created, changed or deleted."""
    kind = f"record.{changed.entity}.{changed.deed}"
    if changed.ids and kind in listened(tx):
        whole = _whole(tx, changed) if changed.deed == "updated" else {}
        depth = depth_of(tx, changed.actor)
        store(tx, _records(changed, kind, depth, whole), f"entity:{changed.entity}", changed.at)


def _whole(tx: sa.Connection, changed: Changed) -> dict[int, dict[str, Any]]:
    """Return the values of changed records, those that did not change included."""
    entity = storage.current(tx, changed.entity)
    frame = records.by_ids(tx, entity, changed.ids)
    return dict(
        zip(frame["id"].to_list(), history.whole(entity, frames.lists(frame.select(entity.data_names))), strict=True)
    )


def _records(changed: Changed, kind: str, depth: int, whole: Mapping[int, Any]) -> Iterator[Incoming]:
    for record_id, version, before, after in zip(
        changed.ids, changed.versions, changed.before, changed.after, strict=True
    ):
        values = whole.get(record_id) or after or before or {}
        data: dict[str, Any] = {**values, "id": record_id, "version": version}
        if changed.deed == "updated":
            data["before"] = dict(before or {})
        yield Incoming(f"record/{changed.entity}/{record_id}/{version}/{changed.deed}", kind, changed.at, data, depth)


def run_ended(tx: sa.Connection, ended: Ended) -> None:
    """Give an event for a run that has ended."""
    kind = f"run.{ended.state}"
    if kind in listened(tx):
        data = {"run": ended.run_id, "rule": ended.rule_name, "mode": ended.mode, "counts": dict(ended.counts)}
        uid = f"run/{ended.run_id}/{ended.token}"
        store(tx, [Incoming(uid, kind, ended.at, {**data, "message": ended.message})], "run", ended.at)


def level_moved(tx: sa.Connection, moved: LevelMoved) -> None:
    """Give an event for a rule that is late, fails, or meets its service level again."""
    kind = f"rule.{'recovered' if moved.state == 'met' else moved.state}"
    if kind in listened(tx):
        data = {"rule": moved.rule_name, "state": moved.state, "message": " ".join(moved.reasons)}
        uid = f"service/{moved.rule_name}/{moved.state}/{moved.at.isoformat()}"
        store(tx, [Incoming(uid, kind, moved.at, data)], "rule", moved.at)
