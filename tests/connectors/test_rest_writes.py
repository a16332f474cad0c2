"""Writing to web services: side by side, in batches, guarded by ETags, and once although answers get lost."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import parse_qs

import polars as pl
import pytest
from lxml import etree

from connectors.builtin.rest_lost import Memory, Seen
from connectors.errors import (
    AuthFailed,
    Fatal,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    RecordRejected,
    Unavailable,
)
from connectors.spi import Fence, ReadRequest
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.rest_service import PEOPLE, ids, people, service

FENCE = Fence("rule", 3, 8, 1)
NEW = Schema((Field("id", FieldType.INTEGER), Field("no"), Field("name"), Field("more", FieldType.JSON)), ("id",))


pytestmark = pytest.mark.usefixtures("waits")


def created(*names: str) -> list[Change]:
    return [Change(Op.CREATE, "id", pl.DataFrame({"no": list(names), "name": [n.upper() for n in names]}))]


def updated(**values: Any) -> list[Change]:
    return [Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], **{k: [v] for k, v in values.items()}}))]


DELETED = [Change(Op.DELETE, "id", pl.DataFrame({"id": [1]}))]


class Store:
    """A service that keeps records by id, with versions as ETags; `lose` answers of writes are lost."""

    def __init__(self, reply: Any, lose: int = 0) -> None:
        self.reply = reply
        self.lose = lose
        self.rows: dict[int, dict[str, Any]] = {}
        self.version = 0
        self.meanwhile: list[Any] = []
        self.required = False
        self.lock = threading.Lock()

    def __call__(self, request: Any) -> Any:
        with self.lock:
            answer = self.answer(request)
        if request.method != "GET" and self.lose and answer.status < 300:
            self.lose -= 1
            return self.reply(200, b"", cut=100)
        return answer

    def answer(self, request: Any) -> Any:
        key = request.path.removeprefix("/people").strip("/")
        if request.method == "POST":
            row = {"id": len(self.rows) + 1, **request.json()}
            self.rows[row["id"]] = row
            return self.reply(201, row)
        if not key:
            wanted = request.query.get("no", [None])[0]
            return self.reply(body=[r for r in self.rows.values() if wanted in (None, r.get("no"))])
        row = self.rows.get(int(key))
        if row is None:
            return self.reply(404, {"error": "gone"})
        tag = {"ETag": f'"{self.version}"'}
        if request.method == "GET":
            return self.reply(body=row, headers=tag)
        return self.guarded(request, row)

    def guarded(self, request: Any, row: dict[str, Any]) -> Any:
        if self.meanwhile:
            self.meanwhile.pop(0)(row)
            self.version += 1
        asked = request.headers.get("if-match")
        if asked is None and self.required:
            return self.reply(428, {"message": "If-Match please"})
        if asked is not None and asked != f'"{self.version}"':
            return self.reply(412, {"message": "stale"})
        self.version += 1
        if request.method == "DELETE":
            del self.rows[row["id"]]
        else:
            row.update(request.json())
        return self.reply(204)


CALLS = {
    "create": {"path": "/people"},
    "update": {"method": "PATCH", "path": "/people/{key}"},
    "delete": {"method": "DELETE", "path": "/people/{key}"},
    "item": "/people/{key}",
}
FIND = {"field": "no", "path": "/people", "query": {"no": "{value}"}}


@pytest.mark.parametrize("etag", ["header", ""])
def test_a_service_that_wants_if_match(web: Any, reply: Any, etag: str) -> None:
    """Updates and deletions carry the ETag, also where only the service's 428 says that it is wanted."""
    web.answer = store = Store(reply)
    store.rows[1] = {"id": 1, "name": "old", "no": "a"}
    store.required = True
    with service(web.url, etag=etag, **CALLS) as rest:
        assert not rest.write("people", PEOPLE, updated(name="new")).failures
        assert store.rows[1]["name"] == "new"
        assert not rest.write("people", PEOPLE, DELETED).failures
        assert not store.rows
        (failure,) = rest.write("people", PEOPLE, DELETED).failures
        assert "no such record" in str(failure.message)


def test_a_stale_etag_overwrites_nothing_unseen(web: Any, reply: Any) -> None:
    """Another field's change meanwhile is kept; one of the same field, or before a deletion, refuses the record."""
    web.answer = store = Store(reply)
    with service(web.url, etag="header", **CALLS) as rest:
        store.rows[1] = {"id": 1, "name": "old", "no": "a"}
        store.meanwhile = [lambda row: row.update(no="b")]
        assert not rest.write("people", PEOPLE, updated(name="new")).failures
        assert store.rows[1] == {"id": 1, "name": "new", "no": "b"}
        store.meanwhile = [lambda row: row.update(name="theirs")]
        (failure,) = rest.write("people", PEOPLE, updated(name="mine")).failures
        assert "Somebody else has changed" in str(failure.message)
        assert store.rows[1]["name"] == "theirs"
        store.meanwhile = [lambda row: row.update(no="c")]
        (failure,) = rest.write("people", PEOPLE, DELETED).failures
        assert store.rows
        rest.lookup("people", PEOPLE, "id", pl.Series([1]))  # a rule decides by what it has seen here
        store.rows[1]["name"], store.version = "since then", store.version + 1
        (failure,) = rest.write("people", PEOPLE, updated(name="mine")).failures
        assert store.rows[1]["name"] == "since then"
        store.meanwhile = [lambda row, n=n: row.update(no=f"x{n}") for n in range(9)]
        (failure,) = rest.write("people", PEOPLE, updated(name="mine")).failures
        assert "again and again" in str(failure.message)
        store.rows.clear()
        (failure,) = rest.write("people", PEOPLE, updated(name="mine")).failures
        assert "no such record" in str(failure.message)
    store.rows[1] = {"id": 1, "name": "old"}
    with service(web.url, etag="@odata.etag", **CALLS) as rest, pytest.raises(Misconfigured, match="no ETag"):
        rest.write("people", PEOPLE, updated(name="new"))


def test_a_creation_whose_answer_is_lost(web: Any, reply: Any) -> None:
    """The record is looked for by its external key, takes our values and is not created twice."""
    web.answer = store = Store(reply, lose=2)
    with service(web.url, find=FIND, **CALLS) as rest:
        result = rest.write("people", NEW, created("a", "b", "c"), FENCE)
    assert not result.failures
    assert result.keys[0].to_list() == [1, 2, 3]
    assert [row["no"] for row in store.rows.values()] == ["a", "b", "c"]


def test_a_service_that_is_away_after_all(web: Any, reply: Any) -> None:
    """Where the record did not arrive it is sent again, a few times."""
    web.answer = lambda r: reply(503) if r.method == "POST" else reply(body=people(7))
    with service(web.url, find=FIND, **CALLS) as rest, pytest.raises(Unavailable):
        rest.write("people", NEW, created("a"), FENCE)
    assert [r.method for r in web.received] == ["POST", "GET"] * 4


def test_a_chunk_that_is_written_again(web: Any, reply: Any) -> None:
    """What was created before a call failed is not created once more: known to this connector, found by another."""
    web.answer = store = Store(reply)
    good = store.answer
    store.answer = lambda r: reply(503) if b'"c"' in r.body else good(r)
    with service(web.url, **CALLS) as rest:
        with pytest.raises(Unavailable):
            rest.write("people", NEW, created("a", "b", "c", "b"), FENCE)
        assert len(store.rows) == 2
        store.answer = good
        assert rest.applied(FENCE) is None
        assert rest.write("people", NEW, created("a", "b", "c", "b"), FENCE).keys[0].to_list() == [1, 2, 3, 4]
        assert rest.write("people", NEW, created("a"), Fence("rule", 3, 8, 2)).keys[0].to_list() == [5]
    del store.rows[4], store.rows[5]
    with service(web.url, find=FIND, **CALLS) as rest:  # another process, after a crash
        assert rest.applied(FENCE) is None
        assert rest.write("people", NEW, created("a", "d"), FENCE).keys[0].to_list() == [1, 4]
        store.rows[9] = {"id": 9, "no": "a"}
        rest.applied(Fence("rule", 3, 8, 2))
        with pytest.raises(Misconfigured, match="2 records"):
            rest.write("people", NEW, created("a"), Fence("rule", 3, 8, 2))


def test_what_answers_mean(web: Any, reply: Any) -> None:
    """The error map tells refusals, waits and successes apart that the status does not."""
    errors = [
        {"status": 500, "member": "kind", "equals": ["business"], "then": "quarantine", "message": "text"},
        {"status": [500], "contains": "TRY LATER", "then": "wait"},
        {"member": "errcode", "equals": [1], "then": "stop"},
        {"member": "errcode", "equals": [2], "then": "missing"},
        {"member": "errcode", "equals": [3], "then": "already_there"},
        {"member": "errcode", "equals": [4], "then": "retry"},
        {"member": "errcode", "equals": [5], "then": "renew"},
        {"member": "errcode", "unless": [0], "then": "quarantine", "message": "nowhere"},
        {"status": 418, "then": "fine"},
    ]
    answers: list[Any] = []
    web.answer = lambda r: reply(body=people(9)) if r.method == "GET" and r.query else answers.pop(0)
    with service(web.url, errors=errors, find={**FIND, "field": "name"}, **CALLS) as rest:

        def told(changes: list[Change], *given: Any) -> str:
            answers[:] = [reply(*answer) for answer in given]
            return " ".join(str(f.message) for f in rest.write("people", PEOPLE, changes).failures)

        new = [Change(Op.CREATE, "id", pl.DataFrame({"name": ["n9"]}))]
        assert "too fat" in told(updated(name="x"), (500, {"kind": "business", "text": "too fat"}))
        assert told(updated(name="x"), (500, "try later"), (418, "")) == ""
        with pytest.raises(Fatal, match="no more"):
            told(updated(name="x"), (200, {"errcode": "1", "errmsg": "no more"}))
        assert "no such record" in told(updated(name="x"), (200, {"errcode": 2}))
        assert told(DELETED, (200, {"errcode": 2})) == ""
        answers[:] = [reply(200, {"errcode": 3}), reply(204)]
        assert rest.write("people", PEOPLE, new).keys[0].to_list() == [9]
        assert told(DELETED, (200, {"errcode": 4}), (200, {"errcode": 0})) == ""
        with pytest.raises(AuthFailed):
            told(updated(name="x"), (200, {"errcode": 5}))
        assert "x: y" in told(updated(name="x"), (200, {"errcode": 77, "x": "y"}))
        answers[:] = [reply(200, {"errcode": 2, "errmsg": "nothing"})]
        with pytest.raises(ObjectMissing, match="nothing"):
            ids(rest)


def test_writes_run_side_by_side_in_order_of_each_key(web: Any, reply: Any) -> None:
    """With many in flight the writes of one record keep their order, and all are answered."""
    lock, under_way, most = threading.Lock(), set(), [0]
    order: dict[str, list[str]] = {}

    def answer(request: Any) -> Any:
        key, name = request.path.rpartition("/")[2], request.json()["name"]
        with lock:
            assert key not in under_way
            under_way.add(key)
            most[0] = max(most[0], len(under_way))
            order.setdefault(key, []).append(name)
        threading.Event().wait(0.01)
        with lock:
            under_way.discard(key)
        return reply(204)

    web.answer = answer
    changes = [
        Change(Op.UPDATE, "id", pl.DataFrame({"id": list(range(12)), "name": [f"v{turn}"] * 12})) for turn in range(3)
    ]
    with service(web.url, concurrency=8, **CALLS) as rest:
        assert not rest.write("people", PEOPLE, changes).failures
    assert set(map(tuple, order.values())) == {("v0", "v1", "v2")}
    assert 4 <= most[0] <= 8


BATCH = {"path": "/bulk", "batch": {"size": 2, "records": "rows", "results": "results", "error": "error"}}


def test_batches(web: Any, reply: Any) -> None:
    """Several records go in one call, and each has its own answer, in order or by name."""

    def answer(request: Any) -> Any:
        rows = request.json()["rows"]
        results = [
            {"id": 70 + ord(r["no"]) % 10, "ref": r["no"]} if r["no"] != "b" else {"ref": "b", "error": "no b"}
            for r in rows
        ]
        return reply(207, {"results": results[::-1] if named else results})

    web.answer = answer
    for named in (False, True):
        batch = {**BATCH["batch"], **({"match": "ref", "match_field": "no"} if named else {})}
        with service(web.url, create={**BATCH, "batch": batch}, concurrency=3) as rest:
            result = rest.write("people", NEW, created("a", "b", "c", "d", "e"))
        assert result.keys[0].to_list() == [77, None, 79, 70, 71]
        assert [(f.row, str(f.message)) for f in result.failures] == [(1, "The service refuses the record: no b")]
    assert len(web.received) == 6


@pytest.mark.parametrize(
    ("batch", "body", "told"),
    [
        ({"results": "r", "ok": "done"}, {"r": [{"done": False, "why": "w"}]}, "w"),
        ({"results": "r", "status": "code", "message": "why"}, {"r": [{"code": "400", "why": "bad"}]}, "bad"),
        ({"results": "r", "status": "code"}, {"r": [{"code": None, "x": 1}]}, "{"),
        ({"results": "r"}, {"r": []}, "does not say"),
        ({"results": "r"}, {"s": []}, "does not say"),
        ({}, {"any": "thing"}, ""),
        ({"records": "", "ok": "ok"}, [{"ok": True}], ""),
    ],
)
def test_answers_of_batches(web: Any, reply: Any, batch: Any, body: Any, told: str) -> None:
    """A record of a batch is refused by what its answer says, or because there is none."""
    web.answer = lambda _: reply(body=body)
    with service(web.url, update={"path": "/bulk", "batch": batch}) as rest:
        result = rest.write("people", PEOPLE, updated(name="x"))
    assert told in " ".join(str(f.message) for f in result.failures)
    assert bool(result.failures) == bool(told)


def test_a_batch_that_is_refused_as_a_whole(web: Any, reply: Any) -> None:
    """It is sent by halves, so that only the bad record is refused; a wrong address stops."""
    web.answer = lambda r: reply(422, {"message": "one is bad"}) if b'"b"' in r.body else reply(204)
    create = {"path": "/bulk", "batch": {"size": 4, "records": "rows"}}
    with service(web.url, create=create) as rest:
        result = rest.write("people", NEW, created("a", "b", "c", "d"))
    assert [(f.row, "one is bad" in str(f.message)) for f in result.failures] == [(1, True)]
    web.answer = lambda _: reply(404)
    with service(web.url, create=create) as rest, pytest.raises(ObjectMissing):
        rest.write("people", NEW, created("a", "b"))


def test_a_batch_whose_answer_is_lost(web: Any, reply: Any) -> None:
    """What arrived is found by the external key, and only the rest is sent again."""
    stored: list[str] = []

    def answer(request: Any) -> Any:
        if request.method == "GET":
            wanted = request.query["no"][0]
            return reply(body=[{"id": 5, "no": wanted}] if wanted in stored else [])
        rows = [row["no"] for row in request.json()]
        stored.extend(rows[:1])
        return reply(503) if len(rows) > 1 else reply(200, [{"id": 6}])

    web.answer = answer
    create = {"path": "/bulk", "batch": {"records": ""}}
    with service(web.url, create=create, find=FIND) as rest:
        assert rest.write("people", NEW, created("a", "b")).keys[0].to_list() == [5, 6]
    web.answer = lambda r: reply(body=[]) if r.method == "GET" else reply(503)
    for find in (FIND, None):
        with service(web.url, create=create, find=find) as rest, pytest.raises(Unavailable):
            rest.write("people", NEW, created("a", "b"))


def test_upserts(web: Any, reply: Any) -> None:
    """A call that creates or changes by an external key serves for both, and is safe to repeat."""
    answers = [reply(503), reply(201, {"id": 5}), reply(204), reply(404), reply(204)]
    web.answer = lambda _: answers.pop(0)
    upsert = {"method": "PATCH", "path": "/people/no/{no}", "key": "id"}
    with service(web.url, upsert=upsert) as rest:
        assert rest.write("people", NEW, created("a")).keys[0].to_list() == [5]
        assert not rest.write("people", NEW, updated(no="a", name="x")).failures
        with pytest.raises(Misconfigured, match="delete"):
            rest.write("people", NEW, DELETED)
    assert [r.path for r in web.received] == ["/people/no/a"] * 3
    assert web.received[1].json() == {"name": "A"}
    assert web.received[2].json() == {"name": "x"}


def test_bodies(web: Any, reply: Any) -> None:
    """Bodies are made by a template, as a form or as XML, with parameters and headers of the record."""
    web.answer = lambda _: reply(201, "<r><id>5</id></r>")
    record = pl.DataFrame({"no": ["a & b"], "name": [None], "more": ['{"n":[1,2.50]}']})
    change = [Change(Op.CREATE, "id", record)]
    template = {"query": "mutation", "input": "{record}", "note": "{no}!", "list": ["{no}"], "n": 1, "raw": "{more}"}
    fields = [
        {"name": "id", "type": "integer"}, {"name": "no", "path": "keys.no"}, {"name": "name"},
        {"name": "more", "type": "json"},
    ]  # fmt: skip
    calls = {
        "template": {"path": "/p", "query": {"q": "{no}"}, "headers": {"X-No": "no"}, "body": template},
        "form": {"path": "/p", "format": "form"},
        "xml": {"path": "/p", "format": "xml", "wrap": "env.row", "key": "id"},
    }
    for name, call in calls.items():
        shape = {"fields": fields} if name == "template" else {"format": "xml" if name == "xml" else "json"}
        with service(web.url, create=call, **shape) as rest:
            result = rest.write("people", NEW, change)
    assert result.keys[0].to_list() == [5]
    made, form, xml = web.received
    whole = {"keys": {"no": "a & b"}, "name": None, "more": {"n": [1, 2.5]}}
    assert made.json() == {**template, "input": whole, "note": "{no}!", "list": ["{no}"], "raw": {"n": [1, 2.5]}}
    assert (made.query, made.headers["x-no"]) == ({"q": ["a & b"]}, "no")
    assert b"2.50" in made.body
    assert parse_qs(form.body.decode(), keep_blank_values=True) == {
        "no": ["a & b"], "name": [""], "more[n][0]": ["1"], "more[n][1]": ["2.50"],
    }  # fmt: skip
    assert form.headers["content-type"] == "application/x-www-form-urlencoded"
    root = etree.fromstring(xml.body)
    assert (root.tag, root.findtext("row/no"), [e.text for e in root.findall("row/more/n")]) == (
        "env", "a & b", ["1", "2.50"],
    )  # fmt: skip
    with service(web.url, create=calls["xml"]) as rest:
        bad = [Change(Op.CREATE, "id", pl.DataFrame({"no": ["a\x00"]}))]
        assert "XML" in str(rest.write("people", NEW, bad).failures[0].message)


def test_a_service_that_finds_no_single_record(web: Any, reply: Any) -> None:
    """404 for what the list shows is a wrong description, not a record that is gone; nothing is created again."""
    web.answer = lambda r: reply(body=people(1, 2, 3)) if r.path == "/people" else reply(404)
    with service(web.url, item="/persons/{key}") as rest, pytest.raises(Misconfigured, match="although its list shows"):
        rest.lookup("people", PEOPLE, "id", pl.Series([2]))
    found = {"/people/1", "/people/2"}
    web.answer = lambda r: reply(
        body=people(*range(1, 30)) if r.path == "/people" else people(int(r.path[-1]))[0],
        status=200 if r.path == "/people" or r.path in found else 404,
    )
    with service(web.url, item="/people/{key}") as rest:
        assert rest.lookup("people", PEOPLE, "id", pl.Series([99])).is_empty()
        assert rest.lookup("people", PEOPLE, "id", pl.Series([1, 98])).height == 1
        many = rest.lookup("people", PEOPLE, "id", pl.Series(range(1, 20)))
        assert many.height == 19  # so many missing at once: the list decides
    web.answer = lambda r: reply(body=[]) if r.path == "/people" else reply(404)
    with service(web.url, item="/people/{key}") as rest:
        assert rest.lookup("people", PEOPLE, "id", pl.Series([1])).is_empty()


def test_records_that_are_not_what_was_asked_for(web: Any, reply: Any) -> None:
    """A busy service is told to the caller, and a list whose first records have no key proves nothing."""
    web.answer = lambda _: reply(429, "", {"Retry-After": "99, 99"})
    with service(web.url, item="/people/{key}") as rest, pytest.raises(RateLimited, match="99"):
        rest.lookup("people", PEOPLE, "id", pl.Series([1]))
    web.answer = lambda r: reply(body=[1, {"name": "x"}]) if r.path == "/people" else reply(404)
    with service(web.url, item="/people/{key}") as rest:
        assert rest.lookup("people", PEOPLE, "id", pl.Series([1])).is_empty()


def test_the_pace_is_shared(web: Any, reply: Any, waits: list[float]) -> None:
    """Two connectors to one service with a limit of calls keep it together."""
    web.answer = lambda _: reply(body=people(1))
    for _ in range(3):
        with service(web.url, rate=2) as rest:
            list(rest.read(ReadRequest("people", PEOPLE)))
    assert len(waits) == 2
    assert waits[1] > 0.9


def test_what_may_be_created_twice_is_told(web: Any, reply: Any) -> None:
    """The connection test says where a creation is done at least once, and what prevents it."""
    web.answer = lambda _: reply(body=people(1))
    for more, told in (({}, True), ({"find": FIND}, False), ({"idempotency_header": "X-Once"}, False)):
        with service(web.url, **{**CALLS, **more}) as rest:
            assert ("at least once" in str(next(rest.check()).detail)) is told


def test_batches_by_template_and_in_xml(web: Any, reply: Any) -> None:
    """The body of a batch can be a template with the records or their keys, or XML, which cannot hold everything."""
    web.answer = lambda _: reply(204)
    delete = {"path": "/gone", "body": {"ids": "{keys}"}, "batch": {"size": 9}}
    with service(web.url, delete=delete) as rest:
        assert not rest.write("people", PEOPLE, DELETED).failures
    assert web.received[0].json() == {"ids": [1]}
    create = {"path": "/bulk", "format": "xml", "wrap": "env", "batch": {"records": "row"}}
    with service(web.url, create=create) as rest:
        assert not rest.write("people", NEW, created("a", "b")).failures
        assert len(rest.write("people", NEW, created("a\x00")).failures) == 1
        nobody = [Change(Op.CREATE, "id", pl.DataFrame({"no": []}))]
        assert rest.write("people", NEW, nobody).failures == ()
    root = etree.fromstring(web.received[1].body)
    assert [(row.tag, row.findtext("no")) for row in root] == [("row", "a"), ("row", "b")]


def test_attributes_and_texts_in_xml(web: Any, reply: Any) -> None:
    """A field that begins with @ is written as an attribute, #text as the text of the element."""
    web.answer = lambda _: reply(204)
    schema = Schema((Field("@id"), Field("#text"), Field("@off"), Field("rate", FieldType.FLOAT)), ("@id",))
    record = pl.DataFrame({"@id": ["7"], "#text": ["hello"], "@off": [None], "rate": [0.1]}, schema=schema.dtypes())
    with service(web.url, key="@id", create={"path": "/x", "format": "xml"}) as rest:
        rest.write("people", schema, [Change(Op.CREATE, "@id", record)])
    assert web.received[0].body.endswith(b'<people id="7">hello<rate>0.1</rate></people>')


def test_a_record_that_cannot_be_looked_at(web: Any, reply: Any) -> None:
    """Where the record, or whether it is there, cannot be read, the write stops and says why."""
    answers: list[Any] = []
    web.answer = lambda _: answers.pop(0)
    answers[:] = [reply(403, {"error": "hands off"})]
    with service(web.url, etag="header", **CALLS) as rest, pytest.raises(AuthFailed, match="hands off"):
        rest.write("people", PEOPLE, updated(name="x"))
    answers[:] = [reply(503), reply(400, {"error": "no such filter"})]
    with service(web.url, find=FIND, **CALLS) as rest, pytest.raises(Fatal, match="no such filter"):
        rest.write("people", NEW, created("a"), FENCE)
    lost, stored = reply(503), reply(201, {"id": 5})
    for found in (
        [reply(404), stored],
        [reply(body={"row": {"no": "a", "id": 5}}), reply(204)],
        [reply(body={"other": 1}), stored],
        [reply(body={"row": [{"no": "a"}]}), stored],
        [reply(body={"row": [{"x": 1}]}), stored],
        [reply(body={"row": 7}), stored],
    ):
        answers[:] = [lost, *found]
        with service(web.url, find={**FIND, "records": "row"}, **CALLS) as rest:
            assert rest.write("people", NEW, created("a"), FENCE).keys[0].to_list() == [5]


def test_meanings_by_method_and_absent_members(web: Any, reply: Any) -> None:
    """An entry of the error map can be for one method; an answer without the member is not meant."""
    errors = [{"method": "GET", "status": 400, "then": "fine"}, {"member": "code", "unless": [0], "then": "stop"}]
    web.answer = lambda _: reply(400, {"message": "short"})
    with service(web.url, errors=errors, **CALLS) as rest:
        (failure,) = rest.write("people", PEOPLE, updated(name="x")).failures
    assert "short" in str(failure.message)


def test_no_proof_for_records_below_others(web: Any, reply: Any) -> None:
    """Single records of a sub-resource are believed to be missing without a list; odd answers are told."""
    web.answer = lambda _: reply(404)
    described = [
        {"name": "groups", "path": "/groups", "key": "id"},
        {"name": "people", "path": "/g/{parent}", "parent": {"object": "groups"}, "item": "/p/{key}", "key": "id"},
    ]
    with service(web.url, objects=described) as rest:
        assert rest.lookup("people", PEOPLE, "id", pl.Series([1])).is_empty()
        for status, body, error, told in (
            (200, {"id": "x"}, RecordRejected, "whole number"),
            (200, {"id": 2}, RecordRejected, "another record"),
            (200, [], Misconfigured, "item_record"),
            (400, {"message": "odd"}, Fatal, "odd"),
        ):
            web.answer = lambda _, s=status, b=body: reply(s, b)
            with pytest.raises(error, match=told):
                rest.lookup("people", PEOPLE, "id", pl.Series([1]))


def test_only_so_much_is_remembered() -> None:
    """Of very many records that were looked at, the first are forgotten."""
    memory = Memory()
    for number in range(10_001):
        memory.see("people", str(number), Seen("tag", {}))
    assert memory.last_seen("people", "0") is None
    assert memory.last_seen("people", "10000") is not None
