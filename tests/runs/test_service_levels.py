"""Service levels: what people may expect of a rule, and what is told when it does not keep that."""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa

from tests.runs.conftest import World
from webapp.audit.models import audit_event
from webapp.runs import hooks, service_levels
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
