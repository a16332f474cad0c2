"""A record's history holds no step of another record, and no step that names somebody else than the log does."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, RULE, World, open_world
from webapp.entities import services as entities
from webapp.entities.hub import register
from webapp.entities.models import entity_history
from webapp.evidence import trail
from webapp.evidence.notary import seal_due
from webapp.evidence.places import Place
from webapp.runs.models import run

OWN, OTHER = Place("crm", "customer", "", "1"), Place("crm", "supplier", "", "1")


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A rule that read customers, and reads suppliers since its second version; both have the key 1."""
    with open_world(tmp_path_factory.mktemp("mistaken") / "data") as world:
        register(world.house)
        world.customers("Ada")
        world.rule()
        world.run()
        world.crm("CREATE TABLE supplier AS SELECT * FROM customer")
        world.crm("UPDATE supplier SET name = 'Zed'")
        world.erp("CREATE TABLE vendor AS SELECT * FROM client WHERE 0")
        world.rule(left={**RULE["left"], "object": "supplier"}, right={**RULE["right"], "object": "vendor"})
        world.run()
        entities.define(
            world.house, {"kind": "entity", "name": "note", "fields": [{"name": "no", "type": "text"}]}, ADMIN
        )
        entities.create_record(world.house, "note", {"no": "n"}, ADMIN)
        seal_due(world.house)
        yield world


def test_the_same_key_in_another_object_is_another_record(moved: World):
    """Each run counts for the object that it read, whatever the rule reads since."""
    assert [(step.deed, step.run.id) for step in trail.of_record(moved.house, [OWN]).steps] == [("created", 1)]
    found = trail.of_record(moved.house, [OTHER])
    assert [(step.deed, step.run.id) for step in found.steps] == [("created", 2)]
    assert OWN not in found.places
    assert Place("crm", "customer", "id", "1") not in found.places


@pytest.mark.parametrize(
    ("table", "values"),
    [
        (run, {"requested_by": "somebody"}),
        (run, {"rule_version": 7}),
        (run, {"document": {**RULE, "note": "other"}}),
        (entity_history, {"actor": "somebody"}),
    ],
    ids=["who", "version", "document", "person"],
)
def test_who_did_it_is_what_the_log_says(moved: World, table: sa.Table, values: dict):
    """A name or a version that was altered beside the log is named at its step."""
    mine = table.c.id == 1
    with moved.house.db.begin() as tx:
        kept = tx.execute(sa.select(*(table.c[name] for name in values)).where(mine)).mappings().one()
        tx.execute(sa.update(table).where(mine).values(values))
    place = OWN if table is run else Place("hub", "note", "id", "1")
    try:
        (step,) = trail.of_record(moved.house, [place]).broken
    finally:
        with moved.house.db.begin() as tx:
            tx.execute(sa.update(table).where(mine).values(dict(kept)))
    assert step.seal.state == "broken"
    assert trail.of_record(moved.house, [place]).broken == []
