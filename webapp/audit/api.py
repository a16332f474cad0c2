"""The audit log for programs."""

from __future__ import annotations

from typing import Any

from webapp.audit import personal, queries
from webapp.audit.export import COLUMNS, as_json
from webapp.audit.views import read_filter, send
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation

_NULLABLE = ("actor_id", "address", "request_id", "record_key", "reason")
EVENT = {
    "type": "object",
    "properties": {
        **{name: {"type": ["string", "null"] if name in _NULLABLE else "string"} for name in COLUMNS},
        "id": {"type": "integer"},
        "at": {"type": "string", "format": "date-time"},
        "run_id": {"type": ["integer", "null"]},
        "before": {"description": "The values before, as JSON."},
        "after": {"description": "The values after, as JSON."},
        "sentence": {"type": "string"},
    },
    "required": [*COLUMNS, "sentence"],
}
FILTER = {
    "since": {"type": "string", "description": "Events from this date or time on."},
    "until": {"type": "string", "description": "Events before this time, or to the end of this date."},
    "actor": {"type": "string", "description": "The name of who acted."},
    "tag": {
        "type": "string",
        "description": "A tag, such as 'rulebook:rule:published', or the start of tags, such as 'runs'.",
    },
    "kind": {"type": "string", "description": "The kind of subject, such as 'connection'."},
    "subject": {"type": "string", "description": "The name of the subject."},
    "record": {"type": "string", "description": "The key of a record."},
    "run": {"type": "string", "description": "The number of a run."},
    "text": {"type": "string", "description": "Words that occur in the event."},
}
_FORMAT = {"type": "string", "enum": ["jsonl", "csv"], "default": "jsonl", "description": "The format of the file."}


class AuditApi(RoomApi):
    """Audit events; nothing changes them."""

    route_base = "/api/v1/audit"

    @operation(
        "GET",
        "/",
        scope="audit:read",
        summary="List events, the newest first",
        query={**PAGING, **FILTER},
        response=listing(EVENT),
    )
    def list(self) -> Any:
        """List events."""
        limit, after = self.query["limit"], self.query["after"]
        if after is not None and not (after.isascii() and after.isdigit() and len(after) < 19):
            raise ApiError(422, "The parameter 'after' is not the 'next' of an earlier page.")
        with self.house.db.read() as connection:
            turned = queries.turn(connection, self._filter(), limit, int(after) if after else None)
            found = list(personal.shown(connection, turned.events))
        return listed([as_json(event) for event in found], turned.older)

    @operation("GET", "/<int:event_id>", scope="audit:read", summary="Get an event", response=EVENT)
    def get(self, event_id: int) -> Any:
        """Return one event."""
        with self.house.db.read() as connection:
            event = next(personal.shown(connection, [queries.get(connection, event_id)]))
        if event is None:
            raise ApiError(404, f"There is no event {event_id}.")
        return as_json(event)

    @operation(
        "POST",
        "/export",
        scope="audit:export",
        summary="Download events, the oldest first",
        query={"format": _FORMAT, **FILTER},
        media=("application/x-ndjson", "text/csv"),
    )
    def export(self) -> Any:
        """Send events as a file."""
        return send(self.house, self.actor, self._filter(), self.query["format"])

    def _filter(self) -> queries.Filter:
        wanted, errors = read_filter(self.house.settings.timezone)
        if errors:
            raise ApiError(
                422,
                "The filter cannot be used; see 'errors'.",
                [{"at": f"?{name}", "detail": text} for name, text in errors.items()],
            )
        return wanted


API = (AuditApi,)
