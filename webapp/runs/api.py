"""The API of runs and of the quarantine."""

from __future__ import annotations

from typing import Any

from rules.documents.policies import Priority
from webapp.runs import explanation, ordering, quarantine, reading, validations
from webapp.runs.dependencies import start_in_order
from webapp.runs.explanation import NotExplained
from webapp.runs.outbox.api import DeliveriesApi
from webapp.runs.part_api import PartApi
from webapp.runs.plan_api import PlanApi
from webapp.runs.quarantine import EntryRefused
from webapp.runs.quarantine_remap import Remap, remap
from webapp.runs.requests import MODES, RunRefused, cancel, pause, prioritise, resume, start
from webapp.runs.sagas.api import SagasApi
from webapp.runs.shadow_api import ShadowApi
from webapp.runs.shapes import RECORD, RUN, number_of, record_json, run_json
from webapp.runs.slices import leases
from webapp.runs.verification_api import VerificationApi
from webapp.wake import announce
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation

PRIORITIES = [str(one) for one in Priority]
START = {
    "type": "object",
    "required": ["rule"],
    "additionalProperties": False,
    "properties": {
        "rule": {"type": "string"},
        "mode": {"enum": list(MODES), "default": "live"},
        "draft": {"type": "boolean"},
        "with_dependencies": {"type": "boolean", "description": "First run the rules that come before it."},
        "priority": {"enum": PRIORITIES, "description": "How soon it gets a worker; that of the rule if left out."},
    },
}
PRIORITY = {
    "type": "object",
    "required": ["priority"],
    "additionalProperties": False,
    "properties": {"priority": {"enum": PRIORITIES}},
}
REPLAY = {
    "type": "object",
    "required": ["rule"],
    "additionalProperties": False,
    "properties": {"rule": {"type": "string"}, "entries": {"type": "array", "items": {"type": "integer"}}},
}
CORRECTION = {
    "type": "object",
    "required": ["values", "version"],
    "additionalProperties": False,
    "properties": {"values": {"type": "object"}, "version": {"type": "integer"}},
}

CHANGE = {
    "type": "object",
    "required": ["rule", "field", "to"],
    "additionalProperties": False,
    "properties": {
        "rule": {"type": "string"},
        "field": {"type": "string"},
        "to": {"type": ["string", "null"], "description": "The new value; null for none."},
        "only": {"type": "string", "description": "Only where the field holds this; empty stands for no value."},
        "entries": {"type": "array", "items": {"type": "integer"}},
    },
}


def _entry(entry: quarantine.Entry) -> dict[str, Any]:
    names = (
        "id",
        "rule_name",
        "run_id",
        "side",
        "left_key",
        "place",
        "raw",
        "stage",
        "field",
        "state",
        "attempts",
        "version",
        "waits_rule",
        "waits_side",
        "waits_key",
    )
    values = {name: getattr(entry, name) for name in names}
    return {**values, "reason": str(entry.reason), "record": entry.values, "last_at": entry.last_at}


class RunsApi(RoomApi):
    """Runs."""

    route_base = "/api/v1/runs"

    @operation(
        "GET",
        "/",
        scope="runs:read",
        summary="List runs, the latest first",
        query={**PAGING, "rule": {"type": "string"}, "state": {"enum": list(reading.STATES)}},
        response=listing(RUN),
    )
    def list(self) -> Any:
        """Return runs."""
        query = self.query
        before = number_of(query.get("after"))
        with self.house.db.read() as tx:
            rows = reading.listing(
                tx, rule=query.get("rule"), state=query.get("state"), before=before, limit=query["limit"] + 1
            )
        shown = rows[: query["limit"]]
        return listed([run_json(row) for row in shown], shown[-1].id if len(rows) > len(shown) else None)

    @operation("POST", "/", scope="runs:run", summary="Start a run", body=START, response=RUN, status=201)
    def start(self) -> Any:
        """Start a run."""
        body = self.body
        try:
            run_id = self._start(body)
        except RunRefused as refusal:
            raise ApiError(409, refusal.message) from None
        announce(self.house.settings)
        return self._found(run_id)

    def _start(self, body: dict[str, Any]) -> int:
        name, mode = body["rule"], body.get("mode", "live")
        if body.get("with_dependencies"):
            run_id = start_in_order(self.house, name, mode, self.actor)[-1]
        else:
            run_id = start(self.house, name, mode, self.actor, draft=body.get("draft", False))
        if "priority" in body:
            prioritise(self.house, run_id, body["priority"], self.actor)
        return run_id

    @operation("GET", "/<int:run_id>", scope="runs:read", summary="Get a run", response=RUN)
    def get(self, run_id: int) -> Any:
        """Return a run."""
        return self._found(run_id)

    @operation(
        "GET",
        "/<int:run_id>/records",
        scope="runs:read",
        summary="List the records that a run changed, deleted or parked",
        query={**PAGING, "outcome": {"type": "string"}, "key": {"type": "string"}},
        response=listing(RECORD),
    )
    def records(self, run_id: int) -> Any:
        """Return records of a run with their differences."""
        query = self.query
        self._found(run_id)
        with self.house.db.read() as tx:
            rows = reading.records(
                tx,
                run_id,
                outcome=query.get("outcome"),
                key=query.get("key"),
                after=number_of(query.get("after")) or 0,
                limit=query["limit"] + 1,
            )
        shown = rows[: query["limit"]]
        return listed([record_json(row) for row in shown], shown[-1].id if len(rows) > len(shown) else None)

    @operation(
        "GET",
        "/<int:run_id>/explain",
        scope="runs:read",
        summary="Explain why a run did what it did to a record, also to one that it left alone",
        query={
            "key": {"type": "string", "description": "The record's key on either side."},
            "record": {"type": "integer", "description": "The record's number in the run, instead of a key."},
        },
        response=RECORD,
    )
    def explain(self, run_id: int) -> Any:
        """Return which rule, version and clause decided, and the values seen."""
        key, number = self.query["key"], self.query["record"]
        if (key is None) is (number is None):
            raise ApiError(422, "Name the record: either `key` or `record`.")
        try:
            return explanation.explain(self.house, run_id, key=key, record_no=number).to_json()
        except (reading.RunMissing, NotExplained) as missing:
            raise ApiError(404, missing.message) from None

    @operation(
        "GET",
        "/<int:run_id>/warnings",
        scope="runs:read",
        summary="List the records that a run wrote although they do not meet a validation",
        query={**PAGING, "validation": {"type": "string", "description": "Only those of this validation."}},
        response=listing(RECORD),
    )
    def warnings(self, run_id: int) -> Any:
        """Return the listed warnings in the order read."""
        query = self.query
        self._found(run_id)
        after = number_of(query.get("after")) or 0
        with self.house.db.read() as tx:
            rows = validations.warnings(tx, run_id, query.get("validation"), after=after, limit=query["limit"] + 1)
        shown = rows[: query["limit"]]
        return listed([_warning(row) for row in shown], shown[-1].id if len(rows) > len(shown) else None)

    @operation("POST", "/<int:run_id>/cancel", scope="runs:run", summary="Cancel a run", response=RUN)
    def cancel(self, run_id: int) -> Any:
        """Cancel a run."""
        return self._do(cancel, run_id)

    @operation(
        "POST",
        "/<int:run_id>/pause",
        scope="runs:run",
        summary="Pause a run; it stops behind its chunk at hand and keeps its place",
        response=RUN,
    )
    def pause(self, run_id: int) -> Any:
        """Let a run stop and keep its place."""
        return self._do(pause, run_id)

    @operation(
        "POST",
        "/<int:run_id>/priority",
        scope="runs:run",
        summary="Change how soon a run that waits gets a worker",
        body=PRIORITY,
        response=RUN,
    )
    def prioritise(self, run_id: int) -> Any:
        """Give a run that waits another priority than its rule's."""
        priority = self.body["priority"]
        return self._do(lambda house, number, actor: prioritise(house, number, priority, actor), run_id)

    @operation(
        "POST", "/<int:run_id>/resume", scope="runs:run", summary="Resume a failed or suspended run", response=RUN
    )
    def resume(self, run_id: int) -> Any:
        """Let a stopped run go on."""
        return self._do(resume, run_id)

    def _do(self, deed: Any, run_id: int) -> Any:
        self._found(run_id)
        try:
            deed(self.house, run_id, self.actor)
        except RunRefused as refusal:
            raise ApiError(409, refusal.message) from None
        announce(self.house.settings)
        return self._found(run_id)

    def _found(self, run_id: int) -> dict[str, Any]:
        try:
            with self.house.db.read() as tx:
                waits = [number for number, _rule, _state in ordering.awaited(tx, run_id)]
                parts = [one.to_json() for one in leases.of_run(tx, run_id)]
                return {**run_json(reading.get(tx, run_id)), "waits_for": waits, "slices": parts}
        except reading.RunMissing as missing:
            raise ApiError(404, missing.message) from None


class QuarantineApi(RoomApi):
    """Parked records."""

    route_base = "/api/v1/quarantine"

    @operation(
        "GET",
        "/",
        scope="quarantine:read",
        summary="List parked records, the latest first",
        query={
            **PAGING,
            "rule": {"type": "string"},
            "state": {"enum": list(quarantine.STATES), "default": "open"},
            "side": {"enum": ["left", "right"]},
        },
        response=listing(RECORD),
    )
    def list(self) -> Any:
        """Return parked records."""
        query = self.query
        before = number_of(query.get("after"))
        with self.house.db.read() as tx:
            asked = {name: query.get(name) for name in ("rule", "state", "side")}
            rows = quarantine.listing(tx, **asked, before=before, limit=query["limit"] + 1)
        shown = rows[: query["limit"]]
        return listed([_entry(row) for row in shown], shown[-1].id if len(rows) > len(shown) else None)

    @operation("GET", "/<int:entry_id>", scope="quarantine:read", summary="Get a parked record", response=RECORD)
    def get(self, entry_id: int) -> Any:
        """Return a parked record."""
        try:
            with self.house.db.read() as tx:
                return _entry(quarantine.get(tx, entry_id))
        except EntryRefused as refusal:
            raise ApiError(404, refusal.message) from None

    @operation(
        "PUT",
        "/<int:entry_id>",
        scope="quarantine:update",
        summary="Correct a record",
        body=CORRECTION,
        response=RECORD,
    )
    def put(self, entry_id: int) -> Any:
        """Keep a correction."""
        try:
            quarantine.edit(self.house, entry_id, self.body["values"], self.body["version"], self.actor)
            with self.house.db.read() as tx:
                return _entry(quarantine.get(tx, entry_id))
        except EntryRefused as refusal:
            raise ApiError(409, refusal.message) from None

    @operation(
        "POST",
        "/replay",
        scope="quarantine:run",
        summary="Replay parked records",
        body=REPLAY,
        response={"type": "object", "properties": {"run": {"type": "integer"}}, "required": ["run"]},
        status=201,
    )
    def replay(self) -> Any:
        """Replay the given records of a rule, or all that wait."""
        try:
            run_id = quarantine.replay(self.house, self.body["rule"], self.body.get("entries"), self.actor)
        except (EntryRefused, RunRefused) as refusal:
            raise ApiError(409, refusal.message) from None
        announce(self.house.settings)
        return {"run": run_id}

    @operation("POST", "/change", scope="quarantine:update", summary="Set a field of many parked records", body=CHANGE)
    def change(self) -> Any:
        """Set a field of the parked records of a rule, all or the given ones."""
        body = self.body
        entries = tuple(body["entries"]) if "entries" in body else None
        change = Remap(body["rule"], body["field"], body["to"] or "", body.get("only"), entries)
        try:
            return {"entries": list(remap(self.house, change, self.actor))}
        except EntryRefused as refusal:
            raise ApiError(409, refusal.message) from None

    @operation("DELETE", "/<int:entry_id>", scope="quarantine:delete", summary="Discard a parked record")
    def discard(self, entry_id: int) -> None:
        """Give up on a record."""
        try:
            quarantine.discard(self.house, [entry_id], self.actor)
        except EntryRefused as refusal:
            raise ApiError(409, refusal.message) from None


def _warning(row: validations.RunWarning) -> dict[str, Any]:
    told = {"record": row.record_no, "key": row.left_key, "validation": row.validation, "field": row.field}
    return {**told, "reason": str(row.message)}


API = (RunsApi, PartApi, PlanApi, ShadowApi, VerificationApi, QuarantineApi, SagasApi, DeliveriesApi)
