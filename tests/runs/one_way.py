"""Histories of a rule that flows one way: what people, workers and the clock do, beside a model of what comes of it.

After each run the target, the links, the quarantine and the numbers of the run are those of `one_way_model`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.one_way_model import Client, Model, Person, Source, Target
from tests.runs.one_way_rules import Ask, create, customers, owners
from tests.runs.test_crash import Killed, dies, sleeps
from webapp.rulebook import services as rulebook
from webapp.runs import followups, ordering, parts, quarantine, reading
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.links import Links
from webapp.runs.requests import pause, resume, start

BEGAN = datetime(2026, 1, 1)


class History:
    """A source, a target and the rule between them, and the model of what the rule has to come to."""

    def __init__(self, world: World, asked: dict[str, Any], source: tuple[str, Ask]) -> None:
        self.world, self.asked = world.pages_of(asked["page"]), {**asked, "told": "phone"}
        self.connection, self.ask = source
        self.model = Model(self.asked)
        self.tick, self.touched = 0, set[int]()
        self.runs, self.logged = list[int](), False
        self.undoable: tuple[int, Target] | None = None
        create(self.ask, self.erp, unique=asked["unique"])
        if asked["owned"]:
            self._publish(owners(asked, self.connection))
        self._publish(customers(self.asked, self.connection))

    def _publish(self, document: dict[str, Any]) -> None:
        rulebook.create(self.world.house, document, ADMIN)
        rulebook.publish(self.world.house, document["name"], ADMIN)

    @property
    def side(self) -> str:
        return "right" if self.asked["reverse"] else "left"

    def erp(self, statement: str, *row: Any) -> list[tuple[Any, ...]]:
        return self.world.erp(statement, row) if row else self.world.erp(statement)

    def source(self) -> Source:
        found = self.ask("SELECT id, name, phone, status, owner, changed FROM people")
        return {row[0]: Person(*row[1:5], _minutes(row[5])) for row in found}

    def target(self) -> Target:
        rows = self.erp("SELECT no, title, tel, boss, memo FROM clients")
        keyed = {row[0]: Client(*row[1:]) for row in rows}
        assert len(keyed) == len(rows), ("doubled", rows)
        return keyed

    # what people do

    def play(self, step: tuple[Any, ...]) -> None:
        getattr(self, f"_{step[0]}")(*step[1:])

    def _changed(self, *keys: int, back: int = 0) -> str:
        """Note that records change, and return the time that they bear."""
        self.tick += 1
        self.touched.update(keys)
        return str(BEGAN + timedelta(minutes=self.tick - back))

    def _put(self, key: int, *values: Any) -> None:
        if key not in self.source():
            statement = "INSERT INTO people (id, name, phone, status, owner, changed) VALUES (?, ?, ?, ?, ?, ?)"
            self.ask(statement, key, *values, self._changed(key))

    def _edit(self, key: int, name: str, value: Any) -> None:
        if key in self.source():
            self.ask(f"UPDATE people SET {name} = ?, changed = ? WHERE id = ?", value, self._changed(key), key)

    def _late(self, key: int, name: str | None, back: int) -> None:
        """Change a record in a transaction that began a while ago and is seen only now."""
        if key in self.source():
            stamp = self._changed(key, back=back)
            self.ask("UPDATE people SET name = ?, changed = ? WHERE id = ?", name, stamp, key)

    def _drop(self, key: int) -> None:
        if key in self.source():
            self._changed(key)
            self.ask("DELETE FROM people WHERE id = ?", key)

    def _rekey(self, key: int, other: int) -> None:
        known = self.source()
        if key in known and other not in known:
            self.ask("UPDATE people SET id = ?, changed = ? WHERE id = ?", other, self._changed(key, other), key)

    def _own(self, key: int, rev: int | None) -> None:
        self.ask("DELETE FROM head WHERE id = ?", key)
        if rev is not None:
            self.ask("INSERT INTO head VALUES (?, ?)", key, rev)

    def _unchief(self, key: int) -> None:
        self.erp("DELETE FROM chief WHERE no / 10 = ?", key)

    def _memo(self, key: int, value: Any) -> None:
        self.erp("UPDATE clients SET memo = ? WHERE no = ?", value, key)
        self.undoable = None

    def _spoil(self, key: int, name: str, value: Any) -> None:
        self.erp(f"UPDATE clients SET {name} = ? WHERE no = ?", value, key)
        self.undoable = None

    def _lose(self, key: int) -> None:
        self.erp("DELETE FROM clients WHERE no = ?", key)
        self.undoable = None

    def _foreign(self, key: int, title: Any) -> None:
        if key not in self.target():
            self.erp("INSERT INTO clients (no, title, memo) VALUES (?, ?, 'own')", key, title)
            self.undoable = None

    def _shift(self, seconds: int) -> None:
        self.world.shift += timedelta(seconds=seconds)

    def _again(self) -> None:
        """Announce all earlier runs again, the last one first."""
        assert not any(self.world.work(run_id, "late") for run_id in reversed(self.runs))

    def _alter(self) -> None:
        """Publish the rule with another field for the phone, or with the one that it had."""
        self.asked["told"] = "status" if self.asked["told"] == "phone" else "phone"
        rulebook.save_draft(self.world.house, "customers", customers(self.asked, self.connection), ADMIN)
        rulebook.publish(self.world.house, "customers", ADMIN)

    # runs

    def _run(self) -> None:
        self._whole(self._work)

    def _whole(self, work: Callable[[int], Any]) -> None:
        """Run over all, however the workers fare, and hold the end against the model."""
        source = self._before()
        run_id = start(self.world.house, "customers", "live", ADMIN)
        work(run_id)
        self._ended(run_id, source)

    def _ended(self, run_id: int, source: Source, *, planned: bool = False) -> None:
        before = dict(self.model.target)
        # a log that was kept for a simulation names what has changed since then, though the first run reads all
        again = self.touched if self.model.high is None and self.logged else set[int]()
        self.model.whole(source, self.touched, planned=planned)
        self.touched = again
        self._judge(run_id)
        self.undoable = (run_id, before)
        self._retried()

    def _work(self, run_id: int, worker: str = "w1") -> None:
        assert self.world.work(run_id, worker)

    def _crash(self, point: tuple[type, str], at: int, before: bool) -> None:
        """Kill the worker at a point, and let another one go on."""

        def work(run_id: int) -> None:
            with pytest.MonkeyPatch.context() as patch:
                dies(patch, *point, at, before)
                with suppress(Killed):
                    self.world.work(run_id)
            self._recovered(run_id)

        self._whole(work)

    def _recovered(self, run_id: int) -> None:
        if self.world.look(run_id).state != "succeeded":
            self.world.shift += timedelta(seconds=self.world.house.settings.lease_seconds + 1)
            self._work(run_id, "w2")

    def _sleep(self, point: tuple[type, str], at: int, before: bool) -> None:
        """Pause the worker at a point for longer than its lease; another one ends the run, then the first one wakes."""

        def work(run_id: int) -> None:
            def sleep() -> None:
                self.world.shift += timedelta(seconds=self.world.house.settings.lease_seconds + 1)
                self.world.work(run_id, "w2")

            with pytest.MonkeyPatch.context() as patch:
                sleeps(patch, *point, at, before, sleep)
                self.world.work(run_id)

        self._whole(work)

    def _hold(self, at: int) -> None:
        """Let a person pause the run behind a chunk, and resume it."""
        check_in, house = Journal.check_in, self.world.house

        def work(run_id: int) -> None:
            def pauses(journal: Journal, chunk: Any, links: Any) -> None:
                if chunk.no == at:
                    pause(house, run_id, ADMIN)
                check_in(journal, chunk, links)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Journal, "check_in", pauses)
                self._work(run_id)
            if self.world.look(run_id).state == "suspended":
                resume(house, run_id, ADMIN)
                self._work(run_id, "w2")

        self._whole(work)

    def _owners(self) -> None:
        if self.asked["owned"]:
            self._before()
            run_id = start(self.world.house, "owners", "live", ADMIN)
            self._work(run_id)
            assert self.world.look(run_id).state == "succeeded"
            self.model.owners = {left: right for left, right in self._links("owners").items() if right is not None}
            self._retried()

    def _round(self) -> None:
        self._owners()
        self._run()

    def _look(self, mode: str) -> None:
        """Run without writing: the numbers are those of a live run, and nothing moves."""
        source = self._before()
        run_id = self._simulated(mode)
        kept, self.model = self.model, self.model.copy(live=False)
        self.model.whole(source, self.touched)
        expected, self.model = self.model.counts, kept
        self._numbers(run_id, expected)
        self._settled()

    def _simulated(self, mode: str) -> int:
        run_id = start(self.world.house, "customers", mode, ADMIN)
        self._work(run_id)
        if self.model.high is None and not self.logged:
            self.logged, self.touched = True, set()
        return run_id

    def _approve(self) -> None:
        """Simulate, and carry out what the simulation shows."""
        source = self._before()
        looked = self._simulated("simulate")
        run_id = followups.approve(self.world.house, looked, ADMIN)
        self._work(run_id)
        self._ended(run_id, source, planned=True)

    def _undo(self) -> None:
        """Take back what the last run has written; undoing that would bring it back."""
        if self.undoable is None:
            return
        run_id, before = self.undoable
        if not any(self.world.look(run_id).counts[name] for name in ("created", "updated", "deleted")):
            return
        number = followups.undo(self.world.house, run_id, ADMIN)
        self._work(number)
        assert self.world.look(number).state == "succeeded"
        assert self.target() == before
        self.model.target, self.undoable = before, None
        self.model.linked = set(self._links("customers"))

    def _replay(self, name: str | None) -> None:
        """Correct what is parked, and replay it."""
        self._before()
        house, entries = self.world.house, self._parked()
        if not entries:
            return
        people = {}
        for entry in sorted(entries, key=lambda e: e.id):
            quarantine.edit(house, entry.id, {**entry.values, "name": name}, entry.version, ADMIN)
            values = {**entry.values, "name": name}
            people[int(entry.left_key)] = Person(*(values[n] for n in ("name", "phone", "status", "owner")), 0)
        run_id = quarantine.replay(house, "customers", [e.id for e in entries], ADMIN)
        self._work(run_id)
        self._some(run_id, people)

    def _keys(self, *keys: int) -> None:
        """Run for single records."""
        source = self._before()
        run_id = parts.run_records(
            self.world.house, "customers", [{"side": self.side, "key": str(key)} for key in keys], ADMIN
        )
        self._work(run_id)
        for key in keys:
            if key not in source:
                self.model.parked.pop(key, None)
        self._some(run_id, {key: source[key] for key in dict.fromkeys(keys) if key in source})

    def _part(self, most: int) -> None:
        """Run over a part of the source."""
        source = self._before()
        run_id = parts.run_part(self.world.house, "customers", parts.Wanted(where=f"id <= {most}"), "live", ADMIN)
        self._work(run_id)
        self._some(run_id, {key: source[key] for key in source if key <= most}, deletes=False)

    def _some(self, run_id: int, people: Source, *, deletes: bool = True) -> None:
        self.undoable = None
        self.model.some(people, deletes=deletes)
        self._judge(run_id)
        self._retried()

    def _before(self) -> Source:
        """Let the model know what people have done to the target; return what the source holds."""
        self.model = self.model.copy()
        self.model.target = self.target()
        return self.source()

    def _retried(self) -> None:
        """Let what waited for records that are linked by now be tried again, and hold it against the model."""
        source = self._before()
        ready = [key for key, owner in self.model.parked.items() if owner in self.model.owners]
        queued = list(self._queued())
        assert bool(queued) == bool(ready), (queued, ready)
        for run_id in queued:
            self._work(run_id)
            self.model.some({key: source[key] for key in ready if key in source})
            for key in ready:
                if key not in source:
                    self.model.parked.pop(key, None)
            self._judge(run_id)
            self.undoable = None
        assert not list(self._queued())

    def _queued(self) -> Iterator[int]:
        ordering.call_off(self.world.house)
        with self.world.house.db.read() as tx:
            found = reading.listing(tx, state="queued")
        assert all((row.rule_name, row.kind) == ("customers", "records") for row in found)
        yield from sorted(row.id for row in found)

    # laws

    def _judge(self, run_id: int) -> None:
        """Hold a run that has ended against the model."""
        self._numbers(run_id, self.model.counts)
        self._settled()
        self.runs.append(run_id)

    def _numbers(self, run_id: int, expected: Counter[str]) -> None:
        run = self.world.look(run_id)
        assert run.state == "succeeded", (run.state, str(run.message))
        counts = numbers(run)
        assert counts.get("read", 0) == sum(n for name, n in counts.items() if name not in ("read", "deleted"))
        wanted = {name: number for name, number in expected.items() if number}
        assert counts == wanted, (run.kind, run.mode, counts, wanted)

    def _settled(self) -> None:
        assert self.target() == self.model.target
        assert set(self._links("customers")) == self.model.linked
        assert {int(entry.left_key) for entry in self._parked()} == set(self.model.parked)

    def _links(self, rule: str) -> dict[int, int]:
        with self.world.house.db.read() as tx:
            row = rulebook.find(tx, rule)
            assert row is not None
            links = Links.load(tx, row.id, reverse=self.asked["reverse"]).rows
        assert links["left_key"].is_unique().all()
        assert links["right_key"].is_unique().all()
        return {int(key): int(other) for key, other in links.select("left_key", "right_key").iter_rows()}

    def _parked(self) -> list[quarantine.Entry]:
        with self.world.house.db.read() as tx:
            found = quarantine.listing(tx, rule="customers", limit=100)
        assert len({entry.left_key for entry in found}) == len(found)
        assert all(entry.side == self.side for entry in found)
        return found

    def rest(self) -> None:
        """Run until nothing more can come of it: a second run writes nothing, by whatever way changes are found."""
        self._round()
        self._run()
        counts = self.world.look(self.runs[-1]).counts
        assert not counts["created"] + counts["updated"] + counts["deleted"], counts


def _minutes(stamp: Any) -> int:
    at = stamp if isinstance(stamp, datetime) else datetime.fromisoformat(stamp)
    return int((at - BEGAN).total_seconds() // 60)
