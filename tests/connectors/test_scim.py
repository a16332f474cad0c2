"""The connector `scim` against a real, independent SCIM server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin import scim_write
from connectors.builtin.scim import Scim
from connectors.errors import AuthFailed, Fatal, Forbidden, Misconfigured, ObjectMissing, RecordRejected, Unavailable
from connectors.spi import Context, Cursor, ReadRequest
from connectors.testing import TITLE, ConnectorConformance, Settings
from connectors.testing_write import WriteLaws
from connectors.value_text import PLAIN
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.scim_servers import SAMPLE, TOKEN, ScimServer, scim_server

HERE = Context(timeout=10)
TYPES = (
    FieldType.TEXT, FieldType.INTEGER, FieldType.FLOAT, FieldType.DECIMAL, FieldType.BOOLEAN, FieldType.DATE,
    FieldType.TIME, FieldType.DATETIME, FieldType.LOCAL_DATETIME, FieldType.JSON,
)  # fmt: skip
_KINDS = {"integer": "integer", "boolean": "boolean"}


def _attribute(name: str, kind: str = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "multiValued": False, "description": name, "required": False, "caseExact": True,
            "mutability": "readWrite", "returned": "default", "uniqueness": "none", **more}  # fmt: skip


ATTRIBUTES = [
    _attribute("number", "integer", required=True, uniqueness="server"),
    _attribute("title", required=True),
    _attribute("version", "integer"),
    *(_attribute(f"f_{kind}", _KINDS.get(kind, "string")) for kind in TYPES),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ScimServer]:
    with scim_server(ATTRIBUTES) as found:
        yield found


def opened(server: ScimServer | str, **more: Any) -> Scim:
    defaults = {setting.name: setting.default for setting in Scim.spec.settings}
    address = server if isinstance(server, str) else server.url
    given = {"base_url": address, "authentication": "bearer", "token": TOKEN, **more}
    return Scim({**defaults, **given}, HERE)


class Samples:
    """How the suites make records of the server, and settings of a connection to it."""

    connector = Scim
    types = TYPES
    more: Mapping[str, Any] = {}

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, server: ScimServer, sample: Schema) -> Settings:
        self.server = server
        fields = [
            {"name": f.name, "attribute": "number" if f.name == "id" else f.name, "type": f.type.value,
             "scale": f.scale, "required": not f.nullable}
            for f in sample.fields
        ]  # fmt: skip
        described = {"name": "sample", "resource": "Samples", "key": "id", "fields": fields}
        return {"base_url": server.url, "authentication": "bearer", "token": TOKEN, "objects": [described],
                "page_size": 4, **self.more}  # fmt: skip

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.server.seed("Sample", [_resource(r) for r in records.iter_rows(named=True)])

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": "http://10.0.0.1"},
            {**settings, "token": "wrong"},
            {**settings, "token": ""},
            {**settings, "objects": "[{]"},
            {**settings, "objects": ["nothing"]},
            {**settings, "objects": [{"name": "x", "resource": "Users", "fields": [{"name": "nothing"}]}]},
            {**settings, "objects": ["Users", "Users"]},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


class TestScim(Samples, ConnectorConformance):
    pass


class TestScimByPut(Samples, WriteLaws):
    more: Mapping[str, Any] = {"updating": "put", "etag": False}


class TestScimInBulk(Samples, WriteLaws):
    more: Mapping[str, Any] = {"bulk": True}

    @pytest.fixture(autouse=True)
    def _few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scim_write, "_MOST", 3)


def _resource(record: Mapping[str, Any]) -> dict[str, Any]:
    plain = {n: v if isinstance(v, (bool, int)) else PLAIN.text(v) for n, v in record.items() if v is not None}
    return {"schemas": [SAMPLE], "number": plain.pop("id"), **plain}


PEOPLE = Schema((Field("id", nullable=False), Field("userName")), ("id",))
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def ids(scim: Scim, name: str = "Users", **more: Any) -> list[str]:
    pages = scim.read(ReadRequest(name, PEOPLE, **more))
    return [number for page in pages for number in page.records["id"]]


def frame(scim: Scim, name: str, **values: Any) -> pl.DataFrame:
    dtypes = scim.schema(name).select(tuple(values)).dtypes()
    return pl.DataFrame({n: [v] for n, v in values.items()}, schema=dtypes)


@pytest.mark.parametrize("updating", ["patch", "put"])
def test_users_and_groups_of_the_standard(server: ScimServer, updating: str) -> None:
    """Parts and extensions are fields; keys come back; members go one by one; what has not changed is not written."""
    with opened(server, updating=updating, etag=True) as scim:
        users, groups = scim.schema("Users"), scim.schema("Groups")
        assert {n: users[n].type for n in ("name.givenName", "emails", "active", "enterprise.department")} == {
            "name.givenName": FieldType.TEXT, "emails": FieldType.JSON, "active": FieldType.BOOLEAN,
            "enterprise.department": FieldType.TEXT,
        }  # fmt: skip
        assert "password" not in users
        made = frame(scim, "Users", **{"userName": f"u-{updating}", "name.givenName": "A", "active": True,
                                       "enterprise.department": "d", "emails": '[{"value":"a@e.com"}]'})  # fmt: skip
        (key,) = scim.write("Users", users, [Change(Op.CREATE, "id", made)]).keys[0]
        change = frame(
            scim, "Users", **{"id": key, "enterprise.department": "e", "name.givenName": None, "emails": "[]"}
        )
        assert not scim.write("Users", users, [Change(Op.UPDATE, "id", change)]).failures
        wanted = users.select(
            ("id", "userName", "name.givenName", "enterprise.department", "emails", "meta.lastModified")
        )
        (found,) = scim.lookup("Users", wanted, "id", pl.Series([key, "nobody"])).rows(named=True)
        assert (found["name.givenName"], found["enterprise.department"], found["emails"]) == (None, "e", None)
        since = Cursor("meta.lastModified", "id", found["meta.lastModified"])
        assert key in [n for page in scim.read(ReadRequest("Users", wanted, since)) for n in page.records["id"]]
        group = frame(scim, "Groups", displayName=f"g-{updating}", members=f'[{{"value":"{key}"}}]')
        (gid,) = scim.write("Groups", groups, [Change(Op.CREATE, "id", group)]).keys[0]
        for members in ('[{"value":"other"}]', "[]"):
            change = frame(scim, "Groups", id=gid, members=members)
            assert not scim.write("Groups", groups, [Change(Op.UPDATE, "id", change)]).failures
        assert scim.lookup("Groups", groups, "id", pl.Series([gid]))["members"].to_list() == [None]
        for name, number in (("Groups", gid), ("Users", key)):
            assert not scim.write(
                name, scim.schema(name), [Change(Op.DELETE, "id", pl.DataFrame({"id": [number]}))]
            ).failures
        gone = pl.DataFrame({"id": [key, None]}, schema={"id": pl.String})
        assert len(scim.write("Users", users, [Change(Op.DELETE, "id", gone)]).failures) == 2
        with pytest.raises(ObjectMissing, match="no field 'nothing'"):
            list(scim.read(ReadRequest("Users", Schema((Field("nothing"),)))))


class Strange:
    """A service that knows no discovery, and does what a test says with lists."""

    def __init__(self, reply: Any, total: int = 3) -> None:
        self.reply, self.total, self.answer = reply, total, None
        self.people = [{"id": str(n), "userName": f"u{n}"} for n in range(1, 4)]

    def __call__(self, request: Any) -> Any:
        if self.answer is not None and (found := self.answer(request)) is not None:
            return found
        if request.path != "/Users" or request.method != "GET":
            return self.reply(404, {"detail": "nothing here"})
        start = int(request.query["startIndex"][0])
        part = self.people[start - 1 :][:2]
        return self.reply(body={"totalResults": self.total, "Resources": part, "startIndex": 99, "itemsPerPage": 7})


def strange(web: Any, reply: Any, **more: Any) -> tuple[Strange, Scim]:
    web.answer = Strange(reply)
    return web.answer, opened(web.url, **more)


def test_a_service_that_tells_nothing_of_itself(web: Any, reply: Any) -> None:
    """Without discovery the standard's users and groups are there, and numbers in answers that are wrong do no harm."""
    _, scim = strange(web, reply, page_size=2)
    with scim:
        assert scim.schema("Groups").names[-1] == "members"
        assert ids(scim) == ["1", "2", "3"]
        assert ids(scim, page_size=1) == ["1", "2", "3"]
        assert ids(scim, after={"start": 3, "skip": 0, "total": 3}) == ["3"]
        with opened(web.url, objects=[{"name": "keyless", "resource": "Users", "key": "nothing"}]) as keyless:
            assert keyless.schema("keyless").key == ()
        assert ids(scim, after={"start": 4, "skip": 0, "total": 3, "done": True}) == []


def test_resources_at_another_server(web: Any, reply: Any) -> None:
    """A kind of resources that is said to be elsewhere is not asked for there, where the credentials would go, too."""
    service, _ = strange(web, reply)
    ends = {"/Schemas": [{"id": "u", "attributes": []}]}
    service.answer = lambda r: reply(body={"Resources": ends[r.path]}) if r.path in ends else None
    for endpoint, refused in ((f"{web.url}/Users", False), ("http://localhost:1/Users", True)):
        ends["/ResourceTypes"] = [{"endpoint": endpoint, "schema": "u"}]
        with opened(web.url) as scim:
            if refused:
                with pytest.raises(Forbidden, match="another service"):
                    scim.objects()
            else:
                assert len(scim.objects()) == 1


def test_lists_that_cannot_be_whole(web: Any, reply: Any) -> None:
    """A list that ends early, shrinks, or does not heed startIndex is an error; what is no resource is put aside."""
    service, scim = strange(web, reply, page_size=2)
    with scim:
        service.total = 5
        with pytest.raises(Fatal, match="ended after 3 of 5"):
            ids(scim)
        with pytest.raises(Unavailable, match="has become shorter"):
            ids(scim, after={"start": 3, "skip": 0, "total": 9})
        service.answer = lambda r: (
            reply(body={"totalResults": 9, "Resources": service.people[:1]}) if r.path == "/Users" else None
        )
        with pytest.raises(Fatal, match="the same page"):
            ids(scim)
        service.answer = lambda r: reply(body=[7, {"id": None}]) if r.path == "/Users" else None
        (page,) = scim.read(ReadRequest("Users", PEOPLE))
        assert [reject.place for reject in page.rejects] == ["record 1", "record 2"]
        service.answer = lambda r: (
            reply(body={"id": "x", "userName": "y", "active": "7"}) if "/Users/" in r.path else None
        )
        with pytest.raises(RecordRejected, match="neither yes nor no"):
            scim.lookup("Users", scim.schema("Users"), "id", pl.Series(["x"]))
        service.answer = lambda r: reply(400, {"detail": "no"}) if "/Users/" in r.path else None
        with pytest.raises(Fatal, match="refuses the request"):
            scim.lookup("Users", PEOPLE, "id", pl.Series(["x"]))
        service.answer = None
        service.total = 3
        assert scim.lookup("Users", PEOPLE, "id", pl.Series([str(n) for n in range(60)])).height == 3


def test_a_filter_that_is_refused(web: Any, reply: Any) -> None:
    """Of a service that cannot filter, all is read, and what is older left out here; other refusals stay errors."""
    service, scim = strange(web, reply, page_size=5)
    schema = Schema((*PEOPLE.fields, Field("meta.lastModified", FieldType.DATETIME)), ("id",))
    cursor = Cursor("meta.lastModified", "id", "2024-01-02T00:00:00Z")
    with scim:
        for number, person in enumerate(service.people, 1):
            person["meta"] = {"lastModified": f"2024-01-0{number}T00:00:00Z"}
        service.answer = lambda r: reply(400, {"detail": "no filter"}) if "filter" in r.query else None
        pages = list(scim.read(ReadRequest("Users", schema, cursor)))
        assert [n for page in pages for n in page.records["id"]] == ["2", "3"]
        service.answer = lambda r: reply(403, {}) if "filter" in r.query else None
        with pytest.raises(AuthFailed):
            list(scim.read(ReadRequest("Users", schema, cursor)))
        service.answer = lambda r: reply(400, {}) if r.path == "/Users" else None
        with pytest.raises(Fatal, match="refuses the request"):
            list(scim.read(ReadRequest("Users", schema, Cursor("meta.lastModified", "id"))))


def test_writes_that_are_refused(web: Any, reply: Any) -> None:
    """A version that is not the present one, a refusal, a service without creations, a strange bulk answer."""
    service, scim = strange(web, reply, bulk=True)
    config = {"patch": {"supported": True}, "etag": {"supported": True}, "bulk": {"supported": False}}
    service.people[0]["meta"] = {"version": 'W/"1"'}
    status = 412

    def answer(request: Any) -> Any:
        if request.path == "/ServiceProviderConfig":
            return reply(body=config)
        if request.method in ("PATCH", "POST", "DELETE"):
            if request.path == "/Bulk":
                return reply(status, {"Operations": []})
            return reply(status, {"detail": "because"})
        return reply(body=service.people[0]) if request.path == "/Users/1" else None

    service.answer = answer
    with scim:
        users = scim.schema("Users")

        def update() -> str:
            (failure,) = scim.write(
                "Users", users, [Change(Op.UPDATE, "id", frame(scim, "Users", id="1", title="x"))]
            ).failures
            return str(failure.message)

        assert "changed by somebody else" in update()
        assert web.received[-1].headers["if-match"] == 'W/"1"'
        status = 404
        assert "no such record" in update()
        status = 400
        assert "(400): because" in update()
        same = frame(scim, "Users", id="1", userName="u1", title=None).select("id", "title")
        assert not scim.write("Users", users, [Change(Op.UPDATE, "id", same)]).failures
        status = 405
        with pytest.raises(Fatal, match="405"):
            scim.write("Users", users, [Change(Op.CREATE, "id", frame(scim, "Users", userName="n"))])
        config["bulk"] = {"supported": True, "maxOperations": 1}
        scim.service.__dict__.pop("offers")
        with pytest.raises(Fatal):
            scim.write("Users", users, [Change(Op.CREATE, "id", frame(scim, "Users", userName="n"))])
        status = 200
        with pytest.raises(Misconfigured, match="does not tell what became"):
            scim.write("Users", users, [Change(Op.CREATE, "id", frame(scim, "Users", userName="n"))])
        service.people[1]["userName"] = "u1"
        keyed = opened(web.url, objects=[{"name": "p", "resource": "Users", "key": "userName"}])
        with keyed:
            keyed.service.__dict__["offers"] = {}
            (failure,) = keyed.write(
                "p", keyed.schema("p"), [Change(Op.DELETE, "userName", pl.DataFrame({"userName": ["u1"]}))]
            ).failures
            assert "several records" in str(failure.message)


def test_creations_whose_answer_says_little(web: Any, reply: Any) -> None:
    """An answer without a body leaves the key that was sent; one that is no JSON does no harm."""
    service, scim = strange(web, reply, objects=[{"name": "p", "resource": "Users", "key": "userName"}])
    service.answer = lambda r: reply(201, b"<p>", {"Content-Type": "text/html"}) if r.method == "POST" else None
    with scim:
        made = frame(scim, "p", id="given", userName="n", **{"name.givenName": "x"})
        assert scim.write("p", scim.schema("p"), [Change(Op.CREATE, "userName", made)]).keys[0].to_list() == ["n"]
        assert web.received[-1].json()["name"] == {"givenName": "x"}
