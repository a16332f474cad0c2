"""The laws of two-way rules, on histories that hypothesis makes up.

A history is made of edits, deletions, runs, workers that crash or are paused past their lease at a named point,
announcements that come twice and late, and clocks that are set forward and back. The laws, and where they are held:

- both sides converge, and what is settled stays settled: `judge`
- no edit is lost unless a rule's policy, or a person who is asked, prefers the other side's: `judge`, `expected`
- a deletion on one side against an edit on the other is shown to a person: `expected` (`gone` says what a rule does)
- a second run writes nothing, and no run takes our own writes for edits: `run`, `obey`
- links are one to one: `judge`; fields that the rule does not name stay as they are: `judge`
- crashes, pauses, deliveries, clocks and the order of records make no difference: `same_as_undisturbed`

No side needs to have a unique key, so that a record that was written twice shows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import PHASES, World, numbers, open_world
from tests.runs.test_crash import Killed, dies, sleeps
from webapp.runs.models import pair_case
from webapp.runs.pipeline import packing
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.pairs import Pairs

Record = tuple[Any, Any]
Side = dict[int, Record]
TABLE = "CREATE TABLE {0} ({1} INTEGER{2}, a TEXT, b TEXT, memo TEXT, changed INTEGER)"
STAMP = (
    "CREATE TRIGGER {0}_{2} AFTER {2} ON {0} BEGIN"
    " INSERT INTO tick VALUES (NULL); UPDATE {0} SET changed = (SELECT max(n) FROM tick) WHERE {1} = new.{1}; END"
)
TABLES = {"left": ("l", "id"), "right": ("r", "no")}
VALUES = st.sampled_from([None, "", "x", "y", "é", "😀"])
KEYS = st.integers(1, 4)
SIDES = st.sampled_from(["left", "right"])
EDIT = st.tuples(st.just("edit"), SIDES, KEYS, st.sampled_from(["a", "b"]), VALUES)
PUT = st.tuples(st.just("put"), SIDES, KEYS, VALUES, VALUES)
DROP = st.tuples(st.just("drop"), SIDES, KEYS)
MEMO = st.tuples(st.just("memo"), SIDES, KEYS, VALUES)
RUN = st.tuples(st.just("run"))
POINTS = [
    (SQLite, "read"), (SQLite, "lookup"), (Journal, "plan"), (SQLite, "write"), (SQLite, "applied"),
    (Journal, "check_in"), (SQLite, "finish"), (Journal, "end"),
]  # fmt: skip
CRASH = st.tuples(st.just("crash"), st.sampled_from(POINTS), st.integers(1, 4), st.booleans())
# the last point lies in a transaction, for whose end all others would wait
PAUSE = st.tuples(st.just("pause"), st.sampled_from(POINTS[:-1]), st.integers(1, 4), st.booleans())
AGAIN = st.tuples(st.just("again"))
SHIFT = st.tuples(st.just("shift"), st.sampled_from([-400 * 86400, -3600, -1, 1, 3600, 400 * 86400]))
EDITS = (EDIT, EDIT, EDIT, PUT, DROP, MEMO)
HISTORY = st.lists(st.one_of(*EDITS, RUN, CRASH, PAUSE, AGAIN, SHIFT), min_size=1, max_size=14)
RULES = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["manual", "left", "right"]),
        "gone": st.sampled_from(["case", "delete", "recreate"]),
        "by": st.sampled_from(["full", "cursor"]),
        "page": st.sampled_from([1, 2, 100]),
        "unique": st.sampled_from([("left", "right"), ("left",), ("right",), ()]),
        "ahead": st.booleans(),
    }
)


class History:
    """Two systems that a rule keeps in agreement, and what the last run has left behind."""

    def __init__(self, world: World, asked: dict[str, Any], *, disturbed: bool = True, mirrored: bool = False) -> None:
        self.world, self.asked = world.pages_of(asked["page"]), asked
        self.disturbed, self.mirrored = disturbed, mirrored
        for side, (table, key) in TABLES.items():
            self.sql(side, TABLE.format(table, key, " PRIMARY KEY" if side in asked["unique"] else ""))
            self.sql(side, "CREATE TABLE tick (n INTEGER PRIMARY KEY AUTOINCREMENT)")  # goes on also when all is gone
            for event in ("INSERT", "UPDATE"):
                self.sql(side, STAMP.format(table, key, event))
        world.rule(**self.rule())
        self.before: tuple[Side, Side] = ({}, {})
        self.steady: set[int] = set()
        self.runs: list[int] = []
        self.quiet = False
        """Nobody has edited what the rule names since the last run."""

    def rule(self) -> dict[str, Any]:
        asked = self.asked
        return {
            "left": {"connection": "crm", "object": "l"},
            "right": {"connection": "erp", "object": "r"},
            "direction": "two_way",
            "detect": {side: {"by": asked["by"], "field": "changed"} for side in TABLES}
            if asked["by"] == "cursor"
            else {},
            "fields": [
                {"left": "id", "right": "no", "on": ["create"]},
                {"left": "a", "right": "a"},
                {"left": "b", "right": "b"},
            ],
            "conflict": {"default": asked["policy"]},
            "situations": {"deleted_left": asked["gone"], "deleted_right": asked["gone"]},
            "deletes": {"detect": "full_scan"},
        }

    def sql(self, side: str, statement: str, *row: Any) -> list[Any]:
        run = self.world.crm if side == "left" else self.world.erp
        return run(statement, row) if row else run(statement)

    def state(self) -> tuple[Side, Side]:
        left, right = self.columns("a, b")
        return left, right

    def columns(self, names: str) -> list[Side]:
        """Return what both sides hold by key; no key is there twice."""
        found = [self.sql(side, f"SELECT {key}, {names} FROM {table}") for side, (table, key) in TABLES.items()]
        keyed = [{self.number(row[0]): row[1:] for row in rows} for rows in found]
        assert [len(rows) for rows in found] == [len(rows) for rows in keyed], ("doubled", found)
        return keyed

    def number(self, key: int) -> int:
        """Return the key that stands for a key: mirrored, records have another order."""
        return 5 - key if self.mirrored else key

    def play(self, step: tuple[Any, ...]) -> None:
        kind, *what = step
        if kind in ("edit", "put", "drop", "memo"):
            self.edit(kind, what[0], self.number(what[1]), *what[2:])
            return
        now, memos = self.state(), self.columns("memo")
        if kind in ("again", "shift"):
            self.disturb(kind, *what)
            return
        if kind == "run" or not self.disturbed:
            self.run()
        else:
            (self.crash if kind == "crash" else self.pause)(*what)
        self.judge(now)
        for side, before, after in zip(TABLES, memos, self.columns("memo"), strict=True):
            assert all(self.kept(side, before[key], after[key]) for key in set(before) & set(after)), (before, after)

    def kept(self, _side: str, before: Any, after: Any) -> bool:
        """Tell whether a field that the rule does not name is as it was."""
        return bool(before == after)

    def edit(self, kind: str, side: str, number: int, *values: Any) -> None:
        """Edit as the people who work with the systems do."""
        table, key = TABLES[side]
        if kind == "put":
            found = self.sql(side, f"SELECT count(*) FROM {table} WHERE {key} = {number}")
            if not found[0][0]:
                self.sql(side, f"INSERT INTO {table} ({key}, a, b) VALUES (?, ?, ?)", number, *values)
        elif kind == "drop":
            self.sql(side, f"DELETE FROM {table} WHERE {key} = ?", number)
        else:
            name, value = values if kind == "edit" else ("memo", *values)
            self.sql(side, f"UPDATE {table} SET {name} = ? WHERE {key} = ?", value, number)
        self.quiet &= kind == "memo"

    def disturb(self, kind: str, *what: Any) -> None:
        """Announce all earlier runs again, the last one first, or set the clock."""
        if kind == "shift" and self.disturbed:
            self.world.shift += timedelta(seconds=what[0])
        elif kind == "again":
            assert not any(self.world.work(run_id, "late") for run_id in reversed(self.runs))

    def run(self) -> dict[str, int]:
        run = self.world.run()
        return self.settled(run.id)

    def settled(self, run_id: int) -> dict[str, int]:
        """Return the counts of a run that has ended; it was one more without edits only if it has written nothing."""
        run = self.world.look(run_id)
        assert run.state == "succeeded", run
        counts = numbers(run)
        assert counts.get("read", 0) == sum(n for name, n in counts.items() if name not in ("read", "deleted"))
        assert not self.quiet or not {"created", "updated", "deleted"} & set(counts), counts
        self.quiet = True
        self.runs.append(run_id)
        return counts

    def pause(self, point: tuple[type, str], at: int, before: bool) -> None:
        """Pause the worker at a point for longer than its lease; another one ends the run, then the first one wakes."""
        run_id = self.world.request()

        def sleep() -> None:
            self.world.shift += timedelta(seconds=self.world.house.settings.lease_seconds + 1)
            self.world.work(run_id, "w2")

        with pytest.MonkeyPatch.context() as patch:
            sleeps(patch, *point, at, before, sleep)
            self.world.work(run_id)
        self.settled(run_id)

    def crash(self, point: tuple[type, str], at: int, before: bool) -> None:
        """Kill the worker at a point, and let another one go on."""
        run_id = self.world.request()
        with pytest.MonkeyPatch.context() as patch:
            dies(patch, *point, at, before)
            try:
                self.world.work(run_id)
            except Killed:
                self.world.shift += timedelta(seconds=self.world.house.settings.lease_seconds + 1)
        if self.world.look(run_id).state != "succeeded":
            assert self.world.work(run_id, "w2")
        self.settled(run_id)

    def judge(self, now: tuple[Side, Side]) -> None:
        """Hold what a run has done to pairs that agreed before against what the rule says."""
        after, waiting = self.state(), self.waiting()
        for key in self.steady:
            base = self.before[0][key]
            left, right = now[0].get(key), now[1].get(key)
            found = (after[0].get(key), after[1].get(key))
            assert found == self.expected(base, left, right), (key, base, left, right, found)
        self.before = after
        both = set(after[0]) & set(after[1]) - waiting
        assert all(_filled(after[0][key]) == _filled(after[1][key]) for key in both), (after, waiting)
        assert not (set(after[0]) ^ set(after[1])) - waiting or self.asked["gone"] != "recreate"
        self.steady = {key for key in both if after[0][key] == after[1][key]}
        with self.world.house.db.read() as tx:
            for linked in Pairs.load(tx, 1, "").linked("left"):  # so few are all told at once
                assert linked["own"].is_unique().all()
                assert linked["other"].is_unique().all()

    def expected(self, base: Record, left: Record | None, right: Record | None) -> tuple[Record | None, Record | None]:
        if left is None or right is None:
            there = left if left is not None else right
            if there is None or there != base or self.asked["gone"] == "case":
                return left, right
            return (None, None) if self.asked["gone"] == "delete" else (there, there)
        pairs = [self._merged(*values) for values in zip(base, left, right, strict=True)]
        return tuple(p[0] for p in pairs), tuple(p[1] for p in pairs)  # type: ignore[return-value]

    def _merged(self, base: Any, left: Any, right: Any) -> tuple[Any, Any]:
        if left == right or (base not in (left, right) and self.asked["policy"] == "manual"):
            return left, right
        winner = {"left": left, "right": right}.get(self.asked["policy"], left)
        value = left if right == base else right if left == base else winner
        return value, value

    def waiting(self) -> set[int]:
        """Return the keys of pairs that wait for a person."""
        with self.world.house.db.read() as tx:
            rows = tx.execute(sa.select(pair_case.c.left_key, pair_case.c.right_key).where(pair_case.c.state == "open"))
            return {self.number(int(key)) for row in rows for key in row if key is not None}


def _filled(record: Record) -> Record:
    """Return a record in which an empty text is none: where two records first meet, that is no difference."""
    return tuple(value or None for value in record)  # type: ignore[return-value]


H = TypeVar("H", bound=History)


@contextmanager
def history(asked: dict[str, Any], kind: type[H] = History, **how: bool) -> Iterator[H]:  # type: ignore[assignment]
    able = replace(SQLite.spec.capabilities, concurrent=asked["ahead"])  # a side is read on while chunks are written
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr(SQLite, "spec", replace(SQLite.spec, capabilities=able))
        if asked["page"] == 100:
            patch.setattr(packing, "LEAST", 1)  # columns are kept one by one, and plans name those of the values read
        with open_world(Path(folder) / "data") as world:
            yield kind(world, asked, **how)


def obey(asked: dict[str, Any], steps: list[tuple[Any, ...]], kind: type[History] = History) -> None:
    with history(asked, kind) as told:
        for step in steps:
            told.play(step)
        told.play(("run",))
        rested = told.state()
        again = told.run()
        assert not {"created", "updated", "deleted"} & set(again), again
        assert told.state() == rested


@settings(max_examples=25, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(RULES, HISTORY)
def test_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """Edits of one side arrive, conflicts are settled or wait, nothing is lost, a run without edits writes nothing."""
    obey(asked, steps)


def same_as_undisturbed(
    asked: dict[str, Any], steps: list[tuple[Any, ...]], kind: type[History] = History, *, mirrored: bool = True
) -> None:
    """Play a history as it is, and once more with plain runs on records in another order, and compare the ends."""
    ends = []
    for how in ({"disturbed": True, "mirrored": False}, {"disturbed": False, "mirrored": mirrored}):
        with history(asked, kind, **how) as told:
            for step in [*steps, ("run",)]:
                told.play(step)
            ends.append((told.state(), told.waiting()))
    assert ends[0] == ends[1]


@settings(max_examples=10, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(RULES, HISTORY)
def test_disturbances_and_the_order_of_records_make_no_difference(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """Crashes, pauses past the lease, late and doubled announcements, clocks that jump: the end is the same."""
    same_as_undisturbed(asked, steps)


@pytest.mark.soak
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
@given(RULES, HISTORY)
def test_disturbances_make_no_difference_to_thousands_of_histories(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """The same for many more."""
    same_as_undisturbed(asked, steps)


@pytest.mark.soak
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(RULES, HISTORY)
def test_thousands_of_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """The same for many more."""
    obey(asked, steps)
