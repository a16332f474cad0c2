"""What a rule that flows one way has to come to, worked out record by record, without anything of the product."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

REFUSED = "refused"
"""The name that the target does not take."""
OFF = "off"
"""The memo of a record that is deactivated."""
BAD = "bad"
"""The name that the rule parks."""


class Person(NamedTuple):
    """A record of the source; `at` is when it was changed last, in minutes."""

    name: str | None
    phone: str | None
    status: str
    owner: int | None
    at: int


class Client(NamedTuple):
    """A record of the target; of `memo` the rule knows only what it writes to deactivate."""

    title: str | None
    tel: str | None
    boss: int | None
    memo: str | None


Source = dict[int, Person]
Target = dict[int, Client]


@dataclass
class Model:
    """Both systems and what the rule remembers, as of the end of a run."""

    asked: dict[str, Any]
    target: Target = field(default_factory=dict)
    linked: set[int] = field(default_factory=set)
    parked: dict[int, int | None] = field(default_factory=dict)
    """The keys of the records that wait, with the owner that they wait for."""
    owners: dict[int, int] = field(default_factory=dict)
    """What the rule of the owners has linked."""
    high: int | None = None
    counts: Counter[str] = field(default_factory=Counter)
    live: bool = True

    def copy(self, *, live: bool = True) -> Model:
        made = deepcopy(self)
        made.asked, made.live, made.counts = self.asked, live, Counter()
        return made

    def whole(self, source: Source, touched: set[int], *, planned: bool = False) -> None:
        """Run over all that has changed; `touched` are the keys that the log of the source names.

        An approved plan does what the simulation has met. Of parked records that are gone the next run takes note.
        """
        by, again = self.asked["by"], sorted(self.parked)
        met = [key for key in source if self._met(by, key, source[key], touched)]
        for key in met:
            self.record(key, source[key])
        if self.asked["scan"]:
            gone = [key for key in sorted(self.linked) if key not in source]
            self._gone(gone if by != "cdc" or self.high is None else [key for key in gone if key in touched])
        if by != "full":
            self.some({key: source[key] for key in again if key in source and key not in met})
        for key in again:
            if key not in source and not (planned and by != "full"):
                self.parked.pop(key, None)
        if by == "cdc":
            self.high = 0
        elif met:
            self.high = max([source[key].at for key in met] + ([] if self.high is None else [self.high]))

    def _met(self, by: str, key: int, person: Person, touched: set[int]) -> bool:
        if by == "full" or self.high is None:
            return True
        return key in touched if by == "cdc" else person.at >= self.high - 5

    def some(self, people: Source, *, deletes: bool = True) -> None:
        """Run over some records."""
        for key, person in people.items():
            self.record(key, person, deletes=deletes)

    def record(self, key: int, person: Person, *, deletes: bool = True) -> None:
        self.counts["read"] += 1
        outcome = self._outcome(key, person, deletes=deletes)
        self.counts[outcome] += 1
        if outcome != "quarantined":
            self.parked.pop(key, None)

    def _outcome(self, key: int, person: Person, *, deletes: bool) -> str:
        if self.asked["scoped"] and person.status == "off":
            self._leave(key, deletes=deletes)
            return "skipped"
        waits = self.asked["owned"] and person.owner is not None and person.owner not in self.owners
        bad = self.asked["checked"] and person.name == BAD
        if bad or waits:
            return self._park(key, None if bad else person.owner)
        boss = self.owners.get(person.owner or 0) if self.asked["owned"] else None
        there = self.target.get(key)
        if there is None:
            return self._create(key, Client(person.name, self._told(person), boss, None))
        return self._update(key, there, person, boss)

    def _told(self, person: Person) -> str | None:
        """Return what the rule writes as the phone."""
        return person.phone if self.asked["told"] == "phone" else person.status

    def _create(self, key: int, made: Client) -> str:
        if key in self.linked and self.asked["lost"] == "ignore":
            return "skipped"
        return self._write(key, made) or "created"

    def _update(self, key: int, there: Client, person: Person, boss: int | None) -> str:
        tel = self._told(person) if not self.asked["weak"] or there.tel in (None, "") else there.tel
        made = Client(person.name, tel, boss if self.asked["owned"] else there.boss, there.memo)
        if made == there:
            self.linked.add(key)
            return "unchanged"
        return self._write(key, made, there) or "updated"

    def _write(self, key: int, made: Client, there: Client | None = None) -> str | None:
        if made.title == REFUSED and self.live and (there is None or there.title != REFUSED):
            return self._park(key)
        self.target[key] = made
        self.linked.add(key)
        return None

    def _park(self, key: int, waits: int | None = None) -> str:
        self.parked[key] = waits
        return "quarantined"

    def _leave(self, key: int, *, deletes: bool) -> None:
        action = self.asked["leaving"]
        if key in self.linked and action == "delete" and deletes:
            self.counts["deleted"] += self.target.pop(key, None) is not None
        if action == "unlink" or (action == "delete" and deletes):
            self.linked.discard(key)

    def _gone(self, keys: list[int]) -> None:
        action = self.asked["gone"]
        for key in keys if action != "ignore" else ():
            if action == "delete":
                self.counts["deleted"] += self.target.pop(key, None) is not None
            if action == "deactivate" and key in self.target:
                self._switch_off(key, self.target[key])
            self.linked.discard(key)

    def _switch_off(self, key: int, there: Client) -> None:
        self.counts["read"] += 1
        self.counts["unchanged" if there.memo == OFF else "updated"] += 1
        self.target[key] = there._replace(memo=OFF)
        self.parked.pop(key, None)
