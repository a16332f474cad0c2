"""The API of deliveries: what waits for its target, and what can be done about it."""

from __future__ import annotations

from typing import Any

from webapp.runs.outbox import deeds, reading
from webapp.runs.shapes import number_of
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation

_TEXT = {"type": "string"}
_RETRY = {"type": "object", "additionalProperties": False, "properties": {"rule": _TEXT}}
_RETRIED = {"type": "object", "required": ["deliveries"], "properties": {"deliveries": {"type": "integer"}}}
_DROP = {
    "type": "object",
    "required": ["reason"],
    "additionalProperties": False,
    "properties": {
        "reason": {"type": "string", "minLength": 1},
        "seen": {"type": "string", "description": "the `mark` that was listed: nothing is done where it has gone on"},
    },
}


class DeliveriesApi(RoomApi):
    """What rules with an outbox have decided to write, and what their targets have answered."""

    route_base = "/api/v1/deliveries"

    @operation(
        "GET",
        "/",
        scope="runs:read",
        summary="List deliveries, the latest first",
        query={
            **PAGING,
            "rule": _TEXT,
            "connection": _TEXT,
            "key": {"type": "string", "description": "Of a record, on either side."},
            "state": {"enum": ["open", "all", *reading.STATES], "default": "open"},
        },
        response=listing({"type": "object"}),
    )
    def list(self) -> Any:
        """Return deliveries as far as who asks may see their records."""
        asked = self.query
        state = None if asked["state"] == "all" else asked["state"]
        filters = {"rule_name": asked["rule"], "connection": asked["connection"], "key": asked["key"], "state": state}
        limit = int(asked["limit"])
        with self.house.db.read() as tx:
            rows = reading.listing(tx, filters, before=number_of(asked["after"]), limit=limit + 1)
        return listed([one.to_json() for one in rows[:limit]], rows[limit - 1].id if len(rows) > limit else None)

    @operation("POST", "/retry", scope="runs:run", summary="Try what waits at once", body=_RETRY, response=_RETRIED)
    def retry(self) -> Any:
        """Let what waits be tried at once, of one rule or of all."""
        return {"deliveries": deeds.retry(self.house, self.body.get("rule") or None, self.actor)}

    @operation("POST", "/<int:number>/drop", scope="runs:approve", summary="Take a delivery out unsent", body=_DROP)
    def drop(self, number: int) -> None:
        """Take a delivery out of the outbox unsent."""
        try:
            deeds.drop(self.house, [number], self.body["reason"], self.actor, self.body.get("seen"))
        except deeds.NotDone as error:
            raise ApiError(409, error.message) from None
