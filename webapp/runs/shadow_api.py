"""The API that compares a shadow run with a live run of the same rule."""

from __future__ import annotations

from typing import Any

from webapp.runs import reading, shadows
from webapp.runs.reading import RunRow
from webapp.runs.shadows import Kind, Wanted
from webapp.runs.shapes import RECORD, number_of
from webapp.web.api import PAGING, ApiError, RoomApi, operation

COMPARISON = {
    "type": "object",
    "properties": {
        "shadow": {"type": "integer"},
        "live": {"type": "integer"},
        "counts": {"type": "object", "additionalProperties": {"type": "integer"}},
        "matching": {"type": "integer", "description": "How many records match `kind` and `key`."},
        "items": {"type": "array", "items": RECORD},
        "next": {"type": ["string", "null"]},
    },
}


class ShadowApi(RoomApi):
    """Shadow runs against live runs."""

    route_base = "/api/v1/runs"

    @operation(
        "GET",
        "/<int:run_id>/shadow",
        scope="runs:read",
        summary="Compare a shadow run with a live run behind it, record by record",
        query={
            **PAGING,
            "live": {"type": "integer", "description": "The live run; the next one of the rule if left out."},
            "kind": {"enum": ["", *(kind.value for kind in Kind)], "default": ""},
            "key": {"type": "string", "default": "", "description": "Only the record with this key."},
        },
        response=COMPARISON,
    )
    def shadow(self, run_id: int) -> Any:
        """Return the counts, and the records that are not the same or of the kind asked for."""
        query = self.query
        skip, limit = number_of(query.get("after")) or 0, query["limit"]
        with self.house.db.read() as tx:
            shadow = self._run(tx, run_id)
            live = self._live(tx, shadow, query.get("live"))
            found = shadows.compared(tx, shadow, live, Wanted(query["kind"], query["key"], skip, limit))
        more = min(found.matching, shadows.MOST) > skip + limit
        items = {"items": [one.to_json() for one in found.records], "next": str(skip + limit) if more else None}
        return {"shadow": run_id, "live": live.id, "counts": found.counts, "matching": found.matching, **items}

    def _live(self, tx: Any, shadow: RunRow, number: int | None) -> RunRow:
        reason = shadows.hindrance(shadow)
        if reason is not None:
            raise ApiError(409, reason)
        if number is None:
            runs = shadows.candidates(tx, shadow)
            if not runs:
                raise ApiError(409, f"No live run of the rule has ended since run {shadow.id}.")
            return runs[0]
        live = self._run(tx, number)
        reason = shadows.hindrance(shadow, live)
        if reason is not None:
            raise ApiError(409, reason)
        return live

    @staticmethod
    def _run(tx: Any, run_id: int) -> RunRow:
        try:
            return reading.get(tx, run_id)
        except reading.RunMissing as missing:
            raise ApiError(404, missing.message) from None
