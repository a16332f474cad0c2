"""Runs that end while they only wait are told of like all others, and what a run was asked for is audited."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from rules.documents import digest
from tests.runs.conftest import ADMIN, World
from webapp.audit import queries
from webapp.runs import hooks, ordering, parts, verification
from webapp.runs.hooks import Ended
from webapp.runs.models import run, run_wait
from webapp.runs.requests import RunRefused, cancel, pause, resume


@pytest.fixture
def heard(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Ended]:
    """Return the ends that rooms above are told of."""
    found: list[Ended] = []
    world.rule()
    monkeypatch.setattr(hooks, "ended", [lambda _tx, one: found.append(one)])
    return found


def test_a_run_that_only_waits_tells_of_its_ends(world: World, heard: list[Ended]):
    """Paused, resumed, paused again and cancelled: each end is told once, under a token of its own."""
    run_id = world.request()
    pause(world.house, run_id, ADMIN)
    resume(world.house, run_id, ADMIN)
    pause(world.house, run_id, ADMIN)
    cancel(world.house, run_id, ADMIN)
    assert [(one.run_id, one.rule_name, one.mode, one.state) for one in heard] == [
        (run_id, "customers", "live", state) for state in ("suspended", "suspended", "cancelled")
    ]
    assert heard[0].message == "ada paused the run. Resume it to go on behind its last chunk."
    assert heard[2].message == ""
    assert len({one.token for one in heard}) == 3


def test_a_run_that_works_tells_of_its_end_itself(world: World, heard: list[Ended]):
    """Asked to stop, it has not ended yet."""
    run_id = world.request()
    with world.house.db.begin() as tx:
        tx.execute(sa.update(run).where(run.c.id == run_id).values(state="running"))
    cancel(world.house, run_id, ADMIN)
    assert heard == []


def test_a_run_that_is_called_off_tells_why(world: World, heard: list[Ended]):
    """The rooms above hear of it with the run that did not end well."""
    first, second = world.request("simulate"), world.request("simulate")
    with world.house.db.begin() as tx:
        tx.execute(sa.insert(run_wait).values(run_id=second, for_run=first, well=True))
        tx.execute(sa.update(run).where(run.c.id == first).values(state="failed"))
    assert ordering.call_off(world.house) == [second]
    (one,) = heard
    assert (one.run_id, one.state) == (second, "cancelled")
    assert one.message.startswith(f"It was not started, since run {first} of the rule 'customers'")


def test_bounds_without_a_field_are_no_part(world: World):
    """They are not left out, which would run the rule over more than was asked for."""
    world.rule()
    with pytest.raises(RunRefused, match="Say which part"):
        parts.run_part(world.house, "customers", parts.Wanted("left", "id > 1", None, "1", "9"), "live", ADMIN)


def test_the_audit_log_keeps_what_a_run_was_asked_for(world: World):
    """Side, condition, range and sample as they are; of records their number and a digest, never their keys."""
    world.rule()
    world.customers("Ann", "Bob")
    world.run()
    house, records = world.house, [{"side": "left", "key": "ann@example.com"}]
    parts.run_part(house, "customers", parts.Wanted("left", "id > 1", "id", "1", "9"), "simulate", ADMIN)
    parts.run_records(house, "customers", records, ADMIN)
    verification.request(house, "customers", ADMIN, sample=5)
    with house.db.read() as tx:
        told = [one.after for one in queries.page(tx, queries.Filter(tag="runs:run:requested"), 10)[::-1]]
    about = [
        {k: v for k, v in one.items() if k not in ("mode", "kind", "rule_version", "document_digest")} for one in told
    ]
    assert about == [
        {},
        {"side": "left", "where": "id > 1", "range": {"field": "id", "from": "1", "to": "9"}},
        {"records": 1, "records_digest": digest({"records": records})},
        {"sample": 5},
    ]
