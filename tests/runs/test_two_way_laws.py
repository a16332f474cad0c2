"""The laws of two-way rules, on histories of edits, deletions, runs and crashes that hypothesis makes up."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import World, numbers, open_world
from tests.runs.test_crash import Killed, dies
from webapp.runs.models import pair_case
from webapp.runs.pipeline.journal import Journal

Record = tuple[Any, Any]
Side = dict[int, Record]
TABLE = "CREATE TABLE {0} ({1} INTEGER PRIMARY KEY, a TEXT, b TEXT, changed INTEGER)"
STAMP = (
    "CREATE TRIGGER {0}_{2} AFTER {2} ON {0} BEGIN"
    " UPDATE {0} SET changed = (SELECT coalesce(max(changed), 0) + 1 FROM {0}) WHERE {1} = new.{1}; END"
)
TABLES = {"left": ("l", "id"), "right": ("r", "no")}
VALUES = st.sampled_from([None, "", "x", "y", "é", "😀"])
KEYS = st.integers(1, 4)
SIDES = st.sampled_from(["left", "right"])
EDIT = st.tuples(st.just("edit"), SIDES, KEYS, st.sampled_from(["a", "b"]), VALUES)
PUT = st.tuples(st.just("put"), SIDES, KEYS, VALUES, VALUES)
DROP = st.tuples(st.just("drop"), SIDES, KEYS)
RUN = st.tuples(st.just("run"))
POINTS = [(Journal, "plan"), (SQLite, "write"), (Journal, "check_in"), (Journal, "end")]
CRASH = st.tuples(st.just("crash"), st.sampled_from(POINTS), st.integers(1, 4), st.booleans())
HISTORY = st.lists(st.one_of(EDIT, EDIT, EDIT, PUT, DROP, RUN, CRASH), min_size=1, max_size=14)
RULES = st.fixed_dictionaries(
    {
        "policy": st.sampled_from(["manual", "left", "right"]),
        "gone": st.sampled_from(["case", "delete", "recreate"]),
        "by": st.sampled_from(["full", "cursor"]),
        "page": st.sampled_from([1, 2, 100]),
    }
)


class History:
    """Two systems that a rule keeps in agreement, and what the last run has left behind."""

    def __init__(self, world: World, asked: dict[str, Any]) -> None:
        self.world, self.asked = world.pages_of(asked["page"]), asked
        for side, (table, key) in TABLES.items():
            self.sql(side, TABLE.format(table, key))
            for event in ("INSERT", "UPDATE"):
                self.sql(side, STAMP.format(table, key, event))
        world.rule(
            left={"connection": "crm", "object": "l"},
            right={"connection": "erp", "object": "r"},
            direction="two_way",
            detect={side: {"by": asked["by"], "field": "changed"} for side in TABLES}
            if asked["by"] == "cursor"
            else {},
            fields=[
                {"left": "id", "right": "no", "on": ["create"]},
                {"left": "a", "right": "a"},
                {"left": "b", "right": "b"},
            ],
            conflict={"default": asked["policy"]},
            situations={"deleted_left": asked["gone"], "deleted_right": asked["gone"]},
            deletes={"detect": "full_scan"},
        )
        self.before: tuple[Side, Side] = ({}, {})
        self.steady: set[int] = set()

    def sql(self, side: str, statement: str, *row: Any) -> list[Any]:
        run = self.world.crm if side == "left" else self.world.erp
        return run(statement, row) if row else run(statement)

    def state(self) -> tuple[Side, Side]:
        found = [self.sql(side, f"SELECT {key}, a, b FROM {table}") for side, (table, key) in TABLES.items()]
        return tuple({row[0]: row[1:] for row in rows} for rows in found)  # type: ignore[return-value]

    def play(self, step: tuple[Any, ...]) -> None:
        kind, *what = step
        if kind in ("edit", "put", "drop"):
            table, key = TABLES[what[0]]
            {
                "edit": lambda: self.sql(
                    what[0], f"UPDATE {table} SET {what[2]} = ? WHERE {key} = ?", what[3], what[1]
                ),
                "put": lambda: self.sql(
                    what[0], f"INSERT OR IGNORE INTO {table} ({key}, a, b) VALUES (?, ?, ?)", *what[1:]
                ),
                "drop": lambda: self.sql(what[0], f"DELETE FROM {table} WHERE {key} = ?", what[1]),
            }[kind]()
            return
        now = self.state()
        self.crash(*what) if kind == "crash" else self.run()
        self.judge(now)

    def run(self) -> dict[str, int]:
        run = self.world.run()
        assert run.state == "succeeded", run
        counts = numbers(run)
        assert counts.get("read", 0) == sum(n for name, n in counts.items() if name not in ("read", "deleted"))
        return counts

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
        assert self.world.look(run_id).state == "succeeded"

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
            return {int(key) for row in rows for key in row if key is not None}


def _filled(record: Record) -> Record:
    """Return a record in which an empty text is none: where two records first meet, that is no difference."""
    return tuple(value or None for value in record)  # type: ignore[return-value]


@contextmanager
def history(asked: dict[str, Any]) -> Iterator[History]:
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder) / "data") as world:
        yield History(world, asked)


def obey(asked: dict[str, Any], steps: list[tuple[Any, ...]]) -> None:
    with history(asked) as told:
        for step in steps:
            told.play(step)
        told.play(("run",))
        rested = told.state()
        again = told.run()
        assert not {"created", "updated", "deleted"} & set(again), again
        assert told.state() == rested


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(RULES, HISTORY)
def test_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """Edits of one side arrive, conflicts are settled or wait, nothing is lost, a run without edits writes nothing."""
    obey(asked, steps)


@pytest.mark.soak
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(RULES, HISTORY)
def test_thousands_of_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """The same for many more."""
    obey(asked, steps)
