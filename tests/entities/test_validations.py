"""The validations of an entity hold at every door: form, bulk edit, API, import, and rules that write into it."""

from __future__ import annotations

import io
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa

from connectors.spi import Fence
from rules.documents.problems import DocumentError
from rules.schema import Change, Op
from tests.entities.conftest import ANN
from webapp.entities import importing, services
from webapp.entities.documents import parse, to_document
from webapp.entities.hub import hub_connector
from webapp.entities.import_rows import Options

PHONE = {"name": "phone", "check": "tel.startsWith('+')", "when": "tel != null", "message": "Phones start with +"}
ONCE = {"name": "once", "unique": ["area", "code"], "severity": "reject", "message": "A code stands once in an area"}
AREA = {"name": "area", "reference": {"object": "area", "field": "area", "key": "code"}, "severity": "reject"}
CHEAP = {"name": "cheap", "check": "price < 100", "when": "price != null", "severity": "warn", "message": "Dear"}
FIELDS = [
    {"name": "code", "type": "text"},
    {"name": "area", "type": "text"},
    {"name": "tel", "type": "text"},
    {"name": "price", "type": "integer"},
]


def document(*validations: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"kind": "entity", "name": "item", "fields": FIELDS, "validations": list(validations), **changes}


def define(house, *validations: dict[str, Any], **changes: Any) -> Any:
    return services.define(house, document(*validations, **changes), ANN)


def add(house, **values: Any) -> int:
    return services.create_record(house, "item", values, ANN)


def refused(house, **values: Any) -> dict[str, str]:
    with pytest.raises(services.RecordRefused) as error:
        add(house, **values)
    return {name: str(message) for name, message in error.value.errors.items()}


@pytest.fixture
def area(house):
    fields = [{"name": "code", "type": "text", "unique": True}]
    services.define(house, {"kind": "entity", "name": "area", "fields": fields}, ANN)
    services.create_record(house, "area", {"code": "north"}, ANN)
    return house


def problems(house, *validations: dict[str, Any]) -> list[tuple[str, str]]:
    with pytest.raises(DocumentError) as error:
        define(house, *validations)
    return [(p.path, str(p.message)) for p in error.value.problems]


def test_a_definition_keeps_its_validations():
    given = document(PHONE, ONCE, AREA, CHEAP)
    assert to_document(parse(given))["validations"] == [PHONE, ONCE, AREA, CHEAP]


def test_mistakes_are_told_at_their_place(house):
    assert problems(house, {**PHONE, "check": "tell == ''"}) == [
        ("validations/0/check", "There is no field 'tell' in item. Did you mean 'tel'?")
    ]
    assert problems(house, {"name": "a"})[0][0] == "validations/0"
    assert problems(house, AREA) == [("validations/0/reference/object", "There is no entity 'area'.")]
    elsewhere = {**AREA, "reference": {**AREA["reference"], "connection": "erp", "object": "item"}}
    assert problems(house, elsewhere)[0][0] == "validations/0/reference/connection"


def test_what_cannot_have_an_index_cannot_be_unique(house):
    fields = [*FIELDS, {"name": "notes", "type": "long_text"}]
    with pytest.raises(DocumentError) as error:
        define(house, {"name": "a", "unique": ["notes"]}, fields=fields)
    assert [p.path for p in error.value.problems] == ["validations/0/unique/0"]


def test_a_person_is_refused_with_the_message_at_the_field(area):
    define(area, PHONE, ONCE, AREA)
    assert refused(area, tel="123") == {"tel": "Phones start with +."}
    assert refused(area, area="south") == {"area": "'area' is not met. There is no record of area with code 'south'."}
    one = add(area, area="north", code="a", tel="+1")
    assert refused(area, area="north", code="a") == {
        "": f"A code stands once in an area. The record '{one}' has the same area, code."
    }
    two = add(area, area="north", code="b")
    with pytest.raises(services.RecordRefused):
        services.update_record(area, "item", two, {"code": "a"}, ANN)
    assert services.update_record(area, "item", one, {"code": "a"}, ANN) is False


def test_doubles_within_a_batch_are_refused_but_the_first(house):
    define(house, ONCE)
    batch = services.Batch(create=[{"area": "x", "code": "a"}] * 2 + [{"area": "x"}] * 2, update=[], delete=[])
    result = services.write_batch(house, "item", batch, ANN)
    assert (result.created, [(e.deed, e.row) for e in result.errors]) == (3, [("create", 1)])


def test_a_warning_needs_consent_where_a_person_is_asked(house):
    define(house, CHEAP)
    with pytest.raises(services.RecordDoubtful) as doubtful:
        services.add_record(house, "item", {"price": 200}, ANN, set())
    assert [(w.field, w.validation, str(w.message)) for w in doubtful.value.warnings] == [("price", "cheap", "Dear.")]
    written = services.add_record(house, "item", {"price": 200}, ANN, {"cheap"})
    assert [w.validation for w in written.warnings] == ["cheap"]


def test_records_that_exist_can_be_changed_in_their_other_fields(house):
    one = add(house) if define(house) is None else add(house, tel="123")
    define(house, PHONE)
    assert services.update_record(house, "item", one, {"price": 5}, ANN)
    with pytest.raises(services.RecordRefused):
        services.update_record(house, "item", one, {"tel": "456"}, ANN)


def test_a_bulk_edit_refuses_and_warns(house):
    define(house, CHEAP, {**PHONE, "check": "price > 0", "when": "price != null"})
    ids = [add(house, price=n) for n in (1, 2)]
    outcome = services.update_records(house, "item", ids, {"price": 200}, ANN)
    assert (outcome.changed, [w.row for w in outcome.warnings]) == (2, [0, 1])
    outcome = services.update_records(house, "item", ids, {"price": -1}, ANN)
    assert (outcome.changed, [r.validation for r in outcome.refusals]) == (0, ["phone", "phone"])


def test_an_import_lists_what_is_refused_and_what_is_warned_of(house):
    define(house, PHONE, ONCE, CHEAP)
    text = "code,area,tel,price\na,x,+1,5\na,x,+2,5\nb,x,3,5\nc,x,+4,500\n"
    with house.db.read() as tx:
        entity = services.entity(tx, "item")
    number = importing.begin(house, entity, io.BytesIO(text.encode()), "items.csv", ANN)
    with house.db.read() as tx:
        job = importing.find(tx, "item", number)
    importing.choose(house, entity, job, Options(mapping={n: n for n in ("code", "area", "tel", "price")}))
    done = importing.step(house, job, ANN)
    assert done.counts == {"created": 2, "updated": 0, "unchanged": 0, "refused": 2, "warned": 1}
    with house.db.read() as tx:
        told = [(e.line, e.severity) for e in importing.errors(tx, number)]
    assert told == [(3, "reject"), (4, "quarantine"), (5, "warn")]


def test_warnings_of_an_import_are_listed_up_to_a_limit(house, monkeypatch):
    monkeypatch.setattr(importing, "WARNED", 2)
    define(house, CHEAP)
    with house.db.read() as tx:
        entity = services.entity(tx, "item")
    text = "price\n" + "500\n" * 5
    number = importing.begin(house, entity, io.BytesIO(text.encode()), "items.csv", ANN)
    with house.db.read() as tx:
        job = importing.find(tx, "item", number)
    importing.choose(house, entity, job, Options(mapping={"price": "price"}))
    assert importing.step(house, job, ANN).counts["warned"] == 5
    with house.db.read() as tx:
        assert len(importing.errors(tx, number)) == 2


def test_a_rule_that_writes_into_the_entity_is_refused_or_warned(house):
    define(house, PHONE, CHEAP)
    hub = hub_connector(house)({}, None)
    records = pl.DataFrame({"code": ["a", "b", "c"], "tel": ["+1", "2", "+3"], "price": [5, 5, 500]})
    result = hub.write("item", hub.schema("item"), [Change(Op.CREATE, "id", records)], Fence("s", 1, 1, 1))
    assert [(f.row, f.field, str(f.message)) for f in result.failures] == [(1, "tel", "Phones start with +.")]
    assert [(w.row, w.name, str(w.message)) for w in result.warnings] == [(2, "item.cheap", "Dear.")]


def steps(house, *validations: dict[str, Any], **changes: Any) -> list[tuple[str, str, str, tuple[int, ...]]]:
    with house.db.read() as tx:
        plan = services.make_plan(tx, document(*validations, **changes))
    return [(s.field, s.tone.value, str(s.message), s.examples) for s in plan.steps]


def test_the_plan_says_how_many_records_do_not_meet_a_new_validation(area):
    define(area)
    bad = [add(area, tel="1"), add(area, tel="2", area="south", code="a")]
    add(area, tel="+3", area="south", code="a")
    found = steps(area, PHONE, ONCE, CHEAP)
    text = "{} of 3 records do not meet the validation. They stay as they are until someone changes them."
    twice = text.format(1)
    assert found == [
        ("phone", "changes", text.format(2), tuple(bad)),
        ("once", "changes", twice, (3,)),
        ("cheap", "safe", "Every record that exists meets the validation.", ()),
    ]


def test_the_plan_counts_only_what_stays(house):
    define(house, PHONE)
    add(house, tel="+1")
    fields = [*FIELDS, {"name": "size", "type": "integer"}]
    found = steps(house, {"name": "sized", "check": "size > 0"}, fields=fields)
    assert found[1:] == [
        ("phone", "safe", "The validation is removed.", ()),
        (
            "sized",
            "safe",
            "How many records meet it shows after the change: it speaks of fields that change with it.",
            (),
        ),
    ]
    define(house, PHONE, CHEAP)
    assert steps(house, CHEAP, PHONE) == [("", "safe", "The order of the validations changes.", ())]
    assert steps(house, PHONE, CHEAP) == []


def test_unique_combinations_have_an_index(house):
    define(house, ONCE)
    with house.db.read() as tx:
        assert "ix_e_item__once" in {i["name"] for i in sa.inspect(tx).get_indexes("e_item")}
    define(house)
    with house.db.read() as tx:
        assert "ix_e_item__once" not in {i["name"] for i in sa.inspect(tx).get_indexes("e_item")}
