"""Rules that ask decision tables and lookup tables while they run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.runs.conftest import ADMIN, numbers
from tests.runs.test_crash import Killed, dies
from webapp.rulebook import services as rulebook
from webapp.runs.links import table_hits
from webapp.runs.models import run
from webapp.runs.pipeline.journal import Journal

GREETING: dict[str, Any] = {
    "kind": "decision_table",
    "name": "greeting",
    "hit_policy": "unique",
    "inputs": [{"name": "letters", "type": "integer"}],
    "outputs": [{"name": "word"}],
    "rows": [{"when": ["< 4"], "then": ['"Hi"']}, {"when": [">= 4"], "then": ['"Dear"']}],
}
TITLES: dict[str, Any] = {
    "kind": "lookup",
    "name": "titles",
    "key": {"name": "name"},
    "columns": [{"name": "title"}],
    "entries": [["Ada", "Countess"]],
}
ASKS: dict[str, Any] = {
    "decisions": [{"table": "greeting", "inputs": {"letters": "size(name)"}}],
    "fields": [
        {"left": "id", "right": "no"},
        {"right": "title", "to_right": "greeting.word + ' ' + lookup('titles', name).orDefault(name)"},
        {"left": "phone", "right": "tel"},
    ],
}


@pytest.fixture
def tables(world: Any) -> Any:
    """Return a world with both tables published."""
    for document in (GREETING, TITLES):
        rulebook.create(world.house, document, ADMIN)
        rulebook.publish(world.house, document["name"], ADMIN)
    return world


def hits(world: Any) -> list[int]:
    with world.house.db.read() as tx:
        return table_hits(tx, "greeting")


def test_outputs_of_tables_are_written(tables: Any) -> None:
    """Each record gets what the tables say, and the rows that decided are counted."""
    tables.customers("Ada", "Beatrice", "Carl")
    tables.rule(**ASKS)
    done = tables.run()
    assert numbers(done) == {"read": 3, "created": 3}
    assert [row[1] for row in tables.clients()] == ["Hi Countess", "Dear Beatrice", "Dear Carl"]
    assert hits(tables) == [1, 2]
    tables.run()
    assert hits(tables) == [2, 4]


def test_hits_count_what_is_published(tables: Any) -> None:
    """A new version of the table starts at nothing."""
    tables.customers("Ada")
    tables.rule(**ASKS)
    tables.run()
    changed = {**GREETING, "rows": [{"when": ["-"], "then": ['"Hello"']}]}
    rulebook.save_draft(tables.house, "greeting", changed, ADMIN)
    rulebook.publish(tables.house, "greeting", ADMIN)
    assert hits(tables) == []
    tables.run()
    assert hits(tables) == [1]
    assert tables.clients()[0][1] == "Hello Countess"


def test_a_record_that_cannot_be_decided_is_parked(tables: Any) -> None:
    """Its reason names the decision; the others are written, and it counts for no row."""
    tables.customers("Ada", None, "Carl")
    tables.rule(**ASKS)
    done = tables.run()
    assert numbers(done) == {"read": 3, "created": 2, "quarantined": 1}
    (parked,) = [r for r in tables.records(done.id) if r.row.outcome == "quarantined"]
    assert "decision 'greeting'" in str(parked.reason)
    assert parked.row.field == "greeting"
    assert hits(tables) == [1, 1]


def test_out_of_scope_records_are_not_counted(tables: Any) -> None:
    """A record outside of the rule asks nothing, and its errors do not matter."""
    tables.customers("Ada", None, "Carl")
    tables.rule(**ASKS, left={"connection": "crm", "object": "customer", "where": "name == 'Carl'"})
    assert numbers(tables.run()) == {"read": 3, "created": 1, "skipped": 2}
    assert hits(tables) == [0, 1]


def test_a_run_keeps_the_versions_that_it_began_with(tables: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table that is published anew while a run is stopped does not split the run; its hits are counted once."""
    tables.customers("Ada", "Bea", "Cleo", "Dora")
    tables.rule(**ASKS)
    tables.pages_of(2)
    run_id = tables.request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "check_in", 1, before=True)
        with pytest.raises(Killed):
            tables.work(run_id)
    changed = {**GREETING, "rows": [{"when": ["-"], "then": ['"Yo"']}]}
    rulebook.save_draft(tables.house, "greeting", changed, ADMIN)
    rulebook.publish(tables.house, "greeting", ADMIN)
    tables.shift = timedelta(hours=1)
    assert tables.work(run_id, "w2")
    assert [row[1] for row in tables.clients()] == ["Hi Countess", "Hi Bea", "Dear Cleo", "Dear Dora"]
    with tables.house.db.read() as tx:
        assert tx.scalar(run.select().with_only_columns(run.c.hits)) == {"greeting": [2, 2]}
