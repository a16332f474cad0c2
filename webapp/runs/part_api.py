"""The API of runs over some of a rule's records."""

from __future__ import annotations

from typing import Any

from webapp.runs import parts, reading, rebaselines
from webapp.runs.requests import MODES, RunRefused
from webapp.runs.shapes import RUN, run_json
from webapp.wake import announce
from webapp.web.api import ApiError, RoomApi, operation

_SIDE = {"enum": ["left", "right"]}
RECORDS: dict[str, Any] = {
    "type": "object",
    "required": ["rule", "records"],
    "additionalProperties": False,
    "properties": {
        "rule": {"type": "string"},
        "records": {
            "type": "array",
            "minItems": 1,
            "maxItems": 10_000,
            "items": {
                "type": "object",
                "required": ["side", "key"],
                "additionalProperties": False,
                "properties": {"side": _SIDE, "key": {"type": "string", "minLength": 1}},
            },
        },
    },
}
PART: dict[str, Any] = {
    "type": "object",
    "required": ["rule"],
    "additionalProperties": False,
    "properties": {
        "rule": {"type": "string"},
        "mode": {"enum": list(MODES), "default": "live"},
        "side": {**_SIDE, "description": "The side to read; the first one that the rule reads if left out."},
        "where": {"type": "string", "description": "A condition over the fields of that side."},
        "field": {"type": "string", "description": "A field whose value lies from `from` to before `to`."},
        "from": {"type": "string"},
        "to": {"type": "string"},
    },
}
REBASELINE = {
    **PART,
    "required": ["rule", "differing"],
    "properties": {
        **{name: part for name, part in PART["properties"].items() if name != "mode"},
        "differing": {
            "enum": list(rebaselines.DIFFERING),
            "description": "Who is right where both sides differ; `cases`: decided as at their first meeting.",
        },
        "records": {**RECORDS["properties"]["records"], "description": "Single records, instead of a part."},
    },
}


class PartApi(RoomApi):
    """Runs over some records."""

    route_base = "/api/v1/runs"

    @operation(
        "POST",
        "/records",
        scope="runs:run",
        summary="Run a rule now for single records, as their source holds them",
        body=RECORDS,
        response=RUN,
        status=201,
    )
    def records(self) -> Any:
        """Start a run over named records."""
        return self._started(lambda: parts.run_records(self.house, self.body["rule"], self.body["records"], self.actor))

    @operation(
        "POST",
        "/part",
        scope="runs:run",
        summary="Run a rule over a part of a side; cursors stay where they are, nothing is deleted",
        body=PART,
        response=RUN,
        status=201,
    )
    def part(self) -> Any:
        """Start a run over the records that meet a condition or lie in a range."""
        body = self.body
        wanted, mode = self._wanted(), body.get("mode", "live")
        return self._started(lambda: parts.run_part(self.house, body["rule"], wanted, mode, self.actor))

    @operation(
        "POST",
        "/rebaseline",
        scope="runs:run",
        summary="Simulate that both sides of a two-way rule count as they are now; approving the plan makes it so",
        body=REBASELINE,
        response=RUN,
        status=201,
    )
    def rebaseline(self) -> Any:
        """Start the simulation of a re-baseline."""
        body = self.body
        part = self._wanted()
        if "records" in body and part != parts.Wanted():
            raise ApiError(422, "Name either `records` or a part of them.")
        if part.incomplete:
            raise ApiError(422, "Name a `where` or a `field` with `side`, and a `field` with `from` and `to`.")
        wanted = body.get("records") or (None if part == parts.Wanted() else part)
        asked = (body["rule"], body["differing"])
        return self._started(lambda: rebaselines.request(self.house, *asked, self.actor, wanted))

    def _wanted(self) -> parts.Wanted:
        return parts.Wanted(*(self.body.get(name) for name in ("side", "where", "field", "from", "to")))

    def _started(self, deed: Any) -> Any:
        try:
            run_id = deed()
        except RunRefused as refusal:
            raise ApiError(409, refusal.message) from None
        announce(self.house.settings)
        with self.house.db.read() as tx:
            return run_json(reading.get(tx, run_id))
