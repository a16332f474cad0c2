"""The law of sagas, on refusals and crashes that hypothesis makes up: all of a record, or nothing of it, or a case."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import PHASES, numbers, open_world
from tests.runs.sagas.conftest import SAGA, Office
from tests.runs.sagas.test_saga_kills import POINTS
from tests.runs.test_crash import Killed, dies, sleeps
from webapp.runs.sagas import reading
from webapp.runs.sagas.states import State

OLD, NEW = (1, 2, 3), (4, 5, 6)
ODD = 99
"""The account of lines before a run, so that it has something to change in them."""
TRIGGERS = {
    "client": ("erp", "client", "new.no = {0}"),
    "account": ("billing", "account", "new.reference = 'C{0}'"),
    "line": ("book", "line", "new.code = 'L{0}'"),
}
records = st.sampled_from((*OLD, *NEW))
deaths = st.tuples(st.sampled_from(POINTS), st.booleans(), st.just(False))
# elsewhere a worker would sleep in a transaction that its successor waits for
sleeps_over = st.tuples(
    st.sampled_from([point for point in POINTS if point[0] is SQLite]), st.booleans(), st.just(True)
)
stories = st.fixed_dictionaries(
    {
        "refused": st.dictionaries(records, st.sampled_from(sorted(TRIGGERS)), max_size=4),
        "kept": st.sets(st.tuples(records, st.sampled_from(("client", "account"))), max_size=3),
        "crashes": st.lists(deaths | sleeps_over, max_size=3),
        "page": st.sampled_from((2, 10)),
    }
)
"""What refuses which record, whose records cannot be taken back, where workers stop, how many records at a time.

A worker dies, or sleeps past its lease while another one ends the run, before or after what it does at a point.
"""


def hinder(office: Office, story: Mapping[str, Any]) -> None:
    """Let systems refuse what a story says."""
    for record, place in story["refused"].items():
        for deed in ("INSERT", "UPDATE"):
            _refuse(office, place, record, deed, "")
    for record, place in story["kept"]:
        _refuse(office, place, record, "DELETE", "")
        _refuse(office, place, record, "UPDATE", "old{0}")


def _refuse(office: Office, place: str, record: int, deed: str, back_to: str) -> None:
    system, table, which = TRIGGERS[place]
    when = which.format(record)
    if deed == "DELETE":
        when = when.replace("new.", "old.")
    if back_to:
        when += f" AND new.{'title' if place == 'client' else 'owner'} = '{back_to.format(record)}'"
    name = f"{place}_{record}_{deed}_{'back' if back_to else 'all'}"
    run = office.world.erp if system == "erp" else lambda statement: office.sql(system, statement)
    run(f"CREATE TRIGGER {name} BEFORE {deed} ON {table} WHEN {when} BEGIN SELECT RAISE(ABORT, 'no'); END")


def carry_out(office: Office, crashes: list[Any]) -> int:
    """Let workers carry a run out, one behind the other as they die or sleep; return its number."""
    world = office.world
    run_id = world.request()

    def over() -> None:
        world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)

    def sleep() -> None:
        over()
        world.work(run_id, "other")

    for (owner, name, at), before, asleep in crashes:
        if not world.look(run_id).active:
            break
        with pytest.MonkeyPatch.context() as patch:
            if asleep:
                sleeps(patch, owner, name, at, before, sleep)
            else:
                dies(patch, owner, name, at, before)
            try:
                world.work(run_id)
            except Killed:
                over()
    if world.look(run_id).active:
        assert world.work(run_id, "last")
    return run_id


def held(office: Office, record: int) -> tuple[Any, ...]:
    """Return what the three systems hold of a record; a voided line is none."""
    client = [row[1] for row in office.world.clients() if row[0] == record]
    account = office.sql("billing", "SELECT owner, id FROM account WHERE reference = ?", f"C{record}")
    line = office.sql("book", "SELECT account FROM line WHERE code = ? AND note IS NULL", f"L{record}")
    return client, account, line


def whole(office: Office, record: int, name: str, *, line: int | None = None) -> bool:
    """Tell whether all systems hold a record once, under a name; the line leads to its account, or to `line`."""
    client, account, lines = held(office, record)
    keys = [(row[1] if line is None else line,) for row in account]
    return client == [name] and [row[0] for row in account] == [name] and lines == keys


def comes_true(story: Mapping[str, Any]) -> None:
    """Carry a story out, and hold the law against what all systems hold in the end."""
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder) / "data") as world:
        office = Office(world.pages_of(story["page"]))
        world.rule(**SAGA)
        world.customers(*(f"old{number}" for number in OLD))
        assert numbers(world.run())["created"] == len(OLD)
        office.sql("book", f"UPDATE line SET account = {ODD}")
        world.crm("UPDATE customer SET name = 'new' || id")
        world.customers(*(f"new{number}" for number in NEW), first=NEW[0])
        hinder(office, story)
        run = world.look(carry_out(office, story["crashes"]))
        assert run.state == "succeeded", str(run.message)
        stuck = {one.record_key for one in reading.listing(world.house) if one.state is State.STUCK}
        assert len(stuck) == len(reading.listing(world.house)), "nothing is left half-way without a case"
        applied = {record for record in (*OLD, *NEW) if whole(office, record, f"new{record}")}
        for record in {*OLD, *NEW} - applied:
            back = whole(office, record, f"old{record}", line=ODD) if record in OLD else not any(held(office, record))
            assert back or str(record) in stuck, (record, held(office, record))
            assert back or held(office, record)[0] == [f"new{record}"], "what came before is taken back behind it only"
            assert record in story["refused"], "only what was refused is not there"
        assert applied.isdisjoint(story["refused"])
        counts = numbers(run)
        assert counts.get("quarantined", 0) == len(story["refused"])
        assert counts["read"] == sum(number for name, number in counts.items() if name != "read")


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(stories)
def test_all_of_a_record_or_nothing_or_a_case(story: dict[str, Any]) -> None:
    """Whatever refuses and wherever workers die, each record is new everywhere, or as before everywhere, or a case."""
    comes_true(story)


@pytest.mark.soak
@settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
@given(stories)
def test_all_of_a_record_or_nothing_or_a_case_at_length(story: dict[str, Any]) -> None:
    """The same on many more stories."""
    comes_true(story)
