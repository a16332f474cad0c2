"""Comparing with a PostgreSQL target: values of many types, and a source in SQLite."""

from __future__ import annotations

import pytest

from tests.runs.test_plans_postgresql import Erp
from tests.runs.test_verification import listed, verify

NAMES = ("no", "title", "price", "at", "day", "clock", "body", "extra", "flag", "ratio", "local")


@pytest.fixture
def erp(world, postgres_url):
    """Return PostgreSQL with a table and a copy of it of the same types."""
    erp = Erp(world, postgres_url)
    erp.sql("""
        INSERT INTO client SELECT n, 'c' || n, NULL, 12345678.1234, '2024-02-29 12:00:00.123456+08', '2024-02-29',
          '23:59:59.5', '\\x00ff', '{"b": [1, 2.50], "a": null}', n % 2 = 0, 'NaN', '2024-02-29 12:00'
          FROM generate_series(1, 7) n;
        CREATE TABLE copy (LIKE client INCLUDING ALL);
    """)
    world.rule(
        left={"connection": "pg", "object": "client"},
        right={"connection": "pg", "object": "copy"},
        key={"left": "no", "right": "no"},
        fields=[{"left": name, "right": name} for name in NAMES],
    )
    return erp


def test_values_of_all_types_agree_after_a_run(world, erp):
    """Decimals, times with and without zones, bytes, JSON, NaN: equal values have equal sums."""
    world.run()
    found = verify(world.pages_of(3))
    assert found.agrees, (found.fields, listed(world, found))
    assert found.counts["left"]["equal"] == 7


def test_the_smallest_change_is_found(world, erp):
    """One unit of the last digit, one microsecond, one byte."""
    world.run()
    erp.sql("UPDATE copy SET price = 12345678.1235 WHERE no = 1")
    erp.sql("UPDATE copy SET at = at + interval '1 microsecond' WHERE no = 2")
    erp.sql("UPDATE copy SET body = '\\x00fe' WHERE no = 3")
    erp.sql("UPDATE copy SET ratio = 0.1 WHERE no = 4")
    found = verify(world.pages_of(3))
    assert found.fields == {"price": 1, "at": 1, "body": 1, "ratio": 1}
    price = next(r for r in listed(world, found) if r["left_key"] == "1")["fields"][0]
    assert (price["left"], price["right"]) == ("12345678.1234", "12345678.1235")
