"""Which events a rule hears: by their type, by its conditions, under which key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.documents.event_rule import EventRule, Listen
from rules.events.interface import MAX_KEY, Event, Heard, Note
from rules.events.scope import PATH, CannotWorkOut, Moment, Scope, holds, text_of, work_out
from rules.text import N_, Message, msg


@dataclass(frozen=True)
class Listener:
    """The ears of one rule."""

    rule: EventRule
    scope: Scope

    @property
    def types(self) -> frozenset[str]:
        """Return the types of events that the rule listens to."""
        return frozenset(listen.type for listen in self.rule.events.values())

    def hear(self, number: int, event: Event) -> tuple[list[Heard], list[Note]]:
        """Return the event as the rule hears it, once for each key, and what kept it from being heard."""
        keys: dict[str, list[str]] = {}
        notes = []
        for name, listen in self.rule.events.items():
            if listen.type == event.type:
                try:
                    self._hear(name, listen, event, keys)
                except CannotWorkOut as error:
                    text = N_("The event '{id}' is left aside as '{name}': {reason}")
                    notes.append(Note("", event.at, msg(text, id=event.id, name=name, reason=error.message)))
        return [Heard(number, event, key, tuple(names)) for key, names in keys.items()], notes

    def _hear(self, name: str, listen: Listen, event: Event, keys: dict[str, list[str]]) -> None:
        moment = Moment("", event.at, {name: (event,)})
        if listen.where is None or holds(listen.where, self.scope, moment):
            keys.setdefault(self._key(name, listen, event), []).append(name)

    def _key(self, name: str, listen: Listen, event: Event) -> str:
        by = listen.by or self.rule.by
        if by is None:
            return ""
        if listen.by is None or (PATH.fullmatch(by) and by.partition(".")[0] not in self.rule.events):
            value = _part(event.data, by)
        else:
            value = work_out(self.scope.compile(by), self.scope, Moment("", event.at, {name: (event,)}))
        key = text_of(value)
        if key is None:
            raise CannotWorkOut(msg("'{by}' has no value that can serve as a key.", by=by))
        if len(key) > MAX_KEY or "\x00" in key:
            raise CannotWorkOut(_TOO_LONG)
        return key


_TOO_LONG: Message = msg("The key is longer than {limit} characters, or holds the character NUL.", limit=MAX_KEY)


def _part(data: Any, path: str) -> Any:
    for name in path.split("."):
        data = data.get(name) if isinstance(data, Mapping) else None
    return data
