"""Rules in order: who waits for whom, in a round of the schedules and with all that a rule depends on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from rules.documents import errors
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.linked import CUSTOMERS, ORDERS, Shop
from webapp import dispatcher
from webapp.rulebook import services as rulebook
from webapp.rulebook.errors import NotPublishable, RuleBusy
from webapp.runs import ordering
from webapp.runs.dependencies import start_in_order
from webapp.runs.models import run as run_table
from webapp.runs.pipeline import stopping
from webapp.runs.pipeline.journal import Journal
from webapp.runs.requests import RunRefused, cancel, pause, resume, start
from webapp.runs.schedules import fire_due

EVERY_MINUTE = {"cron": "* * * * *"}


@pytest.fixture
def shop(world: World) -> Shop:
    """Return a customer with an order; nothing has run yet."""
    shop = Shop(world)
    shop.people((1, "a@x", "Ann"))
    shop.purchases((10, 1, 5))
    return shop


def _fire(shop: Shop) -> list[int]:
    """Fire the schedules a minute on."""
    fire_due(shop.world.house)
    shop.world.shift += timedelta(minutes=1, seconds=1)
    return fire_due(shop.world.house)


def _states(shop: Shop, runs: list[int]) -> list[tuple[str, str]]:
    rows = [shop.world.look(number) for number in runs]
    return [(row.rule_name, row.state) for row in rows]


def _awaited(shop: Shop, run: int) -> list[int]:
    with shop.world.house.db.read() as tx:
        return [number for number, _rule, _state in ordering.awaited(tx, run)]


def test_rules_that_are_due_together_run_one_behind_the_other(shop: Shop):
    """Of two rules that are due in the same minute the later one cannot be taken before the first has ended well."""
    shop.publish({**ORDERS, "schedule": EVERY_MINUTE})  # known first, though it comes after
    shop.publish({**CUSTOMERS, "schedule": EVERY_MINUTE})
    customers, orders = _fire(shop)
    assert _states(shop, [customers, orders]) == [("customers", "queued"), ("orders", "queued")]
    assert _awaited(shop, orders) == [customers]
    assert not shop.world.work(orders)
    assert shop.world.work(customers)
    assert shop.world.work(orders)
    assert numbers(shop.world.look(orders)) == {"read": 1, "created": 1}
    assert shop.parked() == []


def test_a_rule_waits_for_a_run_that_is_at_work_already(shop: Shop):
    """A rule that is due by its schedule waits for the requested run of a rule that it comes after."""
    customers = start(shop.world.house, "customers", "live", ADMIN)
    shop.publish({**ORDERS, "schedule": EVERY_MINUTE})
    (orders,) = _fire(shop)
    assert _awaited(shop, orders) == [customers]
    assert [run.rule_name for run in shop.settle()] == ["customers", "orders"]


def test_a_rule_that_comes_after_a_failure_is_called_off(shop: Shop):
    """Where the first rule of a round does not end well, the others are cancelled and say so; the next round is new."""
    shop.publish({**CUSTOMERS, "schedule": EVERY_MINUTE})
    shop.publish({**ORDERS, "schedule": EVERY_MINUTE})
    customers, orders = _fire(shop)
    cancel(shop.world.house, customers, ADMIN)
    assert not shop.world.work(orders)
    assert ordering.call_off(shop.world.house) == [orders]
    row = shop.world.look(orders)
    assert row.state == "cancelled"
    assert str(row.message) == (
        f"It was not started, since run {customers} of the rule 'customers', which comes before it, did not end well."
    )
    assert len(_fire(shop)) == 2


def test_a_run_that_was_asked_for_goes_on_whatever_became_of_the_other(shop: Shop):
    """A person's own run waits for a run at work, but not for its success."""
    customers = start(shop.world.house, "customers", "live", ADMIN)
    orders = start(shop.world.house, "orders", "live", ADMIN)
    assert not shop.world.work(orders)
    cancel(shop.world.house, customers, ADMIN)
    assert ordering.call_off(shop.world.house) == []
    assert shop.world.work(orders)


def test_all_that_a_rule_depends_on_runs_first_in_order(shop: Shop):
    """A rule is run behind those that it depends on, also indirectly; each waits for those before it."""
    shop.publish({**CUSTOMERS, "name": "regions"})
    shop.publish({**CUSTOMERS, "after": ["regions"]})
    runs = start_in_order(shop.world.house, "orders", "live", ADMIN)
    assert [name for name, _ in _states(shop, runs)] == ["regions", "customers", "orders"]
    assert not shop.world.work(runs[2])
    assert not shop.world.work(runs[1])
    assert [(run.rule_name, run.state) for run in shop.settle()] == [
        ("regions", "succeeded"), ("customers", "succeeded"), ("orders", "succeeded"),
    ]  # fmt: skip
    assert len(shop.sales()) == 1


def test_the_order_stops_where_one_fails(shop: Shop):
    """Behind a rule that fails nothing is started."""
    shop.publish({**CUSTOMERS, "name": "regions"})
    shop.publish({**CUSTOMERS, "after": ["regions"]})
    runs = start_in_order(shop.world.house, "orders", "live", ADMIN)
    cancel(shop.world.house, runs[0], ADMIN)
    assert shop.settle() == []
    assert [state for _, state in _states(shop, runs)] == ["cancelled", "cancelled", "cancelled"]


def test_runs_in_order_are_live_and_whole(shop: Shop):
    """A simulation links nothing that others could follow, and a rule that is not published cannot come first."""
    with pytest.raises(RunRefused, match="live only"):
        start_in_order(shop.world.house, "orders", "simulate", ADMIN)
    with pytest.raises(RunRefused, match="no rule called"):
        start_in_order(shop.world.house, "nothing", "live", ADMIN)


def test_a_run_that_works_already_counts(shop: Shop):
    """The run of a rule that waits or works already is not started a second time."""
    customers = start(shop.world.house, "customers", "live", ADMIN)
    assert start_in_order(shop.world.house, "orders", "live", ADMIN)[0] == customers


def _refused(shop: Shop, document: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(NotPublishable) as refused:
        shop.publish(document)
    return [(problem.path, str(problem.message)) for problem in errors(refused.value.problems)]


def test_rules_cannot_come_after_each_other(shop: Shop):
    """A circle is refused at the place that closes it, and so is a rule that is not there."""
    assert _refused(shop, {**CUSTOMERS, "after": ["orders"]}) == [
        ("after/0", "Each would have to run after the other: customers ← orders ← customers. Take one of them out.")
    ]
    assert _refused(shop, {**ORDERS, "after": ["nothing"]}) == [("after/0", "There is no sync rule called 'nothing'.")]
    assert _refused(shop, {**ORDERS, "after": ["orders"]}) == [("after/0", "A rule cannot run after itself.")]


def test_a_reference_has_to_lie_between_the_same_systems(shop: Shop):
    """A field cannot refer to records of a rule that is not there, or that links other systems."""
    fields = [ORDERS["fields"][0], {"left": "person_id", "right": "partner_no", "reference": "nothing"}]
    assert _refused(shop, {**ORDERS, "fields": fields}) == [
        ("fields/1/reference", "There is no sync rule called 'nothing'.")
    ]
    shop.publish({**CUSTOMERS, "name": "inside", "right": {"connection": "crm", "object": "person"}, "key": {"left": "id", "right": "id"}, "fields": [{"left": "id", "right": "id"}], "correlate": []})  # fmt: skip # noqa: E501
    fields[1] = {**fields[1], "reference": "inside"}
    assert _refused(shop, {**ORDERS, "fields": fields}) == [
        ("fields/1/reference", "The rule 'inside' does not lie between 'crm' and 'erp', so it has no keys for both.")
    ]


def test_a_rule_that_others_follow_cannot_be_deleted(shop: Shop):
    """Who deletes a rule is told which rule comes after it."""
    with pytest.raises(RuleBusy, match="The rule 'orders' comes after 'customers'"):
        rulebook.delete(shop.world.house, "customers", ADMIN)


def test_the_dispatcher_announces_a_run_once_nothing_is_before_it(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    """A run that waits is not put into the queue; when the runs before it have ended well it is."""
    announced: list[int] = []
    monkeypatch.setattr(dispatcher, "queue", lambda _: None)
    monkeypatch.setattr(dispatcher, "beat", lambda *_: None)
    monkeypatch.setattr(dispatcher, "enqueue", lambda _, run_id: announced.append(run_id))
    customers, orders = start_in_order(shop.world.house, "orders", "live", ADMIN)
    dispatcher.turn(shop.world.house, None)  # type: ignore[arg-type] - nothing is sent
    assert announced == [customers]
    assert shop.world.work(customers)
    dispatcher.turn(shop.world.house, None)  # type: ignore[arg-type]
    assert announced == [customers, orders]


def test_a_paused_run_keeps_those_behind_it_waiting(shop: Shop):
    """A run that a person has paused is going on later, so what comes after it is not called off."""
    customers, orders = start_in_order(shop.world.house, "orders", "live", ADMIN)
    pause(shop.world.house, customers, ADMIN)
    assert shop.world.look(customers).paused
    assert ordering.call_off(shop.world.house) == []
    assert not shop.world.work(orders)
    resume(shop.world.house, customers, ADMIN)
    assert [run.rule_name for run in shop.settle()] == ["customers", "orders"]


def _left_behind(shop: Shop, run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run lose its worker before its first chunk is checked in."""
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "check_in", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            shop.world.work(run)


def _given_back(shop: Shop, run: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the worker of a run be asked to stop while it checks the first chunk in."""
    shop.purchases((11, 1, 5), (12, 1, 5), (13, 1, 5))
    shop.world.pages_of(1)
    check_in = Journal.check_in

    def stops(self: Journal, chunk: Any, links: Any) -> None:
        check_in(self, chunk, links)
        stopping.request_stop()

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "check_in", stops)
        try:
            assert shop.world.work(run)
        finally:
            stopping._requested.clear()
    assert _states(shop, [run]) == [("orders", "queued")]


@pytest.mark.parametrize("stop", [_left_behind, _given_back])
def test_a_run_that_has_begun_waits_for_no_later_one(shop: Shop, monkeypatch: pytest.MonkeyPatch, stop: Any):
    """A half-done run whose worker is gone goes on, though what comes before it was requested since and failed."""
    shop.publish({**CUSTOMERS, "name": "after_orders", "after": ["orders"]})
    orders = start(shop.world.house, "orders", "live", ADMIN)
    stop(shop, orders, monkeypatch)
    customers, shared, last = start_in_order(shop.world.house, "after_orders", "live", ADMIN)
    assert (shared, _awaited(shop, orders)) == (orders, [])
    cancel(shop.world.house, customers, ADMIN)
    assert ordering.call_off(shop.world.house) == [last]
    shop.world.shift += timedelta(minutes=10)
    assert shop.world.work(orders, "w2")
    assert _states(shop, [orders]) == [("orders", "succeeded")]


@pytest.mark.parametrize("stop", [_left_behind, _given_back])
def test_a_run_that_has_begun_is_neither_blocked_nor_called_off(shop: Shop, monkeypatch: pytest.MonkeyPatch, stop: Any):
    """What a run had to wait for is of no account once it has begun, even where that is resumed and ends badly then."""
    customers, orders = start_in_order(shop.world.house, "orders", "live", ADMIN)
    assert shop.world.work(customers)
    stop(shop, orders, monkeypatch)
    with shop.world.house.db.begin() as tx:
        tx.execute(sa.update(run_table).where(run_table.c.id == customers).values(state="failed"))
    assert ordering.call_off(shop.world.house) == []
    assert _awaited(shop, orders) == []
    shop.world.shift += timedelta(minutes=10)
    assert shop.world.work(orders, "w2")
    assert _states(shop, [orders]) == [("orders", "succeeded")]
