"""The API of inbound web hooks: their settings, keys and last deliveries. What they send goes to /hooks/NAME."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from webapp.access.keys import SECRETS
from webapp.events import hook_documents, hook_door, hook_reading, hooks
from webapp.events.hook_tally import WORDS, refusals
from webapp.events.hooks import CURRENT, NEXT, Hook, HookRefused, Wanted
from webapp.web.api import ApiError, RoomApi, listed, listing, operation
from webapp.web.language import translated
from webapp.web.proof import insist

_SETTINGS = {name: value for name, value in hook_documents.schema()["properties"].items() if name != "kind"}
NEW = {"type": "object", "required": ["name", "type"], "additionalProperties": False, "properties": _SETTINGS}
CHANGED = {
    "type": "object",
    "required": ["type"],
    "additionalProperties": False,
    "properties": {name: value for name, value in _SETTINGS.items() if name != "name"},
}
KEY = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "key": {"type": "string", "description": "The key that the sender gives; one is made if it is left out."}
    },
}
MADE = {"type": "object", "properties": {"key": {"type": "string", "description": "The key, which is shown once."}}}
ANY: dict[str, Any] = {"type": "object", "additionalProperties": True}


class HookApi(RoomApi):
    """Web hooks."""

    route_base = "/api/v1/hooks"

    @operation("GET", "/", scope="events:read", summary="List the inbound web hooks", response=listing(ANY))
    def list(self) -> Any:
        """Return the hooks."""
        with self.house.db.read() as tx:
            return listed([_plain(hook) for hook in hooks.list_hooks(tx)])

    @operation(
        "POST",
        "/",
        scope="events:create",
        summary="Make an inbound web hook, without a key: it takes nothing until it has one",
        body=NEW,
        response=ANY,
        status=201,
    )
    def create(self) -> Any:
        """Make a hook."""

        def make() -> Any:
            with self.house.db.begin() as tx:
                hooks.create_in(tx, Wanted(**self.body), self.actor, self.house.clock())
                return _plain(hooks.get(tx, self.body["name"]))

        return _tried(make)

    @operation("GET", "/<name>", scope="events:read", summary="Get a web hook with its last deliveries", response=ANY)
    def show(self, name: str) -> Any:
        """Return a hook."""
        hook_door.tally().flush(now=True)
        hook = self._hook(name)
        with self.house.db.read() as tx:
            came = [asdict(one) for one in hook_reading.latest(tx, hook.id)]
            refused = [{**asdict(one), "text": translated(WORDS[one.reason])} for one in refusals(tx, hook.id)]
        return {**_plain(hook), "received": came, "refused": refused}

    @operation(
        "PUT", "/<name>", scope="events:update", summary="Change a web hook's settings", body=CHANGED, response=ANY
    )
    def update(self, name: str) -> Any:
        """Change a hook."""
        return _tried(lambda: _plain(hooks.update(self.house, Wanted(name=name, **self.body), self.actor)))

    @operation("DELETE", "/<name>", scope="events:update", summary="Delete a web hook and its keys")
    def delete(self, name: str) -> None:
        """Delete a hook."""
        insist(SECRETS)
        _tried(lambda: hooks.delete(self.house, name, self.actor))

    @operation(
        "POST",
        "/<name>/keys",
        scope="events:update",
        summary="Give a web hook a key, the next one beside the current one; needs connections:secrets too",
        body=KEY,
        response=MADE,
        status=201,
    )
    def add_key(self, name: str) -> Any:
        """Add a key."""
        insist(SECRETS)
        return _tried(lambda: {"key": hooks.add_key(self.house, name, self.body.get("key", ""), self.actor)})

    @operation(
        "POST",
        "/<name>/keys/switch",
        scope="events:update",
        summary="Make the next key the current one, and refuse the one before; needs connections:secrets too",
    )
    def switch_key(self, name: str) -> None:
        """Switch keys."""
        insist(SECRETS)
        _tried(lambda: hooks.switch_key(self.house, name, self.actor))

    @operation(
        "DELETE",
        f"/<name>/keys/<any({CURRENT}, {NEXT}):place>",
        scope="events:update",
        summary="Remove a key of a web hook; needs connections:secrets too",
    )
    def remove_key(self, name: str, place: str) -> None:
        """Remove a key."""
        insist(SECRETS)
        _tried(lambda: hooks.remove_key(self.house, name, place, self.actor))

    def _hook(self, name: str) -> Hook:
        def found() -> Hook:
            with self.house.db.read() as tx:
                return hooks.get(tx, name)

        hook: Hook = _tried(found)
        return hook


def _tried(deed: Callable[[], Any]) -> Any:
    try:
        return deed()
    except HookRefused as refusal:
        raise ApiError(404 if refusal.missing else 422, refusal.message) from None


def _plain(hook: Hook) -> dict[str, Any]:
    return {**asdict(hook.settings), "keys": hook.keys, "created_at": hook.created_at}
