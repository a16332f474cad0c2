"""A worker dies in the middle of a saga: its successor goes on exactly there, and nothing is doubled or left over."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import numbers
from tests.runs.sagas.conftest import Office
from tests.runs.test_crash import Killed, dies
from webapp.runs.pipeline.journal import Journal
from webapp.runs.sagas import ledger

POINTS: list[tuple[Any, str, int]] = [
    (Journal, "plan", 1),
    (ledger, "begin", 1),
    *((SQLite, "write", at) for at in range(1, 6)),
    *((ledger, "intend", at) for at in range(1, 4)),
    *((ledger, "confirm", at) for at in range(1, 4)),
    *((ledger, "refuse", at) for at in range(1, 3)),
    *((ledger, "mark", at) for at in range(1, 4)),
    *((ledger, "move", at) for at in range(1, 4)),
    (Journal, "check_in", 1),
    (Journal, "end", 1),
]


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize(("owner", "name", "at"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_killed_run_ends_like_an_undisturbed_one(
    office: Office, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int, before: bool
):
    """Some records come through, one is taken back as it is refused last, one as it is refused in the middle."""
    world = office.world
    trigger = "CREATE TRIGGER no BEFORE INSERT ON line WHEN new.code = 'L2' BEGIN SELECT RAISE(ABORT, 'no'); END"
    office.sql("book", trigger)
    world.customers("Ada", "Bea", "bad", None, "Eva")
    run_id = world.request()
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    if world.look(run_id).state != "succeeded":
        assert world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("succeeded", {"read": 5, "created": 2, "quarantined": 3}), str(run.message)
    assert office.state() == {
        "clients": [(1, "Ada"), (5, "Eva")],
        "accounts": [("C1", "Ada", 1), ("C5", "Eva", 5)],
        "lines": [("L1", 1, None), ("L5", 1, None)],
    }
    office.sql("book", "DROP TRIGGER no")
    assert numbers(world.run()) == {"read": 5, "created": 1, "unchanged": 2, "quarantined": 2}
