"""The connector `airbyte_manifest`: manifests in the format's style against services that check their requests."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from connectors.builtin import airbyte_calls, airbyte_manifest_text, airbyte_words
from connectors.builtin.airbyte_manifest import AirbyteManifest
from connectors.builtin.airbyte_manifest_text import source_of
from connectors.builtin.airbyte_paths import all_at, found_at, with_value, without
from connectors.builtin.airbyte_times import duration, moment_of, written
from connectors.builtin.airbyte_words import holds, text_value, value_of
from connectors.errors import (
    AuthFailed,
    ConnectorError,
    Fatal,
    Forbidden,
    Misconfigured,
    ObjectMissing,
    RateLimited,
    Unavailable,
)
from connectors.spi import Context, Cursor, ReadRequest
from connectors.testing import ConnectorConformance, Settings
from rules.schema import Field, FieldType, Schema
from tests.connectors.test_files import encoded

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
FILES = Path(__file__).parent / "manifests"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Note the waits instead of doing them."""
    noted: list[float] = []
    monkeypatch.setattr(airbyte_calls.time, "sleep", noted.append)
    return noted


SAMPLE = """
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [samples]}
streams:
  - name: samples
    primary_key: id
    schema_loader: {type: InlineSchemaLoader, schema: SCHEMA}
    retriever:
      requester:
        url_base: "{{ config.host }}"
        path: /samples
        authenticator: {type: BearerAuthenticator, api_token: "{{ config.api_key }}"}
      record_selector: {extractor: {field_path: [data]}}
      paginator:
        page_size_option: {inject_into: request_parameter, field_name: size}
        page_token_option: {inject_into: request_parameter, field_name: page}
        pagination_strategy: {type: PageIncrement, page_size: 3}
"""
KINDS = {
    "integer": {"type": "integer"}, "decimal": {"type": "number"}, "float": {"type": "number", "format": "double"},
    "boolean": {"type": "boolean"}, "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"}, "time": {"type": "string", "format": "time"},
    "binary": {"type": "string", "format": "byte"}, "json": {"type": "object"},
}  # fmt: skip


class TestAirbyteManifest(ConnectorConformance):
    connector = AirbyteManifest
    object_name = "samples"
    rebuilt_system = "declarative manifests"
    infers_types = True

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, web: Any, reply: Any, sample: Schema) -> Settings:
        self.rows: list[str] = []

        def answer(request: Any) -> Any:
            if request.headers.get("authorization") != "Bearer good-key":
                return reply(401, {"message": "who are you"})
            size, page = int(request.query["size"][0]), int(request.query.get("page", ["0"])[0])
            return reply(body='{"data": [' + ",".join(self.rows[page * size : (page + 1) * size]) + "]}")

        web.answer = answer
        properties = {f.name: KINDS.get(f.type.value, {"type": "string"}) for f in sample.fields}
        manifest = SAMPLE.replace("SCHEMA", json.dumps({"properties": properties}))
        return {"manifest": manifest, "config": {"host": web.url}, "secrets": '{"api_key": "good-key"}'}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.rows = [encoded(r, schema) for r in records.iter_rows(named=True)]

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "config": {"host": "http://no-such-host.invalid"}},
            {**settings, "config": {"host": "http://10.0.0.1"}},
            {**settings, "config": {"host": "nowhere"}},
            {**settings, "config": "[1]"},
            {**settings, "manifest": "streams: ["},
            {**settings, "manifest": settings["manifest"].replace("BearerAuthenticator", "CustomAuthenticator")},
            {**settings, "manifest": settings["manifest"].replace("name: samples", "name: ''")},
        ]


def service(web: Any, name: str, config: Mapping[str, Any] | None = None, **secrets: Any) -> AirbyteManifest:
    text = name if "\n" in name else (FILES / f"{name}.yaml").read_text()
    settings = {"manifest": text, "config": {"host": web.url, **(config or {})}, "secrets": json.dumps(secrets)}
    return AirbyteManifest(settings, HERE)


def read(connector: AirbyteManifest, name: str, schema: Schema | None = None, **more: Any) -> list[dict[str, Any]]:
    request = ReadRequest(name, schema or connector.schema(name), **more)
    return [row for page in connector.read(request) for row in page.records.iter_rows(named=True)]


TICKETS = [{"id": n, "title": f"t{n}", "state": "open" if n % 2 else "done", "secret": 1, "nested": {"gone": 1}}
           for n in range(1, 6)]  # fmt: skip


def test_pages_references_and_transformations(web: Any, reply: Any) -> None:
    """References, parameters, pages, defaults of the specification, filters, fields added and removed."""

    def answer(request: Any) -> Any:
        assert (request.path, request.headers["authorization"]) == ("/api/tickets", "Bearer canary")
        assert request.headers["x-tenant"] == "acme"
        assert "empty" not in request.query
        page = int(request.query["page"][0])
        return reply(body={"data": {"rows": TICKETS[(page - 1) * 2 : page * 2]}})

    web.answer = answer
    with service(web, "tickets", api_key="canary") as connector:
        assert [step.ok for step in connector.check()] == [True] * 3
        assert [info.name for info in connector.objects()] == ["open_tickets", "tickets"]
        web.received.clear()
        rows = read(connector, "tickets")
        assert [row["id"] for row in rows] == [1, 2, 3, 4, 5]
        assert rows[0] == {"id": 1, "title": "t1", "tenant": "ACME", "nested": '{"twice":2}'}
        assert [r.query for r in web.received] == [
            {"sort": ["id"], "per_page": ["2"], "page": [str(n)]} for n in (1, 2, 3)
        ]
        assert connector.schema("tickets").key == ("id",)
        assert [row["id"] for row in read(connector, "open_tickets")] == [1, 3, 5]
        with pytest.raises(ObjectMissing):
            connector.schema("none")


class Orders:
    """A service that gives tokens, and orders by kind and span of time."""

    def __init__(self, reply: Any) -> None:
        self.reply = reply
        self.asked: list[Any] = []
        self.logins: list[str] = []
        self.special: dict[str, list[Any]] = {}

    def __call__(self, request: Any) -> Any:
        if request.path == "/token":
            self.logins.append(request.body.decode())
            return self.reply(body={"access_token": f"token-{len(self.logins)}", "expires_in": 3600})
        if request.headers.get("authorization") != f"Bearer token-{len(self.logins)}":
            return self.reply(401)
        body = json.loads(request.body)
        self.asked.append(body)
        waiting = self.special.get(body["kind"])
        if waiting:
            return waiting.pop(0)
        day = int(body["page"]["from"][8:10])
        rows = [{"order": {"id": f"{body['kind']}{day + n}", "changed": f"2024-01-{day + n:02}T00:00:00Z"}}
                for n in range(3)]  # fmt: skip
        at = body.get("offset", 0)
        return self.reply(body={"items": rows[at : at + 2]})


CONFIG = {"start_date": "2023-01-01T00:00:00Z", "end_date": "2024-01-15T00:00:00Z", "size": 2}


def test_spans_of_time_partitions_and_tokens(web: Any, reply: Any) -> None:
    """Each kind is read span by span, with offsets; a token is asked for once, and again when it is not taken."""
    web.answer = orders = Orders(reply)
    with service(web, "orders", CONFIG, client_secret="s3cret", refresh_token="fresh") as connector:
        schema = connector.schema("orders")
        orders.asked.clear()
        rows = read(connector, "orders", schema)
        assert [row["id"] for row in rows] == [f"{k}{n}" for k in ("sale", "rent") for n in (1, 2, 3, 11, 12, 13)]
        spans = {(a["kind"], a["page"]["from"], a["page"]["to"]) for a in orders.asked}
        assert ("sale", "2024-01-01T00:00:00Z", "2024-01-10T23:59:59Z") in spans
        assert ("rent", "2024-01-11T00:00:00Z", "2024-01-15T00:00:00Z") in spans
        assert {a.get("offset") for a in orders.asked} == {None, 2}
        assert len(orders.logins) == 1
        assert "scope=read+more" in orders.logins[0]
        assert "audience=orders" in orders.logins[0]
        orders.logins.append("the token is not taken any more")
        orders.asked.clear()
        since = dt.datetime(2024, 1, 12, tzinfo=dt.UTC)
        changed = read(connector, "orders", schema, cursor=Cursor("changed", "id", since))
        assert [row["id"] for row in changed] == ["rent12", "sale12", "rent13", "sale13"]
        assert orders.asked[0]["page"]["from"] == "2024-01-11T00:00:00Z"
        assert len(orders.logins) == 3
        pages = list(connector.read(ReadRequest("orders", schema, page_size=2)))
        for page in pages[:-1]:
            request = ReadRequest("orders", schema, page_size=2, after=page.position)
            rest = [i for p in connector.read(request) for i in p.records["id"]]
            assert rest == [row["id"] for row in rows][-len(rest) :]


def test_error_handlers(web: Any, reply: Any, waits: list[float]) -> None:
    """The first filter that fits decides: ignore, try again as a header or a strategy says, or fail in its words."""
    web.answer = orders = Orders(reply)
    with service(web, "orders", CONFIG, client_secret="s3cret", refresh_token="fresh") as connector:
        busy, schema = {"code": "busy"}, connector.schema("orders")
        orders.special["sale"] = [
            reply(503, busy, {"X-Wait": "7s"}), reply(400, busy, {"X-Wait": "soon"}), reply(409), reply(409),
        ]  # fmt: skip
        assert [row["id"] for row in read(connector, "orders", schema)][:1] == ["rent1"]
        assert waits == [7.0, 1.0]
        orders.special["sale"] = [reply(400, {"message": "this is not for you"})]
        with pytest.raises(Fatal, match="Kind ••• is not allowed"):
            read(connector, "orders", schema)
        orders.special["sale"] = [reply(429, b"", {"X-Wait": "99s"})]
        with pytest.raises(RateLimited, match="wait 99 seconds"):
            read(connector, "orders", schema)
        orders.special["sale"] = [reply(500, {"message": "s3cret broke"})] * 9
        with pytest.raises(Unavailable, match="••• broke"):
            read(connector, "orders", schema)


class Projects:
    """A service with sessions, pages by Link headers and tasks of each project."""

    def __init__(self, reply: Any, signed: Mapping[str, str]) -> None:
        self.reply = reply
        self.signed = signed

    def __call__(self, request: Any) -> Any:
        if request.path == "/login":
            assert request.body == b"user=ann&password=canary"
            return self.reply(body={"session": {"token": "tok-1234"}})
        both = {**request.headers, **{f"?{name}": values[0] for name, values in request.query.items()}}
        if any(both.get(name) != value for name, value in self.signed.items()):
            return self.reply(403, {"error": "who are you"})
        if request.path == "/projects":
            assert request.query["limit"] == ["2"]
            if "at" in request.query:
                return self.reply(body=[{"id": 3}])
            return self.reply(body=[{"id": 1}, {"id": 2}], headers={"Link": '</projects?at=2&limit=2>; rel="next"'})
        number = int(request.path.split("/")[2])
        assert request.query["p"] == [str(number)]
        if "cursor" in request.query:
            return self.reply(body={"tasks": [{"id": 2}]})
        return self.reply(body={"tasks": [{"id": 1}], "next": "more" if number == 1 else None})


@pytest.mark.parametrize(
    ("how", "signed"),
    [
        ("session", {"x-session": "tok-1234"}),
        ("plain", {"authorization": "Bearer tok-1234"}),
        ("basic", {"authorization": "Basic YW5uOmNhbmFyeQ=="}),
        ("key", {"x-key": "Key canary"}),
        ("query", {"?key": "canary"}),
        ("none", {}),
    ],
)
def test_substreams_cursors_and_ways_to_sign_in(web: Any, reply: Any, how: str, signed: dict[str, str]) -> None:
    """A stream is read for each record of its parent, however the configuration chooses to sign in."""
    web.answer = Projects(reply, signed)
    with service(web, "projects", {"how": how, "user": "ann"}, password="canary") as connector:
        assert [row["id"] for row in read(connector, "projects")] == [1, 2, 3]
        assert [(row["project"], row["id"]) for row in read(connector, "tasks")] == [(1, 1), (1, 2), (2, 1), (3, 1)]
        assert connector.schema("tasks").key == ()
        assert [step.ok for step in connector.check()] == [True] * 3


def test_parents_that_changed_and_wrong_choices(web: Any, reply: Any) -> None:
    """A read that goes on finds its place or says so; what is refused is told without the secrets."""
    web.answer = Projects(reply, {"x-key": "Key canary"})
    config = {"how": "key", "user": "ann"}
    with service(web, "projects", config, password="canary") as connector:
        request = ReadRequest("tasks", connector.schema("tasks"), page_size=1)
        position = next(iter(connector.read(request))).position
        other = {**position, "state": {**position["state"], "of": {"project": 9}}}
        with pytest.raises(Unavailable, match="have changed meanwhile"):
            list(connector.read(ReadRequest("tasks", request.schema, after=other)))
    with service(web, "projects", config, password="wrong-canary") as connector:
        steps = list(connector.check())
        assert "refuses our credentials" in str(steps[-1].detail)
        assert "canary" not in str(steps[-1].detail)
    with service(web, "projects", {"how": "other"}) as connector, pytest.raises(Misconfigured, match="Known: session"):
        connector.schema("projects")
    web.answer = lambda r: reply(body={}) if r.path == "/login" else reply(body=[])
    with (
        service(web, "projects", {"how": "plain", "user": "ann"}, password="canary") as connector,
        pytest.raises(AuthFailed, match=r"no token at 'session\.token'"),
    ):
        connector.schema("projects")


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ((404, {"m": 1}), ObjectMissing, "does not exist"),
        ((400, {"m": "odd"}), Fatal, "refuses the request"),
        ((200, "<html>hello</html>"), Misconfigured, "does not answer with JSON"),
        ((200, [{"id": 1}], {"Link": '<http://other.example/x>; rel="next"'}), Forbidden, "another service"),
        ((200, [{"id": 1}], {"Link": '</projects?at=2>; rel="next"'}), Fatal, "does not end"),
        ((429, b"", {"Retry-After": "30"}), RateLimited, "wait"),
        ((503, b""), Unavailable, "an error of its own"),
    ],
)
def test_answers_that_stop_a_read(web: Any, reply: Any, answer: Any, error: type[ConnectorError], words: str) -> None:
    """Whatever the service answers ends in records or in one sentence."""
    web.answer = lambda _: reply(*answer)
    manifest = (FILES / "projects.yaml").read_text().replace("factor: 1", "factor: '{{ 1 + 1 }}'")
    with service(web, manifest, {"how": "none"}) as connector, pytest.raises(error, match=words):
        list(connector.read(ReadRequest("projects", Schema((Field("id"),)))))


def changed(**members: Any) -> str:
    """Return a small manifest with some members of its only stream replaced."""
    stream: dict[str, Any] = {
        "name": "s", "retriever": {"requester": {"url_base": "http://127.0.0.1:1"},
                                   "record_selector": {"extractor": {"field_path": []}}}}  # fmt: skip
    for path, value in members.items():
        at = stream
        *before, last = path.split("__")
        for part in before:
            at = at.setdefault(part, {})
        at[last] = value
    return yaml.safe_dump({"type": "DeclarativeSource", "version": "1", "streams": [stream]}) + "\n"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (changed(retriever__type="AsyncRetriever"), "streams[0].retriever.type: AsyncRetriever is not supported"),
        (
            changed(retriever__requester__authenticator={"type": "JwtAuthenticator"}),
            "streams[0].retriever.requester.authenticator.type: JwtAuthenticator is not supported",
        ),
        (changed(retriever__requester__api_budget={}), "streams[0].retriever.requester: Object contains unknown field"),
        (
            changed(retriever__partition_router=[{"type": "Custom"}]),
            "partition_router[0].type: Custom is not supported",
        ),
        (
            changed(
                retriever__requester__authenticator={
                    "type": "SelectiveAuthenticator",
                    "authenticator_selection_path": [],
                    "authenticators": {"x": {"type": "Custom"}},
                }
            ),
            "authenticators[...].type: Invalid value 'Custom'",
        ),
        (changed(retriever="#/definitions/none"), "leads nowhere"),
        (changed(retriever={"$ref": "#/streams/0/retriever"}), "leads back to itself"),
        (changed(schema_loader={"type": "JsonFileSchemaLoader"}), "JsonFileSchemaLoader is not supported"),
        (
            changed(
                retriever__requester__authenticator={
                    "type": "SelectiveAuthenticator",
                    "authenticator_selection_path": [],
                    "authenticators": {"x": {"type": "ApiKeyAuthenticator", "inject_into": {"inject_into": "nowhere"}}},
                }
            ),
            "authenticators[...].inject_into.inject_into: Invalid enum value 'nowhere'",
        ),
        ("type: Other\nstreams: []", "has to be DeclarativeSource"),
        ("type: DeclarativeSource\n", "streams"),
    ],
)
def test_what_is_not_supported_is_refused_with_its_path(manifest: str, words: str) -> None:
    """A component or a member that our engine does not know is refused where it stands, before anything is asked."""
    with pytest.raises(Misconfigured) as caught:
        source_of(manifest)
    assert words in str(caught.value)


def test_references_do_not_unfold_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few references can stand for very much: that is refused."""
    monkeypatch.setattr(airbyte_manifest_text, "_MOST", 3000)
    parts = {f"a{n}": {"x": f"#/definitions/a{n + 1}", "y": f"#/definitions/a{n + 1}"} for n in range(40)}
    text = json.dumps({"type": "DeclarativeSource", "definitions": {**parts, "a40": 1}, "streams": "#/definitions/a0"})
    with pytest.raises(Misconfigured, match="unfold into too many"):
        source_of(text)
    text = json.dumps({"type": "DeclarativeSource", "definitions": {**parts, "a40": 1},
                       "streams": [{"schema_loader": {"schema": {"s": "#/definitions/a0"}}}]})  # fmt: skip
    with pytest.raises(Misconfigured, match="unfold into too many"):
        source_of(text)


NOW = dt.datetime(2024, 2, 3, 4, 5, 6, 789000, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("plain", "plain"),
        (7, 7),
        ("{{ config.n }}", 5),
        ("{{ config['n'] + 1 }}/{{ config.none }}", "6/"),
        ("{{ config.none }}", None),
        ("{{ '' }}", ""),
        ("{{}}", ""),
        ({"{{ config.s }}": ["{{ config.n }}"]}, {"a b": [5]}),
        ("{% if config.n > 3 %}big{% else %}small{% endif %}", "big"),
        ("{{ config.s.split(' ')[1] }}", "b"),
        ("{{ config.s | urlencode }}", "a%20b"),
        ("{{ sanitize_url(config.s) }}", "a%20b"),
        ("{{ config.s | hash('sha256') }}", hashlib.sha256(b"a b").hexdigest()),
        ("{{ 'x' | base64encode }}", "eA=="),
        ("{{ 'eA==' | base64decode }}", "x"),
        ("{{ 'id=77;' | regex_search('id=(\\\\d+)') }}", "77"),
        ("{{ 'id=77;' | regex_search('no') }}", ""),
        ("{{ 'id=77;' | regex_search('\\\\d+') }}", "77"),
        ("{{ format_datetime('2024-01-31', '%d.%m.%Y') }}", "31.01.2024"),
        ("{{ format_datetime('31.01.2024', '%s', '%d.%m.%Y') }}", "1706659200"),
        ("{{ timestamp('2024-01-31T00:00:00Z') }}", 1706659200.0),
        ("{{ camel_case_to_snake_case('someName') }}", "some_name"),
        ("{{ max(config.n, 7) - min(1, 2) }}", 6),
        ("{{ duration('P1D').days }}", 1),
        ("{{ str_to_datetime('2024-01-31').isoformat() }}", "2024-01-31T00:00:00+00:00"),
        ("{{ 2 * 3.5 }}", 7.0),
        ("{{ ','.join(['a', 'b']) }}{{ [1, 2] | join('-') }}{{ [{'x': 1}] | join(attribute='x') }}", "a,b1-21"),
        ("{{ 2.55 | round(1, 'floor') }}", 2.5),
        ("{{ {'b': 1, 'a': 2} | tojson }}!", '{"a": 2, "b": 1}!'),
        ("{{ config.s.replace(' ', '-') ~ (config.s | replace('a', 'c')) }}", "a-bc b"),
    ],
)
def test_expressions(template: Any, value: Any) -> None:
    """Single expressions give values, others texts; the macros of the format are there."""
    assert value_of(template, {"config": {"n": 5, "s": "a b"}}) == value


@pytest.mark.parametrize(
    "template",
    [
        "{% for i in [1, 2] %}{{ i }}{% endfor %}",
        "{% set x = 1 %}{{ x }}",
        "{% macro m() %}{% endmacro %}",
        "{% include 'x' %}",
        "{{ ''.__class__.__mro__ }}{{ 1 }}",
        "{{ config.__class__.__base__.__subclasses__() }}",
        "{{ 'a' * 1000000000 }}",
        "{{ 10 ** 10 ** 10 }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '{:>1000000000}'.format(1) }}",
        "{{ 'a'.ljust(1000000000) }}",
        "{{ range(1000000000) }}",
        "{{ 'a' | center(1000000000) }}",
        "{{ 'a' | hash('shake_128') }}",
        "{{ 'a' | hash('none') }}",
        "{{ 'a' | regex_search('(') }}",
        "{{ " + "9" * 40 + " * 2 }}",
        "{{ 1 / 0 }}",
        "{{ config.none.more }}",
        "{{ 'x' + 1 }}",
        "{{ broken",
        "{{ duration('soon') }}",
        "{{ config.update({'a': 1}) }}",
        "{{ lipsum() }}",
        "{{ config.long.replace('a', config.long) }}",
        "{{ config.long.join(config.long) }}",
        "{{ config.long | join(config.long) }}",
        "{{ 1.5 | round(1000000000, 'ceil') }}",
        "{{ [1] | tojson(1000000000) }}",
        "{{ config.long | replace('a', config.long) }}",
        "{{ '{:>9}'['format'](1) }}",
        "{{ config.values }}",
        "{{ cycler }}{{ self }}{{ config.none.more }}",
    ],
)
def test_expressions_reach_nothing_else(template: str) -> None:
    """What could run for long, grow without bounds or reach the machine is refused in one sentence."""
    with pytest.raises(Misconfigured, match="cannot be computed"):
        value_of(template, {"config": {"n": 5, "long": "a" * 2000}})


def test_texts_and_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Values become texts as a request has them; a condition is met by what is not nothing."""
    assert [text_value(v, {}) for v in (None, True, 1.0, 1.5, "x", [1], dt.date(2024, 1, 1))] == [
        "", "true", "1", "1.5", "x", "[1]", "2024-01-01",
    ]  # fmt: skip
    known = {"a": "False", "b": "yes", "c": 0}
    assert [holds(c, known) for c in ("", "{{ a }}", "{{ b }}", "{{ c }}", "{{ c == 0 }}", "false")] == [
        True, False, True, False, True, False,
    ]  # fmt: skip
    assert value_of("{{ now_utc() }}", {}).tzinfo is dt.UTC
    assert value_of("{{ today_utc() }}", {}) == value_of("{{ today_with_timezone('UTC') }}", {})
    assert len(value_of("{{ day_delta(-1, '%Y-%m-%d') }}", {})) == 10
    assert len(value_of("{{ generate_uuid() }}", {})) == 36
    assert len(value_of("{{ 'a' | hmac('key') }}", {})) == 64
    monkeypatch.setattr(airbyte_words, "_LONGEST", 3)
    with pytest.raises(Misconfigured, match="too long"):
        value_of("{{ 'aaaa' }}", {})


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%s", "1706933106"),
        ("%ms", "1706933106789"),
        ("%epoch_microseconds", "1706933106789000"),
        ("%s_as_float", "1706933106.789"),
        ("%Y-%m-%dT%H:%M:%S.%_msZ", "2024-02-03T04:05:06.789Z"),
        ("%Y-%m-%dT%H:%M:%S.%f%z", "2024-02-03T04:05:06.789000+0000"),
    ],
)
def test_moments_are_written_and_read(form: str, text: str) -> None:
    """Each format of the manifests is written and read."""
    assert written(NOW, form) == text
    assert abs(moment_of(text, (form,)) - NOW) < dt.timedelta(seconds=1)


def test_moments_without_a_format() -> None:
    """ISO 8601, Unix times, dates and moments are understood; durations too."""
    assert moment_of("20240203") == moment_of(dt.date(2024, 2, 3)) == dt.datetime(2024, 2, 3, tzinfo=dt.UTC)
    assert moment_of(1706933106.789) == NOW
    assert moment_of(NOW) == NOW
    assert moment_of("2024-02-03T05:05:06.789+01:00", ("%ms", "%s_as_float")) == NOW
    assert duration("P1Y2M1W3DT4H5M6.5S") == dt.timedelta(days=365 + 60 + 7 + 3, hours=4, minutes=5, seconds=6.5)


def test_places_in_values() -> None:
    """Places are found, filled and emptied."""
    value = {"a": [{"b": 1}, {"b": 2}], "c": {"x": {"v": 1}, "y": {"v": 2}}, "n": None}
    assert found_at(value, ["a", "-1", "b"]) == 2
    assert found_at(value, ["a", "7"]) is None
    assert found_at(3, ["a"]) is None
    assert all_at(value, ["c", "*", "v"]) == [1, 2]
    assert all_at(value, ["a", "*", "b"]) == [1, 2]
    assert all_at(value, ["a"]) == value["a"]
    assert all_at(value, ["none"]) == all_at(None, []) == all_at(3, ["*"]) == []
    assert with_value({"a": 1}, ["a", "b"], 2) == {"a": {"b": 2}}
    assert without({"a": {"b": 1, "c": 2}}, ["a", "b"]) == {"a": {"c": 2}}
    assert without({"a": 1}, ["b", "c"]) == without({"a": 1}, []) == {"a": 1}


SCHEMA = Schema((Field("id"),))
CURSOR = {"cursor_field": "at", "datetime_format": "%Y-%m-%d", "start_datetime": "2024-01-01",
          "end_datetime": "2024-01-03"}  # fmt: skip
BOTH = {"pagination_strategy": {"type": "PageIncrement", "page_size": "{{ config.size }}"}}


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"incremental_sync": {**CURSOR, "step": "PT0S"}}, "too many spans"),
        ({"incremental_sync": {**CURSOR, "step": "PT1S", "start_datetime": "1999-01-01"}}, "too many spans"),
        ({"incremental_sync": {**CURSOR, "step": "soon"}}, "is no duration"),
        ({"incremental_sync": {**CURSOR, "lookback_window": "soon"}}, ""),
        ({"incremental_sync": {**CURSOR, "start_datetime": "yesterday"}}, "not a moment"),
        ({"retriever__paginator": BOTH}, "is no number"),
        ({"retriever__requester__url_base": "http://x:port"}, "not a web address"),
        ({"retriever__requester__request_body_json": "{{ config.size }}"}, "body of a request is not JSON"),
    ],
)
def test_values_that_do_not_fit(web: Any, reply: Any, members: dict[str, Any], words: str) -> None:
    """Durations, numbers, moments and bodies that are none are told as such."""
    web.answer = lambda _: reply(body=[])
    text = changed(**members).replace("http://127.0.0.1:1", web.url)
    with service(web, text, {"size": "many"}) as connector:
        if not words:
            assert read(connector, "s", SCHEMA) == []
            return
        with pytest.raises(Misconfigured, match=words):
            read(connector, "s", SCHEMA)


def test_bounds_of_time_and_streams_without_it(web: Any, reply: Any) -> None:
    """Moments keep within their bounds; without a start there are no spans; a parent's value counts once."""
    seen: list[Any] = []
    web.answer = lambda r: seen.append((r.path, r.query)) or reply(body=[{"id": 1}, {"id": 1}, {"id": None}])
    option = {"inject_into": "request_parameter", "field_name": "from"}
    bounded = {"datetime": "{{ config.start }}", "max_datetime": "2024-01-02", "datetime_format": "%Y-%m-%d"}
    sync = {**CURSOR, "start_datetime": bounded, "start_time_option": option}
    base = changed(incremental_sync=sync).replace("http://127.0.0.1:1", web.url)
    with service(web, base, {"start": "2024-01-09"}) as connector:
        read(connector, "s", SCHEMA)
        assert seen.pop() == ("/", {"from": ["2024-01-02"]})
        late = ReadRequest("s", Schema((Field("id"), Field("at", FieldType.DATE))),
                           cursor=Cursor("at", "id", dt.date(2024, 1, 3)))  # fmt: skip
        assert len(list(connector.read(late))) == 1
        assert seen.pop() == ("/", {"from": ["2024-01-03"]})
        assert list(connector.read(ReadRequest("s", SCHEMA, cursor=Cursor("id", "id", "1"))))
    with service(web, base) as connector:
        read(connector, "s", SCHEMA)
        assert seen.pop() == ("/", {})
    parent = {"name": "p", "retriever": {"requester": {"url_base": web.url, "path": "p"},
                                         "record_selector": {"extractor": {"field_path": []}}}}  # fmt: skip
    router = {"type": "SubstreamPartitionRouter",
              "parent_stream_configs": [{"stream": parent, "parent_key": "id", "partition_field": "p"}]}  # fmt: skip
    values = {"type": "ListPartitionRouter", "cursor_field": "v", "values": "{{ config.values }}", "request_option": {
        "inject_into": "body_data", "field_name": "v"}}  # fmt: skip
    more = changed(retriever__partition_router=[router, values], retriever__requester__http_method="POST",
                   retriever__requester__request_parameters="a=1&b={{ stream_partition.p }}")  # fmt: skip
    seen.clear()
    with service(web, more.replace("http://127.0.0.1:1", web.url), {"values": "x"}) as connector:
        read(connector, "s", SCHEMA)
    assert [path for path, _ in seen] == ["/p", "/"]
    assert web.received[-1].query == {"a": ["1"], "b": ["1"]}
    assert web.received[-1].body == b"v=x"


def test_bodies_and_records_as_they_are_wanted(web: Any, reply: Any) -> None:
    """A body can be a text; filters can see what was added; what is no object stays as it is."""
    web.answer = lambda _: reply(body=[{"id": 1}, {"id": 2}, "odd"])
    added = [{"type": "AddFields", "fields": [{"path": ["n"], "value": "{{ now_utc() }}"},
                                              {"path": [], "value": "x"}]}]  # fmt: skip
    selector = {"extractor": {"field_path": []}, "transform_before_filtering": True,
                "record_filter": {"condition": "{{ record.n is defined and record.id == 2 }}"}}  # fmt: skip
    members = {"retriever__record_selector": selector, "transformations": added,
               "retriever__requester__http_method": "POST",
               "retriever__requester__request_body_json": "[1]"}  # fmt: skip
    with service(web, changed(**members).replace("http://127.0.0.1:1", web.url), {}) as connector:
        rows = read(connector, "s", Schema((Field("id"), Field("n"))))
        assert [row["id"] for row in rows] == ["2"]
        assert rows[0]["n"].startswith("20")
    assert web.received[-1].body == b"[1]"
    plain = changed(transformations=added, retriever__requester__request_body_data="<x/>").replace(
        "http://127.0.0.1:1", web.url
    )
    with service(web, plain) as connector:
        (page,) = connector.read(ReadRequest("s", SCHEMA))
        assert (page.records.height, len(page.rejects)) == (2, 1)
        assert web.received[-1].body == b"<x/>"
        web.answer = lambda _: reply(204)
        assert read(connector, "s", SCHEMA) == []
        web.answer = lambda _: reply(body=[{"id": n} for n in range(1001)])
        assert connector.schema("s").names == ("id", "n")
    with service(web, "type: DeclarativeSource\nstreams: []") as connector:
        assert connector.objects() == []
        assert [str(step.detail) for step in connector.check()][-1] == "The manifest has no stream."


def test_calls_without_an_answer_are_made_again(web: Any, reply: Any, waits: list[float]) -> None:
    """A broken connection is tried again; waits come from headers with a time; tokens without an end last an hour."""
    answers = [reply(body=b"", cut=9)] * 2
    web.answer = lambda _: answers.pop() if answers else reply(body=[{"id": 1}])
    with service(web, changed().replace("http://127.0.0.1:1", web.url)) as connector:
        assert len(read(connector, "s", SCHEMA)) == 1
        assert waits == [0.25, 0.5]
        answers += [reply(body=b"", cut=9)] * 9
        with pytest.raises(Unavailable):
            read(connector, "s", SCHEMA)
    answers.clear()
    waits.clear()
    until = {"type": "WaitUntilTimeFromHeader", "header": "X-Until", "min_wait": 3, "regex": "at (\\d+)"}
    handler = {"backoff_strategies": [{"type": "WaitTimeFromHeader", "header": "X-None"}, until]}
    login = {"type": "OAuthAuthenticator", "token_refresh_endpoint": "{{ config.host }}/t", "grant_type": "client",
             "client_id": "{{ config.ids[0] }}"}  # fmt: skip
    text = changed(retriever__requester__error_handler=handler, retriever__requester__authenticator=login)
    refused = [reply(500, b"", {"X-Until": "at 17"})]
    web.answer = lambda r: (
        reply(body={"access_token": "t-0123"}) if r.path == "/t" else refused.pop() if refused else reply(body=[])
    )
    with service(web, text.replace("http://127.0.0.1:1", web.url), ids=["client-1", None]) as connector:
        assert read(connector, "s", SCHEMA) == []
    assert waits == [3.0]


def test_references_into_lists_and_merged_parameters() -> None:
    """A reference can lead into a list; parameters beside it add to those there."""
    base = {"$parameters": {"path": "a", "name": "x"}, "retriever": {
        "requester": {"url_base": "u"}, "record_selector": {"extractor": {"field_path": []}}}}  # fmt: skip
    root = {"type": "DeclarativeSource", "definitions": {"list": [base]},
            "streams": [{"$ref": "#/definitions/list/0", "$parameters": {"path": "b"}}]}  # fmt: skip
    stream = source_of(json.dumps(root)).streams[0]
    assert (stream.name, stream.retriever.requester.path) == ("x", "b")
    with pytest.raises(Misconfigured, match=r"streams: Expected `array`"):
        source_of('{"type": "DeclarativeSource", "streams": 3}')
