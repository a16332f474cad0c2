"""The seal of the audit log for programs: its keys, its checkpoints, its proofs, and how far they have been sent."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from webapp.audit.api import FILTER
from webapp.audit.models import audit_checkpoint
from webapp.audit.services import Event, Subject
from webapp.audit.tags import Tag
from webapp.audit.views import read_filter
from webapp.evidence import deliveries, forwards, holds, jobs, package, proofs, trail
from webapp.evidence.record_views import started
from webapp.evidence.stored import opened
from webapp.evidence.wholly import require_whole
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation

_TEXTS = {"type": "array", "items": {"type": "string"}}
_CHECKPOINT = {
    "type": "object",
    "properties": {
        "size": {"type": "integer", "description": "The number of events that it covers."},
        "at": {"type": "string", "format": "date-time"},
        "note": {"type": "string", "description": "The signed checkpoint (C2SP tlog-checkpoint)."},
    },
    "required": ["size", "at", "note"],
}
_TARGET = {
    "type": "object",
    "properties": {
        "target": {"type": "string"},
        "size": {"type": "integer", "description": "The number of events of the last checkpoint that arrived."},
        "sent_at": {"type": ["string", "null"], "format": "date-time"},
        "attempts": {"type": "integer", "description": "Failed attempts since."},
        "behind": {"type": "integer"},
        "lag_seconds": {"type": "number"},
        "problem": {"type": ["string", "null"]},
    },
}
_STATE = {
    "type": "object",
    "properties": {
        "sealed": {"type": "integer"},
        "waiting": {"type": "integer"},
        "keys": {**_TEXTS, "description": "Public keys, the oldest first."},
        "targets": {"type": "array", "items": _TARGET},
    },
    "required": ["sealed", "waiting", "keys", "targets"],
}
_PROOF = {
    "type": "object",
    "properties": {
        "event": {"type": "object", "description": "The event as it was sealed; personal values stay hidden."},
        "place": {"type": "integer", "description": "Its place in the tree, from 0."},
        "path": {**_TEXTS, "description": "Hashes in base64 (RFC 9162, 2.1.3)."},
        "checkpoint": {"type": "string"},
    },
    "required": ["event", "place", "path", "checkpoint"],
}


_WHICH = {
    "entity": {"type": "string", "description": "A record of Syncline's own: its entity; with 'record'."},
    "record": {"type": "string", "description": "Its number."},
    "connection": {"type": "string", "description": "A record of a system: its connection; with 'object' and 'key'."},
    "object": {"type": "string"},
    "field": {"type": "string", "description": "The key field, where rules use several for the object."},
    "rule": {"type": "string", "description": "A record as a rule knows it; with 'side' and 'key'."},
    "side": {"type": "string", "enum": ["left", "right"], "default": "left"},
    "key": {"type": "string"},
}
_STEP = {
    "type": "object",
    "properties": {
        "at": {"type": "string", "format": "date-time"},
        "deed": {"type": "string", "description": "created, updated, deleted, quarantined, skipped or event."},
        "who": {"type": "string"},
        "rule": {"type": ["string", "null"]},
        "version": {"type": ["integer", "null"], "description": "The version of the rule that caused it."},
        "run": {"type": ["integer", "null"]},
        "changes": {"type": "array", "items": {"type": "object"}, "description": "By place: values before and after."},
        "seal": {"type": "object", "description": "Its state, the event, and what was checked."},
    },
}
_TRAIL = {
    "type": "object",
    "properties": {
        "places": {"type": "array", "items": {"type": "object"}, "description": "Where the record is and was."},
        "complete": {"type": "boolean"},
        "sealed_events": {"type": "integer"},
        "proven": {"type": "integer", "description": "How many steps are sealed and unchanged."},
        "steps": {"type": "array", "items": _STEP},
    },
    "required": ["places", "complete", "sealed_events", "proven", "steps"],
}


_FORWARD = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "address": {"type": "string"},
        "format": {"type": "string"},
        "enabled": {"type": "boolean"},
        "position": {"type": "integer", "description": "Places of the sealed log below this one have arrived."},
        "sent": {"type": "integer", "description": "How many events have arrived."},
        "attempts": {"type": "integer", "description": "Failed attempts since."},
        "behind": {"type": "integer", "description": "How many sealed events wait."},
        "sent_at": {"type": ["string", "null"], "format": "date-time"},
        "problem": {"type": ["string", "null"]},
    },
}
_HOLD = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "reason": {"type": "string"},
        "scope": {"type": "object", "description": "What it covers: kind, name, record; null: all."},
        "placed_by": {"type": "string"},
        "placed_at": {"type": "string", "format": "date-time"},
        "released_by": {"type": ["string", "null"]},
        "released_at": {"type": ["string", "null"], "format": "date-time"},
    },
}
_JOB = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "state": {"type": "string", "description": "queued, working, done or failed."},
        "wanted": {"type": "object"},
        "requested_by": {"type": "string"},
        "requested_at": {"type": "string", "format": "date-time"},
        "done": {"type": "integer"},
        "total": {"type": "integer"},
        "size": {"type": ["integer", "null"]},
        "digest": {"type": ["string", "null"], "description": "SHA-256 of the file."},
        "problem": {"type": ["string", "null"]},
    },
}


def _package(job: jobs.Job) -> dict[str, Any]:
    names = ("id", "state", "wanted", "requested_by", "requested_at", "done", "total", "size", "digest")
    return {**{name: getattr(job, name) for name in names}, "problem": str(job.problem) if job.problem else None}


class EvidenceApi(RoomApi):
    """The seal of the audit log; nothing here changes it."""

    route_base = "/api/v1/evidence"

    @operation(
        "GET",
        "/",
        scope="audit:read",
        summary="Show how far the audit log is sealed and its checkpoints are sent",
        response=_STATE,
    )
    def state(self) -> Any:
        """Return the state of the seal."""
        with opened(self.house) as log:
            keys = log.keys()
            found = {"sealed": log.size, "waiting": log.pending(), "keys": [line.public for line in keys]}
        return {**found, "targets": [one.to_json() for one in deliveries.state(self.house)]}

    @operation(
        "GET",
        "/checkpoints",
        scope="audit:read",
        summary="List signed checkpoints of the audit log, the newest first",
        query=PAGING,
        response=listing(_CHECKPOINT),
    )
    def checkpoints(self) -> Any:
        """List checkpoints."""
        limit, after = self.query["limit"], self.query["after"]
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 19):
            raise ApiError(422, "The parameter 'after' is not the 'next' of an earlier page.")
        query = sa.select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(limit + 1)
        if after is not None:
            query = query.where(audit_checkpoint.c.size < int(after))
        with self.house.db.read() as tx:
            found = [dict(row) for row in tx.execute(query).mappings()]
        return listed(found[:limit], found[limit - 1]["size"] if len(found) > limit else None)

    @operation(
        "GET",
        "/proofs/<int:event_id>",
        scope="audit:read",
        summary="Prove that an event is in the audit log",
        response=_PROOF,
    )
    def prove(self, event_id: int) -> Any:
        """Return the proof of an event."""
        try:
            with opened(self.house) as log:
                require_whole(log.tx)
                return proofs.of_event(log.tx, event_id)
        except proofs.NotProvable as error:
            raise ApiError(404, str(error.message)) from None

    @operation(
        "GET",
        "/forwarding",
        scope="audit:read",
        summary="Show how far audit events have been forwarded to other systems",
        response=listing(_FORWARD),
    )
    def forwarding(self) -> Any:
        """List the targets of forwarding."""
        with self.house.db.read() as tx:
            return listed([target.to_json() for target in forwards.listing(tx)], None)

    @operation("GET", "/holds", scope="audit:read", summary="List legal holds", response=listing(_HOLD))
    def holds(self) -> Any:
        """List legal holds, those that count first."""
        with self.house.db.read() as tx:
            found = holds.listing(tx)
        return listed([{**vars(hold), "scope": vars(hold.scope)} for hold in found], None)

    @operation(
        "GET",
        "/packages",
        scope="audit:read",
        summary="List evidence packages, the latest first",
        response=listing(_JOB),
    )
    def packages(self) -> Any:
        """List evidence packages."""
        with self.house.db.read() as tx:
            return listed([_package(job) for job in jobs.listing(tx, jobs.PACKAGE)], None)

    @operation(
        "POST",
        "/packages",
        scope="audit:export",
        summary="Ask for an evidence package, which a worker makes",
        query={**FILTER, "title": {"type": "string"}, "runs": {"type": "boolean", "default": False}},
        response=_JOB,
        status=202,
    )
    def make_package(self) -> Any:
        """Ask for a package."""
        wanted, errors = read_filter(self.house.settings.timezone)
        if errors:
            details = [{"at": f"?{name}", "detail": text} for name, text in errors.items()]
            raise ApiError(422, "The filter cannot be used; see 'errors'.", details)
        order = package.Wanted(wanted, (self.query.get("title") or "")[:200], bool(self.query.get("runs")))
        with self.house.db.read() as tx:
            require_whole(tx, runs=order.runs)
        told = Event(Tag.PACKAGE_ASKED, Subject("package", order.title or "-"), after=order.to_json())
        number = jobs.request(self.house, jobs.PACKAGE, order.to_json(), self.actor, told)
        with self.house.db.read() as tx:
            found = jobs.get(tx, number)
        return _package(found) if found else {}

    @operation(
        "GET",
        "/record-history",
        scope="audit:read",
        summary="Prove what happened to a record in all systems",
        query=_WHICH,
        response=_TRAIL,
    )
    def record_history(self) -> Any:
        """Return the history of a record."""
        start = started(self.house, {name: self.query.get(name) or "" for name in _WHICH})
        if not start:
            raise ApiError(422, "Name a record: entity and record; connection, object and key; or rule, side and key.")
        return trail.of_record(self.house, start).to_json()


API = (EvidenceApi,)
