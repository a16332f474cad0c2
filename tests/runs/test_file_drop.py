"""Rules over files that arrive: each file is done once, and moved when what became of it is durable."""

from __future__ import annotations

import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from webapp.connections import services as connections
from webapp.runs.models import quarantine


def test_files_that_arrive_become_records(world: World) -> None:
    """New files are read in their order and moved; what cannot be read is parked; a trial moves nothing."""
    inbox = world.folder / "inbox"
    inbox.mkdir()
    (inbox / "orders-1.csv").write_text("id,name,phone,gone\n1,Ada,1,\n2,Bea,2,\nbroken\n")
    (inbox / "orders-2.csv").write_text("id,name,phone,gone\n1,Ann,1,\n3,Cid,3,\n")
    settings = {
        "path": str(inbox), "pattern": "orders-*.csv", "key": "id", "settle": 0, "deleted_field": "gone",
        "processed": "archive",
    }  # fmt: skip
    document = {"kind": "connection", "name": "arriving", "connector": "file_drop", "settings": settings}
    connections.create(world.house, document, ADMIN)
    event = {"deletes": {"detect": "event"}, "situations": {"deleted_left": "delete"}}
    world.rule(left={"connection": "arriving", "object": "orders-*.csv"}, **event)
    world.run("simulate")
    assert len(list(inbox.glob("orders-*.csv"))) == 2
    run = world.run()
    assert (run.state, run.message) == ("succeeded", None)
    assert [row[:2] for row in world.clients()] == [(1, "Ann"), (2, "Bea"), (3, "Cid")]
    assert numbers(run) == {"read": 5, "created": 3, "skipped": 1, "quarantined": 1}
    with world.house.db.read() as tx:
        assert tx.scalars(sa.select(quarantine.c.place)).all() == ["orders-1.csv, line 4"]
    assert list(inbox.glob("orders-*.csv")) == []
    assert sorted(path.name for path in inbox.glob("processed/*/*")) == ["orders-1.csv", "orders-2.csv"]
    (inbox / "orders-3.csv").write_text("id,name,phone,gone\n2,,,yes\n")
    world.run()
    assert [row[0] for row in world.clients()] == [1, 3]
