"""Service levels: what people may expect of a rule, and what is told when it does not keep that."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World
from webapp.audit.models import audit_event
from webapp.runs import hooks, service_levels
from webapp.runs.requests import pause
from webapp.runs.service_levels import Level


def level(world: World) -> Level:
    with world.house.db.read() as tx:
        return service_levels.levels(tx, world.house.clock(), name="customers")[0]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[hooks.LevelMoved]:
    """Return what is told of service levels."""
    found: list[hooks.LevelMoved] = []
    monkeypatch.setattr(hooks, "levels", [lambda _tx, moved: found.append(moved)])
    return found


def test_a_rule_without_promises_is_not_looked_at(world: World):
    """No service level, nothing to keep."""
    world.rule()
    with world.house.db.read() as tx:
        assert service_levels.levels(tx, world.house.clock()) == []


def test_a_rule_that_has_not_run_for_too_long_is_late(world: World, told: list[hooks.LevelMoved]):
    """It is told once when it becomes late and once when it has run well again, and the audit log knows."""
    world.rule(service={"fresh_within": "1h"})
    assert level(world).state == "met"
    assert service_levels.watch(world.house) == []
    world.shift = timedelta(hours=2)
    assert level(world).state == "late"
    assert "not run well yet" in str(level(world).reasons[0])
    assert service_levels.watch(world.house) == ["customers"]
    assert service_levels.watch(world.house) == []
    world.run()
    assert level(world).state == "met"
    assert service_levels.watch(world.house) == ["customers"]
    world.shift = timedelta(hours=4)
    assert "more than 1h ago" in str(level(world).reasons[0])
    assert [moved.state for moved in told] == ["late", "met"]
    with world.house.db.read() as tx:
        tags = tx.scalars(sa.select(audit_event.c.tag).where(audit_event.c.tag.like("runs:service:%"))).all()
    assert sorted(tags) == ["runs:service:late", "runs:service:met"]


def test_a_rule_with_too_many_failed_records_fails(world: World):
    """The limit itself is still allowed; a simulation or a comparison changes nothing about it."""
    world.rule(service={"at_most_failed": 1})
    world.customers("Ann", "x" * 30)
    world.run()
    assert level(world).state == "met"
    world.customers("y" * 30, first=3)
    world.run("simulate")
    assert level(world).state == "met"
    world.run()
    assert (level(world).state, len(level(world).reasons)) == ("failing", 1)


def test_a_run_that_ends_badly_and_pairs_that_wait(world: World):
    """The last run counts, not an earlier one; conflicts beyond the limit count, too."""
    fields = [{"left": "id", "right": "no", "on": ["create"]}, {"left": "name", "right": "title"}]
    world.rule(direction="two_way", fields=fields, service={"at_most_waiting": 0})
    world.customers("Ann")
    world.run()
    world.crm("UPDATE customer SET name = 'a' WHERE id = 1")
    world.erp("UPDATE client SET title = 'b' WHERE no = 1")
    world.run()
    assert [str(r) for r in level(world).reasons] == ["Pairs of records that wait for a person: 1; at most 0 may."]
    world.erp("UPDATE client SET title = 'a' WHERE no = 1")
    (world.folder / "erp.db").rename(world.folder / "away.db")
    assert world.run().state == "failed"
    assert any("did not go well" in str(reason) for reason in level(world).reasons)
    (world.folder / "away.db").rename(world.folder / "erp.db")
    world.run()
    assert level(world).state == "met"


def test_a_paused_rule_promises_nothing(world: World, told: list[hooks.LevelMoved]):
    """What was noted of it is forgotten."""
    world.rule(service={"fresh_within": "1m"})
    world.shift = timedelta(hours=1)
    service_levels.watch(world.house)
    with world.house.db.begin() as tx:
        tx.execute(sa.update(service_levels.rule).values(state="paused"))
    assert service_levels.watch(world.house) == []
    with world.house.db.read() as tx:
        assert service_levels.broken(tx, world.house.clock()) == []
        assert tx.scalar(sa.select(sa.func.count()).select_from(service_levels.service_level)) == 0


def _reasons(world: World) -> list[str]:
    return [str(reason) for reason in level(world).reasons]


def test_a_run_that_takes_too_long_is_told_of_while_it_works(world: World):
    """The time of the last run counts, and of one that is still at work."""
    world.rule(service={"done_within": "10m"})
    world.customers("Ann")
    first = world.run().id
    assert _reasons(world) == []
    runs = service_levels.run
    with world.house.db.begin() as tx:
        late = world.now() + timedelta(minutes=11)
        tx.execute(sa.update(runs).where(runs.c.id == first).values(ended_at=late))
    assert _reasons(world) == [f"Its last run, number {first}, took more than 10m."]
    with world.house.db.begin() as tx:
        tx.execute(sa.update(runs).where(runs.c.id == first).values(ended_at=None, state="running"))
    world.shift = timedelta(minutes=12)
    assert _reasons(world) == [f"Run {first} has been at work for more than 10m."]


def test_a_share_of_failed_records_is_one_of_the_last_run(world: World):
    """A share is kept up to its limit, and looks at what the last run has read."""
    world.rule(service={"at_most_failed": "50%"})
    assert _reasons(world) == []
    world.customers("Ann", "x" * 30)
    world.run()
    assert _reasons(world) == []
    world.customers("y" * 30, first=3)
    number = world.run().id
    assert _reasons(world) == [f"Of 3 records that run {number} has read, 2 went into quarantine; at most 50% may."]


def test_a_pair_that_waits_for_too_long(world: World):
    """One old case is enough, however few there are."""
    fields = [{"left": "id", "right": "no", "on": ["create"]}, {"left": "name", "right": "title"}]
    world.rule(direction="two_way", fields=fields, service={"decided_within": "3d", "at_most_waiting": 9})
    world.customers("Ann")
    world.run()
    world.crm("UPDATE customer SET name = 'a' WHERE id = 1")
    world.erp("UPDATE client SET title = 'b' WHERE no = 1")
    world.run()
    assert _reasons(world) == []
    world.shift = timedelta(days=4)
    assert _reasons(world) == ["Pairs of records that have waited for a person for more than 3d: 1."]


def test_a_run_that_a_person_has_paused_has_not_ended_badly(world: World):
    """A pause is no failure."""
    world.rule(service={"at_most_failed": 0})
    pause(world.house, world.request(), ADMIN)
    assert level(world).state == "met"
