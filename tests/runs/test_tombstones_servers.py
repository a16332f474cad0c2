"""Records marked as deleted in PostgreSQL and MariaDB, by a time and by a flag."""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import ADMIN
from tests.runs.test_two_way_servers import RULE, Two, two  # noqa: F401 - a fixture
from webapp.connections.probing import object_schema
from webapp.rulebook import services as rulebook

MARKS = {"detect": "tombstone", "when": "deleted_at != null", "when_right": "closed == true"}
SEEN = "2026-01-01 00:00:00+00"


def _publish(two: Two, detect: dict[str, Any]) -> None:  # noqa: F811
    two.sql("pg", "ALTER TABLE person ADD deleted_at timestamptz")
    two.sql("pg", f"ALTER TABLE person ADD changed timestamptz DEFAULT '{SEEN}'")
    two.sql("my", "ALTER TABLE partner ADD closed boolean NOT NULL DEFAULT false")
    for connection, name in (("pg", "person"), ("my", "partner")):
        object_schema(two.world.house, connection, name, refresh=True)
    gone = {"deleted_left": "delete", "deleted_right": "delete"}
    document = {**RULE, "deletes": MARKS, "situations": gone, "detect": {"left": detect}}
    rulebook.save_draft(two.world.house, "customers", document, ADMIN)
    rulebook.publish(two.world.house, "customers", ADMIN)


@pytest.mark.parametrize("detect", [{"by": "full"}, {"by": "cursor", "field": "changed"}])
def test_marks_in_both_databases(two: Two, detect: dict[str, Any]):  # noqa: F811
    """A mark in either database deletes the partner in the other one, and then both rest."""
    _publish(two, detect)
    two.put("pg", *((f"T{n}", f"n{n}", n, None, True, None) for n in range(1, 6)))
    two.world.run()
    two.sql("pg", "UPDATE person SET deleted_at = now(), changed = now() WHERE tax = 'T1'")
    two.sql("my", "UPDATE partner SET closed = true WHERE vat = 'T2'")
    run = two.world.pages_of(2).run()
    assert (run.state, run.counts["deleted"]) == ("succeeded", 2), run.message
    assert {row[0] for row in two.sql("my", "SELECT vat FROM partner")} == {"T2", "T3", "T4", "T5"}
    assert {row[0] for row in two.sql("pg", "SELECT tax FROM person")} == {"T1", "T3", "T4", "T5"}
    again = two.world.run()
    assert (again.counts["created"], again.counts["updated"], again.counts["deleted"]) == (0, 0, 0)
