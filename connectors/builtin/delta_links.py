"""Delta links: addresses that services give out, under which they tell later what was changed since.

An answer holds the keys of a part of the changes and either the address of the next part or that of a later time; both
are places to go on from. A place that the service does not know any more (410) has lost changes.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from connectors.builtin.paging_ends import endless
from connectors.changes import ChangeLog, LogState, Mark
from connectors.errors import AuthFailed, Fatal, Forbidden, Misconfigured
from connectors.spi import Capture
from connectors.told_changes import Telling, ToldLog
from rules.text import Message, msg

LOOK = 30.0
"""Seconds between two looks at what a service tells, while nothing else is done with it."""


@dataclass(frozen=True)
class Part:
    """What one answer tells: keys as texts, each with whether its record is gone; where it goes on, and whether now.

    `lost` is how the service names a change whose key cannot be known from that; empty where there is none.
    """

    keys: Mapping[str, bool]
    link: str
    last: bool
    lost: str | None = None


class LinkLog(ChangeLog):
    """What a service tells of the changes of one object."""

    def __init__(self, name: str, capture: Capture, key: str) -> None:
        """Take the object's name, who reads it, and the field that the service names records by."""
        self.name, self.capture, self._key = name, capture, key

    @abstractmethod
    def part(self, link: str) -> Part:
        """Return what the service tells at an address."""

    @abstractmethod
    def refused(self) -> Message | None:
        """Return why the service does not tell what was changed, None if it does."""

    def missing(self) -> list[Message]:
        """Return what keeps changes from being told."""
        if self.capture.key != self._key:
            return [
                msg(
                    "The service names changed records of '{object}' by '{key}'. Use it as the key of the rule.",
                    object=self.name, key=self._key or "-",
                )
            ]  # fmt: skip
        refused = self.refused()
        return [] if refused is None else [refused]

    def keep(self) -> Message | None:
        """See that changes are told; the service keeps them by its own rules."""
        for message in self.missing():
            raise Misconfigured(message, object_name=self.name)
        return None

    def state(self, since: Mark) -> LogState:
        """Ask the service whether it still knows a place."""
        if "lost" in since:
            told = since["lost"] or "-"
            return LogState(msg("The service has told of a change in '{object}' without its key ({told}).",
                                object=self.name, told=told))  # fmt: skip
        try:
            self.part(since["link"])
        except (AuthFailed, Forbidden, Misconfigured):
            raise
        except Fatal as error:
            reason = msg("The service does not tell any more what was changed since the last run: {reason}",
                         reason=error.message)  # fmt: skip
            return LogState(reason)
        return LogState(seconds=max(0.0, time.time() - float(since["time"])))

    def pending(self, since: Mark) -> bool:
        """Tell whether anything was changed; True where it cannot be known."""
        try:
            return "lost" in since or any(t.keys or "lost" in t.behind for t in self.tellings(since))
        except (AuthFailed, Forbidden, Misconfigured):
            raise
        except Fatal:
            return True

    def drop(self) -> Message | None:
        """Do nothing: nothing was made."""
        return None

    def mark(self, link: str) -> Mark:
        """Return the place behind an answer."""
        return {"link": link, "time": round(time.time(), 3)}

    def tellings(self, since: Mark) -> Generator[Telling]:
        """Yield what was changed behind a place, answer by answer."""
        at, seen, last = since, set[str](), False
        while not last:
            if at["link"] in seen:
                raise endless(self.name)
            seen.add(at["link"])
            part = self.part(at["link"])
            behind, last = self.mark(part.link), part.last
            if part.lost is not None:  # the next run compares all records
                behind, last = {**behind, "lost": part.lost}, True
            yield Telling(part.keys, at, behind, last)
            at = behind


def listened(logs: Mapping[str, ToldLog], pause: float) -> Generator[frozenset[str]]:
    """Yield which objects were changed, looking at them from time to time, and nothing every `pause` seconds."""
    places, due = {name: log.start() for name, log in logs.items()}, time.monotonic() + LOOK
    yield frozenset()
    while True:
        time.sleep(pause)
        if time.monotonic() < due:
            yield frozenset()
            continue
        found = set()
        for name, log in logs.items():
            for telling in log.tellings(places[name]):
                places[name] = telling.behind
                found |= {name} if telling.keys else set()
        due = time.monotonic() + LOOK
        yield frozenset(found)
