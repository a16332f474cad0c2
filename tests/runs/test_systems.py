"""The systems of a run: opened once, asked for their fields, lent to who reads or writes, closed behind it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from connectors.errors import Misconfigured
from rules.text import msg
from webapp.connections.models import connection_object
from webapp.runs.systems import Reached


@pytest.fixture
def closed(monkeypatch):
    """Note which connectors are closed."""
    found = []
    real = SQLite.close

    def close(self):
        found.append(self)
        real(self)

    monkeypatch.setattr(SQLite, "close", close)
    return found


def test_what_was_asked_for_its_fields_is_what_reads_them(world, closed):
    """A second one is opened only where two are needed at once; all are closed in the end."""
    with Reached(world.house) as reached:
        assert "name" in reached.schema("crm", "customer").names
        reached.schema("crm", "customer")
        assert closed == []
        with reached.connect("crm") as one, reached.connect("crm") as other:
            assert one is not other
        assert closed == [other, one]
        reached.schema("erp", "client")
    assert len(closed) == 3


def test_fields_that_are_as_they_were_are_not_written_again(world):
    """The time of their discovery is that of their last change."""

    def known():
        with world.house.db.read() as tx:
            query = sa.select(connection_object.c.schema, connection_object.c.discovered_at)
            return tx.execute(query.where(connection_object.c.name == "customer")).one()

    with Reached(world.house) as reached:
        reached.schema("crm", "customer")
        before = known()
        reached.schema("crm", "customer")
        assert known() == before
        world.crm("ALTER TABLE customer ADD COLUMN more TEXT")
        assert "more" in reached.schema("crm", "customer").names
    assert known() != before


def test_a_connector_that_fails_is_closed_and_tells_no_secrets(world, closed, monkeypatch):
    """A mistake of its own is told as a sentence, one of the system as it is; both close the connection."""
    with Reached(world.house) as reached:
        for error, told in (
            (ValueError("x"), "failed unexpectedly"),
            (Misconfigured(msg("No such thing.")), "No such"),
        ):

            def fail(*_, error=error):
                raise error

            monkeypatch.setattr(SQLite, "schema", fail)
            with pytest.raises(Misconfigured, match=told):
                reached.schema("crm", "customer")
        assert len(closed) == 2


def test_a_connection_that_is_gone_is_named(world):
    """The run fails with a sentence that says which."""
    with Reached(world.house) as reached, pytest.raises(Misconfigured, match="nowhere"):
        reached.schema("nowhere", "customer")
