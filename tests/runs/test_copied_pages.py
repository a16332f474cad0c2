"""Whole runs between two tables of PostgreSQL: sent as the bytes that came or packed anew, the end is the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connectors.builtin import postgresql_stage
from tests.runs.conftest import ADMIN, open_world
from tests.runs.test_filtering import told
from webapp.connections import services as connections

FIELDS = (
    "id", "code", "name", "note", "price", "free", "extra", "at", "local", "day", "clock", "flag", "ratio", "small",
    "body", "tags", "mail", "kind",
)  # fmt: skip
SOURCE = """
CREATE DOMAIN label AS varchar(12) COLLATE "C";
CREATE TABLE source (id bigint PRIMARY KEY, code char(6), name varchar(20), note text, price numeric(12,2),
  free numeric, extra jsonb, at timestamptz, local timestamp, day date, clock time, flag boolean,
  ratio double precision, small smallint, body bytea, tags text[], mail text COLLATE "C", kind label);
INSERT INTO source SELECT n, 'c' || n % 7, 'Name ' || n, '注 ' || repeat('x', n % 40), n / 4.0, n / 8.0,
  jsonb_build_object('n', n, 'a', ARRAY[1.50, 2]), '2024-02-29 12:00:00.123456+08'::timestamptz + n * interval '1 hour',
  '2024-02-29 12:00:00.5'::timestamp + n * interval '1 s', '2000-02-29'::date + n, '23:59:59.999999', n % 2 = 0,
  CASE n % 3 WHEN 0 THEN '-0' ELSE n / 3.0 END::double precision, n, decode('00ff', 'hex'), ARRAY['a', NULL, 'B'],
  'A' || n, 'k' || n % 5 FROM generate_series(1, 260) n;
INSERT INTO source (id) VALUES (261);
INSERT INTO source (id, code, name, note, mail, kind, price) VALUES (262, '', '  ', '', 'a1', ' ', -0.01);
"""
PLAIN = {
    "id": "bigint PRIMARY KEY", "code": "char(6)", "name": "varchar(20)", "note": "text", "price": "numeric(12,2)",
    "free": "numeric", "extra": "jsonb", "at": "timestamptz", "local": "timestamp", "day": "date", "clock": "time",
    "flag": "boolean", "ratio": "double precision", "small": "smallint", "body": "bytea", "tags": "text[]",
    "mail": 'text COLLATE "C"', "kind": "label",
}  # fmt: skip
COPIED = tuple(name for name in FIELDS if name not in {"free", "tags"})
OWN = """, own bigint GENERATED ALWAYS AS IDENTITY, twice numeric GENERATED ALWAYS AS (price * 2) STORED,
  state text NOT NULL DEFAULT 'new'"""
OTHER = {
    "code": "varchar(6)", "name": "char(20)", "note": "varchar(80)", "mail": "text UNIQUE", "kind": "text",
    "price": "numeric(14,2)",
}  # fmt: skip
DIFFER = {
    "price": "numeric(12,4)", "small": "bigint", "extra": "json", "at": "timestamptz(0)", "local": "timestamp(1)",
}  # fmt: skip
CASES: dict[str, tuple[tuple[str, ...], dict[str, str], str, bool]] = {
    "alike": (COPIED, {}, "", True),
    "with columns of its own": (COPIED, {}, OWN, True),
    "stored otherwise": (COPIED, OTHER, "", True),
    "types that differ": (FIELDS, DIFFER, "", False),
    "domains that refuse": (COPIED, {"price": "amount", "note": "remark"}, "", True),
    "refusals of the database": (COPIED, {"mail": "text CHECK (mail <> 'A77')"}, OWN, True),
    "refusals of the mapping": (COPIED, {"note": "varchar(40)", "price": "numeric(3,2)"}, "", False),
    "letters of either case are one": (COPIED, {}, "); CREATE UNIQUE INDEX ON target (lower(mail)", True),
}
DOMAINS = """
CREATE DOMAIN amount AS numeric(12,2) CHECK (value <> 7.75);
CREATE DOMAIN remark AS text CHECK (value NOT LIKE '%xxxxx') DEFAULT 'none';
"""


def run(url: str, statement: str) -> list[Any]:
    u = sa.make_url(url)
    with psycopg.connect(host=u.host, port=u.port, dbname=u.database, user=u.username, password=u.password) as one:
        found = one.execute(statement.encode())
        return found.fetchall() if found.description else []


@pytest.mark.parametrize("case", CASES)
def test_the_end_is_the_same(tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Stored rows, counts, links, parked records and what is shown are those of values that are packed anew."""
    names, changes, own, is_copied = CASES[case]
    left_out = [f"ALTER TABLE source DROP COLUMN {name};" for name in FIELDS if name not in names]
    run(postgres_url, SOURCE + DOMAINS + "".join(left_out))
    columns = ", ".join(f"{name} {({**PLAIN, **changes})[name]}" for name in names)
    copied, ends = postgresql_stage.copied, []
    for lane in (True, False):
        known: list[bool] = []

        def looked(*asked: Any, lane: bool = lane, known: list[bool] = known) -> Any:
            found = copied(*asked) if lane else None
            known.append(found is not None)
            return found

        monkeypatch.setattr(postgresql_stage, "copied", looked)
        run(postgres_url, f"DROP TABLE IF EXISTS target; CREATE TABLE target ({columns}{own})")
        with open_world(tmp_path / str(lane)) as world:
            u = sa.make_url(postgres_url)
            settings = {"host": u.host, "port": u.port, "database": u.database, "user": u.username}
            settings |= {"password": u.password} if u.password else {}
            document = {"kind": "connection", "name": "pg", "connector": "postgresql", "settings": settings}
            connections.create(world.house, document, ADMIN)
            world.rule(
                left={"connection": "pg", "object": "source"}, right={"connection": "pg", "object": "target"},
                key={"left": "id", "right": "id"}, fields=[{"left": name, "right": name} for name in names],
            )  # fmt: skip
            end = [told(world, world.run().id)]
            end.append(run(postgres_url, f"SELECT {', '.join(names)}, t::text FROM target t ORDER BY id"))
            end.append(told(world, world.run().id))
        assert any(known) is (lane and is_copied)
        ends.append(end)
    assert ends[0] == ends[1]
    assert ends[0][1]
