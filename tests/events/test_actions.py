"""Actions are carried out once, tried again where that helps, and say what went wrong."""

from __future__ import annotations

import hmac
import socketserver
import sqlite3
import threading
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rules.text import msg
from tests.connectors.conftest import Answer, WebServer
from tests.events.conftest import ADMIN, UNPAID, World
from webapp.access import role_editing
from webapp.access.models import user
from webapp.access.role_editing import Role
from webapp.access.users import NewUser, insert_user
from webapp.audit import queries
from webapp.cases import services as cases
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.entities import storage
from webapp.events import claims, deeds, services
from webapp.events.doers import Doers, do
from webapp.events.models import event, event_action
from webapp.extensions import SYSTEM, Actor
from webapp.policies import services as policies
from webapp.rulebook import ownership
from webapp.rulebook import services as rulebook


def acting(*acts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return a rule that does these things about every order."""
    return {
        **UNPAID,
        "when": {"any": ["order"]},
        "events": {"order": {"type": "order.created"}},
        "then": list(acts),
        **changes,
    }


def order(world: World, **data: Any) -> None:
    world.post("order.created", **{"customer": "c1", "id": "o1", **data})
    world.work()


def connection(world: World, name: str, connector: str, **settings: Any) -> None:
    document = {"kind": "connection", "name": name, "connector": connector, "settings": settings}
    connections.create(world.house, document, ADMIN)


def shop(world: World, tmp_path: Path) -> Any:
    path = tmp_path / "data" / "shop.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE customer (no TEXT PRIMARY KEY, name TEXT NOT NULL, credit NUMERIC)")
    connection(world, "shop", "sqlite", path=str(path))
    return lambda: sqlite3.connect(path).execute("SELECT no, name, credit FROM customer").fetchall()


def test_a_record_of_an_entity_is_created_and_updated(world: World) -> None:
    """The record has the values of the expressions in the types of its fields, and the history names the rule."""
    world.entity()
    fields = {"no": "key", "name": "order.name.trim()", "credit": "order.amount * 2"}
    world.rule(acting({"create_record": {"object": "customer", "fields": fields}}, name="creates"))
    order(world, name=" Bell ", amount=10.25)
    changes = {"key": {"no": "key"}, "fields": {"credit": "order.amount"}, "object": "customer"}
    world.rule(acting({"update_record": changes}, name="creates"))
    order(world, name="Bell", amount=7)
    assert [a.state for a in world.actions()] == ["done", "done"], [str(a.problem) for a in world.actions()]
    with world.house.db.read() as tx:
        record = entities.get_record(tx, storage.current(tx, "customer"), world.actions()[0].result["id"])
    assert (record["no"], record["name"], str(record["credit"])) == ("c1", "Bell", "7.00")
    assert record["created_by"] == "Event rule creates"


def test_an_action_is_done_with_the_rights_of_the_owner_of_its_rule(world: World) -> None:
    """What the owner of a rule may not write it does not write, and says so; without its owner it does nothing."""
    world.entity()
    house = world.house
    role = Role(None, "Clerk", grants=frozenset({("Records", "read"), ("Records", "create")}))
    role_id = role_editing.save_role(house, role, SYSTEM)
    with house.db.begin() as tx:
        new = NewUser("ann", "Ann", "", "ann@example.com", ("Clerk",))
        ann = Actor("user", "ann", str(insert_user(tx, new, "x", SYSTEM, house.clock())))
    fields = {"no": "key", "credit": "order.amount"}
    act = {"create_record": {"object": "customer", "fields": fields}}
    rulebook.create(house, acting(act, name="creates"), ann)
    rulebook.publish(house, "creates", ADMIN)
    order(world, amount=1)
    policies.set_policy(house, role_id, {"data": [{"on": "entity/customer", "fields": {"credit": "read"}}]}, SYSTEM)
    order(world, customer="c2", amount=1)
    with house.db.begin() as tx:
        tx.execute(sa.update(user).where(user.c.username == "ann").values(active=False))
    order(world, customer="c3", amount=1)
    found = [(action.state, str(action.problem or "")) for action in world.actions()]
    assert [state for state, _ in found] == ["done", "failed", "failed"]
    assert "ann may not change the field 'credit' of entity/customer" in found[1][1]
    assert "ann, who owns the rule 'creates', is disabled" in found[2][1]


def test_a_rule_tells_nothing_on_that_its_owner_may_not_see(world: World) -> None:
    """Who sees only some of what a rule hears of, or asks a service for, neither publishes it nor does it by it."""
    world.entity()
    house = world.house
    role = Role(None, "Clerk", grants=frozenset({("Records", "read"), ("Records", "create"), ("Rules", "publish")}))
    role_id = role_editing.save_role(house, role, SYSTEM)
    with house.db.begin() as tx:
        new = NewUser("ann", "Ann", "", "ann@example.com", ("Clerk",))
        ann = Actor("user", "ann", str(insert_user(tx, new, "x", SYSTEM, house.clock())))
    act = {"create_record": {"object": "customer", "fields": {"no": "order.no"}}}
    hears = acting(act, name="copies", events={"order": {"type": "record.customer.updated"}}, by="no")
    rulebook.create(house, hears, ann)
    rulebook.publish(house, "copies", ann)
    policies.set_policy(house, role_id, {"data": [{"on": "entity/customer", "fields": {"credit": "hide"}}]}, SYSTEM)
    with house.db.read() as tx:
        for document, says in (
            (hears, "may not see all of the records of entity/customer"),
            (
                {**hears, "events": {"order": {"type": "case.opened"}}},
                "which events of the type 'case.opened' may quote",
            ),
            (acting({"call": {"connection": "shop", "path": "/x"}}), "may not see all records of 'shop'"),
            (
                acting({"run": {"rule": "customers", "mode": "live"}}),
                "may not run rules, and the rule runs 'customers'",
            ),
        ):
            assert says in str(ownership.refusal(tx, "copies", document, "ann"))


@pytest.mark.parametrize(
    ("act", "problem"),
    [
        ({"create_record": {"object": "nowhere", "fields": {"no": "key"}}}, "no entity 'nowhere'"),
        ({"create_record": {"object": "customer", "fields": {"nr": "key"}}}, "no field 'nr'"),
        ({"create_record": {"object": "customer", "fields": {"credit": "'many'"}}}, "credit"),
        (
            {"update_record": {"object": "customer", "key": {"no": "key"}, "fields": {"name": "'x'"}}},
            "no record with no",
        ),
        ({"case": {"title": "{order.nothing}"}}, "nothing"),
        ({"notify": {"email": {"to": ["a@b.c"], "subject": "s", "text": "t"}}}, "SYNCLINE_SMTP_URL"),
    ],
)
def test_an_action_that_cannot_be_done_says_why(world: World, act: dict[str, Any], problem: str, monkeypatch) -> None:
    """What no further attempt heals fails at once, with the reason beside it and in the audit log."""
    world.entity()
    monkeypatch.setattr("webapp.events.kind._inside", lambda *_: ())
    world.rule(acting(act))
    order(world)
    (action,) = world.actions()
    assert (action.state, action.attempts <= 1) == ("failed", True)
    assert problem in str(action.problem)


def test_a_write_to_another_system_is_done_once(world: World, tmp_path: Path, monkeypatch) -> None:
    """Killed between the write and its note, the next attempt asks the system and does not write again."""
    rows = shop(world, tmp_path)
    world.rule(
        acting(
            {"create_record": {"connection": "shop", "object": "customer", "fields": {"no": "key", "name": "order.id"}}}
        )
    )
    world.post("order.created", customer="c1", id="o1")
    while world.keeper.turn():
        pass

    class Killed(BaseException):
        pass

    (action,) = claims.claim(world.house, "one", 10)
    with monkeypatch.context() as patch:
        patch.setattr(claims, "finish", lambda *_: (_ for _ in ()).throw(Killed))
        with pytest.raises(Killed):
            do(world.house, action)
    assert rows() == [("c1", "o1", None)]
    world.later(minutes=5).act()
    assert [a.state for a in world.actions()] == ["done"]
    assert rows() == [("c1", "o1", None)]


def test_a_write_that_did_not_arrive_is_done_again(world: World, tmp_path: Path, monkeypatch) -> None:
    """Killed before the write, the next attempt writes; a refused record fails with the system's own words."""
    rows = shop(world, tmp_path)
    write = {"connection": "shop", "object": "customer"}
    world.rule(acting({"create_record": {**write, "fields": {"no": "key", "name": "order.name"}}}))
    world.post("order.created", customer="c1", name="Bell")
    world.post("order.created", customer="c2")
    world.post("order.created", customer="c1", name="Again")
    while world.keeper.turn():
        pass
    taken = claims.claim(world.house, "one", 10)
    assert len(taken) == 1, "writes of one rule to one system go one after the other"
    monkeypatch.setattr(
        "connectors.builtin.database.Database.write", lambda *_: (_ for _ in ()).throw(SystemExit), raising=False
    )
    with pytest.raises(SystemExit):
        do(world.house, taken[0])
    monkeypatch.undo()
    assert rows() == []
    for _ in range(4):
        world.later(minutes=5).act()
    assert rows() == [("c1", "Bell", None)]
    states = {a.key: (a.state, str(a.problem)) for a in world.actions()[:2]}
    assert states["c1"][0] == "done"
    assert states["c2"][0] == "failed"
    assert world.actions()[2].state == "failed"


def test_a_web_hook_is_sent_with_a_key_and_a_signature(world: World, receiver: WebServer, monkeypatch) -> None:
    """The receiver gets one request with what happened, an idempotency key and a signature."""
    monkeypatch.setenv("HOOK_SECRET", "hush")
    world.rule(acting({"notify": {"web_hook": {"url": f"{receiver.url}/hook", "secret": "env:HOOK_SECRET"}}}))
    order(world, amount=5)
    (request,) = receiver.received
    assert request.json()["events"]["order"][0]["data"] == {"customer": "c1", "id": "o1", "amount": 5}
    assert request.json()["key"] == "c1"
    signature = hmac.new(b"hush", request.body, "sha256").hexdigest()
    at = request.headers["x-syncline-time"]
    timed = hmac.new(b"hush", at.encode() + b"." + request.body, "sha256").hexdigest()
    assert int(at) == int(world.now.timestamp())
    assert request.headers["x-syncline-signature"] == f"sha256={signature},v1={timed}"
    assert request.headers["idempotency-key"].endswith(f"-{world.actions()[0].id}")
    assert world.actions()[0].result == {"status": 200}


def test_a_web_hook_is_tried_again_while_the_receiver_is_ill(world: World, receiver: WebServer) -> None:
    """A server error is followed by further attempts with the same key, ever later; then it fails."""
    receiver.answer = lambda _: Answer(503)
    act = {
        "notify": {"web_hook": {"url": receiver.url, "body": "{'id': order.id}"}},
        "retry": {"times": 2, "wait": "10s"},
    }
    world.rule(acting(act))
    order(world)
    assert len(receiver.received) == 1
    assert world.actions()[0].due_at - world.now == timedelta(seconds=10)
    world.later(seconds=11).act()
    assert world.actions()[0].due_at - world.now == timedelta(seconds=20)
    world.later(seconds=21).act()
    (action,) = world.actions()
    assert (action.state, action.attempts) == ("failed", 3)
    assert "503" in str(action.problem)
    receiver.answer = lambda _: Answer(204)
    services.retry(world.house, action.id, ADMIN)
    world.act()
    assert world.actions()[0].state == "done"
    assert len({request.headers["idempotency-key"] for request in receiver.received}) == 1
    assert {request.body for request in receiver.received} == {b'{"id": "o1"}'}
    with pytest.raises(services.ActionRefused):
        services.retry(world.house, action.id, ADMIN)


def test_a_web_hook_goes_nowhere_forbidden(world: World, receiver: WebServer) -> None:
    """The rules for outgoing connections hold for web hooks, too."""
    world.house = replace(world.house, settings=replace(world.house.settings, egress_allow=()))
    world.rule(acting({"notify": {"web_hook": {"url": receiver.url}}}))
    order(world)
    assert world.actions()[0].state == "failed"
    assert receiver.received == []


def test_a_rest_service_is_called(world: World, receiver: WebServer) -> None:
    """A call goes through the connection, its path filled in and quoted."""
    connection(world, "erp", "rest", base_url=receiver.url, objects='[{"name": "orders", "path": "/orders"}]')
    call = {"connection": "erp", "method": "PUT", "path": "/orders/{order.id}/hold", "body": "{'why': 'unpaid'}"}
    world.rule(acting({"call": call}))
    order(world, id="o 1/2")
    assert world.actions()[0].state == "done", str(world.actions()[0].problem)
    (request,) = receiver.received
    assert (request.method, request.path, request.json()) == ("PUT", "/orders/o%201%2F2/hold", {"why": "unpaid"})


def test_a_run_is_started(world: World, tmp_path: Path) -> None:
    """A sync rule is started in the transaction that notes it; while it is at work, the action waits."""
    shop(world, tmp_path)
    fields = [{"left": n, "right": n} for n in ("no", "name")]
    sides = {side: {"connection": "shop", "object": "customer"} for side in ("left", "right")}
    sync = {"kind": "sync", "name": "copy", "key": {"left": "no", "right": "no"}, "fields": fields, **sides}
    rulebook.create(world.house, sync, ADMIN)
    rulebook.publish(world.house, "copy", ADMIN)
    world.rule(acting({"run": {"rule": "copy"}}))
    order(world)
    order(world)
    done, waits = world.actions()
    assert done.result == {"run": 1}
    assert (waits.state, waits.attempts) == ("pending", 1)
    assert "still at work" in str(waits.problem)


def test_others_are_run_with_the_rights_of_the_owner(world: World, tmp_path: Path) -> None:
    """Who may not run rules publishes no rule that does; once the right is gone the rule starts nothing any more."""
    shop(world, tmp_path)
    house, may, running = world.house, {("Rules", "read"), ("Rules", "publish"), ("Records", "read")}, ("Runs", "run")
    role_id = role_editing.save_role(house, Role(None, "Clerk", grants=frozenset({*may, running})), SYSTEM)
    with house.db.begin() as tx:
        new = NewUser("ann", "Ann", "", "ann@example.com", ("Clerk",))
        ann = Actor("user", "ann", str(insert_user(tx, new, "x", SYSTEM, house.clock())))
    fields = [{"left": n, "right": n} for n in ("no", "name")]
    sides = {side: {"connection": "shop", "object": "customer"} for side in ("left", "right")}
    sync = {"kind": "sync", "name": "copy", "key": {"left": "no", "right": "no"}, "fields": fields, **sides}
    rulebook.create(house, sync, ADMIN)
    rulebook.publish(house, "copy", ADMIN)
    rulebook.create(house, acting({"run": {"rule": "copy"}}, name="starts"), ann)
    rulebook.publish(house, "starts", ann)
    role_editing.save_role(house, Role(role_id, "Clerk", grants=frozenset(may)), SYSTEM)
    order(world)
    (failed,) = world.actions()
    assert (failed.state, failed.result) == ("failed", None)
    assert "ann may not run rules, and the rule runs 'copy'" in str(failed.problem)
    rulebook.save_draft(house, "starts", {**acting({"run": {"rule": "copy"}}, name="starts"), "label": "Again"}, ann)
    with pytest.raises(ownership.NotOwned, match="may not run rules"):
        rulebook.publish(house, "starts", ann)


def test_what_a_deleted_rule_has_left_is_not_done(world: World) -> None:
    """Nobody answers any more for what a deleted rule wanted, also where another rule has got its name."""
    world.rule(acting({"case": {"title": "New"}}, name="opens"))
    world.post("order.created", customer="c1", id="o1")
    while world.keeper.turn():
        pass
    rulebook.delete(world.house, "opens", ADMIN)
    world.rule(acting({"case": {"title": "Newer"}}, name="opens"))
    world.act()
    assert [(one.state, str(one.problem)) for one in world.actions()] == [
        ("failed", "The rule 'opens' has been deleted.")
    ]


def test_an_email_is_sent(world: World, monkeypatch) -> None:
    """A mail server gets the message with its text filled in."""
    with Mailbox() as box:
        settings = replace(world.house.settings, smtp_url=f"smtp://127.0.0.1:{box.port}", mail_from="s@example.com")
        world.house = replace(world.house, settings=settings)
        email = {"to": ["anna@example.com"], "subject": "Order {order.id}\nX: y", "text": "Für {key}: {order.amount}"}
        world.rule(acting({"notify": {"email": email}}))
        order(world, amount=5)
    assert world.actions()[0].state == "done", str(world.actions()[0].problem)
    (letter,) = box.letters
    message = message_from_bytes(letter)
    assert message["Subject"] == "Order o1 X: y"
    assert message.get_payload(decode=True).decode().strip() == "Für c1: 5"


class Mailbox:
    """A mail server that keeps what it gets."""

    def __init__(self) -> None:
        box = self
        self.letters: list[bytes] = []

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                self.wfile.write(b"220 box\r\n")
                while line := self.rfile.readline():
                    word = line[:4].upper()
                    if word == b"DATA":
                        self.wfile.write(b"354 go\r\n")
                        text = b""
                        while (part := self.rfile.readline()) != b".\r\n":
                            text += part
                        box.letters.append(text)
                    self.wfile.write(b"221 bye\r\n" if word == b"QUIT" else b"250 ok\r\n")
                    if word == b"QUIT":
                        return

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self) -> Mailbox:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def test_a_claimed_action_belongs_to_one_worker(world: World) -> None:
    """Another worker gets it only when the lease has run out; the first can then note nothing any more."""
    world.rule(acting({"case": {"title": "x"}}))
    world.post("order.created", customer="c1")
    while world.keeper.turn():
        pass
    (first,) = claims.claim(world.house, "one", 10)
    assert claims.claim(world.house, "two", 10) == []
    claims.renew(world.house, "one", [first.id])
    world.later(minutes=1)
    (second,) = claims.claim(world.house, "two", 10)
    assert not do(world.house, first)
    assert do(world.house, second)
    with world.house.db.read() as tx:
        assert cases.count(tx, cases.Wanted()) == 1


def test_an_action_left_behind_is_taken_up_after_the_clock_was_set_back(world: World) -> None:
    """A worker has died, and its lease ends in a year: another one does its work now, once."""
    world.rule(acting({"case": {"title": "x"}}))
    world.post("order.created", customer="c1")
    while world.keeper.turn():
        pass
    (first,) = claims.claim(world.house, "one", 10)
    world.later(days=-365)
    (second,) = claims.claim(world.house, "two", 10)
    assert do(world.house, second)
    assert not do(world.house, first)


def test_a_system_that_is_away_holds_up_only_itself(world: World, tmp_path: Path, monkeypatch) -> None:
    """While nobody knows what became of a write, later ones to that system wait, but other actions go on."""
    shop(world, tmp_path)
    write = {"connection": "shop", "object": "customer", "fields": {"no": "key", "name": "key"}}
    world.rule(acting({"create_record": write}, name="writes"))
    for number in range(6):
        world.post("order.created", customer=f"c{number}")
    while world.keeper.turn():
        pass
    (action,) = claims.claim(world.house, "one", 1)
    with world.house.db.begin() as tx:
        claims.note_ticket(tx, action, 7)
    claims.set_back(world.house, action, msg("away"), again=True)
    world.rule(acting({"case": {"title": "x"}}, name="others"))
    order(world)
    assert [a.state for a in world.actions(rule_name="others")] == ["done"]
    assert {a.state for a in world.actions(rule_name="writes")} == {"pending"}


def test_doers_work_in_threads(world: World) -> None:
    """Actions are taken up and done; closing waits for them."""
    world.rule(acting({"case": {"title": "x"}}))
    for number in range(6):
        world.post("order.created", customer=f"c{number}")
    while world.keeper.turn():
        pass
    doers = Doers(world.house, "one")
    taken = 0
    while taken < 6:
        taken += doers.turn()
    doers.close()
    assert [a.state for a in world.actions()] == ["done"] * 6


def test_records_and_runs_give_events(world: World) -> None:
    """A changed record gives an event in its transaction, whole, and only while a rule listens to it."""
    world.entity()
    actor = ADMIN
    entities.create_record(world.house, "customer", {"no": "1", "name": "unheard"}, actor)
    listen = {"order": {"type": "record.customer.updated", "where": "order.before.name != order.name"}}
    world.rule(acting({"case": {"title": "{order.before.name} is {order.name} now"}}, events=listen, by="no"))
    entities.update_record(world.house, "customer", 1, {"name": "Bell"}, actor)
    entities.create_record(world.house, "customer", {"no": "2", "name": "unheard"}, actor)
    world.work()
    assert [(row.type, row.data["no"]) for row in world.rows(event)] == [("record.customer.updated", "1")]
    with world.house.db.read() as tx:
        assert [case.title for case in cases.listing(tx, cases.Wanted())] == ["unheard is Bell now"]


def test_a_rule_that_feeds_itself_ends(world: World) -> None:
    """A rule whose action gives the event that it waits for goes round a few times and is then cut off."""
    world.entity()
    listen = {"order": {"type": "record.customer.created"}}
    create = {"create_record": {"object": "customer", "fields": {"name": "order.name", "no": "order.no + '1'"}}}
    world.rule(acting(create, events=listen, by="no"))
    entities.create_record(world.house, "customer", {"no": "1", "name": "Bell"}, ADMIN)
    for _ in range(30):
        world.work()
    assert len(world.actions()) == 11
    assert "in a row" in str(world.rows(event)[-1].notes)


def test_failures_are_told_apart() -> None:
    """What does not answer is tried again; what is unexpected is not, and its text stays in the log."""
    assert deeds.failure(sa.exc.OperationalError("x", {}, Exception("gone")))[1]
    message, again = deeds.failure(ZeroDivisionError("secret"))
    assert not again
    assert "secret" not in str(message)


def test_deeds_are_audited(world: World) -> None:
    """The audit log tells that a rule acted, and what came of it."""
    world.rule(acting({"case": {"title": "x"}}))
    order(world)
    with world.house.db.read() as tx:
        tags = [row.tag for row in queries.page(tx, queries.Filter(), 100)]
    assert {"events:rule:acted", "events:action:done", "cases:case:opened", "events:events:posted"} <= set(tags)
    assert world.rows(event_action)[0].ticket is None
