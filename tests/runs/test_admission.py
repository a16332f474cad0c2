"""Limits of connections hold over all claimers, and whoever is free takes the run whose turn it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.houses import fresh_house
from tests.runs.conftest import ADMIN, PHASES, RULE, World
from webapp import dispatcher
from webapp.connections import services as connections
from webapp.connections.models import connection
from webapp.extensions import House, open_house
from webapp.rulebook import services as rulebook
from webapp.runs import admission
from webapp.runs.claims import claim
from webapp.runs.models import run
from webapp.runs.pipeline.journal import Claim, Journal
from webapp.runs.requests import RunRefused, prioritise, start
from webapp.runs.schedules import SCHEDULE
from webapp.runs.slices.models import run_slice
from webapp.runs.taking import take_turns

CLAIMERS = 4
SYSTEMS = ("a", "b", "c")


@pytest.fixture
def houses(tmp_path: Path, metadata_url: str) -> Iterator[list[House]]:
    """Return houses of several machines: connections of their own to one database."""
    with ExitStack() as stack:
        first = stack.enter_context(fresh_house(tmp_path / "data", metadata_url))
        more = [open_house(first.settings, first.clock) for _ in range(CLAIMERS - 1)]
        for house in more:
            stack.callback(house.db.engine.dispose)
        yield [first, *more]


def stored(house: House, limits: dict[str, dict[str, int]], runs: list[tuple[int, str, str]]) -> list[int]:
    """Put connections and queued runs, each of a rule over two connections, in place of what is there."""
    now = house.clock()
    plain = {"label": "", "connector": "sqlite", "settings": {}, "granted_roots": [], "note": "", "preset": "",
             "version": 1, "created_at": now, "created_by": "", "updated_at": now, "updated_by": ""}  # fmt: skip
    with house.db.begin() as tx:
        tx.execute(sa.delete(run))
        tx.execute(sa.delete(connection))
        for name in SYSTEMS:
            tx.execute(sa.insert(connection).values(**plain, name=name, limits=limits.get(name)))
        common = {"document": {}, "mode": "live", "kind": "sync", "state": "queued", "counts": {}, "chunks": 0,
                  "requested_by": "ada", "requested_at": now}  # fmt: skip
        numbers = []
        for rule, left, right in runs:
            own = {"rule_id": rule, "rule_name": f"rule{rule}", "left_connection": left, "right_connection": right}
            numbers.append(tx.execute(sa.insert(run).values(**common, **own)).inserted_primary_key[0])
    return numbers


def together(houses: list[House], numbers: list[int]) -> list[Claim]:
    """Let all claimers try all runs, each in an order of its own, and return what they have got."""

    def try_all(at: int) -> list[Claim]:
        mine = numbers[at:] + numbers[:at]
        return [got for one in mine if (got := claim(houses[at], one, f"w{at}")) is not None]

    with ThreadPoolExecutor(len(houses)) as pool:
        return [one for got in pool.map(try_all, range(len(houses))) for one in got]


@settings(max_examples=12, phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(SYSTEMS), st.integers(1, 3)),
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(SYSTEMS), st.sampled_from((*SYSTEMS, "hub"))),
        min_size=4, max_size=12,
    ),
)  # fmt: skip
def test_limits_hold_over_many_claimers(houses: list[House], most: dict[str, int], runs: list[tuple[int, str, str]]):
    """Never are more runs of a connection under way than it allows, none waits in vain, and all come to their end."""
    house = houses[0]
    numbers = stored(house, {name: {"runs": number} for name, number in most.items()}, runs)
    for _ in range(len(runs) + 1):
        got = together(houses, numbers)
        with house.db.read() as tx:
            work = admission.under_way(tx)
            assert admission.waiting(tx, house.clock()) == [], "what could begin has begun"
        on = Counter(name for one in work for name in one.connections)
        assert all(on[name] <= number for name, number in most.items())
        assert max(Counter(one.rule_id for one in work).values(), default=0) <= 1
        if not got:
            break
        for one in got:
            with house.db.begin() as tx:
                Journal(house, one).end(tx, "succeeded", None)
    with house.db.read() as tx:
        assert set(tx.scalars(sa.select(run.c.state))) == {"succeeded"}


def test_what_was_left_behind_goes_on_in_its_place(houses: list[House]):
    """A run whose worker has died holds its place: others wait for it, and it is taken up although none is free."""
    house = houses[0]
    dead, other = stored(house, {"a": {"runs": 1}}, [(1, "a", "b"), (2, "a", "c")])
    assert claim(house, dead, "w0") is not None
    assert claim(house, other, "w1") is None
    with house.db.begin() as tx:
        tx.execute(sa.update(run).where(run.c.id == dead).values(lease_until=house.clock() - timedelta(hours=1)))
    assert claim(house, other, "w1") is None
    assert claim(house, dead, "w1") is not None


def test_the_hub_is_no_system_with_a_limit(houses: list[House]):
    """Rules that write into entities do not count against each other."""
    house = houses[0]
    numbers = stored(house, {"a": {"runs": 3}}, [(1, "a", "hub"), (2, "b", "hub"), (3, "c", "hub")])
    assert all(claim(house, one, "w0") for one in numbers)


def rules(world: World, *names: str, **changes: Any) -> None:
    for name in names:
        rulebook.create(world.house, {**RULE, "name": name, **changes}, ADMIN)
        rulebook.publish(world.house, name, ADMIN)


def order(world: World) -> list[int]:
    with world.house.db.read() as tx:
        return [one.run_id for one in admission.waiting(tx, world.now())]


def test_who_waits_is_carried_out_by_priority(world: World):
    """Whatever a worker was woken up for, it begins with what is most urgent, and goes on until nothing waits."""
    rules(world, "late", priority="background")
    rules(world, "usual", "clicked", "hurry")
    rules(world, "first", priority="urgent")
    numbers = {name: start(world.house, name, "live", SCHEDULE) for name in ("late", "usual", "hurry", "first")}
    numbers["clicked"] = start(world.house, "clicked", "live", ADMIN)
    prioritise(world.house, numbers["hurry"], "urgent", ADMIN)
    wanted = [numbers[name] for name in ("hurry", "first", "clicked", "usual", "late")]
    assert order(world) == wanted
    done: list[int] = []

    def work(house: House, run_id: int, worker: str) -> bool:
        if (got := claim(house, run_id, worker)) is None:
            return False
        done.append(run_id)
        with house.db.begin() as tx:
            Journal(house, got).end(tx, "succeeded", None)
        return True

    assert take_turns(world.house, "w1", work) == 5
    assert done == wanted


def test_priorities_are_for_runs_that_wait(world: World):
    """One that has begun has its turn already, and a word that is no priority is refused."""
    rules(world, "one")
    run_id = start(world.house, "one", "live", ADMIN)
    with pytest.raises(RunRefused, match="urgent, normal, background"):
        prioritise(world.house, run_id, "at once", ADMIN)
    assert claim(world.house, run_id, "w1")
    with pytest.raises(RunRefused, match="does not wait"):
        prioritise(world.house, run_id, "urgent", ADMIN)


def test_only_what_may_begin_is_announced(world: World, monkeypatch: pytest.MonkeyPatch):
    """A rule with many runs wakes one worker up, a connection with a limit as many as it allows."""
    told: list[int] = []
    monkeypatch.setattr(dispatcher, "queue", lambda _: None)
    monkeypatch.setattr(dispatcher, "enqueue", lambda _, run_id: told.append(run_id))
    rules(world, "one", "two")
    with world.house.db.read() as tx:
        crm = connections.to_document(tx, connections.get_connection(tx, "crm"))
    connections.update(world.house, {**crm, "limits": {"runs": 1}}, ADMIN)
    many = [start(world.house, "one", "simulate", ADMIN) for _ in range(20)]
    start(world.house, "two", "simulate", ADMIN)
    assert claim(world.house, many[0], "w1") is not None
    dispatcher.announce_waiting(world.house, None)
    assert told == [], "the connection is busy"
    connections.update(world.house, crm, ADMIN)
    dispatcher.announce_waiting(world.house, None)
    assert len(told) == 1, "of the other rule; this one is at work"


def test_slices_that_wait_could_have_workers_of_their_own(houses: list[House]):
    """Each slice under way counts against the limit, and those that wait are counted as far as it allows."""
    house = houses[0]
    (split,) = stored(house, {"a": {"runs": 3}}, [(1, "a", "b")])
    assert claim(house, split, "w0") is not None
    rows = [
        {"run_id": split, "no": no, "state": "running" if no == 1 else "queued", "counts": {}} for no in range(1, 8)
    ]
    with house.db.begin() as tx:
        tx.execute(sa.insert(run_slice), rows)
        assert (len(admission.under_way(tx)), admission.joining(tx)) == (1, 2)
