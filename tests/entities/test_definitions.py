"""Definitions put in force: real tables that change online, plans that tell before, data that stays."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.documents.problems import DocumentError
from tests.entities.conftest import ANN, field
from webapp.audit.models import audit_event
from webapp.entities import indexes, records, services, storage, versions
from webapp.entities.model import Entity
from webapp.entities.services import ChangeRefused
from webapp.entities.values import from_plain, to_plain
from webapp.extensions import House, open_database

Define = Callable[..., Entity]
CHOICES = [{"value": "a"}, {"value": "b"}]


def add(house: House, name: str, **values: Any) -> int:
    return services.create_record(house, name, values, ANN)


def get(house: House, name: str, record_id: int) -> dict[str, Any]:
    with house.db.read() as tx:
        return services.get_record(tx, services.entity(tx, name), record_id)


def steps(house: House, name: str, *fields: dict[str, Any]) -> dict[str, list[str]]:
    with house.db.read() as tx:
        plan = services.make_plan(tx, {"kind": "entity", "name": name, "fields": list(fields)})
    found: dict[str, list[str]] = {}
    for step in plan.steps:
        found.setdefault(step.field, []).append(step.tone.value)
    return found


def test_a_definition_is_a_table_with_types_and_indexes(house: House, define: Define) -> None:
    """An entity has a table of its own with typed columns, NOT NULL where required, and its indexes."""
    define(
        "item",
        field("name", required=True, indexed=True),
        field("code", unique=True),
        field("n", "integer"),
        field("d", "date"),
    )
    with house.db.read() as tx:
        found = sa.inspect(tx)
        columns = {c["name"]: c for c in found.get_columns("e_item")}
        held = {i["name"]: (i["column_names"], bool(i["unique"])) for i in found.get_indexes("e_item")}
    assert [n for n, c in columns.items() if not c["nullable"]] == [
        "id",
        "name",
        "created_at",
        "created_by",
        "updated_at",
        "updated_by",
        "version",
    ]
    assert isinstance(columns["d"]["type"], sa.Date)
    assert held["uq_e_item_code"] == (["code"], True)
    assert held["ix_e_item_name"] == (["name", "id"], False)
    assert held["ix_e_item_updated_at"] == (["updated_at", "id"], False)


def test_a_change_is_visible_to_other_processes_at_once(house: House, define: Define) -> None:
    """A second process with its own connections sees the new definition with its next transaction."""
    define("item", field("a"))
    other = open_database(house.settings.database_url)
    with other.read() as tx:
        assert services.entity(tx, "item").data_names == ("a",)
    define("item", field("a"), field("b", "integer"))
    with other.read() as tx:
        seen = services.entity(tx, "item")
        assert seen.data_names == ("a", "b")
        tx.execute(sa.select(storage.table(tx, seen)))
    other.engine.dispose()


def test_definition_table_and_audit_stand_or_fall_together(
    house: House, define: Define, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If anything fails the definition, the table and the audit log are as before."""
    define("item", field("a"))

    def broken(*_: Any) -> None:
        raise RuntimeError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(services, "record", broken)
        with pytest.raises(RuntimeError):
            define("item", field("a"), field("b"))
    with house.db.read() as tx:
        assert services.entity(tx, "item").data_names == ("a",)
        assert "b" not in {c["name"] for c in sa.inspect(tx).get_columns("e_item")}
        assert tx.scalar(sa.select(sa.func.count()).select_from(audit_event)) == 1
    define("item", field("a"), field("c"))


def test_the_same_definition_again_changes_nothing(house: House, define: Define) -> None:
    """Applying a definition twice makes no second version and no audit event."""
    for _ in range(2):
        define("item", field("a", "money"), field("b", "choice", choices=CHOICES))
    with house.db.read() as tx:
        assert [v["version"] for v in versions.every(tx, "item")] == [1]
        assert tx.scalar(sa.select(sa.func.count()).select_from(audit_event)) == 1


def test_rename_keeps_values(house: House, define: Define) -> None:
    """A renamed field keeps its values, also money with its currency."""
    define("item", field("a", indexed=True, searchable=True), field("m", "money"))
    one = add(house, "item", a="x", m=Decimal("1.50"), m_currency="EUR")
    define("item", field("b", was="a", indexed=True, searchable=True), field("price", "money", was="m"))
    found = get(house, "item", one)
    assert (found["b"], found["price"], found["price_currency"]) == ("x", Decimal("1.50"), "EUR")


def test_widen_is_safe_and_narrow_is_checked(house: House, define: Define) -> None:
    """Widening keeps values; narrowing is refused as long as a value does not fit, and tells which records."""
    define(
        "item",
        field("t", length=10),
        field("d", "decimal", precision=10, scale=2),
        field("c", "choice", choices=CHOICES),
    )
    one = add(house, "item", t="ten chars!", d=Decimal("12345678.25"), c="b")
    wide = (field("t", length=20), field("d", "decimal", precision=30, scale=5), field("c", "choice", choices=CHOICES))
    assert steps(house, "item", *wide) == {"t": ["safe"], "d": ["safe"]}
    define("item", *wide)
    assert get(house, "item", one)["d"] == Decimal("12345678.25000")
    narrow = (
        field("t", length=5),
        field("d", "decimal", precision=9, scale=2),
        field("c", "choice", choices=CHOICES[:1]),
    )
    assert steps(house, "item", *narrow) == {"t": ["blocked"], "d": ["blocked"], "c": ["blocked"]}
    with pytest.raises(ChangeRefused) as refused:
        define("item", *narrow, confirm=True)
    assert all(step.examples == (one,) for step in refused.value.plan.steps)


def test_drop_asks_only_where_values_are_lost(house: House, define: Define) -> None:
    """Dropping a field with values wants a confirmation; an empty one goes at once."""
    define("item", field("a"), field("b", "money"), field("c"))
    add(house, "item", a="x", b=Decimal(1), b_currency="CNY")
    define("item", field("a"), field("b", "money"))
    with pytest.raises(ChangeRefused):
        define("item", field("a"))
    define("item", field("a"), confirm=True)
    with house.db.read() as tx:
        assert {c["name"] for c in sa.inspect(tx).get_columns("e_item")} & {"b", "b_currency", "c"} == set()


def test_type_change_reports_and_converts(house: House, define: Define) -> None:
    """A change of type converts what can be converted, tells how many cannot, and empties those after a yes."""
    define("item", field("v"), field("w", "datetime"))
    ids = [
        add(house, "item", v=v, w=dt.datetime(2024, 3, d, h, tzinfo=dt.UTC))
        for v, d, h in (("12", 1, 0), ("x", 2, 5), ("-3", 3, 0))
    ]
    changed = (field("v", "integer", unique=True), field("w", "date"))
    with pytest.raises(ChangeRefused) as refused:
        define("item", *changed)
    assert {s.field: s.examples for s in refused.value.plan.steps if s.tone == "loses"} == {
        "v": (ids[1],),
        "w": (ids[1],),
    }
    define("item", *changed, confirm=True)
    assert [get(house, "item", i)["v"] for i in ids] == [12, None, -3]
    assert [get(house, "item", i)["w"] for i in ids] == [dt.date(2024, 3, 1), None, dt.date(2024, 3, 3)]


def test_required_and_unique_are_checked_against_the_records(house: House, define: Define) -> None:
    """A field becomes required or unique only if the records allow it; a default fills the gaps."""
    define("item", field("a"), field("b"))
    ids = [add(house, "item", a="x", b=b) for b in ("1", None)]
    assert steps(house, "item", field("a", unique=True), field("b", required=True)) == {
        "a": ["blocked"],
        "b": ["blocked"],
    }
    define("item", field("a"), field("b", required=True, default="?"))
    assert [get(house, "item", i)["b"] for i in ids] == ["1", "?"]
    with house.db.read() as tx:
        assert not {c["name"]: c["nullable"] for c in sa.inspect(tx).get_columns("e_item")}["b"]
    define("item", field("a"), field("b"))
    add(house, "item", a="y")


def test_new_required_field_needs_a_default(house: House, define: Define) -> None:
    """A new required field without a default is refused while there are records; with one they are filled."""
    define("item", field("a"))
    one = add(house, "item", a="x")
    with pytest.raises(ChangeRefused):
        define("item", field("a"), field("n", "integer", required=True))
    define("item", field("a"), field("n", "integer", required=True, default=7))
    found = get(house, "item", one)
    assert (found["n"], found["version"]) == (7, 2)


def test_computed_fields_are_worked_out_for_all_records(house: House, define: Define) -> None:
    """A new or changed formula is applied to the records that exist, with their history."""
    define("item", field("a", "integer"))
    one = add(house, "item", a=4)
    define("item", field("a", "integer"), field("twice", "integer", computed="a * 2"))
    assert get(house, "item", one)["twice"] == 8
    define("item", field("a", "integer"), field("twice", "integer", computed="a * 3"))
    found = get(house, "item", one)
    assert (found["twice"], found["version"]) == (12, 3)


def test_search_index_follows_the_definition(house: House, define: Define) -> None:
    """Fields that become searchable are found at once, those that no longer are, no more."""
    from webapp.entities import listing  # noqa: PLC0415
    from webapp.entities.listing import Query  # noqa: PLC0415

    define("item", field("a"), field("b"))
    add(house, "item", a="apple", b="banana")
    for searchable, found in ((("a",), ("apple",)), (("b",), ("banana",)), (("a", "b"), ("apple", "banana")), ((), ())):
        entity = define("item", *(field(n, searchable=n in searchable) for n in ("a", "b")))
        with house.db.read() as tx:
            hits = {w for w in ("apple", "banana") if listing.page(tx, entity, Query(search=w)).records}
        assert hits == set(found)


def test_references_need_their_entity_and_keep_it(house: House, define: Define) -> None:
    """A reference points to an entity that exists, and that one cannot be deleted before it."""
    with pytest.raises(DocumentError, match="no entity 'team'"):
        define("person", field("team", "reference", entity="team"))
    define("team", field("name"))
    define("person", field("team", "reference", entity="team"))
    with pytest.raises(DocumentError, match="person"):
        services.delete_entity(house, "team", ANN)


def test_deleted_entity_can_come_again(house: House, define: Define) -> None:
    """An entity that is deleted and designed anew goes on with numbers and versions, so that no history is mixed up."""
    define("item", field("a", searchable=True))
    first = add(house, "item", a="x")
    services.delete_entity(house, "item", ANN)
    with house.db.read() as tx, pytest.raises(services.NoEntity):
        services.entity(tx, "item")
    entity = define("item", field("b"))
    assert entity.version == 2
    assert add(house, "item", b="y") > first


def test_missing_indexes_are_built_beside_the_work(house: House, define: Define) -> None:
    """On PostgreSQL an index that a crash left out is built concurrently; elsewhere nothing is missing."""
    entity = define("item", field("a", indexed=True))
    if house.db.is_sqlite:
        assert indexes.build(house, "item") == []
        return
    with house.db.begin() as tx:
        tx.exec_driver_sql("DROP INDEX ix_e_item_a")
        assert indexes.missing(tx, entity) == ["ix_e_item_a"]
    assert indexes.build(house, "item") == ["ix_e_item_a"]
    with house.db.read() as tx:
        assert indexes.missing(tx, entity) == []


TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20)
VALUES: dict[str, tuple[dict[str, Any], st.SearchStrategy[Any]]] = {
    "text": ({}, TEXTS),
    "long_text": ({}, TEXTS),
    "integer": ({}, st.integers(-(2**63), 2**63 - 1)),
    "decimal": ({"precision": 30, "scale": 6}, st.decimals(-(10**20), 10**20, places=6)),
    "boolean": ({}, st.booleans()),
    "date": ({}, st.dates()),
    "datetime": ({}, st.datetimes(timezones=st.just(dt.UTC), min_value=dt.datetime(1900, 1, 1))),
    "choice": ({"choices": CHOICES}, st.sampled_from(["a", "b"])),
    "multi_choice": ({"choices": CHOICES}, st.sets(st.sampled_from(["a", "b"]), min_size=1).map(sorted)),
    "json": ({}, st.dictionaries(TEXTS, st.integers() | TEXTS, max_size=3)),
}


@st.composite
def shapes(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return fields, fields after a change that keeps the old ones' values, and records."""
    kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=5))
    before = [field(f"f{n}", kind, **VALUES[kind][0]) for n, kind in enumerate(kinds)]
    records_ = draw(
        st.lists(
            st.fixed_dictionaries({f"f{n}": st.none() | VALUES[kind][1] for n, kind in enumerate(kinds)}),
            min_size=1,
            max_size=4,
        )
    )
    after = []
    for item in before:
        changed = dict(item)
        if draw(st.booleans()):
            changed |= {"name": f"g_{item['name']}", "was": item["name"]}
        if draw(st.booleans()) and item["type"] not in ("long_text", "json", "multi_choice"):
            changed["indexed"] = True
        if draw(st.booleans()) and item["type"] in ("text", "long_text"):
            changed["searchable"] = True
        if item["type"] == "decimal" and draw(st.booleans()):
            changed |= {"precision": 36, "scale": 9}
        after.append(changed)
    after += [field("extra", "integer", required=True, default=3)] if draw(st.booleans()) else []
    return before, draw(st.permutations(after)), records_


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(shapes())
def test_changes_keep_values(house: House, shape: Any) -> None:
    """Whatever is renamed, widened, indexed, made searchable, reordered or added: the values of all records stay."""
    before, after, items = shape
    name = f"e{uuid.uuid4().hex[:12]}"
    services.define(house, {"kind": "entity", "name": name, "fields": before}, ANN)
    with house.db.read() as tx:
        old = services.entity(tx, name)
    stored = [{n: from_plain(old.by_name[n], _json(v)) for n, v in item.items()} for item in items]
    ids = [services.create_record(house, name, values, ANN) for values in stored]
    services.define(house, {"kind": "entity", "name": name, "fields": after}, ANN)
    names = {f.get("was", f["name"]): f["name"] for f in after}
    with house.db.read() as tx:
        new = services.entity(tx, name)
        for record_id, values in zip(ids, stored, strict=True):
            found = services.get_record(tx, new, record_id)
            for column, value in values.items():
                again = found[names[column]]
                assert (again if isinstance(value, Decimal) else to_plain(None, again)) == (
                    value if isinstance(value, Decimal) else to_plain(None, value)
                )
    services.delete_entity(house, name, ANN)


def _json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.date) else value


def test_recompute_goes_through_all_pages(house: House, define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    """A formula reaches the records of every page."""
    monkeypatch.setattr(records, "PAGE", 2)
    define("item", field("a", "integer"))
    ids = [add(house, "item", a=n) for n in range(5)]
    define("item", field("a", "integer"), field("b", "integer", computed="a + 1"))
    assert [get(house, "item", i)["b"] for i in ids] == [1, 2, 3, 4, 5]
