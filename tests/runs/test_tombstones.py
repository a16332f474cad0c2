"""Records that say themselves that they are deleted are treated as gone, without a scan of everything."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, World, numbers
from webapp.runs import pair_cases, parts, verification
from webapp.runs.followups import approve, undo
from webapp.runs.models import rule_cursor

BOTH = [
    {"left": "id", "right": "no"},
    {"left": "name", "right": "title"},
    {"left": "phone", "right": "tel"},
]
CURSOR = {"by": "cursor", "field": "changed", "overlap": "0s"}
BY = [{"by": "full"}, CURSOR]
MARKED = {"detect": "tombstone", "when": "status == 'gone'"}


def mark(world: World, *keys: int, at: str = "2024-02-01 00:00:00") -> None:
    """Mark customers as deleted, as their system does."""
    for key in keys:
        world.crm(f"UPDATE customer SET status = 'gone', changed = '{at}' WHERE id = {key}")


def left(world: World) -> list[int]:
    return [row[0] for row in world.clients()]


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize(("action", "kept"), [("delete", [2]), ("unlink", [1, 2, 3]), ("ignore", [1, 2, 3])])
def test_marked_records_are_gone_once(world: World, by: dict[str, Any], action: str, kept: list[int]):
    """The partners of marked records are dealt with as the rule says, and a later run does nothing."""
    world.customers("Ann", "Bob", "Cid")
    world.rule(deletes=MARKED, situations={"deleted_left": action}, detect={"left": by})
    world.run()
    mark(world, 1, 3)
    run = world.pages_of(1).run()
    assert (run.state, run.counts["deleted"]) == ("succeeded", 2 if action == "delete" else 0), run.message
    assert run.counts["read"] == sum(n for name, n in run.counts.items() if name not in ("read", "deleted"))
    assert left(world) == kept
    assert world.run().counts["deleted"] == 0
    assert left(world) == kept


def test_marked_records_are_never_brought_over(world: World):
    """What was deleted before the rule ever met it is left out, counted, and has no partner."""
    world.customers("Ann", "Bob")
    mark(world, 1)
    world.rule(deletes=MARKED, situations={"deleted_left": "delete"})
    assert numbers(world.run()) == {"read": 2, "created": 1, "skipped": 1}
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Own", None, None))
    assert world.run().counts["deleted"] == 0  # the rule does not know that they belong together


def test_a_record_that_comes_back_is_brought_over_again(world: World):
    """Taking the mark away is an edit like any other."""
    world.customers("Ann")
    world.rule(deletes=MARKED, situations={"deleted_left": "delete"}, detect={"left": CURSOR})
    world.run()
    mark(world, 1)
    world.run()
    assert left(world) == []
    world.crm("UPDATE customer SET status = 'back', changed = '2024-03-01 00:00:00'")
    assert world.run().counts["created"] == 1


def test_the_cursor_moves_past_marked_records(world: World):
    """Deletions move the cursor as edits do, so that they are not read again for ever."""
    world.customers("Ann", "Bob")
    world.rule(deletes=MARKED, situations={"deleted_left": "delete"}, detect={"left": CURSOR})
    world.run()
    mark(world, 1)
    world.run()
    with world.house.db.read() as tx:
        assert "2024-02-01" in str(tx.scalar(sa.select(rule_cursor.c.value)))


def test_a_scope_that_leaves_marked_records_out(world: World):
    """Where the source filters by the same mark, the deletion is noticed all the same."""
    world.customers("Ann", "Bob")
    side = {"connection": "crm", "object": "customer", "where": "status != 'gone'"}
    world.rule(left=side, deletes=MARKED, situations={"deleted_left": "delete"})
    world.run()
    mark(world, 1)
    assert world.run().counts["deleted"] == 1
    assert left(world) == [2]


def test_a_guard_counts_marked_records(world: World):
    """A source that marks everything does not empty the target."""
    world.customers("Ann", "Bob")
    guards = [{"metric": "deletes", "over": "50%"}]
    world.rule(deletes=MARKED, situations={"deleted_left": "delete"}, guards=guards)
    world.run()
    mark(world, 1, 2)
    assert world.run().state == "suspended"
    assert left(world) == [1, 2]


def test_the_other_direction(world: World):
    """A rule that flows from right to left asks its source, which is the right side."""
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ann", "", ""), (2, "Bob", "", ""))
    said = {"detect": "tombstone", "when": "memo == 'gone'"}
    world.rule(deletes=said, direction="right_to_left", fields=BOTH, situations={"deleted_right": "delete"})
    world.run()
    world.erp("UPDATE client SET memo = 'gone' WHERE no = 1")
    assert world.run().counts["deleted"] == 1
    assert world.crm("SELECT id FROM customer") == [(2,)]


def test_a_person_decides_in_a_one_way_rule(world: World):
    """`case` for what is marked waits for a person in a rule that flows one way, too."""
    world.customers("Ann", "Bob")
    world.rule(deletes=MARKED, situations={"deleted_left": "case"}, fields=BOTH)
    world.run()
    mark(world, 1)
    run = world.run()
    assert (run.state, run.counts["cases"]) == ("succeeded", 1), run.message
    with world.house.db.read() as tx:
        assert [row["situation"] for row in _cases(tx)] == ["deleted_left"]


def _cases(tx: sa.Connection) -> list[dict[str, Any]]:
    table = pair_cases.pair_case
    return [dict(row._mapping) for row in tx.execute(sa.select(table).where(table.c.state == "open"))]


def test_a_simulation_and_its_approval(world: World):
    """A simulation shows the deletion; its approved plan carries it out, unless the record has come back."""
    world.customers("Ann", "Bob")
    world.rule(deletes=MARKED, situations={"deleted_left": "delete"})
    world.run()
    mark(world, 1)
    simulation = world.run("simulate")
    assert (simulation.counts["deleted"], left(world)) == (1, [1, 2])
    run_id = approve(world.house, simulation.id, ADMIN)
    assert world.work(run_id)
    assert left(world) == [2]
    assert world.work(undo(world.house, run_id, ADMIN))
    assert left(world) == [1, 2]


def test_comparing_both_systems_takes_marked_records_for_gone(world: World):
    """A marked record whose partner is still there is a difference of the target."""
    world.customers("Ann", "Bob")
    world.rule(deletes=MARKED, situations={"deleted_left": "delete"})
    world.run()
    mark(world, 1)
    run_id = verification.request(world.house, "customers", ADMIN)
    assert world.work(run_id)
    with world.house.db.read() as tx:
        found = verification.find(tx, run_id)
    assert found is not None
    assert (found.counts["left"]["read"], found.counts["right"]["alone"]) == (1, 1)


def test_single_records_and_parts_do_not_bring_over_what_is_marked(world: World):
    """A run over some records does not see marked ones, and deletes nothing."""
    world.customers("Ann", "Bob")
    world.rule(deletes=MARKED, situations={"deleted_left": "delete"})
    world.run()
    mark(world, 1)
    assert world.work(parts.run_part(world.house, "customers", parts.Wanted(where="id > 0"), "live", ADMIN))
    assert world.work(parts.run_records(world.house, "customers", [{"side": "left", "key": "1"}], ADMIN))
    assert left(world) == [1, 2]
    assert world.run().counts["deleted"] == 1


@pytest.fixture
def two_way(world: World) -> World:
    """Return a two-way world in step, whose sides both mark what is deleted; each side is read by `by`."""
    world.customers("Ann", "Bob", "Cid")
    said = {"detect": "tombstone", "when": "status == 'gone'", "when_right": "memo == 'gone'"}
    world.rule(
        direction="two_way", fields=BOTH, deletes=said, situations={"deleted_left": "delete", "deleted_right": "delete"}
    )
    world.run()
    return world


@pytest.mark.parametrize("by", BY)
def test_marks_on_both_sides(two_way: World, by: dict[str, Any]):
    """What is marked on one side is deleted on the other, whichever is read first, and then all is at rest."""
    two_way.rule(
        direction="two_way",
        fields=BOTH,
        detect={"left": by},
        deletes={"detect": "tombstone", "when": "status == 'gone'", "when_right": "memo == 'gone'"},
        situations={"deleted_left": "delete", "deleted_right": "delete"},
    )
    two_way.run()
    mark(two_way, 1)
    two_way.erp("UPDATE client SET memo = 'gone' WHERE no = 2")
    run = two_way.pages_of(1).run()
    assert (run.state, run.counts["deleted"]) == ("succeeded", 2), run.message
    assert run.counts["read"] == sum(n for name, n in run.counts.items() if name not in ("read", "deleted"))
    assert two_way.crm("SELECT id FROM customer ORDER BY id") == [(1,), (3,)]
    assert left(two_way) == [2, 3]
    again = two_way.run()
    assert {name: again.counts[name] for name in ("created", "updated", "deleted")} == dict.fromkeys(
        ("created", "updated", "deleted"), 0
    )


def test_an_edit_against_a_mark_is_surfaced(two_way: World):
    """A partner that has changed since is not deleted: a person is asked."""
    mark(two_way, 1)
    two_way.erp("UPDATE client SET tel = '5' WHERE no = 1")
    run = two_way.run()
    assert (run.counts["cases"], run.counts["deleted"]) == (1, 0)
    with two_way.house.db.read() as tx:
        assert [row["situation"] for row in _cases(tx)] == ["edit_vs_delete"]


def test_both_sides_marked(two_way: World):
    """A pair that is marked on both sides is forgotten, and nothing is written."""
    mark(two_way, 1)
    two_way.erp("UPDATE client SET memo = 'gone' WHERE no = 1")
    run = two_way.run()
    assert (run.state, run.counts["deleted"], run.counts["cases"]) == ("succeeded", 0, 0)


def test_only_one_side_marks(world: World):
    """A side without a condition is not looked at for deletions."""
    world.customers("Ann", "Bob")
    world.rule(direction="two_way", fields=BOTH, deletes=MARKED, situations={"deleted_left": "delete"})
    world.run()
    world.erp("UPDATE client SET memo = 'gone' WHERE no = 2")
    mark(world, 1)
    assert world.run().counts["deleted"] == 1
    assert left(world) == [2]


def test_deactivating_marks_the_other_side(world: World):
    """With `deactivate` a mark on one side becomes a mark on the other one, and both rest."""
    world.customers("Ann", "Bob")
    said = {**MARKED, "when_right": "memo == 'gone'", "deactivate": {"right": {"field": "memo", "value": "gone"}}}
    world.rule(direction="two_way", fields=BOTH, deletes=said, situations={"deleted_left": "deactivate"})
    world.run()
    mark(world, 1)
    world.run()
    assert world.erp("SELECT memo FROM client ORDER BY no") == [("gone",), (None,)]
    again = world.run()
    assert (again.counts["created"], again.counts["updated"], again.counts["deleted"]) == (0, 0, 0)
