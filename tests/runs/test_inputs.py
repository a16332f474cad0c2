"""The values that a rule read are kept beside the outcomes, so that each record can be explained later."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from rules.schema import Field, FieldType, Schema
from tests.runs.conftest import ADMIN, RULE
from webapp.audit.models import audit_event
from webapp.audit.tags import Tag
from webapp.runs import quarantine
from webapp.runs.models import run, run_input
from webapp.runs.pipeline import inputs
from webapp.runs.pipeline.codec import digest

SCHEMAS = tuple(Schema((Field("id", type_),), ("id",)) for type_ in (FieldType.TEXT, FieldType.INTEGER, FieldType.DATE))


def kept(world, run_id: int) -> list:
    with world.house.db.read() as tx:
        return list(inputs.stored(tx, run_id))


@pytest.mark.parametrize("mode", ["live", "simulate", "shadow"])
def test_every_run_keeps_what_its_rule_read(world, mode):
    """The key, the copied and the computed fields and those of conditions are kept, of every record; others are not."""
    world.pages_of(2).customers("Ada", None, "Grace", "Lin", "Mei")
    world.rule(left={**RULE["left"], "where": "status != 'draft'"})
    found = kept(world, world.run(mode).id)
    assert [(s.no, s.first, s.records.height) for s in found] == [(1, 1, 2), (2, 3, 2), (3, 5, 1)]
    assert found[0].records.columns == ["id", "name", "phone", "status"]
    assert found[0].records.rows() == [(1, "Ada", "+86 1", "active"), (2, None, "+86 2", "active")]


def test_a_rule_may_keep_nothing(world):
    """With `explain: false` no values are kept; the fields are, which tell the next run of changes."""
    world.customers("Ada")
    world.rule(explain=False)
    found = world.run()
    assert kept(world, found.id) == []
    with world.house.db.read() as tx:
        noted = tx.scalar(sa.select(run.c.schemas).where(run.c.id == found.id))
    assert [sorted(entry) for entry in noted] == [["chunk", "source", "target"]]


def test_the_kept_values_are_sealed_into_the_audit(world):
    """The audit event of a chunk carries the digest of the kept values, so a later edit shows."""
    world.customers("Ada")
    world.rule()
    number = world.run().id
    with world.house.db.read() as tx:
        row = tx.execute(sa.select(run_input).where(run_input.c.run_id == number)).one()
        event = tx.execute(sa.select(audit_event.c.after).where(audit_event.c.tag == Tag.RUN_CHUNK)).scalars().all()
    seals = [(json.loads(e) if isinstance(e, str) else e)["inputs"] for e in event]
    assert row.digest == digest(row.blob)
    assert row.digest in seals


def test_replayed_records_are_kept_too(world):
    """A replay keeps the record as it was corrected, under its place in the selection."""
    world.customers("Ada", "a name that is far too long for it")
    world.rule()
    world.run()
    with world.house.db.read() as tx:
        entry = quarantine.listing(tx)[0]
    quarantine.edit(world.house, entry.id, {**json.loads(entry.record), "name": "short"}, entry.version, ADMIN)
    again = quarantine.replay(world.house, "customers", [entry.id], ADMIN)
    assert world.work(again)
    found = kept(world, again)
    assert [(s.first, s.records["name"][0]) for s in found] == [(1, "short")]


def test_changed_fields_of_a_resumed_run_are_noted_from_their_chunk_on(world):
    """Each chunk is explained with the fields as they were when it was read."""
    noted = inputs.noted(None, 1, SCHEMAS[:2])
    assert inputs.noted(noted, 4, SCHEMAS[:2]) is None
    more = inputs.noted(noted, 4, SCHEMAS[1:])
    assert inputs.schemas_of(more, 3) == SCHEMAS[:2]
    assert inputs.schemas_of(more, 4) == SCHEMAS[1:]
    assert inputs.schemas_of(None, 1) is None
