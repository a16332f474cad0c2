"""The API of records between the steps of a saga."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webapp.runs.sagas import deeds, reading
from webapp.runs.sagas.reading import ShownSaga
from webapp.runs.shapes import number_of
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation

_SAGA = {"type": "object"}
_ENDED = {"type": "object", "properties": {"ended": {"type": "boolean"}}, "required": ["ended"]}
_SEEN = {"type": "string", "description": "the `mark` that was listed: nothing is done where it has gone on since"}
_AGAIN = {"type": "object", "additionalProperties": False, "properties": {"seen": _SEEN}}
_END = {
    "type": "object",
    "required": ["deed", "reason"],
    "additionalProperties": False,
    "properties": {"deed": {"enum": ["done", "give_up"]}, "reason": {"type": "string", "minLength": 1}, "seen": _SEEN},
}


class SagasApi(RoomApi):
    """Records that are between their steps, or could not be taken back."""

    route_base = "/api/v1/sagas"

    @operation(
        "GET",
        "/",
        scope="runs:read",
        summary="List records between their steps",
        query={**PAGING},
        response=listing(_SAGA),
    )
    def list(self) -> Any:
        """Return the records that are between their steps, those that wait for a person first."""
        limit = int(self.query["limit"])
        found = reading.listing(self.house, _place(self.query["after"]), limit + 1)
        after = "{}.{}".format(*found[limit - 1].place) if len(found) > limit else None
        return listed([_plain(one) for one in found[:limit]], after)

    @operation(
        "POST",
        "/<int:number>/again",
        scope="runs:run",
        summary="Take a record's steps back once more",
        body=_AGAIN,
        response=_ENDED,
    )
    def again(self, number: int) -> Any:
        """Try once more to take a record's steps back."""
        return self._done(lambda: deeds.again(self.house, number, self.actor, self.body.get("seen")))

    @operation(
        "POST",
        "/<int:number>/end",
        scope="runs:approve",
        summary="Take a step for taken back, or leave all as it is",
        body=_END,
        response=_ENDED,
    )
    def end(self, number: int) -> Any:
        """Take a step for taken back, or leave all as it is."""
        reason, seen = self.body["reason"], self.body.get("seen")
        if self.body["deed"] == "give_up":
            return self._done(lambda: deeds.give_up(self.house, number, reason, self.actor, seen))
        return self._done(lambda: deeds.take_for_done(self.house, number, reason, self.actor, seen))

    def _done(self, deed: Callable[[], bool | None]) -> dict[str, bool]:
        try:
            return {"ended": deed() is not False}
        except deeds.NotDone as error:
            raise ApiError(409, error.message) from None


def _place(after: str | None) -> tuple[int, int]:
    """Return the place that `after` stands for; raises `ApiError`."""
    rank, _, number = (after or "0.0").partition(".")
    return number_of(rank) or 0, number_of(number) or 0


def _plain(one: ShownSaga) -> dict[str, Any]:
    steps = [
        {
            "step": step.name,
            "connection": step.connection,
            "object": step.object,
            "key": step.key,
            "state": step.state.value,
            "problem": str(step.problem) if step.problem else None,
        }
        for step in one.steps.values()
    ]
    head = {"id": one.id, "rule": one.rule_name, "run": one.run_id, "record": one.record_key, "state": one.state.value}
    head["mark"] = one.mark
    return {**head, "begun_at": one.begun_at.isoformat(), "reason": str(one.reason or ""), "steps": steps}
