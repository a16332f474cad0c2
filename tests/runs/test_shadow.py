"""A shadow run is a live run with its writes held back."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.runs.conftest import RULE, numbers
from tests.runs.test_two_way import _customers, _rule
from webapp.runs.models import link_segment, pair_case, quarantine, rule_cursor, run_chunk


def kept(world):
    """Return what runs keep for later ones."""
    with world.house.db.read() as tx:
        return [
            tx.scalar(sa.select(sa.func.count()).select_from(t))
            for t in (link_segment, pair_case, quarantine, rule_cursor)
        ]


def told(world, run_id):
    names = (
        "record_no",
        "left_key",
        "right_key",
        "outcome",
        "situation",
        "before",
        "after",
        "own_after",
        "field",
        "reason",
    )
    return [[getattr(r.row, name) for name in names] for r in world.records(run_id)]


@pytest.mark.parametrize("cursor", [False, True])
def test_it_shows_what_the_next_live_run_does_and_keeps_nothing(world, cursor):
    """Records, differences, reasons and counts are those of the live run; links, cursor and quarantine do not move."""
    world.customers("Ada", "Bea", "Cid", "Dan")
    detect = {"left": {"by": "cursor", "field": "changed", "tie": "id"}} if cursor else {}
    world.rule(
        left={**RULE["left"], "where": "status != 'draft'"}, situations={"out_of_scope": "delete"}, detect=detect
    )
    world.run()
    world.crm("UPDATE customer SET status = 'draft', changed = '2025' WHERE id = 1")
    world.crm("UPDATE customer SET name = 'Bee', changed = '2025' WHERE id = 2")
    world.crm("UPDATE customer SET name = NULL, changed = '2025' WHERE id = 3")
    world.customers("Eva", first=10)
    before, rows = kept(world), world.clients()
    shadow = world.pages_of(2).run("shadow")
    assert (kept(world), world.clients()) == (before, rows)
    with world.house.db.read() as tx:
        plans = tx.scalars(sa.select(run_chunk.c.plan).where(run_chunk.c.run_id == shadow.id)).all()
    assert not any(plans)
    live = world.run()
    assert shadow.counts == live.counts
    assert told(world, shadow.id) == told(world, live.id)


def test_it_stops_where_a_live_run_stops(world):
    """With `errors: suspend` a shadow run stops at the first refused record; a simulation goes on to show all."""
    world.customers("Ada", None, "Cid", "Dan")
    world.rule(errors={"data": "suspend"})
    runs = {mode: world.pages_of(1).run(mode) for mode in ("simulate", "shadow", "live")}
    assert runs["simulate"].state == "succeeded"
    for mode in ("shadow", "live"):
        assert (runs[mode].state, runs[mode].counts["read"]) == ("suspended", 2)


def test_a_two_way_shadow_run_writes_to_neither_side(world):
    """Both sides, links, baselines and cases stay; the counts of changes are those of the live run."""
    _rule(world)
    world.customers("Ann", "Bob")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (7, "Cid", "+86 7", None))
    before = (_customers(world), world.clients(), kept(world))
    shadow = world.run("shadow")
    assert (_customers(world), world.clients(), kept(world)) == before
    live = world.run()
    assert {n: c for n, c in numbers(shadow).items() if n in ("created", "updated")} == {"created": 3}
    assert live.counts["created"] == 3
