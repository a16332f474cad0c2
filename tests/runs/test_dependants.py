"""What waits for records that a run has linked is retried, whoever dies between the end of that run and the retry."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.linked import Shop
from tests.runs.test_crash import Killed
from webapp import dispatcher
from webapp.rulebook import services as rulebook
from webapp.runs import dependencies, execution
from webapp.runs.models import dependants_due
from webapp.runs.requests import cancel, start

SALES = [(10, 101, 5), (11, 102, 6)]


@pytest.fixture
def shop(world: World, monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Return two orders that wait for their customers, which nobody has linked yet."""
    monkeypatch.setattr(dispatcher, "queue", lambda _: None)
    monkeypatch.setattr(dispatcher, "beat", lambda *_: None)
    monkeypatch.setattr(dispatcher, "enqueue", lambda *_: None)
    shop = Shop(world)
    shop.people((1, "a@x", "Ann"), (2, "b@x", "Bob"))
    shop.purchases((10, 1, 5), (11, 2, 6))
    assert numbers(shop.run("orders")) == {"read": 2, "quarantined": 2}
    return shop


def _later(shop: Shop) -> None:
    """Let the dispatcher do a round of work a while later."""
    shop.world.shift += timedelta(seconds=16)
    dispatcher.turn(shop.world.house, None)  # type: ignore[arg-type] - nothing is sent


def _due(shop: Shop) -> int:
    with shop.world.house.db.read() as tx:
        return int(tx.scalar(sa.select(sa.func.count()).select_from(dependants_due)) or 0)


def _settled(shop: Shop) -> list[tuple[str, str]]:
    done = [(run.rule_name, run.kind) for run in shop.settle()]
    assert shop.parked() == []
    assert shop.sales() == SALES
    return done


def _dies(*_: Any, **_more: Any) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("owner", "name"),
    [(execution, "retry_dependants"), (dependencies, "_waiting"), (dependencies, "_retry"), (dependencies, "_looked")],
    ids=["behind the end", "before it has looked", "before the retry", "behind the retry"],
)
def test_a_worker_that_dies_behind_the_end_of_its_run(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str
):
    """The dispatcher asks for the retry in its place, once."""
    run_id = start(shop.world.house, "customers", "live", ADMIN)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, _dies)
        with pytest.raises(Killed):
            shop.world.work(run_id)
    assert (shop.world.look(run_id).state, _due(shop)) == ("succeeded", 1)
    _later(shop)
    assert _settled(shop) == [("orders", "records")]
    _later(shop)
    assert (_settled(shop), _due(shop)) == ([], 0)


def test_a_rule_that_is_at_work_is_looked_at_again(shop: Shop):
    """A rule that is busy when customers are linked, and then does not end well, retries what waits all the same."""
    busy = start(shop.world.house, "orders", "live", ADMIN)
    shop.run("customers")
    _later(shop)
    assert _due(shop) == 1
    cancel(shop.world.house, busy, ADMIN)
    _later(shop)
    assert _settled(shop) == [("orders", "records")]
    _later(shop)
    assert (_settled(shop), _due(shop)) == ([], 0)


def test_a_rule_that_is_paused_is_left_alone(shop: Shop):
    """What waits in a rule that is paused is retried by its next run, and by nobody before."""
    rulebook.pause(shop.world.house, "orders", ADMIN)
    shop.run("customers")
    assert _due(shop) == 0
    _later(shop)
    assert shop.settle() == []
    rulebook.resume(shop.world.house, "orders", ADMIN)
    shop.run("orders")
    assert _settled(shop) == []


def test_nothing_is_noted_where_nothing_waits(shop: Shop):
    """A simulation, and a run that no record waits for, leave nothing to be looked at."""
    shop.run("customers", "simulate")
    assert _due(shop) == 0
    shop.run("customers")
    _settled(shop)
    shop.run("customers")
    assert _due(shop) == 0


def test_an_error_in_one_retry_stops_no_dispatcher(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """It is told of in the log, and tried again a while later."""
    with monkeypatch.context() as patch:
        patch.setattr(execution, "retry_dependants", lambda *_: [])
        shop.run("customers")
    with monkeypatch.context() as patch:
        patch.setattr(dependencies, "_ready", lambda *_: 1 / 0)
        _later(shop)
    assert "could not be retried" in caplog.text
    _later(shop)
    assert _settled(shop) == [("orders", "records")]


def test_a_redis_that_is_away_stops_no_round(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the database alone tells is done while signs of life cannot be left."""
    done: list[str] = []

    def gone(*_: object) -> None:
        raise redis.ConnectionError

    monkeypatch.setattr(dispatcher, "fire_due", lambda *_: done.append("fired") or [])
    monkeypatch.setattr(dispatcher, "queue", gone)
    monkeypatch.setattr(dispatcher, "beat", gone)
    dispatcher.turn(world.house, None)  # type: ignore[arg-type] - nothing is sent
    assert done == ["fired"]
