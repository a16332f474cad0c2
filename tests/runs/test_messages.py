"""Rules over messages: each is done once, in order, and given up only when what became of it is durable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from connectors.builtin.redis_streams import RedisStreams
from connectors.builtin.redis_streams_broker import StreamBroker, Take
from connectors.builtin.sqlite import SQLite
from connectors.errors import Unavailable
from rules.language.problems import Severity
from rules.text import msg
from tests import servers
from tests.runs.conftest import ADMIN, RULE, World, numbers
from tests.runs.test_crash import Killed, dies
from webapp.connections import probing
from webapp.connections import services as connections
from webapp.rulebook import checking
from webapp.runs.models import quarantine
from webapp.runs.pipeline.journal import Journal

FIELDS = [{"name": "id", "type": "integer"}, {"name": "name"}, {"name": "phone"}]
EVENT = {"deletes": {"detect": "event"}, "situations": {"deleted_left": "delete"}}


class Stream:
    """A stream on Valkey."""

    def __init__(self, world: World, server: servers.Server) -> None:
        self.world, self.client = world, redis.Redis(host=server.host, port=server.port)
        described = [{"name": "people", "fields": FIELDS}, {"name": "sent", "fields": FIELDS}]
        settings = {"host": server.host, "port": server.port, "key": "id", "objects": described}
        document = {"kind": "connection", "name": "mq", "connector": "redis_streams", "settings": settings}
        connections.create(world.house, document, ADMIN)
        for name in ("people", "sent"):
            self.client.xgroup_create(name, "syncline", "0", mkstream=True)

    def add(self, *people: tuple[int, str | None]) -> None:
        """Add a message for each person; without a name it says that the person is gone."""
        for key, name in people:
            body = b"" if name is None else json.dumps({"id": key, "name": name, "phone": f"+86 {key}"})
            self.client.xadd("people", {"payload": body, "key": str(key)})

    def waiting(self) -> int:
        """Return how many messages nobody has acknowledged."""
        found = self.client.xinfo_groups("people")[0]
        return int(found["pending"] + found["lag"])

    def sent(self) -> list[tuple[str, dict[str, Any] | None]]:
        """Return the messages that were sent, and what they are for."""
        found = [entry for _, entry in self.client.xrange("sent")]
        return [(e[b"operation"].decode(), json.loads(e[b"payload"] or "null")) for e in found]


@pytest.fixture
def stream(world: World, valkey_server: servers.Server) -> Iterator[Stream]:
    """Return a stream that feeds a table, three messages at a time."""
    found = Stream(world, valkey_server)
    world.pages_of(3)
    yield found
    found.client.flushall()
    found.client.close()


@pytest.fixture
def source(stream: Stream) -> Stream:
    """Return a stream that is the source of a rule."""
    rule(stream.world)
    return stream


def rule(world: World, **changes: Any) -> None:
    world.rule(**{"left": {"connection": "mq", "object": "people"}, **EVENT, **changes})


def names(world: World) -> list[tuple[int, str]]:
    return [(row[0], row[1]) for row in world.clients()]


def test_messages_become_records_in_their_order(source: Stream):
    """Later messages win over earlier ones, across pages and within one; all are acknowledged, and counted once."""
    source.add((1, "Ada"), (2, "Bea"), (3, "Cid"), (1, "Ann"), (4, "Dan"), (4, "Don"), (2, "Bob"))
    run = source.world.run()
    assert (run.state, run.message) == ("succeeded", None)
    assert names(source.world) == [(1, "Ann"), (2, "Bob"), (3, "Cid"), (4, "Don")]
    assert numbers(run) == {"read": 7, "created": 4, "updated": 2, "skipped": 1}
    assert source.waiting() == 0
    assert numbers(source.world.run()) == {}


def test_what_messages_say_is_gone_is_deleted_in_its_order(source: Stream):
    """A deletion takes effect where it stands: what comes behind it makes the record anew."""
    source.add((1, "Ada"), (2, "Bea"), (3, "Cid"), (1, None), (2, None), (9, None), (4, "Dan"), (2, "Bob"))
    run = source.world.run()
    assert run.state == "succeeded", run.message
    assert names(source.world) == [(2, "Bob"), (3, "Cid"), (4, "Dan")]
    assert run.counts["deleted"] == 2
    assert source.waiting() == 0


def test_deletions_are_let_be_where_the_rule_says_so(stream: Stream):
    """A rule that does not notice deletions acknowledges the messages that tell of them."""
    rule(stream.world, deletes={"detect": "none"})
    stream.add((1, "Ada"), (1, None))
    stream.world.run()
    assert names(stream.world) == []  # the only page has only the last word
    stream.add((1, "Ada"))
    stream.world.run()
    stream.add((1, None))
    run = stream.world.run()
    assert (run.state, names(stream.world), stream.waiting()) == ("succeeded", [(1, "Ada")], 0)


def test_what_a_message_does_not_name_stays(source: Stream):
    """Records that no message names any more are neither deleted nor settled."""
    source.add((1, "Ada"), (2, "a name that is far too long for it"))
    source.world.run()
    source.add((3, "Cid"))
    run = source.world.run()
    assert numbers(run) == {"read": 1, "created": 1}
    assert names(source.world) == [(1, "Ada"), (3, "Cid")]
    assert states(source.world) == ["open"]
    source.add((2, "Bea"))
    source.world.run()
    assert states(source.world) == ["resolved"]


def states(world: World) -> list[str]:
    with world.house.db.read() as tx:
        return list(tx.scalars(sa.select(quarantine.c.state).order_by(quarantine.c.id)))


def test_poison_messages_are_kept_and_given_up(source: Stream):
    """A message that is no record waits in the quarantine with its whole text; the others go on, and it is not lost."""
    poison = "not JSON " + "x" * 1000
    source.client.xadd("people", {"payload": poison})
    source.add((1, "Ada"))
    source.client.xadd("people", {"payload": json.dumps({"id": "one", "name": "Bea", "phone": "2" * 500})})
    source.client.xadd("people", {"payload": ""})
    run = source.world.run()
    assert numbers(run) == {"read": 4, "created": 1, "quarantined": 3}
    with source.world.house.db.read() as tx:
        kept = list(tx.scalars(sa.select(quarantine.c.raw).order_by(quarantine.c.id)))
    assert kept[0] == poison
    assert json.loads(kept[1] or kept[2])["phone"] == "2" * 500
    assert source.waiting() == 0
    source.client.xadd("people", {"payload": poison})
    source.world.run()
    assert len(states(source.world)) == 4


@pytest.mark.parametrize("mode", ["simulate", "shadow"])
def test_trials_leave_messages_where_they_are(source: Stream, mode: str):
    """A run that writes nothing acknowledges nothing; the live run behind it meets all."""
    source.add((1, "Ada"), (2, "Bea"), (3, "Cid"), (4, "Dan"))
    run = source.world.run(mode)
    assert (run.state, run.counts["read"], source.waiting()) == ("succeeded", 4, 4)
    assert numbers(source.world.run()) == {"read": 4, "created": 4}
    assert source.waiting() == 0


STEPS = ((Journal, "plan"), (SQLite, "write"), (Journal, "check_in"), (Take, "acknowledge"), (Journal, "end"))
POINTS = [
    (owner, name, at, before)
    for owner, name in STEPS
    for at in ((1,) if name == "end" else (1, 3))
    for before in (True, False)
    if not (name == "end" and not before)
]  # fmt: skip


@pytest.mark.parametrize(("owner", "name", "at", "before"), POINTS, ids=lambda v: getattr(v, "__name__", str(v)))
def test_a_killed_run_loses_and_doubles_nothing(source: Stream, monkeypatch, owner, name, at, before):
    """Wherever the worker dies, the next one ends with the last word of each key, and all messages acknowledged."""
    world = source.world
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER, title TEXT NOT NULL, tel TEXT, memo TEXT)")  # doubles would show
    source.add((1, "Ada"), (2, "Bea"), (3, "Cid"), (1, "Ann"), (2, None), (4, "Dan"), (2, "Bob"), (4, "Don"), (3, None))
    run_id = world.request()
    with monkeypatch.context() as patch:
        dies(patch, owner, name, at, before)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, run.message) == ("succeeded", None)
    assert names(world) == [(1, "Ann"), (2, "Bob"), (4, "Don")]
    assert source.waiting() == 0
    assert numbers(world.run()) == {}


def test_acknowledgements_that_get_lost_change_nothing(source: Stream, monkeypatch):
    """The messages come again with the next run, which finds their records as they are."""
    source.add((1, "Ada"), (2, "Bea"))

    def lost(*_: Any) -> None:
        raise Unavailable(msg("The line is cut."))

    with monkeypatch.context() as patch:
        patch.setattr(Take, "acknowledge", lost)
        run = source.world.run()
    assert (run.state, source.waiting()) == ("succeeded", 2)
    assert numbers(source.world.run()) == {"read": 2, "unchanged": 2}
    assert source.waiting() == 0


def test_a_read_that_breaks_off_goes_on(source: Stream, monkeypatch):
    """The server may be away for a moment: the run goes on behind the last page, and meets each message once."""
    source.add(*((n, f"N{n}") for n in range(1, 9)))
    some, calls = Take._some, []

    def flaky(self: Take, most: int) -> Any:
        calls.append(1)
        if len(calls) == 2:
            raise Unavailable(msg("The line is cut."))
        return some(self, most)

    monkeypatch.setattr(Take, "_some", flaky)
    run = source.world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 8, "created": 8})
    assert source.waiting() == 0


def test_an_empty_stream_keeps_its_fields(stream: Stream):
    """Fields that a sample has shown stay when the stream is empty; the next run goes by them."""
    house = stream.world.house
    connections.create(house, {
        "kind": "connection", "name": "plain", "connector": "redis_streams",
        "settings": {"host": "127.0.0.1", "port": stream.client.connection_pool.connection_kwargs["port"], "key": "id"},
    }, ADMIN)  # fmt: skip
    stream.add((1, "Ada"))
    assert probing.object_schema(house, "plain", "people", refresh=True).names == ("id", "name", "phone")
    stream.client.xtrim("people", maxlen=0)
    assert not probing.object_schema(house, "plain", "people", refresh=True).names
    rule(stream.world, left={"connection": "plain", "object": "people"})
    assert stream.world.run().state == "succeeded"
    stream.add((2, "Bea"))
    assert numbers(stream.world.run()) == {"read": 1, "created": 1}


@pytest.fixture
def target(stream: Stream) -> Stream:
    """Return a stream that is the target of a rule."""
    stream.world.rule(
        right={"connection": "mq", "object": "sent"},
        key={"left": "id", "right": "id"},
        fields=[{"left": "id", "right": "id"}, {"left": "name", "right": "name"}, {"left": "phone", "right": "phone"}],
        deletes={"detect": "full_scan"},
        situations={"deleted_left": "delete"},
    )
    return stream


def test_changes_become_messages(target: Stream):
    """What is new, changed or gone is sent, whole and once; what is as it was is not."""
    world = target.world
    world.customers("Ada", "Bea", "Cid", "Dan")
    assert numbers(world.run()) == {"read": 4, "created": 4}
    assert [body["name"] for _, body in target.sent()] == ["Ada", "Bea", "Cid", "Dan"]
    assert numbers(world.run()) == {"read": 4, "unchanged": 4}
    world.crm("UPDATE customer SET name = 'Ann', phone = NULL WHERE id = 1")
    world.crm("DELETE FROM customer WHERE id = 2")
    run = world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 3, "updated": 1, "unchanged": 2, "deleted": 1})
    assert target.sent()[4:] == [("update", {"id": 1, "name": "Ann", "phone": None}), ("delete", None)]
    assert numbers(world.run()) == {"read": 3, "unchanged": 3}


def test_a_record_that_loses_all_its_values_is_sent(target: Stream):
    """Also a change to nothing is a change."""
    world = target.world
    world.customers("Ada")
    world.run()
    world.crm("UPDATE customer SET name = NULL, phone = NULL")
    run = world.run()
    assert target.sent()[1:] == [("update", {"id": 1, "name": None, "phone": None})]
    assert numbers(run) == {"read": 1, "updated": 1}


@pytest.mark.parametrize("before", [True, False])
def test_a_killed_run_sends_the_same_ids_again(target: Stream, monkeypatch, before: bool):
    """Messages that were sent before the worker died are sent once more with the ids that they had."""
    world = target.world
    world.customers("Ada", "Bea", "Cid", "Dan")
    run_id = world.request()
    with monkeypatch.context() as patch:
        dies(patch, RedisStreams, "write", 2, before)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    assert world.look(run_id).state == "succeeded"
    ids = [entry[b"id"] for _, entry in target.client.xrange("sent")]
    assert len(set(ids)) == 4
    assert len(ids) == (4 if before else 5)


def test_the_broker_is_asked_for_no_record(target: Stream, monkeypatch):
    """Nothing is looked up in a stream, whatever a rule does."""
    monkeypatch.setattr(RedisStreams, "lookup", lambda *_: pytest.fail("looked up"))
    monkeypatch.setattr(StreamBroker, "sample", lambda *_: pytest.fail("sampled"))
    target.world.customers("Ada")
    assert target.world.run().state == "succeeded"


def problems(stream: Stream, **changes: Any) -> dict[str, str]:
    """Return what is wrong with a rule that reads messages, by place."""
    document = {**RULE, "left": {"connection": "mq", "object": "people"}, **changes}
    found = checking.check(stream.world.house, document)
    return {p.path: str(p.message) for p in found if p.severity is not Severity.WARNING}


def test_rules_that_messages_cannot_serve_are_refused(stream: Stream):
    """What takes looking up, or all records, is told before anything is published."""
    stream.add((1, "Ada"))
    similar = [{"match": [{"left": "name", "right": "title", "how": "similarity"}], "confidence": 1.0}]
    back = [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}]
    assert not problems(stream, fields=back, **EVENT)
    assert list(problems(stream, direction="two_way", fields=back)) == ["direction"]
    assert "deletes/detect" in problems(stream, deletes={"detect": "full_scan"})
    assert "told apart by 'id'" in problems(stream, key={"left": "phone", "right": "no"})["key/left"]
    assert "correlate" in problems(stream, correlate=similar)
    sent = {"right": {"connection": "mq", "object": "sent"}, "left": {"connection": "crm", "object": "customer"}}
    sent |= {"key": {"left": "id", "right": "id"}, "fields": [{"left": "id", "right": "id"}]}
    assert not problems(stream, **sent)
    assert "correlate" in problems(
        stream, **sent, correlate=[{"match": [{"left": "name", "right": "name"}], "confidence": 1.0}]
    )
