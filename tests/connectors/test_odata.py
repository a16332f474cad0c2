"""The connector `odata` against a rebuilt service that checks every request, in versions 2 and 4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
import pytest

from connectors.builtin import odata_write, rest_calls
from connectors.builtin.odata import OData
from connectors.builtin.odata_model import ENTITY_KEY, model_of
from connectors.builtin.odata_types import edm_type
from connectors.errors import AuthFailed, Fatal, Misconfigured, ObjectMissing, RecordRejected, Unavailable
from connectors.spi import Context, Cursor, ReadRequest
from connectors.testing import EXTREMES, TITLE, ConnectorConformance, Settings
from connectors.testing_write import WriteLaws
from rules.schema import Change, FieldType, Op, Schema
from tests.connectors.odata_strict import Entities, ODataService

HERE = Context(timeout=10)
TYPES = (
    FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN, FieldType.DATE,
    FieldType.TIME, FieldType.DATETIME, FieldType.BINARY,
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_calls, "backoff", lambda _: 0.0)


def opened(web: Any, **more: Any) -> OData:
    defaults = {setting.name: setting.default for setting in OData.spec.settings}
    return OData({**defaults, "base_url": f"{web.url}/svc", **more}, HERE)


class Samples:
    """How the suites make records of the service, and settings of a connection to it."""

    connector = OData
    object_name = "samples"
    types = TYPES
    old = False
    more: Mapping[str, Any] = {}

    @pytest.fixture
    def context(self) -> Context:
        return HERE

    @pytest.fixture
    def settings(self, web: Any, reply: Any, sample: Schema) -> Settings:
        kinds = {f.name: f.type.value for f in sample.fields}
        sets = {"samples": Entities(kinds, ("id",), ("title",))}
        self.service = ODataService(self.old, reply, sets, tracks=not self.old)
        web.answer = self.service
        return {"base_url": f"{web.url}/svc", "page_size": 4, **self.more}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        self.service.sets["samples"].rows = {(r["id"],): r for r in records.iter_rows(named=True)}

    def change(self, settings: Settings, records: pl.DataFrame, removed: pl.Series) -> None:
        rows, deltas = self.service.sets["samples"].rows, self.service.deltas["samples"]
        fresh = {(r["id"],): r for r in records.iter_rows(named=True)}
        rows |= fresh
        for key in removed:
            del rows[key,]
        deltas.changed(fresh)
        deltas.removed((key,) for key in removed)

    def rename(self, settings: Settings, old: Any, new: Any) -> None:
        rows, deltas = self.service.sets["samples"].rows, self.service.deltas["samples"]
        rows[new,] = {**rows.pop((old,)), "id": new}
        deltas.removed([(old,)])
        deltas.changed([(new,)])

    def broken(self, settings: Settings) -> Sequence[Settings]:
        return [
            {**settings, "base_url": "http://no-such-host.invalid"},
            {**settings, "base_url": "http://10.0.0.1"},
            {**settings, "base_url": "ftp://example.com"},
            {**settings, "base_url": settings["base_url"] + "/nothing"},
            {**settings, "objects": "[{]"},
            {**settings, "objects": ["nothing"]},
            {**settings, "objects": ["samples", "samples"]},
            {**settings, "authentication": "bearer", "token": ""},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}


class TestVersion4(Samples, ConnectorConformance):
    pass


class TestVersion2(Samples, ConnectorConformance):
    old = True
    types = (*TYPES, FieldType.LOCAL_DATETIME)

    @pytest.fixture(autouse=True)
    def _no_delta_links(self, request: pytest.FixtureRequest) -> None:
        if "captured" in request.node.name:
            pytest.skip("version 2 has no delta links")

    def values(self) -> Mapping[FieldType, Sequence[Any]]:
        """Version 2 counts milliseconds."""
        moments = (FieldType.DATETIME, FieldType.LOCAL_DATETIME)
        exact = {k: tuple(v.replace(microsecond=v.microsecond // 1000 * 1000) for v in EXTREMES[k]) for k in moments}
        return {**EXTREMES, **exact}


class TestBatches(Samples, WriteLaws):
    more: Mapping[str, Any] = {"writing": "batch", "paging": "skip"}

    @pytest.fixture(autouse=True)
    def _few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(odata_write, "_BATCH", 3)


def service(web: Any, reply: Any, *, old: bool = False, rows: int = 0, **more: Any) -> ODataService:
    """Let the web server be a service with some orders' items, whose key has two parts, and one plain set."""
    items = {(f"O'{n}", n): {"Order": f"O'{n}", "Item": n, "what": f"w{n}"} for n in range(rows)}
    plain = {(n,): {"id": n, "title": f"t{n}", "at": None} for n in range(rows)}
    kinds = {"Order": "text", "Item": "integer", "what": "text"}
    web.answer = ODataService(old, reply, {
        "Items": Entities(kinds, ("Order", "Item"), (), items),
        "Plain": Entities({"id": "integer", "title": "text", "at": "datetime"}, ("id",), (), plain),
    }, **more)  # fmt: skip
    found: ODataService = web.answer
    return found


def keys(odata: OData, name: str = "Plain", **more: Any) -> list[Any]:
    schema = odata.schema(name)
    pages = list(odata.read(ReadRequest(name, schema.select(schema.key), **more)))
    assert not [reject for page in pages for reject in page.rejects]
    return [key for page in pages for key in page.records[schema.key[0]]]


def change(op: Op, key: str, **values: Any) -> Change:
    return Change(op, key, pl.DataFrame({name: [v] for name, v in values.items()}))


@pytest.mark.parametrize("old", [True, False])
def test_keys_of_several_parts(web: Any, reply: Any, old: bool) -> None:
    """They are one field, as they stand in an address: read, looked up, written and deleted by it."""
    strict = service(web, reply, old=old, rows=25)
    with opened(web, page_size=10) as odata:
        schema = odata.schema("Items")
        assert schema.key == (ENTITY_KEY,)
        found = keys(odata, "Items")
        assert len(found) == 25
        assert found[1] == ("Order='O''1',Item=1L" if old else "Order='O''1',Item=1")
        values = pl.Series(found)
        assert odata.lookup("Items", schema, ENTITY_KEY, values).height == 25
        update = change(Op.UPDATE, ENTITY_KEY, **{ENTITY_KEY: found[1], "what": "new"})
        assert not odata.write("Items", schema, [update]).failures
        assert strict.sets["Items"].rows["O'1", 1]["what"] == "new"
        made = odata.write("Items", schema, [change(Op.CREATE, ENTITY_KEY, Order="N,1", Item=7, what="x")]).keys[0]
        assert made.to_list() == [f"Order='N,1',Item=7{'L' if old else ''}"]
        assert odata.lookup("Items", schema, ENTITY_KEY, made).height == 1
        assert not odata.write("Items", schema, [change(Op.DELETE, ENTITY_KEY, **{ENTITY_KEY: made[0]})]).failures


def test_lists_that_are_not_whole(web: Any, reply: Any) -> None:
    """A list that ends early, one that shifts, one that ignores $skip and one in a circle are errors."""
    strict = service(web, reply, old=True, rows=9, cap=3)
    with opened(web, page_size=4) as odata:
        assert keys(odata) == list(range(9)), "a service that sends less than it is asked for is asked again"
        pages = list(odata.read(ReadRequest("Plain", odata.schema("Plain").select(("id",)))))
        del strict.sets["Plain"].rows[(0,)]
        with pytest.raises(Unavailable, match="changed while it was read"):
            keys(odata, after=pages[1].position)
        strict.skips = False
        with pytest.raises(Unavailable, match="ignores"):
            keys(odata)
        strict.skips, strict.counts = True, False
        assert len(keys(odata)) == 8, "without a number of all only an empty page is the last"
    with opened(web, page_size=4) as odata:
        strict.before = None
        schema = odata.schema("Plain").select(("id",))
        strict.before = lambda r: reply(body={"d": [{"id": "1"}]}) if r.path == "/svc/Plain" else None
        assert [n for page in odata.read(ReadRequest("Plain", schema)) for n in page.records["id"]] == [1]
    strict = service(web, reply, rows=9)
    strict.before = lambda r: reply(body={"@odata.count": 9, "value": [{"id": 1}]}) if r.path == "/svc/Plain" else None
    with opened(web) as odata, pytest.raises(Fatal, match="ended after 1 of 9"):
        keys(odata)
    with opened(web, paging="skip") as odata, pytest.raises(Fatal, match="ended after 1 of 9"):
        keys(odata)
    strict.before = lambda r: (
        reply(body={"value": [], "@odata.nextLink": "x?$skiptoken=1"}) if r.path == "/svc/Plain" else None
    )
    with opened(web) as odata, pytest.raises(Fatal, match="lead in a circle"):
        keys(odata)
    strict.before = lambda r: reply(body={"value": 7}) if r.path == "/svc/Plain" else None
    with opened(web) as odata, pytest.raises(Misconfigured, match="no list of entities"):
        keys(odata)
    strict.before = lambda r: reply(403, {}) if r.path == "/svc/Plain" else None
    with opened(web) as odata, pytest.raises(AuthFailed):
        keys(odata)


def test_a_list_that_shrinks_at_its_end_is_whole(web: Any, reply: Any) -> None:
    """A record that is deleted while the last page is read does not make the list incomplete."""
    strict = service(web, reply, old=True, rows=5)
    with opened(web, page_size=3) as odata:
        first = next(odata.read(ReadRequest("Plain", odata.schema("Plain").select(("id",)))))
        del strict.sets["Plain"].rows[(4,)]
        assert keys(odata, after=first.position) == [3]


@pytest.mark.parametrize("old", [True, False])
def test_links_lead_nowhere_else(web: Any, reply: Any, old: bool) -> None:
    """A link that names another host is followed on ours, with the connection's parameters; a read resumes at it."""
    service(web, reply, old=old, rows=7, page=2, hosts="http://10.0.0.1:1/other/")
    with opened(web, paging="server", parameters={"sap-client": "100"}) as odata:
        assert keys(odata) == list(range(7))
        pages = list(odata.read(ReadRequest("Plain", odata.schema("Plain").select(("id",)), page_size=1)))
        for number, page in enumerate(pages, 1):
            assert keys(odata, after=page.position, page_size=1) == list(range(number, 7))
    assert all(r.query["sap-client"] == ["100"] for r in web.received)


def test_links_inside_pages_by_skip(web: Any, reply: Any) -> None:
    """A service that divides what it is asked for by $top is followed to the end of each part."""
    service(web, reply, old=True, rows=9, page=2)
    with opened(web, page_size=4) as odata:
        assert keys(odata) == list(range(9))


def test_tokens_against_forged_requests(web: Any, reply: Any) -> None:
    """SAP's token and its cookie are fetched when they are asked for, and again when they have become old."""
    strict = service(web, reply, old=True, rows=3, token="one")
    with opened(web) as odata:
        schema = odata.schema("Plain")
        for token in ("one", "two"):
            strict.token = token
            assert not odata.write("Plain", schema, [change(Op.UPDATE, "id", id=1, title=token)]).failures
            assert strict.sets["Plain"].rows[(1,)]["title"] == token
        strict.before = lambda r: reply(200) if r.path == "/svc/" else None
        strict.token = "three"
        with pytest.raises(AuthFailed, match="gives none"):
            odata.write("Plain", schema, [change(Op.UPDATE, "id", id=1, title="x")])
        strict.before = lambda r: reply(200, headers={"X-CSRF-Token": "wrong"}) if r.path == "/svc/" else None
        with pytest.raises(AuthFailed, match="refuses our credentials"):
            odata.write("Plain", schema, [change(Op.UPDATE, "id", id=1, title="x")])


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("etag", ["auto", "always", "never"])
def test_versions_that_have_to_be_named(web: Any, reply: Any, old: bool, etag: str) -> None:
    """A change names the version of the record; one that another has changed meanwhile is put aside."""
    strict = service(web, reply, old=old, rows=3, guarded=True)
    with opened(web, etag=etag) as odata:
        schema = odata.schema("Plain")
        update = change(Op.UPDATE, "id", id=1, title="new")
        assert not odata.write("Plain", schema, [update, change(Op.DELETE, "id", id=2)]).failures
        if etag == "never":
            return

        def meddle(request: Any) -> Any:
            if request.method != "GET":
                strict.sets["Plain"].versions[(1,)] += 1

        strict.before = meddle
        (failure,) = odata.write("Plain", schema, [update]).failures
        assert "changed by somebody else" in str(failure.message)
        strict.before = None
        gone = [change(Op.UPDATE, "id", id=99, title="x"), change(Op.DELETE, "id", id=None)]
        told = [str(f.message) for f in odata.write("Plain", schema, gone).failures]
        assert "no such record" in told[0]
        assert "is empty" in told[1]


def test_a_version_that_is_asked_for_unannounced(web: Any, reply: Any) -> None:
    """A service that does not say so and answers 428 gets the version then, and from then on at once."""
    strict = service(web, reply, old=True, rows=3)
    with opened(web) as odata:
        schema = odata.schema("Plain")
        strict.guarded = True
        changes = [change(Op.UPDATE, "id", id=n, title="new") for n in (0, 1)]
        assert not odata.write("Plain", schema, changes).failures
        assert [r.method for r in web.received].count("MERGE") == 3
    for status, words in ((404, "no such record"), (403, "")):
        strict.before = lambda r, s=status: reply(428 if r.method == "MERGE" else s, {}) if "(" in r.path else None
        with opened(web) as odata:
            strict.guarded = False
            if words:
                (failure,) = odata.write("Plain", odata.schema("Plain"), changes[:1]).failures
                assert words in str(failure.message)
                continue
            with pytest.raises(AuthFailed):
                odata.write("Plain", odata.schema("Plain"), changes[:1])


@pytest.mark.parametrize("old", [True, False])
def test_change_sets_are_all_or_nothing(web: Any, reply: Any, old: bool) -> None:
    """One record that is refused keeps back all of a call; without one all are written in one request."""
    strict = service(web, reply, old=old, rows=3)
    with opened(web, writing="atomic") as odata:
        schema = odata.schema("Plain")
        good = Change(Op.CREATE, "id", pl.DataFrame({"id": [7, 8], "title": ["a", "ü"]}))
        bad = Change(Op.CREATE, "id", pl.DataFrame({"id": [9, 1], "title": ["c", "d"]}))
        failures = odata.write("Plain", schema, [good, bad]).failures
        assert [(f.change, f.row) for f in failures] == [(0, 0), (0, 1), (1, 0), (1, 1)]
        assert "None of the 4 records" in str(failures[0].message)
        assert "it is there already" in str(failures[0].message)
        assert len(strict.sets["Plain"].rows) == 3
        result = odata.write("Plain", schema, [good, change(Op.DELETE, "id", id=0)])
        assert not result.failures
        assert result.keys[0].to_list() == [7, 8]
        unsent = odata.write(
            "Plain", schema, [change(Op.CREATE, "id", id=10), change(Op.DELETE, "id", id=None)]
        ).failures
        assert "another record of the call" in str(unsent[0].message)
        assert (10,) not in strict.sets["Plain"].rows
        for answer, words in ((reply(202, b"none"), "cannot be read"), (reply(500, b"broken"), "error of its own")):
            strict.before = lambda r, a=answer: a if r.path == "/svc/$batch" else None
            with pytest.raises(Unavailable, match=words):
                odata.write("Plain", schema, [good])
        few = "--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 204 X\r\n\r\n--b--\r\n"
        for text in (few, few.replace("204", "abc")):
            answer = reply(202, text, {"Content-Type": "multipart/mixed; boundary=b"})
            strict.before = lambda r, a=answer: a if r.path == "/svc/$batch" else None
            with pytest.raises(Unavailable, match="cannot be read"):
                odata.write("Plain", schema, [good, good, good])
        strict.before = lambda r: reply(400, {"error": {"message": "no batch"}}) if r.path == "/svc/$batch" else None
        with pytest.raises(Fatal, match="no batch"):
            odata.write("Plain", schema, [good])


def test_a_lost_answer_and_a_refusal_with_the_wrong_status(web: Any, reply: Any) -> None:
    """A creation whose answer is lost is looked for by its key; status 500 with a reason is a refusal of the record."""
    strict = service(web, reply, rows=1)

    def lose(request: Any) -> Any:
        if request.method == "POST" and request.path == "/svc/Plain":
            strict._create("Plain", strict.sets["Plain"], request)
            return reply(201, b"{}", {}, 50)
        return None

    with opened(web) as odata:
        schema = odata.schema("Plain")
        strict.before = lose
        assert odata.write("Plain", schema, [change(Op.CREATE, "id", id=5, title="x")]).keys[0].to_list() == [5]
        with pytest.raises(Unavailable):
            odata.write(
                "Plain",
                schema,
                [
                    Change(
                        Op.CREATE,
                        "id",
                        pl.DataFrame({"id": [None], "title": ["x"]}, schema={"id": pl.Int64, "title": pl.String}),
                    )
                ],
            )
        deep = {"error": {"code": "X", "message": {"value": "Not saved"}, "innererror": {"errordetails": [
            {"message": "Not saved", "severity": "error"}, {"message": "just so", "severity": "info"},
            {"message": "too long", "severity": "error", "propertyref": "/Plain/title"}]}}}  # fmt: skip
        strict.before = lambda r: reply(500, deep) if r.method == "POST" else None
        (failure,) = odata.write("Plain", schema, [change(Op.CREATE, "id", id=6, title="x")]).failures
        assert str(failure.message) == "The service refuses the record (500): Not saved; title: too long"
        assert failure.field == "title"
        strict.before = lambda r: (
            reply(400, {"error": {"message": "no", "target": "at"}}) if r.method == "POST" else None
        )
        (failure,) = odata.write("Plain", schema, [change(Op.CREATE, "id", id=6, title="x")]).failures
        assert (str(failure.message)[-2:], failure.field) == ("no", "at")
        strict.before = lambda r: reply(405, b"<p>nothing</p>") if r.method == "POST" else None
        with pytest.raises(Fatal, match="405"):
            odata.write("Plain", schema, [change(Op.CREATE, "id", id=6, title="x")])
        strict.before = lambda r: reply(422, b"<p>plain words</p>") if r.method == "POST" else None
        (failure,) = odata.write("Plain", schema, [change(Op.CREATE, "id", id=6, title="x")]).failures
        assert "plain words" in str(failure.message)
        for place, made in (("OData-EntityId", 77), ("Location", 77), ("X-Nothing", 6)):
            strict.before = lambda r, p=place: (
                reply(204, headers={p: "http://h/Plain(77)"}) if r.method == "POST" else None
            )
            given = change(Op.CREATE, "id", id=6, title="x") if made == 6 else change(Op.CREATE, "id", title="x")
            assert odata.write("Plain", schema, [given]).keys[0].to_list() == [made]
        strict.before = lambda r: reply(201, {"id": "strange"}) if r.method == "POST" else None
        assert odata.write("Plain", schema, [change(Op.CREATE, "id", id=6)]).keys[0].to_list() == [6]
        items = odata.schema("Items")
        strict.before = lambda r: (
            reply(201, b"<", headers={"Location": "x/Items(Order='a%20b',Item=1)"}) if r.method == "POST" else None
        )
        assert (
            odata.write("Items", items, [change(Op.CREATE, ENTITY_KEY, Order="a b", Item=1)]).keys[0][0]
            == "Order='a b',Item=1"
        )


def test_reading_by_cursor_asks_for_little(web: Any, reply: Any) -> None:
    """Numbers and moments are asked for by $filter, texts are not: how they compare is the service's own business."""
    service(web, reply, rows=4)
    with opened(web, objects=[{"name": "Plain", "filter": "id ge 1"}]) as odata:
        schema = odata.schema("Plain")
        for field, since in (("id", 2), ("title", "t2")):
            pages = odata.read(ReadRequest("Plain", schema, Cursor(field, "id", since)))
            assert [n for page in pages for n in page.records["id"]] == [2, 3]
    filters = [r.query.get("$filter") for r in web.received if r.path == "/svc/Plain"]
    assert filters == [["(id ge 1) and (id ge 2)"], ["id ge 1"]]


def test_what_does_not_fit(web: Any, reply: Any) -> None:
    """Records that are none, values of the wrong kind, and moments that are finer than the service can hold."""
    strict = service(web, reply, old=True, rows=1)
    rows = [7, {"id": "x"}, {"id": "5", "at": "/Date(99999999999999999999)/"}]
    strict.before = lambda r: (
        reply(body={"d": {"results": rows, "__count": "3"}}) if r.method == "GET" and r.path == "/svc/Plain" else None
    )
    with opened(web) as odata:
        schema = odata.schema("Plain")
        assert edm_type("Edm.Binary", old=True).literal(b"\xab") == "X'AB'"
        (page,) = odata.read(ReadRequest("Plain", schema))
        assert [reject.place for reject in page.rejects] == ["record 1", "record 2", "record 3"]
        with pytest.raises(RecordRejected):
            odata.lookup("Plain", schema, "id", pl.Series([5]))
        fine = pl.DataFrame({"id": [1], "at": ["2024-01-01T00:00:00.000001Z"]}).with_columns(
            pl.col("at").str.to_datetime(time_zone="UTC")
        )
        (failure,) = odata.write("Plain", schema, [Change(Op.CREATE, "id", fine)]).failures
        assert "finer than the service can hold" in str(failure.message)
        with pytest.raises(ObjectMissing, match="no field 'gone'"):
            list(odata.read(ReadRequest("Plain", Schema((schema["id"].__class__("gone"),)))))
    service(web, reply).sets.clear()
    with opened(web) as odata:
        assert [step.ok for step in odata.check()] == [True] * 4


DYNAMICS = """<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>
<Schema Namespace="mscrm" Alias="m" xmlns="http://docs.oasis-open.org/odata/ns/edm">
<!-- a remark --><EntityType Name="base" Abstract="true"><Property Name="kind" Type="m.Kind"/></EntityType>
<EntityType Name="contact" BaseType="m.base"><Key><PropertyRef Name="contactid"/></Key>
 <Property Name="contactid" Type="Edm.Guid"/><Property Name="_parent_value" Type="Edm.Guid"/>
 <Property Name="photo" Type="Edm.Stream"/><Property Name="place" Type="Edm.GeographyPoint"/>
 <Property Name="address" Type="m.Address"/><Property Name="tags" Type="Collection(Edm.String)"/>
 <Property Name="amount" Type="m.Money"/><Property Name="number" Type="Edm.Decimal" Precision="5"/>
 <Property Name="wide" Type="Edm.Decimal" Scale="variable"/><Property Name="lost" Type="other.Thing"/>
 <Property Name="name" Type="Edm.String" MaxLength="10">
  <Annotation Term="com.sap.vocabularies.Common.v1.Label" String="Name"/></Property>
 <Property Name="made" Type="Edm.DateTimeOffset"/>
 <NavigationProperty Name="parent" Type="m.account">
  <ReferentialConstraint Property="_parent_value" ReferencedProperty="accountid"/></NavigationProperty>
 <NavigationProperty Name="owner" Type="m.user">
  <ReferentialConstraint Property="kind" ReferencedProperty="id"/></NavigationProperty>
</EntityType>
<EntityType Name="odd"><Property Name="x" Type="Edm.String"/></EntityType>
<ComplexType Name="Address"/><EnumType Name="Kind"/><TypeDefinition Name="Money" UnderlyingType="Edm.Decimal"/>
<Annotations Target="mscrm.contact/made"><Annotation Term="Org.OData.Core.V1.Computed" Bool="true"/></Annotations>
<Annotations Target="mscrm.contact/made"><Annotation Term="Other"/></Annotations>
<EntityContainer Name="C"><EntitySet Name="contacts" EntityType="mscrm.contact">
 <NavigationPropertyBinding Path="parent" Target="accounts"/></EntitySet>
 <EntitySet Name="odds" EntityType="mscrm.odd"/><EntitySet Name="none" EntityType="mscrm.none"/></EntityContainer>
</Schema></edmx:DataServices></edmx:Edmx>"""


def test_references_of_dynamics(web: Any, reply: Any) -> None:
    """A reference is written as one, to the set that it leads to; types of all kinds become fields."""
    sent: list[Any] = []

    def answer(request: Any) -> Any:
        if request.method == "GET":
            return reply(body=DYNAMICS, headers={"Content-Type": "application/xml"})
        sent.append(request)
        return reply(204)

    web.answer = answer
    guid = "0a1b2c3d-0000-0000-0000-000000000001"
    with opened(web) as odata:
        assert [o.name for o in odata.objects()] == ["contacts"]
        schema = odata.schema("contacts")
        assert {f.name: f.type.value for f in schema.fields} == {
            "kind": "text", "contactid": "text", "_parent_value": "text", "place": "json", "address": "json",
            "tags": "json",
            "amount": "decimal", "number": "decimal", "wide": "decimal", "lost": "json",
            "name": "text", "made": "datetime",
        }  # fmt: skip
        assert (schema["number"].scale, schema["wide"].scale, schema["made"].generated) == (0, None, True)
        assert (schema["name"].label, schema["name"].length) == ("Name", 10)
        for value in (guid, None):
            update = pl.DataFrame(
                {"contactid": [guid], "_parent_value": [value], "address": ['{"a":1}'], "made": [None]},
                schema={
                    "contactid": pl.String,
                    "_parent_value": pl.String,
                    "address": pl.String,
                    "made": pl.Datetime("us", "UTC"),
                },
            )
            assert not odata.write("contacts", schema, [Change(Op.UPDATE, "contactid", update)]).failures
    bodies = [request.json() for request in sent]
    assert bodies == [
        {"parent@odata.bind": f"/accounts({guid})", "address": {"a": 1}},
        {"parent@odata.bind": None, "address": {"a": 1}},
    ]
    assert sent[0].path == f"/svc/contacts({guid})"
    assert sent[0].headers["if-match"] == "*"


def test_references_of_version_2() -> None:
    """Associations with their constraints say which set a property leads to."""
    document = """<edmx:Edmx Version="1.0" xmlns:edmx="http://schemas.microsoft.com/ado/2007/06/edmx"
 xmlns:sap="http://www.sap.com/Protocols/SAPData"><edmx:DataServices><Schema Namespace="s"
 xmlns="http://schemas.microsoft.com/ado/2008/09/edm">
<EntityType Name="I"><Key><PropertyRef Name="id"/></Key><Property Name="id" Type="Edm.String"/>
 <Property Name="order" Type="Edm.String" sap:creatable="false" sap:updatable="false" sap:label="Order"/>
 <NavigationProperty Name="toOrder" Relationship="s.A" FromRole="I" ToRole="O"/>
 <NavigationProperty Name="other" Relationship="s.A" FromRole="O" ToRole="I"/>
 <NavigationProperty Name="odd" Relationship="s.Nothing" FromRole="O" ToRole="I"/></EntityType>
<Association Name="A"><End Role="I"/><End Role="O"/><ReferentialConstraint><Principal Role="O"/>
 <Dependent Role="I"><PropertyRef Name="order"/></Dependent></ReferentialConstraint></Association>
<EntityContainer Name="C"><EntitySet Name="Is" EntityType="s.I" sap:creatable="false" sap:updatable="false"
 sap:label="Items"/>
 <AssociationSet Association="s.A"><End Role="I" EntitySet="Is"/><End Role="O" EntitySet="Os"/></AssociationSet>
</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"""
    found = model_of(document.encode()).sets["Is"]
    assert found.references == {"order": "Os"}
    assert (found.writable, found.label, found.schema["order"].generated, found.schema["order"].label) == (
        False,
        "Items",
        True,
        "Order",
    )


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("<html/>", "it begins with html"), ("<a", "cannot be read"),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><Edmx>&a;</Edmx>', "document type definition"),
    ],
)  # fmt: skip
def test_descriptions_that_are_none(document: str, words: str) -> None:
    """What is no description, or may be a bomb, is refused."""
    with pytest.raises(Misconfigured, match=words):
        model_of(document.encode())


@pytest.mark.parametrize("text", ["<a:/>", "<:a/>", "<x:Edmx xmlns:x='u'><a:/></x:Edmx>", "<Edmx><b z:='1'/></Edmx>"])
def test_names_of_metadata_that_are_none(text: str) -> None:
    """Names that no element may have are refused with a sentence, wherever they stand."""
    with pytest.raises(Misconfigured, match="cannot be read"):
        model_of(text.encode())
