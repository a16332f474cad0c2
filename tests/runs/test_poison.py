"""Poison records: values that cannot be read, mapped or written, on either side, at any time of a record's life.

Each blocks itself and nothing else; nothing is taken for deleted, created a second time or overwritten because of it,
and once it is good again it goes on as if nothing was.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.runs.conftest import World, numbers, open_world

LEFT = "CREATE TABLE l (id {key}, name TEXT, born DATE, size INTEGER)"
RIGHT = "CREATE TABLE r (no {key}, title TEXT CHECK (length(title) < 20), birth DATE, tall INTEGER)"
KEYS = {"key": "INTEGER PRIMARY KEY", "no key": "INTEGER"}
RECORDS = 6
BAD: dict[str, tuple[str, Any]] = {
    "no date": ("born", "yesterday"),
    "a date that does not exist": ("born", "2024-02-30"),
    "a text for a number": ("size", "tall"),
    "a fraction for a whole number": ("size", 1.5),
    "bytes for a text": ("name", b"\xff\xfe"),
    "bytes for a number": ("size", b"\x01"),
    "too long for the other side": ("name", "n" * 30),
}
OTHER = {"id": "no", "name": "title", "born": "birth", "size": "tall"}
SIDES = {"left": ("l", "id"), "right": ("r", "no")}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Return a world on SQLite: nothing here depends on the metadata database."""
    with open_world(tmp_path / "data") as made:
        yield made


class Both:
    """Two tables, with or without a unique key, and a rule between them."""

    def __init__(self, world: World, direction: str, key: str = "key", page: int = 2) -> None:
        self.world = world.pages_of(page)
        self.sql("left", LEFT.format(key=KEYS[key]))
        self.sql("right", RIGHT.format(key=KEYS[key]))
        both = direction == "two_way"
        fields = [{"left": left, "right": right} for left, right in OTHER.items()]
        world.rule(
            left={"connection": "crm", "object": "l"},
            right={"connection": "erp", "object": "r"},
            direction=direction,
            fields=[{**fields[0], **({"on": ["create"]} if both else {})}, *fields[1:]],
            deletes={"detect": "full_scan"},
            situations={"deleted_left": "delete", **({"deleted_right": "delete"} if both else {})},
            conflict={"default": "left"} if both else {},
            errors={"stop_after": 1000},
        )

    def sql(self, side: str, statement: str, *row: Any) -> list[Any]:
        run = self.world.crm if side == "left" else self.world.erp
        return run(statement, row) if row else run(statement)

    def put(self, side: str, number: int, **values: Any) -> None:
        row = {"name": f"n{number}", "born": "2000-01-01", "size": number, **values}
        self.sql(side, f"INSERT INTO {SIDES[side][0]} VALUES (?, ?, ?, ?)", number, *row.values())

    def set(self, side: str, number: int, field: str, value: Any) -> None:
        table, key = SIDES[side]
        name = field if side == "left" else OTHER[field]
        self.sql(side, f"UPDATE {table} SET {name} = ? WHERE {key} = ?", value, number)

    def rows(self, side: str, without: int | None = None) -> list[Any]:
        table, key = SIDES[side]
        return [row for row in self.sql(side, f"SELECT * FROM {table} ORDER BY {key}") if row[0] != without]

    def run(self) -> dict[str, int]:
        run = self.world.run()
        assert run.state == "succeeded", str(run.message)
        found = numbers(run)
        assert found.get("read", 0) == sum(n for name, n in found.items() if name not in ("read", "deleted"))
        return found


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize("position", [1, 3, RECORDS])
def test_poison_that_is_new(world: World, direction: str, position: int):
    """Of several new records one is poison, wherever it stands on its page: all others arrive, and it does later."""
    both = Both(world, direction, "no key")
    for number in range(1, RECORDS + 1):
        both.put("left", number)
    for bad, (field, value) in BAD.items():
        both.set("left", position, field, value)
        found = both.run()
        assert found["quarantined"] == 1, bad
        assert both.rows("right") == both.rows("left", without=position), bad
        both.set("left", position, field, {"born": "2000-01-01", "size": position, "name": f"n{position}"}[field])
        both.run()
        assert both.rows("right") == both.rows("left"), bad
        both.sql("right", f"DELETE FROM r WHERE no = {position}")
        both.sql("left", f"DELETE FROM l WHERE id = {position}")
        both.run()
        both.put("left", position)


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_poison_in_a_linked_record(world: World, direction: str, side: str):
    """A record that both sides have becomes poison on one: it stays on both, others go on, and it is healed later."""
    both = Both(world, direction)
    for number in range(1, RECORDS + 1):
        both.put("left", number)
    both.run()
    for turn, (bad, (field, value)) in enumerate(BAD.items()):
        if side == "right" and bad.startswith("too long"):
            continue
        both.set(side, 3, field, value)
        both.set("left", 2, "size", 100 + turn)
        both.set("left", 4, "size", 100 + turn)
        other = "right" if side == "left" else "left"
        before = [row for row in both.rows(other) if row[0] == 3]
        both.run()
        assert [row for row in both.rows(other) if row[0] == 3] == before, bad
        assert both.rows("right", without=3) == both.rows("left", without=3), bad
        assert len(both.rows("right")) == len(both.rows("left")) == RECORDS, bad
        both.set(side, 3, field, {"born": "2000-01-01", "size": 3, "name": "n3"}[field])
        both.run()
        assert both.rows("right") == both.rows("left"), bad
        assert not {"created", "updated", "deleted", "quarantined"} & set(both.run()), bad


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_the_partner_of_a_changed_record_is_poison(world: World, direction: str):
    """A record has changed, and its partner cannot be read: only that record waits."""
    both = Both(world, direction)
    for number in range(1, RECORDS + 1):
        both.put("left", number)
    both.run()
    for turn, (bad, (field, value)) in enumerate(BAD.items()):
        if bad.startswith("too long"):
            continue
        both.set("right", 3, field, value)
        for number in range(1, RECORDS + 1):
            both.set("left", number, "name", f"x{turn}")
        both.run()
        assert both.rows("right", without=3) == both.rows("left", without=3), bad
        assert len(both.rows("right")) == len(both.rows("left")) == RECORDS, bad
        both.set("right", 3, field, {"born": "2000-01-01", "size": 3, "name": f"x{turn}"}[field])
        both.run()
        assert both.rows("right") == both.rows("left"), bad
