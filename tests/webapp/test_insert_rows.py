"""Rows that are inserted in bulk are those that SQLAlchemy would have written."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from webapp.extensions import House, insert_rows
from webapp.runs.models import run_log, run_record

AT = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
RECORD = {"run_id": 1, "rule_name": "r", "record_no": 2**40, "outcome": "created"}
RECORDS: list[dict[str, Any]] = [
    {**RECORD, "left_key": "客😀 'x'", "after": '{"a": "%s"}', "reason": None},
    {**RECORD, "left_key": None, "after": None, "reason": {"text": "ß", "values": {"n": 1}}},
]
LINES: list[dict[str, Any]] = [{"run_id": 1, "at": AT, "level": "info", "message": {"text": "x"}}]


def test_same_rows(house: House) -> None:
    """Texts of any kind, empty values, JSON and times are the same as when SQLAlchemy writes them."""
    with house.db.begin() as tx:
        for table, rows in ((run_record, RECORDS), (run_log, LINES)):
            names, stored = [*rows[0]], sa.select(*(table.c[name] for name in rows[0])).order_by(table.c.id)
            tx.execute(sa.insert(table), rows)
            insert_rows(tx, table, names, [[row[name] for name in names] for row in rows])
            found = tx.execute(stored).mappings().all()
            assert found[: len(rows)] == found[len(rows) :] == rows


def test_no_rows(house: House) -> None:
    """Nothing to insert is nothing to do."""
    with house.db.begin() as tx:
        insert_rows(tx, run_record, ["run_id"], iter(()))
        assert tx.scalar(sa.select(sa.func.count()).select_from(run_record)) == 0
