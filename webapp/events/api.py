"""The API of events, and of what event rules made of them."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from rules.text import Message, msg
from webapp.events import intake, reading, services, simulating
from webapp.events.hook_api import HookApi
from webapp.events.intake import EventRefused
from webapp.rulebook import reading as rulebook
from webapp.rulebook.errors import RuleMissing
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation
from webapp.web.language import translated
from webapp.web.storable import natural

EVENT = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": intake.MAX_ID},
        "type": {"type": "string", "maxLength": 100},
        "at": {"type": "string", "description": "when it happened, with its zone; now if left out"},
        "data": {"type": "object"},
    },
}
POST = {
    "type": "object",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {"events": {"type": "array", "items": EVENT, "minItems": 1, "maxItems": intake.MAX_BATCH}},
}
POSTED = {"type": "object", "properties": {"stored": {"type": "integer"}, "known": {"type": "integer"}}}
ANY: dict[str, Any] = {"type": "object", "additionalProperties": True}
SIMULATE = {
    "type": "object",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {
        "events": {"type": "array", "items": {"type": "object"}, "maxItems": 1000},
        "document": {
            "type": "object",
            "description": "the rule to simulate; its draft, else what is published, if left out",
        },
        "until": {"type": "string"},
    },
}


class EventsApi(RoomApi):
    """Events."""

    route_base = "/api/v1/events"

    @operation(
        "POST",
        "/",
        scope="events:create",
        summary="Send events; one whose id is known is left out",
        body=POST,
        response=POSTED,
        status=202,
    )
    def post(self) -> Any:
        """Take events."""
        try:
            return asdict(intake.post(self.house, self.body["events"], f"api:{self.actor.name}", self.actor))
        except EventRefused as refusal:
            raise ApiError(422, refusal.message) from None

    @operation(
        "GET",
        "/",
        scope="events:read",
        summary="List events, the latest first",
        query={**PAGING, "type": {"type": "string"}},
        response=listing(ANY),
    )
    def events(self) -> Any:
        """Return events."""
        asked = self.query
        with self.house.db.read() as tx:
            found = reading.events(tx, type_=asked["type"], before=_number(asked["after"]), limit=asked["limit"] + 1)
        return _page(found, asked["limit"])

    @operation(
        "GET",
        "/actions",
        scope="events:read",
        summary="List actions of event rules, the latest first",
        query={
            **PAGING,
            "rule": {"type": "string"},
            "state": {"enum": list(reading.ACTION_STATES)},
            "key": {"type": "string"},
        },
        response=listing(ANY),
    )
    def actions(self) -> Any:
        """Return actions."""
        asked = self.query
        wanted = reading.Wanted(asked["rule"], asked["state"], asked["key"], None, _number(asked["after"]))
        with self.house.db.read() as tx:
            found = reading.actions(tx, wanted, asked["limit"] + 1)
        return _page(found, asked["limit"])

    @operation("GET", "/actions/<int:action_id>", scope="events:read", summary="Get an action", response=ANY)
    def action(self, action_id: int) -> Any:
        """Return an action."""
        with self.house.db.read() as tx:
            found = reading.action(tx, action_id)
        if found is None:
            raise ApiError(404, msg("There is no action {id}.", id=action_id))
        return _plain(found)

    @operation(
        "POST",
        "/actions/<int:action_id>/retry",
        scope="events:update",
        summary="Try a failed action again",
        response=ANY,
    )
    def retry(self, action_id: int) -> Any:
        """Let a failed action be tried again."""
        try:
            return _plain(services.retry(self.house, action_id, self.actor))
        except services.ActionRefused as refusal:
            raise ApiError(404 if refusal.missing else 409, refusal.message) from None

    @operation("GET", "/rules/<name>", scope="events:read", summary="Get how an event rule stands", response=ANY)
    def standing(self, name: str) -> Any:
        """Return how a rule stands."""
        self._rule(name)
        with self.house.db.read() as tx:
            return {"rule": name, **_plain(reading.standing(tx, name)), "states": reading.state_counts(tx, name)}

    @operation(
        "GET",
        "/rules/<name>/processes",
        scope="events:read",
        summary="List what is open for an event rule, or what has ended",
        query={**PAGING, "ended": {"type": "boolean", "default": False}},
        response=listing(ANY),
    )
    def processes(self, name: str) -> Any:
        """Return the processes of a rule."""
        self._rule(name)
        asked = self.query
        with self.house.db.read() as tx:
            found = reading.processes(
                tx, name, live=not asked["ended"], before=_number(asked["after"]), limit=asked["limit"] + 1
            )
        return _page(found, asked["limit"])

    @operation(
        "GET",
        "/rules/<name>/matches",
        scope="events:read",
        summary="List what an event rule found, the latest first",
        query={**PAGING, "key": {"type": "string"}},
        response=listing(ANY),
    )
    def matches(self, name: str) -> Any:
        """Return what a rule found."""
        self._rule(name)
        asked = self.query
        with self.house.db.read() as tx:
            found = reading.matches(
                tx, name, key=asked["key"], before=_number(asked["after"]), limit=asked["limit"] + 1
            )
        return _page(found, asked["limit"])

    @operation(
        "POST",
        "/rules/<name>/simulate",
        scope="rules:read",
        summary="Show what an event rule would do about given events",
        body=SIMULATE,
        response=ANY,
    )
    def simulate(self, name: str) -> Any:
        """Return a timeline."""
        row = self._rule(name)
        asked = self.body
        try:
            until = datetime.fromisoformat(asked["until"]) if asked.get("until") else None
        except ValueError:
            raise ApiError(422, "`until` is not a time such as 2026-01-31T12:00:00Z.") from None
        try:
            return simulating.simulate(self.house, asked.get("document") or row.document, asked["events"], until)
        except simulating.SimulationRefused as refusal:
            raise ApiError(422, refusal.message) from None

    @operation("POST", "/rules/<name>/restart", scope="events:update", summary="Let a stopped event rule work again")
    def restart(self, name: str) -> None:
        """Let a rule that was stopped work again."""
        self._rule(name)
        services.restart(self.house, name, self.actor)

    def _rule(self, name: str) -> rulebook.RuleRow:
        try:
            with self.house.db.read() as tx:
                row = rulebook.get(tx, name)
        except RuleMissing as missing:
            raise ApiError(404, missing.message) from None
        if row.kind != services.kind.EVENT_RULE.name:
            raise ApiError(404, msg("'{name}' is not an event rule.", name=name))
        return row


def _page(found: Any, limit: int) -> dict[str, Any]:
    shown = found[:limit]
    return listed([_plain(row) for row in shown], shown[-1].id if len(found) > len(shown) else None)


def _plain(row: Any) -> dict[str, Any]:
    """Return a row as JSON, its messages in the reader's language."""
    fields = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return {name: _value(value) for name, value in fields.items()}


def _value(value: Any) -> Any:
    if isinstance(value, Message):
        return translated(value)
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return value


def _number(text: str | None) -> int | None:
    if text is None:
        return None
    number = natural(text)
    if number is None:
        raise ApiError(400, "`after` is the `next` of the page before.")
    return number


API = (EventsApi, HookApi)
