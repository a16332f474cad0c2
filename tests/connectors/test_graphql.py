"""The connector `graphql` against graphql-core, the reference engine of Python, behind a real web server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import graphql
import msgspec
import polars as pl
import pytest
from graphql import (
    GraphQLArgument,
    GraphQLError,
    GraphQLField,
    GraphQLInt,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
)

from connectors.builtin import graphql_schema, rest_calls
from connectors.builtin.graphql import GraphQL
from connectors.builtin.graphql_calls import filled, placed
from connectors.errors import AuthFailed, Fatal, Misconfigured, ObjectMissing, RateLimited, RecordRejected, Unavailable
from connectors.json_records import encode
from connectors.spi import Context, Cursor, ReadRequest
from connectors.testing import TITLE, ConnectorConformance, Settings
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files import encoded

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
NAMES = {
    FieldType.TEXT: "String", FieldType.INTEGER: "Long", FieldType.DECIMAL: "Decimal", FieldType.FLOAT: "Double",
    FieldType.BOOLEAN: "Boolean", FieldType.DATE: "Date", FieldType.TIME: "Time", FieldType.DATETIME: "DateTime",
    FieldType.LOCAL_DATETIME: "LocalDateTime", FieldType.BINARY: "Base64", FieldType.JSON: "JSON",
}  # fmt: skip


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait between attempts."""
    monkeypatch.setattr(rest_calls, "backoff", lambda _: 0.0)


def exact(text: bytes | str) -> Any:
    return json.loads(text, parse_float=Decimal)


def served(schema: GraphQLSchema, reply: Any, request: Any) -> Any:
    """Answer a request as GraphQL over HTTP says."""
    if request.headers.get("authorization") != "Bearer good-token":
        return reply(401, {"errors": [{"message": "who are you", "extensions": {"code": "UNAUTHENTICATED"}}]})
    asked = exact(request.body)
    result = graphql.graphql_sync(schema, asked["query"], variable_values=asked.get("variables"))
    body = {"data": result.data, **({"errors": [e.formatted for e in result.errors]} if result.errors else {})}
    return reply(200 if result.data is not None else 400, encode(body))


def untouched(name: str) -> GraphQLScalarType:
    """A scalar that takes and gives values as they are."""
    return GraphQLScalarType(name, serialize=lambda v: v, parse_value=lambda v: v)


class Store:
    """A schema over records that are kept as their JSON texts."""

    def __init__(self, sample: Schema) -> None:
        self.rows: dict[int, dict[str, str]] = {}
        kinds = {name: untouched(name) for name in NAMES.values() if name not in ("String", "Boolean")}
        kinds |= {"String": graphql.GraphQLString, "Boolean": graphql.GraphQLBoolean}
        long, record = kinds["Long"], untouched("Record")
        members = {f.name: GraphQLField(kinds[NAMES[f.type]], resolve=self.value(f.name)) for f in sample.fields}
        row = GraphQLObjectType("Sample", members)
        info = GraphQLObjectType("PageInfo", {
            "hasNextPage": GraphQLField(GraphQLNonNull(graphql.GraphQLBoolean)),
            "endCursor": GraphQLField(GraphQLString),
        })  # fmt: skip
        edge = GraphQLObjectType("Edge", {"node": GraphQLField(row)})
        pages = GraphQLObjectType("Page", {"edges": GraphQLField(GraphQLList(edge)), "pageInfo": GraphQLField(info)})
        given = {"key": GraphQLArgument(GraphQLNonNull(long)), "record": GraphQLArgument(record)}
        paging = {"first": GraphQLArgument(GraphQLInt), "after": GraphQLArgument(GraphQLString)}
        self.schema = GraphQLSchema(
            GraphQLObjectType("Query", {
                "samples": GraphQLField(pages, args=paging, resolve=self.page),
                "sample": GraphQLField(row, args=given, resolve=lambda _r, _i, key: self.rows.get(int(key))),
            }),
            GraphQLObjectType("Mutation", {
                "add": GraphQLField(row, args={"record": given["record"]}, resolve=self.add),
                "set": GraphQLField(row, args=given, resolve=self.set),
                "drop": GraphQLField(row, args=given, resolve=self.drop),
            }),
        )  # fmt: skip

    def value(self, name: str) -> Any:
        return lambda row, _info: exact(row[name]) if name in row else None

    def page(self, _root: Any, _info: Any, first: int = 3, after: str | None = None) -> Any:
        begin = int(after or 0)
        rows = list(self.rows.values())
        end = min(begin + first, len(rows))
        edges = [{"node": row} for row in rows[begin:end]]
        return {"edges": edges, "pageInfo": {"hasNextPage": end < len(rows), "endCursor": str(end)}}

    def at(self, key: Any) -> dict[str, str]:
        if int(key) not in self.rows:
            raise GraphQLError("there is no such record")
        return self.rows[int(key)]

    def add(self, _root: Any, _info: Any, record: dict[str, Any]) -> Any:
        if int(record["id"]) in self.rows:
            raise GraphQLError("id is taken")
        return self.kept({}, record)

    def set(self, _root: Any, _info: Any, key: Any, record: dict[str, Any]) -> Any:
        return self.kept(self.at(key), record)

    def drop(self, _root: Any, _info: Any, key: Any) -> Any:
        self.at(key)
        return self.rows.pop(int(key))

    def kept(self, row: dict[str, str], record: dict[str, Any]) -> dict[str, str]:
        if TITLE in record and record[TITLE] is None:
            raise GraphQLError("title must not be empty")
        row |= {n: encode(v).decode() for n, v in record.items()}
        self.rows[int(exact(row["id"]))] = row
        return row


class TestGraphQL(ConnectorConformance):
    connector = GraphQL
    object_name = "samples"
    real_system = "graphql-core 3.2"

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, web: Any, reply: Any, sample: Schema) -> Settings:
        self.store = Store(sample)
        web.answer = lambda request: served(self.store.schema, reply, request)
        names = " ".join(sample.names)
        fields = [
            {"name": f.name, "type": f.type.value, "scale": f.scale, "required": not f.nullable} for f in sample.fields
        ]
        described = {
            "name": "samples",
            "key": "id",
            "query": f"query($n: Int, $c: String) {{ samples(first: $n, after: $c) {{ edges {{ node {{ {names} }} }} "
            "pageInfo { hasNextPage endCursor } } }",
            "records": "samples",
            "paging": {"by": "relay", "variable": "c", "size_variable": "n", "size": 3},
            "item": {"query": f"query($k: Long!) {{ sample(key: $k) {{ {names} }} }}", "variables": {"k": "{key}"},
                     "record": "sample"},
            "create": {"query": "mutation($r: Record) { add(record: $r) { id } }", "variables": {"r": "{record}"},
                       "record": "add"},
            "update": {"query": "mutation($k: Long!, $r: Record) { set(key: $k, record: $r) { id } }",
                       "variables": {"k": "{key}", "r": "{record}"}, "record": "set"},
            "delete": {"query": "mutation($k: Long!) { drop(key: $k) { id } }", "variables": {"k": "{key}"}},
            "fields": fields,
        }  # fmt: skip
        return {
            "base_url": web.url + "/graphql", "authentication": "bearer", "token": "good-token", "objects": [described],
        }  # fmt: skip

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        rows = [exact_members(encoded(r, schema)) for r in records.iter_rows(named=True)]
        self.store.rows = {int(row["id"]): row for row in rows}

    def broken(self, settings: Settings) -> Sequence[Settings]:
        described = settings["objects"][0]
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": "http://10.0.0.1"},
            {**settings, "token": ""},
            {**settings, "objects": "[{]"},
            {**settings, "objects": [{**described, "query": "{ samples {"}]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}

    @pytest.mark.parametrize(
        ("wrong", "steps", "words"),
        [
            ({"token": "wrong-token"}, 4, "who are you"),
            ({"query": "{ nothing }"}, 3, "does not fit the schema"),
            ({"records": "samples.none"}, 4, "no list of records at 'samples.none'"),
        ],
    )
    def test_the_service_is_asked(self, settings: Settings, wrong: dict[str, str], steps: int, words: str) -> None:
        """What only the service knows to be wrong is told by the step that asks it."""
        described = {**settings["objects"][0], **{n: v for n, v in wrong.items() if n != "token"}}
        found = list(
            self.connect(
                {**settings, "token": wrong.get("token", settings["token"]), "objects": [described]}, HERE
            ).check()
        )
        assert [step.ok for step in found] == [True] * (steps - 1) + [False]
        assert words in str(found[-1].detail)


def exact_members(text: bytes | str) -> dict[str, str]:
    return {k: bytes(v).decode() for k, v in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()}


PEOPLE = """
scalar DateTime
interface Named { name: String }
type City { name: String! }
type Person implements Named { id: ID! name: String born: DateTime age: Int score: Float tags: [String!] city: City
  kind: Kind bad: Int }
enum Kind { GOOD BAD }
type Page { total: Int nodes: [Person] }
type Query { people(skip: Int, since: String): Page all: [Person] who: Person }
type Problem { message: String }
type Made { person: Person errors: [Problem!] }
type Mutation { make(name: String): Made }
"""


class Town:
    """A service with a list by offset, errors about single fields, and mutations that tell errors as data."""

    def __init__(self, reply: Any, count: int = 5) -> None:
        self.schema = graphql.build_schema(PEOPLE)
        self.reply = reply
        self.count = count
        self.asked: list[Any] = []

    def people(self, _info: Any, skip: int = 0, since: str = "") -> Any:
        self.asked.append((skip, since))
        return {"total": self.count, "nodes": self.all(None)[skip : skip + 2]}

    def all(self, _info: Any) -> Any:
        return [
            {
                "id": str(n),
                "name": f"n{n}",
                "born": f"2024-01-0{n + 1}T00:00:00Z",
                "age": n,
                "kind": "GOOD",
                "bad": GraphQLError("secret sum") if n == 3 else n,
                "city": {"name": "X"},
            }
            for n in range(self.count)
        ]

    def make(self, _info: Any, name: str = "") -> Any:
        return {"errors": [{"message": "too short"}]} if len(name) < 2 else {"person": {"id": "9", "name": name}}

    def __call__(self, request: Any) -> Any:
        asked = json.loads(request.body)
        result = graphql.graphql_sync(self.schema, asked["query"], self, variable_values=asked["variables"])
        body = {"data": result.data, **({"errors": [e.formatted for e in result.errors]} if result.errors else {})}
        return self.reply(body=body)


def service(web: Any, **described: Any) -> GraphQL:
    settings = described.pop("settings", {})
    one = {"name": "people", "key": "id", "query": "{ all { id name } }", "records": "all", **described}
    defaults = {s.name: s.default for s in GraphQL.spec.settings}
    return GraphQL({**defaults, "base_url": web.url + "/graphql", "objects": [one], **settings}, HERE)


LIST = "query($s: Int, $t: String) { people(skip: $s, since: $t) { total nodes { id name bad } } }"
OFFSET = {"by": "offset", "variable": "s", "total": "people.total"}


def test_offsets_and_records_with_errors(web: Any, reply: Any) -> None:
    """A list by offset ends at its total; a record that the service has an error about is put aside with its words."""
    web.answer = town = Town(reply)
    with service(web, query=LIST, records="people", paging=OFFSET) as connector:
        schema = connector.schema("people")
        pages = list(connector.read(ReadRequest("people", schema, page_size=2)))
        assert [i for page in pages for i in page.records["id"]] == ["0", "1", "2", "4"]
        rejects = [reject for page in pages for reject in page.rejects]
        assert [(r.place, str(r.message)) for r in rejects] == [
            ("record 4", "The service reports an error for this record: secret sum (bad)")
        ]
        assert [skip for skip, _ in town.asked] == [0, 2, 4]
        rest = list(connector.read(ReadRequest("people", schema, page_size=2, after=pages[0].position)))
        assert [i for page in rest for i in page.records["id"]] == ["2", "4"]
    with (
        service(web, query=LIST, records="people", paging={**OFFSET, "total": "people"}) as odd,
        pytest.raises(Misconfigured, match="no number"),
    ):
        list(odd.read(ReadRequest("people", schema)))


def test_what_changed_is_asked_for_in_a_variable(web: Any, reply: Any) -> None:
    """The cursor's value is sent in the variable that the description names, and what is older is left out."""
    web.answer = town = Town(reply)
    query = "query($s: Int, $t: String) { people(skip: $s, since: $t) { nodes { id born } } }"
    with service(web, query=query, records="people", paging={"by": "offset", "variable": "s"},
                 since={"parameter": "t", "format": "date"}) as connector:  # fmt: skip
        schema = connector.schema("people")
        moment = next(iter(connector.read(ReadRequest("people", schema)))).records["born"][3]
        request = ReadRequest("people", schema, cursor=Cursor("born", "id", moment))
        assert [i for page in connector.read(request) for i in page.records["id"]] == ["3", "4"]
        assert town.asked[-1] == (5, "2024-01-04")


def test_fields_come_from_the_schema_of_the_service(web: Any, reply: Any) -> None:
    """Aliases, fragments, enumerations, objects and lists are known by the types of the service."""
    web.answer = Town(reply)
    query = """query { all { key: id ...More ... on Person { score tags } ... { kind } __typename ...More ...None } }
               fragment More on Person { name born age city { name } }"""
    with service(web, query=query, key="key") as connector:
        assert connector.schema("people") == Schema(
            (Field("key", nullable=False), Field("name"), Field("born", FieldType.DATETIME),
             Field("age", FieldType.INTEGER), Field("city", FieldType.JSON), Field("score", FieldType.FLOAT),
             Field("tags", FieldType.JSON), Field("kind"), Field("__typename")),
            ("key",),
        )  # fmt: skip
    schema = graphql.build_schema(PEOPLE)
    for wrong, records in (
        ("{ all { id } }", "none"),
        ("{ all { id } }", "all.id"),
        ("fragment A on City { name }", "x"),
    ):
        assert graphql_schema.fields_of_query(schema, wrong, records, "id") is None


def test_a_sample_tells_where_the_schema_is_kept_secret(web: Any, reply: Any) -> None:
    """A service that does not tell its schema is read all the same; one that does not answer is not."""
    town = Town(reply, 3)

    def shy(request: Any) -> Any:
        return (
            reply(400, {"errors": [{"message": "no introspection"}]}) if b"__schema" in request.body else town(request)
        )

    web.answer = shy
    with service(web) as connector:
        assert [step.ok for step in connector.check()] == [True] * 4
        assert connector.schema("people").names == ("id", "name")
        assert connector.service_schema is None
    web.answer = lambda _: reply(body={"data": {"__schema": {"types": 1}, "all": [{"id": 1}] * 2000}})
    with service(web, key="") as connector:
        assert connector.schema("people").names == ("id",)
    web.answer = lambda _: reply(404)
    with service(web) as connector, pytest.raises(ObjectMissing):
        list(connector.read(ReadRequest("people", Schema((Field("id"),)))))
    web.answer = lambda _: reply(503)
    with service(web) as connector, pytest.raises(Unavailable):
        connector.schema("people")
    with service(web, settings={"objects": []}) as connector:
        assert connector.objects() == []
        web.answer = town
        assert [step.ok for step in connector.check()] == [True] * 4


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        ({"errors": [{"message": "slow down", "extensions": {"code": "THROTTLED"}}]}, RateLimited, "slow down"),
        ({"errors": [{"message": "who", "extensions": {"type": "Forbidden"}}]}, AuthFailed, "who"),
        ({"errors": ["broken"], "data": None}, Fatal, "broken"),
        ({"errors": [{"message": "odd", "path": ["all"], "extensions": 3}], "data": {"all": None}}, Fatal, "odd"),
        ({"errors": [{"message": "other"}], "data": {"all": []}}, Fatal, "other"),
        ({"data": {"all": 7}}, Misconfigured, "no list of records at 'all'"),
        ({"data": None}, Misconfigured, "no list of records at 'all'"),
        ({"items": []}, Misconfigured, "not as GraphQL does"),
        ([], Misconfigured, "not as GraphQL does"),
    ],
)
def test_errors_of_the_whole_answer(web: Any, reply: Any, answer: Any, error: type[Exception], words: str) -> None:
    """What is wrong with all of an answer stops the run with the service's words."""
    web.answer = lambda _: reply(body=answer)
    with service(web) as connector, pytest.raises(error, match=words):
        list(connector.read(ReadRequest("people", Schema((Field("id"),)))))


def test_connections_that_do_not_end(web: Any, reply: Any) -> None:
    """A cursor that comes again, and a connection without pageInfo, are errors."""
    page = {"edges": [{"node": {"id": "1"}}, None], "pageInfo": {"hasNextPage": True, "endCursor": "x"}}
    web.answer = lambda _: reply(body={"data": {"all": page}})
    relay = {"paging": {"by": "relay", "variable": "a"}}
    schema = Schema((Field("id"),))
    with service(web, **relay) as connector, pytest.raises(Fatal, match="does not end"):
        list(connector.read(ReadRequest("people", schema)))
    page.pop("pageInfo")
    with service(web, **relay) as connector, pytest.raises(Misconfigured, match="no pageInfo"):
        list(connector.read(ReadRequest("people", schema)))
    with service(web) as connector:
        assert len(next(iter(connector.read(ReadRequest("people", schema)))).rejects) == 1
        with pytest.raises(ObjectMissing):
            connector.schema("none")


def test_errors_in_the_data_of_a_mutation(web: Any, reply: Any) -> None:
    """Services that tell what is wrong in the data are understood; a mutation that is wrong itself stops the run."""
    web.answer = Town(reply)
    make = "mutation($n: String) { make(name: $n) { person { id } errors { message } } }"
    create = {"query": make, "variables": {"n": "{name}"}, "record": "make.person", "errors": "make.errors"}
    schema = Schema((Field("id"), Field("name")), ("id",))

    def written(**more: Any) -> Any:
        with service(web, create={**create, **more}) as connector:
            return connector.write("people", schema, [Change(Op.CREATE, "id", records)])

    records = pl.DataFrame({"id": [None, None], "name": ["x", "long"]}, schema={"id": pl.String, "name": pl.String})
    result = written()
    assert [(f.row, str(f.message)) for f in result.failures] == [(0, "The service refuses the record: too short")]
    assert result.keys[0].to_list() == [None, "9"]
    assert [str(f.message) for f in written(errors="").failures] == ["The service answers without the record -."]
    assert written(errors="none", record="").keys[0].to_list() == [None, None]
    with pytest.raises(Fatal, match="Cannot query field"):
        written(query="mutation { nothing }")
    with service(web) as connector, pytest.raises(Misconfigured, match="no description of how to delete"):
        connector.write("people", schema, [Change(Op.DELETE, "id", records)])
    with service(web, create=create) as connector:
        bare = Change(Op.CREATE, "other", records.select("name"))
        assert connector.write("people", schema.select(("name",)), [bare]).keys == (None,)


def test_lookups_one_by_one_and_by_the_list(web: Any, reply: Any) -> None:
    """Few records are asked for one by one; many, or by another field, from the list; what does not fit is told."""
    web.answer = Town(reply)
    schema = Schema((Field("id"), Field("age", FieldType.INTEGER)), ("id",))
    item = {"query": "{ who { id age } }", "record": "who.none"}
    ids = pl.Series("id", ["1", "2"])
    with service(web, query="{ all { id age } }", item=item) as connector:
        assert connector.lookup("people", schema, "id", ids).is_empty()
        assert connector.lookup("people", schema, "id", ids.clear()).is_empty()
        assert connector.lookup("people", schema, "age", pl.Series("age", [1])).rows() == [("1", 1)]
    web.answer = Town(reply)
    with service(web, query="{ all { id age } }", item={"query": "{ nothing }", "record": "who"}) as connector:
        assert connector.lookup("people", schema, "id", ids).rows() == [("1", 1), ("2", 2)]
    web.answer = lambda _: reply(body={"data": {"who": {"id": "7", "age": 1}}})
    with (
        service(web, item={**item, "record": "who"}) as connector,
        pytest.raises(RecordRejected, match="another record"),
    ):
        connector.lookup("people", schema, "id", ids)
    web.answer = lambda _: reply(body={"data": {"who": {"id": "1", "age": "x"}}})
    with service(web, item={**item, "record": "who"}) as connector, pytest.raises(RecordRejected):
        connector.lookup("people", schema, "id", ids)


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ({"name": ""}, "needs a name"),
        ({"paging": {"by": "relay"}}, "needs the member 'variable'"),
        ({"key": "", "delete": {"query": "{ a }"}}, "needs the member 'key'"),
        ({"query": "{ a " * 20_000}, "people.query"),
        ({"query": "{ " + "a {" * 5000}, "people.query"),
        ({"item": {"query": "nothing"}}, "people.item"),
        ({"colour": 1}, "colour"),
    ],
)
def test_descriptions_that_are_wrong(web: Any, described: Any, words: str) -> None:
    """What is wrong with a description is told with its place, before anything is asked."""
    with service(web, **described) as connector:
        steps = list(connector.check())
        assert [step.ok for step in steps] == [False]
        assert words in str(steps[0].detail)


def test_variables_are_filled_in() -> None:
    """Texts in braces stand for values, at any depth; values are put at their paths."""
    template = {"a": ["{record}", {"b": "{key}"}], "c": "{unknown}", "d": "x{key}", "e": 1}
    assert filled(template, {"record": {"n": 1}, "key": 7}) == {
        "a": [{"n": 1}, {"b": 7}], "c": "{unknown}", "d": "x{key}", "e": 1,
    }  # fmt: skip
    assert placed({"f": {"x": 1}, "g": 2}, "f.y.z", 3) == {"f": {"x": 1, "y": {"z": 3}}, "g": 2}
