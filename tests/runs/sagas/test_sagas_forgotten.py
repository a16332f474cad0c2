"""Of what has ended no values are kept, of who is erased nothing that quotes them, and none of it for long."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import polars as pl
import sqlalchemy as sa

from tests.runs.conftest import ADMIN
from tests.runs.sagas.conftest import Office
from webapp.evidence import persons
from webapp.evidence.persons import Person
from webapp.runs.outbox import keeping
from webapp.runs.outbox.models import delivery
from webapp.runs.sagas.models import saga, saga_step
from webapp.runs.transactions import recovery
from webapp.vault import people


def _rows(office: Office, query: Any) -> list[Any]:
    with office.world.house.db.read() as tx:
        return [tuple(row) for row in tx.execute(query)]


def _values() -> Any:
    return sa.select(saga_step.c.after, saga_step.c.undo, saga_step.c.match)


def test_values_of_records_go_with_the_end_of_their_steps(office: Office):
    """Neither the last chunk of a rule nor what was taken back keeps any."""
    office.sql(
        "book", "CREATE TRIGGER no BEFORE INSERT ON line WHEN new.code = 'L2' BEGIN SELECT RAISE(ABORT, 'n'); END"
    )
    office.world.customers("Ada", "Bea")
    office.world.run()
    assert sorted(_rows(office, sa.select(saga.c.state))) == [("compensated",), ("done",)]
    assert set(_rows(office, _values())) == {(None, None, None)}


def test_erasing_a_person_takes_what_was_said_of_their_records(office: Office):
    """Why a record was taken back and what a target answered may quote it; what is under way is counted and stays."""
    house = office.world.house
    people.register(house)
    office.sql("book", "CREATE TRIGGER no BEFORE INSERT ON line BEGIN SELECT RAISE(ABORT, 'Ada'); END")
    office.world.customers("Ada", "Bea")
    office.world.run()
    rows = {
        "op": ["create"] * 2, "whole": [True] * 2, "key": ["1"] * 2, "target_key": ["1"] * 2, "fields": ["{}"] * 2,
        "record": ["{}"] * 2, "record_no": [1, 2], "hash": [None] * 2,
    }  # fmt: skip
    place = keeping.Place(1, "customers", "left", "erp", "client", house.clock)
    with house.db.begin() as tx:
        keeping.store(tx, place, (7, 1, ""), pl.DataFrame(rows, schema_overrides={**keeping.POSTED, "hash": pl.UInt64}))
        first = sa.update(delivery).where(delivery.c.id == 1)
        tx.execute(first.values(state="delivered", answer=[{"template": "Ada", "values": {}}], ended_at=house.clock()))
    persons.erase(house, Person("rule", "customers", "1"), ADMIN, "asked for")
    told = dict(_rows(office, sa.select(saga.c.record_key, saga.c.reason)))
    assert (told["1"], told["2"] is None) == (None, False)
    assert _rows(office, sa.select(delivery.c.answer, delivery.c.fields)) == [(None, None), (None, "{}")]


def test_what_ended_long_ago_is_forgotten(office: Office):
    """Like transactions, after a month."""
    office.world.customers("Ada")
    office.world.run()
    recovery.sweep(office.world.house)
    assert len(_rows(office, sa.select(saga.c.id))) == 1
    office.world.shift += recovery.KEPT + timedelta(minutes=1)
    recovery.sweep(office.world.house)
    assert _rows(office, sa.select(saga.c.id)) == []
    assert _rows(office, _values()) == []
