"""Change Data Capture of Salesforce as a log of changes: its change events name records, the records are read as usual.

The place in the log is the replay id of an event; before the first event it is a moment, and all events that Salesforce
still has (for 72 hours) are gone through, those from before that moment being passed over. The Pub/Sub API has the same
events over gRPC, which is not used.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing

from connectors.builtin.salesforce_stream import Event, Stream, Unsubscribed
from connectors.changes import LogState, Mark
from connectors.errors import Misconfigured
from connectors.spi import Capture
from connectors.told_changes import Telling, ToldLog
from rules.text import Message, msg

QUIET = 2.0
"""Seconds without an event after which the stream is taken to be at its end."""
LISTENED = 20.0
"""Seconds of a poll while nothing else is done."""
GROUP = 1_000
"""Records whose keys are taken together."""
_ALL, _NEW = -2, -1
_KEPT = 70 * 3600.0
_SKEW = 300.0
_OVERFLOW, _DELETED = "GAP_OVERFLOW", ("DELETE", "GAP_DELETE")


class EventLog(ToldLog):
    """The change events of one object."""

    def __init__(self, entity: str, capture: Capture, key: str, stream: Callable[[], Stream]) -> None:
        self.entity, self.capture, self._key, self._stream = entity, capture, key, stream

    @property
    def channel(self) -> str:
        """Return where the object's events are sent to."""
        return channel_of(self.entity)

    def missing(self) -> list[Message]:
        """Return what keeps events from being read."""
        if self.capture.key != self._key:
            return [msg("Change events name records by '{key}'. Use it as the key of the rule.", key=self._key)]
        try:
            with closing(self._stream()) as stream:
                stream.subscribe({self.channel: _NEW})
        except Unsubscribed as refusal:
            return [
                msg(
                    "Salesforce sends no change events of '{object}': {said}. Select it under Setup, Change Data"
                    " Capture, and let the user of the connection view all of its records.",
                    object=self.entity, said=str(refusal),
                )
            ]  # fmt: skip
        return []

    def keep(self) -> Message | None:
        """See that events are sent; Salesforce keeps them for 72 hours, for everybody."""
        for message in self.missing():
            raise Misconfigured(message, object_name=self.entity)
        return None

    def start(self) -> Mark:
        """Return a place such that all events from now on are behind it."""
        now = time.time()
        return {"replay": _ALL, "from": round(now - _SKEW, 3), "time": round(now, 3)}

    def state(self, since: Mark) -> LogState:
        """Ask Salesforce whether it still has what is behind a place."""
        lost = self._lost(since)
        if lost is None:
            try:
                with closing(self._stream()) as stream:
                    stream.subscribe({self.channel: since["replay"]})
            except Unsubscribed as refusal:
                lost = msg("Salesforce does not have the change events since the last run any more: {said}",
                           said=str(refusal))  # fmt: skip
        return LogState(lost, seconds=max(0.0, time.time() - since["time"]))

    def pending(self, since: Mark) -> bool:
        """Tell whether there is an event behind a place; True where it cannot be read on."""
        try:
            if self._lost(since) is not None:
                return True
            return any(telling.keys or "lost" in telling.behind for telling in self.tellings(since))
        except Misconfigured:
            return True

    def drop(self) -> Message | None:
        """Do nothing: nothing was made."""
        return None

    def tellings(self, since: Mark) -> Generator[Telling]:
        """Yield the keys of changed records behind a place, up to what is committed by now."""
        at, place, keys, begun = since, since, dict[str, bool](), time.time()
        for event in self._events(since, begun):
            mark = _behind(event)
            if "lost" in mark:
                yield Telling(keys, at, mark, last=True)
                return
            named = dict.fromkeys(event.ids, event.change in _DELETED)
            if keys and len(keys) + len(named) > GROUP:
                yield Telling(keys, at, place, last=False)
                at, keys = place, {}
            keys |= named
            place = mark
        yield Telling(keys, at, place if keys else {**at, "time": round(begun, 3)}, last=True)

    def _events(self, since: Mark, begun: float) -> Iterator[Event]:
        """Yield the events behind a place; what is committed later than the read has begun ends it."""
        try:
            with closing(self._stream()) as stream:
                stream.subscribe({self.channel: since["replay"]})
                found = stream.events(0)
                while found or (found := stream.events(QUIET)):
                    yield from (e for e in found if e.committed / 1000 >= since.get("from", 0.0))
                    if found[-1].committed / 1000 > begun:
                        return
                    found = []
        except Unsubscribed as refusal:
            raise Misconfigured(
                msg("Salesforce does not go on with the change events of '{object}': {said}",
                    object=self.entity, said=str(refusal)),
                msg("The next run compares all records."),
                object_name=self.entity,
            ) from refusal  # fmt: skip

    def _lost(self, since: Mark) -> Message | None:
        if "lost" in since:
            return msg("Salesforce has told of more changes at once than its events can name ({change}).",
                       change=since["lost"])  # fmt: skip
        if since["replay"] == _ALL and time.time() - since["from"] > _KEPT:
            return msg("The last run was more than 70 hours ago, and Salesforce keeps change events for 72 hours.")
        return None


def channel_of(entity: str) -> str:
    """Return where the change events of an object are sent to."""
    return f"/data/{entity.removesuffix('__c')}{'__' if entity.endswith('__c') else ''}ChangeEvent"


def listened(entities: Mapping[str, str], stream: Callable[[], Stream]) -> Generator[frozenset[str]]:
    """Yield which objects have new events, and nothing from time to time; `entities` are Salesforce's names of them."""
    names = {channel_of(entity): name for name, entity in entities.items()}
    try:
        with closing(stream()) as conversation:
            conversation.subscribe(dict.fromkeys(names, _NEW))
            conversation.events(0)
            yield frozenset()
            while True:
                yield frozenset(names[event.channel] for event in conversation.events(LISTENED))
    except Unsubscribed as refusal:
        raise Misconfigured(
            msg("Salesforce sends no change events: {said}", said=str(refusal)),
            msg("Select the objects under Setup, Change Data Capture."),
        ) from refusal


def _behind(event: Event) -> Mark:
    mark: Mark = {"replay": event.replay, "time": round(event.committed / 1000, 3)}
    lost = event.change == _OVERFLOW or any("*" in key for key in event.ids)
    return {**mark, "lost": event.change} if lost else mark
