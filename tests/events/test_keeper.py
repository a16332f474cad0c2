"""Events are taken in order, once; timers fire once; what is stored and what is in memory agree at all times."""

from __future__ import annotations

import pytest

from rules.documents import DocumentError
from rules.events.engine import DurablePatterns
from rules.events.interface import EngineFailed
from tests.events.conftest import ADMIN, ONBOARDING, START, UNPAID, World
from webapp.cases import services as cases
from webapp.entities import services as entities
from webapp.events import lease, reading, results, services
from webapp.events.keeper import Keeper
from webapp.events.models import event, event_kept, event_timer
from webapp.rulebook import services as rulebook
from webapp.rulebook.errors import NotPublishable


def titles(world: World) -> list[str]:
    with world.house.db.read() as tx:
        return [case.title for case in cases.listing(tx, cases.Wanted(None), 100)][::-1]


def test_what_does_not_happen_is_noticed(world: World) -> None:
    """An order without a payment within its time opens a case, at that time and once; a paid one does not."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    world.post("order.created", customer=2, id="o2")
    world.work()
    assert {p.key for p in world.processes()} == {"1", "2"}
    world.later(minutes=10).post("payment.received", customer=2)
    world.later(minutes=19).work()
    assert titles(world) == []
    world.later(minutes=1).work()
    world.later(days=2).work()
    assert titles(world) == ["Order o1 is not paid"]
    assert [(m.key, m.at) for m in world.matches()] == [("1", START.replace(minute=30))]
    assert world.processes() == []
    assert world.rows(event_kept) == []


def test_a_new_process_goes_on_where_the_old_one_was(world: World) -> None:
    """After a restart, what is open is rebuilt from stored events, and the timer fires once."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    world.work()
    world.restart().work()
    assert len(world.rows(event_kept)) == 1
    world.restart().later(minutes=31).work()
    world.restart().later(minutes=31).work()
    assert titles(world) == ["Order o1 is not paid"]
    assert len(world.rows(event_timer, event_timer.c.fired_at.is_not(None))) == 1


def test_events_that_came_while_nobody_worked_are_taken_by_their_times(world: World) -> None:
    """A payment that came in time counts although the process was away when the timer was due."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    world.post("order.created", customer=2, id="o2")
    world.work()
    world.later(minutes=10).post("payment.received", customer=1)
    world.later(minutes=30).post("payment.received", customer=2)
    world.restart().later(hours=1).work()
    assert titles(world) == ["Order o2 is not paid"]


def test_an_event_is_stored_once(world: World) -> None:
    """The same id sent again changes nothing."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    world.work()
    world.posted -= 1
    world.post("order.created", customer=1, id="o1")
    world.work()
    assert len(world.rows(event)) == 1


@pytest.mark.parametrize("when", ["before", "inside", "after"])
def test_a_crash_around_the_transaction_loses_and_repeats_nothing(world: World, monkeypatch, when: str) -> None:
    """Whether the process dies before, in or behind the transaction of a turn, there is one action in the end."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    world.work()
    world.later(minutes=31)

    class Killed(BaseException):
        pass

    def die(*_: object) -> None:
        raise Killed

    store = results.store
    with monkeypatch.context() as patch:
        if when == "before":
            patch.setattr(lease, "confirm", die)
        elif when == "inside":
            patch.setattr(results, "store", lambda *a: (store(*a), die()))
        else:
            patch.setattr("webapp.events.hand.Hand.lay_down", die)
        with pytest.raises(Killed):
            world.keeper.turn()
    world.restart().work()
    world.restart().work()
    assert titles(world) == ["Order o1 is not paid"]
    assert len(world.actions()) == 1
    assert len(world.matches()) == 1


def test_only_the_holder_of_the_lease_works(world: World) -> None:
    """A second process waits; when the first is silent it takes over, and the first can store nothing any more."""
    world.rule()
    world.keeper.turn()
    other = Keeper(world.house, "two")
    world.post("order.created", customer=1, id="o1")
    assert not other.turn()
    world.later(seconds=60)
    assert other.turn()
    world.post("order.created", customer=2, id="o2")
    assert not world.keeper.turn()
    assert other.turn()
    world.later(hours=1)
    assert world.keeper.turn()
    world.act()
    assert titles(world) == ["Order o1 is not paid", "Order o2 is not paid"]


@pytest.mark.parametrize("dead", [True, False])
def test_the_clock_is_set_back(world: World, dead: bool) -> None:
    """A lease that ends in a year is none: a holder that lives keeps it, one that has died is followed at once."""
    world.rule()
    world.keeper.turn()
    other = Keeper(world.house, "two")
    world.later(days=-365).post("order.created", customer=1, id="o1")
    if not dead:
        assert world.keeper.turn()
    assert other.turn() is dead


def test_a_holder_that_lost_its_lease_in_the_middle_stores_nothing(world: World, monkeypatch) -> None:
    """The token is checked in the transaction itself."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    other = Keeper(world.house, "two")
    take = Keeper._take

    def slow(self: Keeper, *args: object) -> None:
        take(self, *args)
        if self is world.keeper:
            world.later(seconds=60)
            other.turn()

    monkeypatch.setattr(Keeper, "_take", slow)
    assert not world.keeper.turn()
    assert [row.position for row in world.rows(event)] == [1]
    assert len(world.processes()) == 1


def test_a_process_walks_through_its_states(world: World) -> None:
    """A state chart shows its state by key, survives restarts and new versions, and ends."""
    world.rule(ONBOARDING)
    world.post("customer.signed_up", no=7, name="Bell")
    world.post("customer.signed_up", no=8, name="Acme")
    world.work()
    assert {p.key: p.state for p in world.processes("onboarding")} == {"7": "checking", "8": "checking"}
    assert [name for p in world.processes("onboarding") for name, _ in p.timers] == ["checking > late"] * 2
    world.rule(ONBOARDING, label="Another label")
    world.restart().later(hours=1).post("credit.checked", no=7, limit=5000)
    world.work()
    world.later(days=3).restart().post("erp.created", no=7)
    world.post("customer.signed_up", no=9, name="New")
    world.work()
    assert {p.key: (p.state, p.version) for p in world.processes("onboarding")} == {
        "8": ("late", 1),
        "9": ("checking", 2),
    }
    assert [(p.key, p.state) for p in world.processes("onboarding", live=False)] == [("7", "done")]
    assert titles(world) == ["Create Bell in the ERP", "8 waits"]
    assert [(m.before, m.after) for m in world.matches("onboarding") if m.key == "7"] == [
        ("new", "checking"), ("checking", "creating"), ("creating", "done"),
    ]  # fmt: skip


def test_a_process_that_is_over_at_once_is_remembered(world: World) -> None:
    """Begun and ended in one turn, a process is among those that have ended, with its last state."""
    world.rule(ONBOARDING)
    for type_, more in (("customer.signed_up", {"name": "Bell"}), ("credit.checked", {"limit": 5})):
        world.post(type_, no=7, **more)
    world.work()
    (ended,) = world.processes("onboarding", live=False)
    assert (ended.key, ended.state, ended.events) == ("7", "refused", {"signup": ["e1"], "credit": ["e2"]})


def test_a_paused_rule_stands_still(world: World) -> None:
    """While a rule is paused it hears nothing and fires nothing; what was due fires when it goes on."""
    world.rule()
    world.post("order.created", customer=1, id="o1")
    world.work()
    rulebook.pause(world.house, "unpaid", ADMIN)
    world.later(hours=1).post("order.created", customer=2, id="o2")
    world.work()
    assert titles(world) == []
    rulebook.resume(world.house, "unpaid", ADMIN)
    world.work()
    assert titles(world) == ["Order o1 is not paid"]
    assert world.processes() == []


def test_an_event_that_cannot_be_used_says_why(world: World) -> None:
    """A condition that cannot be worked out leaves the event aside and tells it there."""
    events = {**UNPAID["events"], "order": {"type": "order.created", "where": "order.amount > 100"}}
    world.rule(events=events)
    world.post("order.created", customer=1, id="o1", amount="many")
    world.post("order.created", id="o1", amount=500)
    world.work()
    notes = [str(note["values"]["reason"]) for row in world.rows(event) for note in row.notes]
    assert len(notes) == 2
    assert world.processes() == []


def test_a_rule_at_which_the_engine_fails_is_stopped(world: World, monkeypatch) -> None:
    """After three failures the rule stands still with a reason, the others go on; it can be started again."""
    world.rule(ONBOARDING)
    world.rule()
    world.post("order.created", customer=1, id="o1")
    world.post("customer.signed_up", no=7, name="Bell")
    with monkeypatch.context() as patch:
        patch.setattr(DurablePatterns, "event", lambda *_: (_ for _ in ()).throw(EngineFailed("boom")))
        world.work()
    with world.house.db.read() as tx:
        assert "failed several times" in str(reading.standing(tx, "unpaid").problem)
    assert [p.state for p in world.processes("onboarding")] == ["checking"]
    services.restart(world.house, "unpaid", ADMIN)
    world.post("order.created", customer=2, id="o2")
    world.work()
    assert [p.key for p in world.processes()] == ["2"]


def test_the_log_of_the_process_quotes_no_event(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """What could not be worked out is told of with its rule, but without the key and the values of events."""
    caplog.set_level("INFO")
    world.rule(ONBOARDING)
    world.post("customer.signed_up", no="canary-1")
    world.post("credit.checked", no="canary-1", limit="canary-2")
    world.work()
    assert "event rule onboarding: " in caplog.text
    assert "canary" not in caplog.text


@pytest.mark.parametrize("own", [True, False])
def test_events_have_no_encrypted_field_in_common(world: World, *, own: bool) -> None:
    """What brings events together is kept in clear: encrypting it is refused, and so is publishing such a rule."""
    fields = [{"name": "no", "type": "text"}, {"name": "name", "type": "text"}]
    person = {"kind": "entity", "name": "person", "fields": fields}
    hidden = {**person, "fields": [{**fields[0], "encrypted": True}, fields[1]]}
    entities.define(world.house, person, ADMIN)
    heard = {"type": "record.person.created", **({"by": "order.no"} if own else {})}
    unpaid = {**UNPAID, "events": {"order": heard}, "when": {"all": ["order"]}, **({} if own else {"by": "no"})}
    unpaid["then"] = [{"case": {"title": "New"}}]
    if own:
        del unpaid["by"]
    world.rule(unpaid)
    with pytest.raises(DocumentError, match="The rule 'unpaid' would stop working"):
        entities.define(world.house, hidden, ADMIN)
    rulebook.delete(world.house, "unpaid", ADMIN)
    entities.define(world.house, hidden, ADMIN)
    with pytest.raises(NotPublishable, match="cannot be what events have in common"):
        world.rule(unpaid)
