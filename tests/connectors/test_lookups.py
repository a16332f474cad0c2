"""A record that is there and cannot be read is not taken for missing when it is looked up, whatever the system is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin.files import Files
from connectors.builtin.rest import Rest
from connectors.errors import RecordRejected
from connectors.spi import Connector, Context, ReadRequest
from rules.schema import Field, FieldType, Schema

SCHEMA = Schema((Field("id", FieldType.INTEGER), Field("born", FieldType.DATE)), ("id",))
LINES = ["1,2000-01-01", "2,yesterday", "3,2000-01-03", "x,2000-01-04"]


@pytest.fixture(params=["file", "list", "item"])
def system(request: pytest.FixtureRequest, tmp_path: Path, web: Any, reply: Any) -> Iterator[Connector]:
    """Return a system whose record 2 cannot be read, and one record of which has no readable key."""
    if request.param == "file":
        (tmp_path / "people.csv").write_text("\n".join(["id,born", *LINES]))
        found: Connector = Files({"path": str(tmp_path), "format": "csv"}, Context(file_roots=(tmp_path,)))
    else:
        rows = {line.split(",")[0]: dict(zip(("id", "born"), line.split(","), strict=True)) for line in LINES}

        def answer(request: Any) -> Any:
            key = request.path.removeprefix("/people").strip("/")
            if key == "7":
                return reply(200, {"message": "maintenance"})
            return reply(200 if not key or key in rows else 404, rows.get(key) if key else {"items": [*rows.values()]})

        web.answer = answer
        described = {"name": "people.csv", "path": "/people", "records": "items", "key": "id"}
        described |= {"item": "/people/{key}"} if request.param == "item" else {}
        settings = {"base_url": web.url, "objects": [described]}
        found = Rest(
            {**{s.name: s.default for s in Rest.spec.settings}, **settings}, Context(egress_allow=("127.0.0.0/8",))
        )
    with found:
        yield found


def look(system: Connector, *keys: int) -> list[int]:
    return system.lookup("people.csv", SCHEMA, "id", pl.Series("id", keys, dtype=pl.Int64))["id"].to_list()


def test_what_can_be_read_is_found(system: Connector):
    """A bad record spoils no look-up of others."""
    assert sorted(look(system, 1, 3)) == [1, 3]
    assert look(system, 4) == []
    assert look(system) == []
    assert len([reject for page in system.read(ReadRequest("people.csv", SCHEMA)) for reject in page.rejects]) == 2


def test_what_cannot_be_read_is_not_missing(system: Connector):
    """The look-up of a bad record says what is wrong with it; its key alone can be looked up."""
    with pytest.raises(RecordRejected):
        look(system, 1, 2, 4)
    alone = SCHEMA.select(("id",))
    found = system.lookup("people.csv", alone, "id", pl.Series("id", [1, 2, 4], dtype=pl.Int64))
    assert sorted(found["id"].to_list()) == [1, 2]


def test_another_record_is_no_answer(system: Connector):
    """A service that answers with something else has not said that the record is gone."""
    if not isinstance(system, Rest) or not system._object("people.csv").item:
        assert look(system, 7) == []
        return
    with pytest.raises(RecordRejected):
        look(system, 7)
