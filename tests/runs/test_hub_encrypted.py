"""Rules over an entity with encrypted fields work as ever, and nothing that they keep tells a value."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from connectors.spi import Context, ReadRequest
from rules.documents import DocumentError
from rules.language.sql.simplify import every
from rules.predicate import EVERYTHING, Compare, Test
from tests.runs.conftest import ADMIN, World, numbers
from tests.runs.test_hub_rules import INTO, OUT, PERSON, persons, rule, run
from webapp.entities import resealing
from webapp.entities import services as entities
from webapp.entities.hub import hub_connector, register
from webapp.extensions import metadata
from webapp.rulebook.errors import NotPublishable
from webapp.runs.proof import recount
from webapp.runs.requests import start
from webapp.vault import at_rest
from webapp.vault.journal import raw

CANARY = "139canary"
FIELDS: Any = PERSON["fields"]
HIDDEN = {
    **PERSON,
    "fields": [*FIELDS[:2], {**FIELDS[2], "length": 20, "encrypted": True, "exact": True, "personal": True}],
}


@pytest.fixture
def hubbed(world: World) -> World:
    register(world.house)
    entities.define(world.house, HIDDEN, ADMIN)
    at_rest.register(world.house)  # as if a second had gone by
    return world


def phones(world: World) -> None:
    """Give every customer a number that can be looked for."""
    world.crm(f"UPDATE customer SET phone = '{CANARY}' || id")


def told(world: World) -> list[str]:
    """Return each place of the database that tells a value, or holds values that are not encrypted."""
    house, found = world.house, []
    with house.db.read() as tx:
        for name in sa.inspect(tx).get_table_names():
            shown = f'SELECT * FROM "{name}"' if house.db.is_sqlite else f'SELECT t::text FROM "{name}" t'
            found += [name for row in tx.exec_driver_sql(shown) if CANARY in str(row)]
        for table in metadata.sorted_tables:
            kept = [column for column in table.columns if hasattr(column.type, "is_closed")]
            for row in tx.execute(sa.select(raw(table))).mappings() if kept else ():
                kinds: list[tuple[str, Any]] = [(column.name, column.type) for column in kept]
                found += [n for n, kind in kinds if row[n] is not None and not kind.is_closed(row[n])]
    if house.db.is_sqlite:
        files = house.settings.data.glob("metadata.db*")
        found += [path.name for path in files if CANARY.encode() in path.read_bytes()]
    return found


def test_nothing_tells_a_value(hubbed: World) -> None:
    """After rules, quarantine, cases, edits, deletions, an import and a new key no table holds a value in clear."""
    hubbed.customers("Ann", "Bob", "Cid", "Dan")
    phones(hubbed)
    hubbed.crm(f"UPDATE customer SET phone = '{CANARY} is far too long for it' WHERE id = 4")
    fields = [{**pair, "direction": "both"} for pair in INTO["fields"]]
    rule(hubbed, {**INTO, "fields": fields, "direction": "two_way", "conflict": {"default": "manual"}})
    rule(hubbed, OUT)
    first = numbers(run(hubbed, "into"))
    assert (first["created"], first["quarantined"]) == (3, 1)
    assert numbers(run(hubbed, "out"))["created"] == 3
    wanted = [(number, name, f"{CANARY}{number}") for number, name in enumerate(("Ann", "Bob", "Cid"), 1)]
    assert hubbed.clients() == persons(hubbed) == wanted
    again = run(hubbed, "out")
    with hubbed.house.db.read() as tx:  # salted blobs fit the digests that the log tells
        assert recount(tx, again).problems == []
    hubbed.crm(f"UPDATE customer SET phone = '{CANARY} left' WHERE id < 3")
    entities.update_record(hubbed.house, "person", 1, {"phone": f"{CANARY} right"}, ADMIN)
    went = numbers(run(hubbed, "into"))
    assert (went["updated"], went["cases"], went["quarantined"]) == (1, 1, 1)
    assert "updated" not in numbers(run(hubbed, "into"))
    entities.delete_record(hubbed.house, "person", 3, ADMIN)
    assert start(hubbed.house, "out", "simulate", ADMIN)
    run(hubbed, "out")
    assert told(hubbed) == []
    resealing.renew(hubbed.house, "person", ADMIN)
    while resealing.work(hubbed.house):
        pass
    assert told(hubbed) == []
    assert [row[2] for row in persons(hubbed)] == [f"{CANARY} right", f"{CANARY} left"]


def test_records_are_found_by_a_value(hubbed: World) -> None:
    """A rule links records by the exact value of an encrypted field, and reads only those that meet a filter."""
    hubbed.customers("Ann", "Bob")
    phones(hubbed)
    entities.create_record(hubbed.house, "person", {"no": 70, "name": "Annie", "phone": f"{CANARY}1"}, ADMIN)
    linked = {
        **INTO,
        "key": {"left": "id", "right": "id"},
        "fields": [{"left": "name", "right": "name"}, {"left": "id", "right": "no"}],
        "correlate": [{"match": [{"left": "phone", "right": "phone", "how": "exact"}], "confidence": 1.0}],
        "deletes": {"detect": "none"},
    }
    rule(hubbed, linked)
    run(hubbed, "into")
    assert persons(hubbed) == [(1, "Ann", f"{CANARY}1"), (2, "Bob", None)]
    hub = hub_connector(hubbed.house)({}, Context())
    schema = hub.schema("person").select(("id", "phone"))
    tests = every([Compare("phone", Test.EQUAL, f"{CANARY}1")])
    request = ReadRequest("person", schema, filter=tests)
    assert hub.filterable(request) in (None, EVERYTHING)  # tested where the values are plain


KEYED: dict[str, Any] = {
    "key": {**INTO, "key": {"left": "phone", "right": "phone"}, "deletes": {"detect": "none"}},
    "cursor": {**OUT, "detect": {"left": {"by": "cursor", "field": "phone"}}},
}


def test_what_is_looked_up_needs_an_index(hubbed: World) -> None:
    """A rule that would look records up by an encrypted field without an index is refused when it is published."""
    fields = [*FIELDS[:2], {**FIELDS[2], "length": 20, "encrypted": True, "personal": True}]
    entities.define(hubbed.house, {"kind": "entity", "name": "hidden", "fields": fields}, ADMIN)
    match = {"match": [{"left": "phone", "right": "phone", "how": "exact"}], "confidence": 1.0}
    asked = {"name": "known", "reference": {"field": "phone", "object": "hidden", "key": "phone"}}
    linked = {
        **INTO, "right": {"connection": "hub", "object": "hidden"}, "key": {"left": "id", "right": "id"},
        "fields": [{"left": "name", "right": "name"}, {"left": "id", "right": "no"}], "correlate": [match],
        "deletes": {"detect": "none"}, "validations": [asked],
    }  # fmt: skip
    with pytest.raises(NotPublishable) as refused:
        rule(hubbed, linked)
    told = [problem.path for problem in refused.value.problems]
    assert told == ["correlate/0/match/0/right", "validations/0/reference/key"]
    assert "encrypted without an index for exact values" in str(refused.value)


@pytest.mark.parametrize("name", KEYED)
def test_it_cannot_be_a_key(hubbed: World, name: str) -> None:
    """A rule that would keep encrypted values as keys or places is not published, and the sentence says why."""
    with pytest.raises(NotPublishable) as refused:
        rule(hubbed, KEYED[name])
    assert [problem.path for problem in refused.value.problems] == [
        {"key": "key/right", "cursor": "detect/left/field"}[name]
    ]
    assert "is encrypted" in str(refused.value)


@pytest.mark.parametrize("name", KEYED)
def test_a_key_cannot_be_encrypted(world: World, name: str) -> None:
    """A field by which a published rule names or orders records is not encrypted under it."""
    register(world.house)
    fields = [*FIELDS[:2], {**FIELDS[2], "required": True, "unique": True, "indexed": True}]
    entities.define(world.house, {**PERSON, "fields": fields}, ADMIN)
    rule(world, KEYED[name])
    with pytest.raises(DocumentError, match=f"The rule '{KEYED[name]['name']}' would stop working"):
        entities.define(world.house, HIDDEN, ADMIN)
