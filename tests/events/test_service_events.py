"""A rule that is late gives an event, if anybody listens."""

from __future__ import annotations

from datetime import timedelta

import sqlalchemy as sa

from tests.runs.conftest import World, world  # noqa: F401 - two systems and a rule
from webapp.events import sources
from webapp.events.models import event
from webapp.runs import hooks, service_levels


def test_a_late_rule_gives_an_event(world: World, monkeypatch):  # noqa: F811
    """One event when it becomes late, with its name and why; none while nobody listens."""
    monkeypatch.setattr(hooks, "levels", [sources.level_moved])
    monkeypatch.setattr(sources, "listened", lambda _tx: {"rule.late"})
    world.rule(service={"fresh_within": "1h"})
    world.shift = timedelta(hours=2)
    service_levels.watch(world.house)
    service_levels.watch(world.house)
    world.run()
    service_levels.watch(world.house)
    with world.house.db.read() as tx:
        found = tx.execute(sa.select(event)).all()
    assert [(one.type, one.data["rule"], one.data["state"]) for one in found] == [("rule.late", "customers", "late")]
    assert "not run well yet" in found[0].data["message"]
