"""Deciding about a page while the chunk before it is written changes nothing but the time that a run takes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.spi import Page
from tests.runs.conftest import ADMIN, World, numbers, open_world
from webapp.runs import reading
from webapp.runs.pipeline import two_way_run
from webapp.runs.pipeline.chunk import OUTCOMES, Chunk
from webapp.runs.pipeline.foresight import Ground
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.two_way import TwoWayPlanner
from webapp.runs.requests import cancel, pause, resume

RULE: dict[str, Any] = {
    "direction": "two_way",
    "key": {"left": "id", "right": "title"},
    "fields": [
        {"left": "name", "right": "title", "to_right": "name.trim()", "to_left": "title"},
        {"left": "phone", "right": "tel"},
    ],
    "situations": {"deleted_right": "delete", "deleted_left": "delete"},
}
"""Records that have one name want the same partner, whatever page they are on; a long name is refused."""
names = st.sampled_from(["a", "b", "c", " a", "d" * 30, None])
edits = st.lists(st.tuples(st.integers(1, 6), names | st.just("gone")), max_size=3)


def _played(names_: list[str | None], titles: list[str], changes: list[tuple[int, str | None]], size: int) -> list[Any]:
    """Return all that can be seen of a run, and of one behind some changes."""
    seen: list[Any] = []
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder)) as world:
        world.pages_of(size).rule(**RULE)
        world.customers(*names_)
        for number, title in enumerate(titles, 50):
            world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (number, title, f"t{number}", None))
        for number in range(2):
            run = world.run()
            with world.house.db.read() as tx:
                shown = [replace(row, id=0, run_id=0) for row in reading.records(tx, run.id, limit=1000)]
            seen += [run.state, run.counts, shown, world.clients()]
            seen.append(world.crm("SELECT id, name, phone FROM customer ORDER BY id"))
            for key, name in changes if number == 0 else ():
                if name == "gone":
                    world.erp(f"DELETE FROM client WHERE tel = '+86 {key}'")
                else:
                    world.crm("UPDATE customer SET name = ? WHERE id = ?", (name, key))
    return seen


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(names, min_size=1, max_size=6), st.lists(st.sampled_from("abe"), unique=True), edits, st.integers(1, 3))
@example(["a", "a", "b", "a"], ["a", "c"], [(3, "a"), (1, "gone")], 1)
@example(["d" * 30, "a", " a", "c"], [], [(2, "c"), (4, "a")], 1)
def test_looking_ahead_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
    names_: list[str | None],
    titles: list[str],
    changes: list[tuple[int, str | None]],
    size: int,
) -> None:
    """Runs come to the same whether they decide ahead or not, also where records want partners of other pages."""
    ahead = _played(names_, titles, changes, size)
    with monkeypatch.context() as patch:
        patch.setattr(two_way_run, "look_aside", lambda *_: False)
        assert _played(names_, titles, changes, size) == ahead


@pytest.mark.parametrize(
    ("own", "other", "touched"),
    [
        (["1"], ["x"], False),
        (["1", "2"], [], True),
        ([None], [None, "y"], True),
        ([], [], False),
        ([None], [None], False),
    ],
)
def test_a_decision_stands_while_the_chunk_names_none_of_its_keys(
    own: list[str | None], other: list[str | None], touched: bool
) -> None:
    """Keys of each side are compared with those of the same side in outcomes and links; no key is none."""
    outcomes = pl.DataFrame({"left_key": ["2", None], "right_key": ["1", None]}).cast(pl.String)
    links = pl.DataFrame({"left_key": ["3"], "right_key": ["y"]})
    chunk = Chunk(1, pl.concat([pl.DataFrame(schema=OUTCOMES), outcomes], how="diagonal"), links=links)
    ground = Ground((pl.Series(own, dtype=pl.String),), (pl.Series(other, dtype=pl.String),))
    assert ground.touched(chunk) is touched


@pytest.mark.parametrize("asked", [cancel, pause])
@pytest.mark.parametrize("at", [1, 2])
def test_what_was_decided_ahead_is_forgotten_with_the_run(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: Callable[..., Any], at: int
) -> None:
    """A run that a person stops has done the chunks that it counts and no other; what follows does the rest once."""
    world.pages_of(2).rule(
        direction="two_way", fields=[{"left": "id", "right": "no"}, {"left": "name", "right": "title"}]
    )
    world.customers(*"abcdefg")
    check_in, decided = Journal.check_in, list[int]()
    plan = TwoWayPlanner.plan

    def asks(journal: Journal, chunk: Chunk, links: Any) -> None:
        if chunk.no == at and not decided.count(-1):
            decided.append(-1)
            asked(world.house, journal.claim.run_id, ADMIN)
        check_in(journal, chunk, links)

    def notes(planner: TwoWayPlanner, side: str, page: Page, no: int, first: int) -> Chunk:
        decided.append(no)
        return plan(planner, side, page, no, first)

    monkeypatch.setattr(Journal, "check_in", asks)
    monkeypatch.setattr(TwoWayPlanner, "plan", notes)
    run_id = world.request()
    assert world.work(run_id)
    run = world.look(run_id)
    assert (run.state, run.counts["created"]) == ("cancelled" if asked is cancel else "suspended", 2 * at)
    assert max(decided) == at + 1
    assert [row[0] for row in world.clients()] == list(range(1, 2 * at + 1))
    if asked is pause:
        resume(world.house, run_id, ADMIN)
        assert world.work(run_id, "w2")
        assert numbers(world.look(run_id)) == {"read": 14, "created": 7, "unchanged": 7}
    else:
        assert numbers(world.run()) == {"read": 14, "created": 7 - 2 * at, "unchanged": 7 + 2 * at}
    assert [row[1] for row in world.clients()] == list("abcdefg")
