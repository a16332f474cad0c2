"""The connector `rest` against a real web server that is strict about what it is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import polars as pl
import pytest

from connectors.builtin import rest_answers, rest_paging
from connectors.builtin.rest import Rest
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    RecordRejected,
    Unavailable,
)
from connectors.spi import Context, Cursor, Fence, ReadRequest
from connectors.testing import TITLE, ConnectorConformance, Settings
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files import encoded
from tests.delta_links import DeltaLinks, GoneError

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
PEOPLE = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name")), ("id",))


pytestmark = pytest.mark.usefixtures("waits")


class Api:
    """A small service with one list, paged by page number, that refuses what it does not know."""

    def __init__(self, reply: Callable[..., Any]) -> None:
        self.reply = reply
        self.rows: dict[int, dict[str, str]] = {}
        self.deltas = DeltaLinks()

    def __call__(self, request: Any) -> Any:
        if request.headers.get("authorization") != "Bearer good-token":
            return self.reply(401, {"message": "who are you"})
        if request.path == "/api/samples/delta":
            return self.delta(request)
        if request.path == "/api/samples":
            return {"GET": self.list, "POST": self.create}[request.method](request)
        key = int(request.path.removeprefix("/api/samples/"))
        if key not in self.rows:
            return self.reply(404, {"error": {"message": "gone"}})
        return {"GET": self.show, "PATCH": self.update, "DELETE": self.remove}[request.method](key, request)

    def list(self, request: Any) -> Any:
        size, page = int(request.query["size"][0]), int(request.query["page"][0])
        rows = list(self.rows.values())[(page - 1) * size : page * size]
        return self.reply(body='{"data": {"items": [' + ",".join(map(text, rows)) + "]}}")

    def delta(self, request: Any) -> Any:
        token = self.deltas.latest if request.query == {"token": ["latest"]} else request.query["token"][0]
        try:
            told, token, over = self.deltas.part(token, 3)
        except GoneError:
            return self.reply(410, {"error": {"code": "resyncRequired", "message": "start anew"}})
        entries = [{"id": key, **({"@removed": {"reason": "deleted"}} if gone else {})} for key, gone in told]
        link = f"/api/samples/delta?token={token}"
        return self.reply(200, {"value": entries, "@delta" if over else "@next": link})

    def create(self, request: Any) -> Any:
        row = members(request.body)
        key = int(row["id"])
        if key in self.rows:
            return self.reply(409, {"errors": ["id is taken"]})
        if row[TITLE] == "null":
            return self.reply(422, {"title": ["must not be empty"]})
        self.rows[key] = row
        return self.reply(201, {"id": key})

    def update(self, key: int, request: Any) -> Any:
        row = members(request.body)
        if row.get(TITLE) == "null":
            return self.reply(422, {"title": ["must not be empty"]})
        self.rows[key].update(row)
        return self.reply(204)

    def remove(self, key: int, _request: Any) -> Any:
        del self.rows[key]
        return self.reply(204)

    def show(self, key: int, _request: Any) -> Any:
        return self.reply(body=text(self.rows[key]))


def members(body: bytes | str) -> dict[str, str]:
    """Return a JSON object's members as their texts, so that no number changes."""
    return {k: bytes(v).decode() for k, v in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}


def text(row: Mapping[str, str]) -> str:
    return "{" + ",".join(f"{json.dumps(k)}:{v}" for k, v in row.items()) + "}"


class TestRest(ConnectorConformance):
    connector = Rest
    object_name = "samples"

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, web: Any, reply: Any, sample: Schema) -> Settings:
        web.answer = Api(reply)
        self.api = web.answer
        fields = [
            {"name": f.name, "type": f.type.value, "scale": f.scale, "required": not f.nullable} for f in sample.fields
        ]
        described = {
            "name": "samples",
            "path": "/samples",
            "records": "data.items",
            "key": "id",
            "paging": {"by": "page", "parameter": "page", "size": 4, "size_parameter": "size"},
            "item": "/samples/{key}",
            "create": {"path": "/samples"},
            "update": {"method": "PATCH", "path": "/samples/{key}"},
            "delete": {"method": "DELETE", "path": "/samples/{key}"},
            "delta": {
                "path": "/samples/delta",
                "records": "value",
                "next": "@next",
                "link": "@delta",
                "latest": {"token": "latest"},
            },
            "fields": fields,
        }
        return {
            "base_url": web.url + "/api",
            "authentication": "bearer",
            "token": "good-token",
            "objects": [described],
        }

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.kept = schema
        self.api.rows = {r["id"]: members(encoded(r, schema)) for r in records.iter_rows(named=True)}

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        rows = {r["id"]: members(encoded(r, self.kept)) for r in records.iter_rows(named=True)}
        self.api.rows |= rows
        for key in removed:
            del self.api.rows[key]
        self.api.deltas.changed(rows)
        self.api.deltas.removed(removed)

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        self.api.rows[new] = {**self.api.rows.pop(old), "id": str(new)}
        self.api.deltas.removed([old])
        self.api.deltas.changed([new])

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": "http://10.0.0.1"},
            {**settings, "base_url": "ftp://example.com"},
            {**settings, "token": ""},
            {**settings, "token": "two\nlines"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": [{"name": "x", "path": "/x", "paging": {"by": "page"}}]},
            {**settings, "headers": "[]"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


def service(web: Any, paging: Mapping[str, Any] | None = None, **more: Any) -> Rest:
    """Return a connector to the web server with one object called people."""
    described = {"name": "people", "path": "/people", "key": "id", "paging": paging or {}}
    settings = {k: more.pop(k) for k in list(more) if k in {s.name for s in Rest.spec.settings}}
    defaults = {s.name: s.default for s in Rest.spec.settings}
    given = {"base_url": web.url, "objects": [{**described, **more}], "concurrency": 1, **settings}
    return Rest({**defaults, **given}, HERE)


def ids(rest: Rest, size: int = 100) -> list[int]:
    return [i for page in rest.read(ReadRequest("people", PEOPLE, page_size=size)) for i in page.records["id"]]


def people(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": n, "name": f"n{n}"} for n in numbers]


PAGES: dict[int, list[int]] = {0: [1, 2], 1: [3], 2: [4, 5]}


@pytest.mark.parametrize(
    ("paging", "answer"),
    [
        ({"by": "page", "parameter": "p", "start": 0}, lambda r: people(*PAGES.get(int(r.query["p"][0]), []))),
        ({"by": "offset", "parameter": "from"}, lambda r: people(*range(1, 6))[int(r.query["from"][0]) :][:2]),
    ],
)
def test_counting_pages_end_with_an_empty_one(web: Any, reply: Any, paging: Any, answer: Any) -> None:
    """A short page is not the last one: only an empty page is, because services cap the size they are asked for."""
    web.answer = lambda r: reply(body=answer(r))
    with service(web, paging) as rest:
        assert ids(rest) == [1, 2, 3, 4, 5]
    assert len(web.received) == 4


def test_a_total_saves_the_empty_page_and_guards_the_end(web: Any, reply: Any) -> None:
    """With a total the list ends there; ending before it is an error."""
    paging = {"by": "page", "parameter": "p", "total": "meta.total"}
    total = 3
    web.answer = lambda r: reply(
        body={"items": people(*{1: [1, 2], 2: [3]}.get(int(r.query["p"][0]), [])), "meta": {"total": total}}
    )
    with service(web, paging, records="items") as rest:
        assert ids(rest) == [1, 2, 3]
        assert len(web.received) == 2
        total = 4
        with pytest.raises(Fatal, match="ended after 3 of 4"):
            ids(rest)
    with service(web, {**paging, "total": "count"}, records="items") as rest, pytest.raises(Misconfigured):
        ids(rest)


def test_cursor_paging(web: Any, reply: Any) -> None:
    """The cursor of an answer is sent with the next request until there is none."""
    answers = {
        None: {"items": people(1), "next": "a b&c"},
        "a b&c": {"items": people(2), "next": 7},
        "7": {"items": people(3), "next": None},
    }
    web.answer = lambda r: reply(body=answers[r.query.get("cursor", [None])[0]])
    with service(web, {"by": "cursor", "parameter": "cursor", "next": "next"}, records="items") as rest:
        assert ids(rest) == [1, 2, 3]


def test_a_full_page_without_the_promised_cursor_is_an_error(web: Any, reply: Any) -> None:
    """A wrong path to the cursor does not pass for the end of the list."""
    web.answer = lambda _: reply(body={"items": people(1, 2), "following": "x"})
    paging = {"by": "cursor", "parameter": "c", "next": "next", "size": 2, "size_parameter": "limit"}
    with service(web, paging, records="items") as rest, pytest.raises(Misconfigured, match="'next'"):
        ids(rest)


@pytest.mark.parametrize("where", ["header", "body"])
def test_link_paging(web: Any, reply: Any, where: str) -> None:
    """The next address is taken from the Link header or the answer, relative or whole, and the key is sent along."""

    def answer(request: Any) -> Any:
        assert request.query["key"] == ["secret"]
        page = int(request.query.get("page", ["1"])[0])
        target = f"/people?page={page + 1}" if page == 1 else f"{web.url}/people?page={page + 1}&key=secret"
        headers = {"Link": f'<{target}>; rel="next"'} if where == "header" and page < 3 else {}
        body = {"items": people(page), "links": {"next": target if page < 3 else ""}}
        return reply(body=body, headers=headers)

    web.answer = answer
    paging = {"by": "link", "next": "links.next" if where == "body" else ""}
    key = {"authentication": "key_query", "key_name": "key", "key": "secret"}
    with service(web, paging, records="items", **key) as rest:
        pages = list(rest.read(ReadRequest("people", PEOPLE)))
        assert [i for page in pages for i in page.records["id"]] == [1, 2, 3]
        assert "secret" not in repr([page.position for page in pages])


def test_a_next_link_to_another_service_is_refused(web: Any, second_web: Any, reply: Any) -> None:
    """Credentials do not follow a link to another host."""
    web.answer = lambda _: reply(body=people(1), headers={"Link": f'<{second_web.url}/x>; rel="next"'})
    with service(web, {"by": "link"}) as rest, pytest.raises(Forbidden, match="another service"):
        ids(rest)
    assert not second_web.received


def test_a_kept_page_at_another_service_is_refused(web: Any, second_web: Any, reply: Any) -> None:
    """Nor do they where a read goes on that has begun at another address of the connection."""
    calls: list[Any] = []
    second_web.answer = lambda request: calls.append(request) or reply(body=people(2))
    web.answer = lambda _: reply(body=people(1), headers={"Link": f'<{web.url}/x>; rel="next"'})
    with service(web, {"by": "link"}) as rest:
        first = next(iter(rest.read(ReadRequest("people", PEOPLE, page_size=1))))
        text = json.dumps(first.position).replace(web.url, second_web.url)
        with pytest.raises(Forbidden, match="another service"):
            list(rest.read(ReadRequest("people", PEOPLE, after=json.loads(text))))
    assert not calls


@pytest.mark.parametrize(
    ("paging", "body"),
    [
        ({"by": "page", "parameter": "p"}, {"items": people(1), "next": None}),
        ({"by": "cursor", "parameter": "c", "next": "next"}, {"items": [], "next": "same"}),
        ({"by": "link", "next": "next"}, {"items": [], "next": "/people?x=1"}),
    ],
)
def test_a_list_that_turns_in_a_circle_ends(web: Any, reply: Any, paging: Any, body: Any) -> None:
    """The same page twice, or a cursor that was seen before, is a clear error and not an endless run."""
    web.answer = lambda _: reply(body=body)
    with service(web, paging, records="items") as rest, pytest.raises(Fatal, match="does not end"):
        ids(rest)
    assert len(web.received) < 4


def test_reading_goes_on_in_the_middle_of_an_answer(web: Any, reply: Any) -> None:
    """Behind every page of any size another connector reads exactly the rest."""
    web.answer = lambda r: reply(body=people(*PAGES.get(int(r.query["p"][0]), [])))
    paging = {"by": "page", "parameter": "p", "start": 0}
    with service(web, paging) as rest:
        pages = list(rest.read(ReadRequest("people", PEOPLE, page_size=1)))
    assert [page.first for page in pages] == [1, 2, 3, 4, 5]
    for number, page in enumerate(pages, 1):
        position = json.loads(json.dumps(page.position))
        with service(web, paging) as rest:
            left = list(rest.read(ReadRequest("people", PEOPLE, after=position, page_size=10)))
        assert [i for p in left for i in p.records["id"]] == [1, 2, 3, 4, 5][number:]


def test_broken_records_are_rejected_and_the_rest_is_read(web: Any, reply: Any) -> None:
    """A value of the wrong type or something that is no object is parked with its place."""
    web.answer = lambda _: reply(body=[*people(1), "x", {"id": "z"}, {"name": "no id"}, *people(5)])
    with service(web) as rest:
        (page,) = rest.read(ReadRequest("people", PEOPLE))
    assert page.records["id"].to_list() == [1, 5]
    assert sorted((r.place, r.field) for r in page.rejects) == [
        ("record 2", None),
        ("record 3", "id"),
        ("record 4", "id"),
    ]


def test_types_are_judged_by_a_sample(web: Any, reply: Any) -> None:
    """Without given fields the first records tell the types; the key is the described one."""
    web.answer = lambda _: reply(body='[{"id": "7", "amount": 1.50, "tags": ["a"], "at": "2024-01-01T00:00:00Z"}]')
    with service(web) as rest:
        schema = rest.schema("people")
    kinds = {f.name: f.type.value for f in schema.fields}
    assert kinds == {"id": "text", "amount": "decimal", "tags": "json", "at": "datetime"}
    assert schema.key == ("id",)


def test_changes_are_asked_for_since_a_moment(web: Any, reply: Any) -> None:
    """The cursor's value is sent in the described form, and what is older in the answer is left out."""
    web.answer = lambda _: reply(
        body=[{"id": 1, "at": "2024-01-01T00:00:00Z"}, {"id": 2, "at": "2024-03-01T00:00:00Z"}, {"id": 3, "at": None}]
    )
    schema = Schema((Field("id", FieldType.INTEGER), Field("at", FieldType.DATETIME)), ("id",))
    for seconds, sent in ((False, "2024-02-01T00:00:00Z"), (True, "1706745600")):
        with service(web, since={"parameter": "after", "seconds": seconds}) as rest:
            cursor = Cursor("at", "id", "2024-02-01T00:00:00Z")
            (page,) = rest.read(ReadRequest("people", schema, cursor))
        assert page.records["id"].to_list() == [3, 2]
        assert web.received[-1].query == {"after": [sent]}
        assert [str(note) for note in page.notes] == [
            f"The service ignored the filter 'after={sent}' of 'people': 1 records were left out here."
        ]
    for more in ({}, {"since": {"parameter": "after", "lookback": 31 * 86400}}):
        with service(web, **more) as rest:
            (page,) = rest.read(ReadRequest("people", schema, cursor))
        assert (page.records["id"].to_list(), page.notes) == ([3, 2], ())


@pytest.mark.parametrize(
    ("answer", "error", "told"),
    [
        ((401, {"message": "bad token"}), AuthFailed, "bad token"),
        ((403, "<h1>No</h1> entry"), AuthFailed, "No entry"),
        ((404, {"error": {"message": "nope"}}), ObjectMissing, "nope"),
        ((400, {"errors": [{"detail": "size too big"}]}), Fatal, "size too big"),
        ((301, "", {"Location": "https://10.0.0.1/"}), Forbidden, "10.0.0.1"),
        ((200, "<html>sign in</html>", {"Content-Type": "text/html"}), Misconfigured, "sign in"),
        ((200, '{"items": [1,'), Unavailable, "breaks off"),
        ((200, {"items": {}}), Misconfigured, "no list"),
        ((200, ""), Misconfigured, "no list"),
        ((500, {"message": "oops"}), Unavailable, "oops"),
        ((503, ""), Unavailable, "503"),
    ],
)
def test_errors_say_what_to_do(web: Any, reply: Any, answer: Any, error: type[ConnectorError], told: str) -> None:
    """Each refusal becomes the error that tells the caller what to do, in the service's own words."""
    status, body, *headers = answer
    web.answer = lambda _: reply(status, body, *headers)
    with service(web, records="items") as rest, pytest.raises(error, match=told) as caught:
        ids(rest)
    assert caught.value.object_name in ("people", None)


def test_a_busy_service_is_waited_for(web: Any, reply: Any, waits: list[float]) -> None:
    """429 is waited for as long as asked, 5xx and broken answers with growing pauses; then reading goes on."""
    answers = [
        reply(429, "", {"Retry-After": "3"}), reply(502, ""), reply(200, "[{"), reply(200, people(1), cut=5),
        reply(200, people(1)),
    ]  # fmt: skip
    web.answer = lambda _: answers[len(web.received) - 1]
    with service(web) as rest:
        assert ids(rest) == [1]
    assert round(waits[0], 3) == 3
    assert len(waits) == 4


def test_a_long_wait_is_left_to_the_caller(web: Any, reply: Any) -> None:
    """A wait of an hour, or being sent away again and again, is a RateLimited with the seconds."""
    web.answer = lambda _: reply(429, "", {"Retry-After": "3600"})
    with service(web) as rest, pytest.raises(RateLimited) as caught:
        ids(rest)
    assert caught.value.after == 3600
    web.answer = lambda _: reply(429, "")
    with service(web) as rest, pytest.raises(RateLimited):
        ids(rest)
    assert len(web.received) == 5
    assert rest_answers.retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert rest_answers.retry_after("soon") == 1


def test_the_pace_is_kept(web: Any, reply: Any, waits: list[float]) -> None:
    """With a limit of calls per second each call waits for its turn."""
    web.answer = lambda r: reply(body=people(*PAGES.get(int(r.query["p"][0]), [])))
    with service(web, {"by": "page", "parameter": "p", "start": 0}, rate=2) as rest:
        ids(rest)
    assert len(waits) == 3
    assert 0 < waits[0] <= 0.5
    assert waits[2] > 1


def test_authentication_is_sent(web: Any, reply: Any) -> None:
    """Each way of authentication reaches the service as it should."""
    web.answer = lambda _: reply(body=[])
    for settings in (
        {"authentication": "basic", "user": "u", "password": "p"},
        {"authentication": "key_header", "key_name": "X-Key", "key": "k"},
        {"authentication": "key_query", "key_name": "key", "key": "k&1"},
        {"headers": '{"X-Tenant": "t"}'},
    ):
        with service(web, **settings) as rest:
            ids(rest)
    basic, header, query, further = web.received
    assert basic.headers["authorization"] == "Basic dTpw"
    assert header.headers["x-key"] == "k"
    assert query.query == {"key": ["k&1"]}
    assert further.headers["x-tenant"] == "t"


WRITES = {
    "create": {"path": "/people", "wrap": "data"},
    "update": {"method": "PUT", "path": "/people/{key}"},
    "delete": {"method": "DELETE", "path": "/people/{key}"},
}
NEW = pl.DataFrame({"name": ["a", "b", "a"]})
FENCE = Fence("rule", 3, 8, 1)


def test_keys_made_by_the_service_come_back(web: Any, reply: Any) -> None:
    """Keys are found in the answer or in its Location; a refused record has none and a reason."""
    answers = [
        reply(201, {"data": {"id": 70}}), reply(422, {"errors": {"name": ["too short"]}}),
        reply(201, "", {"Location": "/people/72"}),
    ]  # fmt: skip
    web.answer = lambda _: answers[len(web.received) - 1]
    with service(web, **WRITES) as rest:
        result = rest.write("people", PEOPLE, [Change(Op.CREATE, "id", NEW)])
    assert [r.json() for r in web.received] == [{"data": {"name": n}} for n in ("a", "b", "a")]
    assert result.keys[0].to_list() == [70, None, 72]
    assert result.keys[0].dtype == pl.Int64
    (failure,) = result.failures
    assert (failure.change, failure.row) == (0, 1)
    assert "too short" in str(failure.message)


def test_a_repeated_write_is_recognisable(web: Any, reply: Any) -> None:
    """The header against double writing is the same for the same record of the same chunk, and different for others."""
    web.answer = lambda _: reply(201, {"data": {"id": 1}})
    header = {"idempotency_header": "Idempotency-Key"}
    for token in (3, 4):
        with service(web, **WRITES, **header) as rest:
            rest.write("people", PEOPLE, [Change(Op.CREATE, "id", NEW)], Fence("rule", token, 8, 1))
    with service(web, **WRITES, **header) as rest:
        rest.write("people", PEOPLE, [Change(Op.CREATE, "id", NEW)])
    sent = [r.headers["idempotency-key"] for r in web.received]
    assert sent[:3] == sent[3:6]
    assert len(set(sent)) == 6


def test_a_write_of_unknown_outcome_is_repeated_only_where_that_is_safe(web: Any, reply: Any) -> None:
    """A POST that met a server error is sent again only with the header; PUT and DELETE always."""
    web.answer = lambda _: reply(503, "")
    with service(web, **WRITES) as rest, pytest.raises(Unavailable):
        rest.write("people", PEOPLE, [Change(Op.CREATE, "id", NEW)], FENCE)
    assert len(web.received) == 1
    with service(web, **WRITES, idempotency_header="Idempotency-Key") as rest, pytest.raises(Unavailable):
        rest.write("people", PEOPLE, [Change(Op.CREATE, "id", NEW)], FENCE)
    assert len(web.received) == 5
    with service(web, **WRITES) as rest, pytest.raises(Unavailable):
        rest.write("people", PEOPLE, [Change(Op.DELETE, "id", pl.DataFrame({"id": [1]}))], FENCE)
    assert len(web.received) == 9


def test_a_put_keeps_the_other_fields(web: Any, reply: Any) -> None:
    """A PUT replaces a record as a whole, so the record is read first and sent with its other fields."""
    web.answer = lambda r: reply(body='{"id": 1, "name": "old", "amount": 1.50}' if r.method == "GET" else "")
    with service(web, **WRITES) as rest:
        result = rest.write("people", PEOPLE, [Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], "name": ["new"]}))])
    assert not result.failures
    assert web.received[-1].method == "PUT"
    assert web.received[-1].body == b'{"amount":1.50,"id":1,"name":"new"}'
    web.answer = lambda r: reply(body="[]") if r.method == "GET" else reply(200)
    with service(web, **WRITES) as rest:
        result = rest.write("people", PEOPLE, [Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], "name": ["new"]}))])
    assert len(result.failures) == 1


def test_keys_are_escaped_in_addresses(web: Any, reply: Any) -> None:
    """A key with a slash or dots stays one part of the path; an empty one is refused."""
    web.answer = lambda _: reply(204)
    schema = Schema((Field("id"),), ("id",))
    keys = pl.DataFrame({"id": ["a/b?c=%", "..", None, "客"]})
    with service(web, **WRITES) as rest:
        result = rest.write("people", schema, [Change(Op.DELETE, "id", keys)])
    assert [r.path for r in web.received] == ["/people/a%2Fb%3Fc%3D%25", "/people/%E5%AE%A2"]
    assert [f.row for f in result.failures] == [1, 2]


def test_a_write_that_is_turned_away_as_a_whole(web: Any, reply: Any) -> None:
    """Wrong credentials, a moved address or a missing description are no failures of single records."""
    change = [Change(Op.CREATE, "id", NEW)]
    for status, headers, error in (
        (401, {}, AuthFailed),
        (302, {"Location": "/x"}, Misconfigured),
        (404, {}, ObjectMissing),
    ):
        web.answer = lambda _, s=status, h=headers: reply(s, "", h)
        with service(web, **WRITES) as rest, pytest.raises(error):
            rest.write("people", PEOPLE, change)
    with service(web) as rest, pytest.raises(Misconfigured, match="create"):
        rest.write("people", PEOPLE, change)


def test_lookups_of_a_few_records_are_single_calls(web: Any, reply: Any) -> None:
    """With a described item few keys are asked for one by one, many by the list; without one, always by the list."""
    rows = dict(enumerate(people(*range(200))))

    def answer(request: Any) -> Any:
        if request.path == "/people":
            return reply(body=list(rows.values()))
        key = int(request.path.rpartition("/")[2])
        return reply(body={"item": rows[key]}) if key in rows else reply(404)

    web.answer = answer
    with service(web, item="/people/{key}", item_record="item") as rest:
        found = rest.lookup("people", PEOPLE, "id", pl.Series([3, 7, 999]))
        assert found["id"].to_list() == [3, 7]
        assert len(web.received) == 3
        assert rest.lookup("people", PEOPLE, "id", pl.Series(range(100))).height == 100
        assert len(web.received) == 4
        assert rest.lookup("people", PEOPLE, "name", pl.Series(["n5"]))["id"].to_list() == [5]
    with service(web, item="/people/{key}", item_record="wrong") as rest, pytest.raises(Misconfigured, match="wrong"):
        rest.lookup("people", PEOPLE, "id", pl.Series([3]))
    web.answer = lambda _: reply(401, "")
    with service(web, item="/people/{key}") as rest, pytest.raises(AuthFailed):
        rest.lookup("people", PEOPLE, "id", pl.Series([3]))


@pytest.mark.parametrize("key", [".", ".."])
def test_a_key_leads_nowhere_else(web: Any, reply: Any, key: str) -> None:
    """A key that would lead up in the address is refused before anything is asked."""
    web.answer = lambda _: reply(body={"name": "the list above"})
    described = {"name": "people", "path": "/people", "key": "name", "item": "/people/{key}"}
    with service(web, objects=[described]) as rest, pytest.raises(RecordRejected, match="leads up"):
        rest.lookup("people", PEOPLE, "name", pl.Series([key]))
    assert not web.received


def test_a_large_sample_is_cut_short(web: Any, reply: Any) -> None:
    """The types of a long list are judged by its first thousand records, and a list without records has no fields."""
    web.answer = lambda r: reply(body=people(*range(int(r.query["p"][0]) * 600, int(r.query["p"][0]) * 600 + 600)))
    with service(web, {"by": "page", "parameter": "p"}) as rest:
        assert rest.schema("people").names == ("id", "name")
    assert len(web.received) == 2
    web.answer = lambda _: reply(body=[])
    with service(web) as rest:
        assert rest.schema("people").names == ()
        assert [step.ok for step in rest.check()] == [True, True, True]
    with service(web, objects=[]) as rest:
        assert [step.ok for step in rest.check()] == [True, True, True]


def test_a_cursor_needs_its_fields(web: Any) -> None:
    """Changes cannot be found by a field that is not read."""
    with service(web) as rest, pytest.raises(Misconfigured, match="'nope'"):
        list(rest.read(ReadRequest("people", PEOPLE, Cursor("nope", "id"))))


def test_a_put_of_something_unreadable_is_refused(web: Any, reply: Any) -> None:
    """If the record is not where it should be in the answer, its other fields are not known."""
    web.answer = lambda _: reply(body={"other": {}})
    update = {"method": "PUT", "path": "/people/{key}", "wrap": "data"}
    with service(web, update=update) as rest:
        result = rest.write("people", PEOPLE, [Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], "name": ["x"]}))])
    assert "cannot be read" in str(result.failures[0].message)
    assert [r.method for r in web.received] == ["GET"]


def test_a_key_that_the_service_does_not_tell_is_the_one_sent(web: Any, reply: Any) -> None:
    """A created record keeps the key that it was sent with where the answer has none."""
    web.answer = lambda _: reply(201, "created", {"Content-Type": "text/plain"})
    with service(web, create={"path": "/people"}) as rest:
        result = rest.write("people", PEOPLE, [Change(Op.CREATE, "id", pl.DataFrame({"id": [5], "name": ["x"]}))])
    assert result.keys[0].to_list() == [5]


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('[{"name": "a"}]', "path"),
        ('[{"name": "a", "path": "/a", "pagin": {}}]', "pagin"),
        ('[{"name": "a", "path": "/a", "paging": {"by": "magic"}}]', "magic"),
        ('[{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}]', "name that no other"),
        ('[{"name": "a", "path": "/a", "paging": {"by": "cursor", "parameter": "c"}}]', "next"),
        ('[{"name": "a", "path": "/a", "delete": {"path": "/a"}}]', "key"),
        ("[", "setting 'objects'"),
    ],
)
def test_mistakes_in_the_description_are_shown(web: Any, document: str, told: str) -> None:
    """A mistake in the description of the objects is told with its place before anything is called."""
    with service(web, objects=document) as rest, pytest.raises(Misconfigured, match=told):
        rest.objects()
    assert not web.received


def test_a_service_that_is_not_there(web: Any) -> None:
    """Without any answer a read is tried a few times and then unavailable."""
    web.close()
    with service(web) as rest, pytest.raises(Unavailable, match="No answer"):
        ids(rest)


@pytest.mark.parametrize("address", ["http://[::1", "https://", "http://user:secret@example.com"])
def test_addresses_are_checked(web: Any, address: str) -> None:
    """Something that is no web address, or holds a password, is refused before anything is called."""
    with service(web, base_url=address) as rest, pytest.raises(Misconfigured) as caught:
        rest.objects()
    assert "secret" not in str(caught.value)


def test_the_number_of_pages_has_an_end(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that makes up new pages for ever is stopped, too."""
    monkeypatch.setattr(rest_paging, "_MOST_PAGES", 3)
    web.answer = lambda r: reply(body=people(int(r.query["p"][0])))
    with service(web, {"by": "page", "parameter": "p"}) as rest, pytest.raises(Fatal, match="does not end"):
        ids(rest)


def test_a_missing_cursor_ends_a_list(web: Any, reply: Any) -> None:
    """Many services leave the cursor out on the last page; words of an error may be anything."""
    web.answer = lambda _: reply(body={"items": people(1)})
    with service(web, {"by": "cursor", "parameter": "c", "next": "next"}, records="items") as rest:
        assert ids(rest) == [1]
    web.answer = lambda _: reply(400, "17")
    with service(web) as rest, pytest.raises(Fatal, match="Bad Request"):
        ids(rest)


def test_nothing_is_behind_the_end(web: Any, reply: Any) -> None:
    """Reading behind the last page gives an empty page and asks the service nothing."""
    web.answer = lambda _: reply(body=people(1))
    with service(web) as rest:
        (page,) = rest.read(ReadRequest("people", PEOPLE))
        (rest_page,) = rest.read(ReadRequest("people", PEOPLE, after=page.position))
    assert rest_page.records.is_empty()
    assert len(web.received) == 1
