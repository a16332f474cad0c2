"""The hub keeps every promise of a connector.

The suite's sample has fields that Syncline fills in itself (`id`, `version`), so the tests see the hub through a
connector that calls them otherwise and shows nothing of the system's own fields.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, ClassVar

import polars as pl
import pytest
import sqlalchemy as sa

from connectors.errors import Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Connector, Context, Cursor, Fence, Page, ReadRequest, WriteResult
from connectors.testing import KEY, VERSION, ConnectorConformance, Settings
from rules.predicate import Every, Predicate, Some
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.entities.conftest import ANN, field
from webapp.entities import services
from webapp.entities.hub import hub_connector
from webapp.entities.model import SYSTEM_NAMES, Entity
from webapp.entities.models import entity_history
from webapp.extensions import House, open_database

OURS = {KEY: "no", VERSION: "edition"}
THEIRS = {ours: theirs for theirs, ours in OURS.items()}
KINDS = {
    FieldType.TEXT: "long_text", FieldType.INTEGER: "integer", FieldType.DECIMAL: "decimal",
    FieldType.BOOLEAN: "boolean", FieldType.DATE: "date", FieldType.DATETIME: "datetime", FieldType.JSON: "json",
}  # fmt: skip


def ours(name: str) -> str:
    return OURS.get(name, name)


def renamed(schema: Schema) -> Schema:
    fields = tuple(replace(f, name=ours(f.name)) for f in schema.fields)
    return Schema(fields, tuple(map(ours, schema.key)))


def renamed_filter(wanted: Predicate, names: dict[str, str]) -> Predicate:
    if isinstance(wanted, (Every, Some)):
        return replace(wanted, parts=tuple(renamed_filter(part, names) for part in wanted.parts))
    return replace(wanted, field=names.get(wanted.field, wanted.field))


def day(number: int) -> dt.datetime:
    """Return the moment that a version of the sample stands for: all are in the future."""
    return dt.datetime(2200, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=number)


class Renamed(Connector):
    """The hub with two names changed and the system's own fields hidden."""

    spec = hub_connector(None).spec  # type: ignore[arg-type]
    house: ClassVar[House]
    by_time: ClassVar[bool] = False
    """Whether a cursor over the sample's version is one over the time of change, a day each."""

    def __init__(self, settings: Settings, context: Context) -> None:
        super().__init__(settings, context)
        self.hub = hub_connector(self.house)(settings, context)

    def check(self) -> Iterator[Any]:
        return self.hub.check()

    def objects(self) -> list[Any]:
        return self.hub.objects()

    def schema(self, name: str) -> Schema:
        shown = [f for f in self.hub.schema(name).fields if f.name not in SYSTEM_NAMES]
        return Schema(tuple(replace(f, name=THEIRS.get(f.name, f.name)) for f in shown), (KEY,))

    def read(self, request: ReadRequest) -> Iterator[Page]:
        cursor = request.cursor
        own = Cursor(ours(cursor.field), ours(cursor.tie), cursor.since) if cursor else None
        if own and self.by_time:
            own = Cursor("updated_at", ours(cursor.tie), None if cursor.since is None else day(cursor.since))
        for page in self.hub.read(replace(self._own(request), cursor=own)):
            yield replace(page, records=self._theirs(page.records), deleted=self._theirs(page.deleted))

    def filterable(self, request: ReadRequest) -> Predicate | None:
        found = self.hub.filterable(self._own(request))
        return None if found is None else renamed_filter(found, THEIRS)

    def left_out(self, request: ReadRequest, key: str, values: pl.Series) -> pl.DataFrame:
        return self.hub.left_out(self._own(request), ours(key), values).rename(THEIRS, strict=False)

    def _theirs(self, found: pl.DataFrame | None) -> Any:
        return None if found is None else found.rename(THEIRS, strict=False)

    def _own(self, request: ReadRequest) -> ReadRequest:
        wanted = None if request.filter is None else renamed_filter(request.filter, OURS)
        return replace(request, schema=renamed(request.schema), filter=wanted)

    def lookup(self, name: str, schema: Schema, key: str, values: pl.Series) -> pl.DataFrame:
        return self.hub.lookup(name, renamed(schema), ours(key), values).rename(THEIRS, strict=False)

    def write(self, name: str, schema: Schema, changes: Sequence[Change], fence: Fence | None = None) -> WriteResult:
        own = [Change(c.op, ours(c.key), c.records.rename(OURS, strict=False)) for c in changes]
        return self.hub.write(name, renamed(schema), own, fence)

    def applied(self, fence: Fence) -> bool | None:
        return self.hub.applied(fence)


class TestHub(ConnectorConformance):
    connector = Renamed
    documented = "docs/entities.md"
    real_system = "Syncline itself, on SQLite and PostgreSQL"
    types = tuple(KINDS)

    @pytest.fixture(autouse=True)
    def _house(self, house: House) -> None:
        Renamed.house = house

    @pytest.fixture
    def settings(self) -> Settings:
        return {}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        fields = [self._field(f) for f in schema.fields]
        services.define(Renamed.house, {"kind": "entity", "name": self.object_name, "fields": fields}, ANN)
        if records.height:
            Renamed(settings, Context()).write(self.object_name, schema, [Change(Op.CREATE, KEY, records)])

    def _field(self, wanted: Field) -> dict[str, Any]:
        if wanted.name == "title":
            return field("title", "text", length=40, required=True)
        unique = {"unique": True, "required": True} if wanted.name == KEY else {}
        digits = {"precision": wanted.precision, "scale": wanted.scale} if wanted.type is FieldType.DECIMAL else {}
        return field(ours(wanted.name), KINDS[wanted.type], **unique, **digits)

    def broken(self, settings: Settings) -> list[Settings]:
        return []

    def test_connection_test_stops_at_what_is_wrong(self, settings: Settings, context: Context) -> None:
        """The hub has no setting to get wrong; a database that is not there is told."""

        class Lost(Renamed):
            house = replace(Renamed.house, db=open_database("sqlite:////nowhere/at/all.db"))

        steps = list(Lost(settings, context).check())
        assert [step.ok for step in steps] == [False]
        with pytest.raises(Unavailable):
            Lost(settings, context).objects()

    def refused(self) -> dict[str, Any]:
        return {"title": "x" * 41}

    @pytest.fixture(autouse=True)
    def _by_time(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        """Deletions are known by their time, so the laws about them look at the time of change."""
        monkeypatch.setattr(Renamed, "by_time", "deletions" in request.node.name)

    def delete(self, settings: Settings, keys: pl.Series, version: int) -> None:
        hub = hub_connector(replace(Renamed.house, clock=lambda: day(version)))({}, Context())
        schema = hub.schema(self.object_name)
        hub.write(self.object_name, schema, [Change(Op.DELETE, OURS[KEY], pl.DataFrame({OURS[KEY]: keys}))])


def connect(house: House) -> Connector:
    return hub_connector(house)({}, Context())


def test_created_keys_are_returned(house: House, define: Callable[..., Entity]) -> None:
    """Records created by the hub's own key come back with their numbers, null where refused."""
    entity = define("item", field("name", required=True))
    result = connect(house).write(
        "item", entity.schema, [Change(Op.CREATE, "id", pl.DataFrame({"name": ["a", None, "c"]}))]
    )
    assert [k.to_list() for k in result.keys if k is not None] == [[1, None, 2]]
    assert [(f.row, f.field) for f in result.failures] == [(1, "name")]


def test_unique_is_refused_record_by_record(house: House, define: Callable[..., Entity]) -> None:
    """A value that exists, or that stands twice in the batch, refuses its own record only."""
    entity = define("item", field("code", unique=True))
    hub = connect(house)
    hub.write("item", entity.schema, [Change(Op.CREATE, "id", pl.DataFrame({"code": ["a"]}))])
    result = hub.write(
        "item", entity.schema, [Change(Op.CREATE, "id", pl.DataFrame({"code": ["b", "a", "b", None, None]}))]
    )
    assert [f.row for f in result.failures] == [1, 2]
    read = pl.concat([p.records for p in hub.read(ReadRequest("item", entity.schema))])
    assert read["code"].to_list() == ["a", "b", None, None]


def test_history_knows_the_run(house: House, define: Callable[..., Entity]) -> None:
    """What a run writes is noted in each record's history with the run's number."""
    entity = define("item", field("price", "decimal", scale=2))
    hub = connect(house)
    frame = pl.DataFrame({"price": [Decimal("1.50")]}, schema={"price": pl.Decimal(38, 2)})
    hub.write("item", entity.schema, [Change(Op.CREATE, "id", frame)], Fence("rule", 1, 41, 0))
    moved = pl.DataFrame({"id": [1], "price": [Decimal("2.25")]}, schema={"id": pl.Int64, "price": pl.Decimal(38, 2)})
    hub.write("item", entity.schema, [Change(Op.UPDATE, "id", moved)], Fence("rule", 1, 42, 0))
    with house.db.read() as tx:
        rows = tx.execute(sa.select(entity_history).order_by(entity_history.c.version)).mappings().all()
    assert [(r["run_id"], r["version"], r["before"], r["after"]) for r in rows] == [
        (41, 1, None, {"price": "1.50"}),
        (42, 2, {"price": "1.50"}, {"price": "2.25"}),
    ]


def test_writes_that_change_nothing_leave_no_trace(house: House, define: Callable[..., Entity]) -> None:
    """A second write of the same values moves neither the version nor the time of change."""
    entity = define("item", field("name"))
    hub = connect(house)
    hub.write("item", entity.schema, [Change(Op.CREATE, "id", pl.DataFrame({"name": ["a"]}))])
    before = next(iter(hub.read(ReadRequest("item", entity.schema)))).records
    hub.write("item", entity.schema, [Change(Op.UPDATE, "id", pl.DataFrame({"id": [1], "name": ["a"]}))])
    assert next(iter(hub.read(ReadRequest("item", entity.schema)))).records.equals(before)


def test_generated_fields_are_not_written(house: House, define: Callable[..., Entity]) -> None:
    """A mapping to a field that Syncline fills in is a mistake of the rule, told as one; an unknown field too."""
    entity = define("item", field("name"))
    with pytest.raises(Misconfigured, match="created_by"):
        connect(house).write("item", entity.schema, [Change(Op.CREATE, "id", pl.DataFrame({"created_by": ["x"]}))])
    with pytest.raises(ObjectMissing, match="nothing"):
        connect(house).write("item", entity.schema, [Change(Op.CREATE, "id", pl.DataFrame({"nothing": ["x"]}))])


@pytest.mark.large
def test_hundred_thousand_creates_are_fast(house: House, define: Callable[..., Entity]) -> None:
    """100,000 records with their history are created in well under 15 seconds."""
    entity = define(
        "item", field("name", searchable=True), field("code", unique=True), field("n", "integer", indexed=True)
    )
    count = 100_000
    frame = pl.DataFrame(
        {"name": [f"客户 {i}" for i in range(count)], "code": [f"C{i}" for i in range(count)], "n": range(count)}
    )
    started = time.process_time()
    result = connect(house).write("item", entity.schema, [Change(Op.CREATE, "id", frame)], Fence("rule", 1, 1, 1))
    assert not result.failures
    assert time.process_time() - started < 15
