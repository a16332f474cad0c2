"""Records that are to be deleted and hold a value that cannot be read: they stay and wait, and nothing else does.

What is deleted is kept, so that it can be undone; of such a record that is not possible.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.runs.conftest import ADMIN, World, numbers
from webapp.runs import quarantine
from webapp.runs.followups import approve, undo

LEFT = "CREATE TABLE l (id INTEGER PRIMARY KEY, name TEXT, status TEXT, changed INTEGER)"
RIGHT = "CREATE TABLE r (no INTEGER, title TEXT, born DATE, size INTEGER)"
RULES: dict[str, dict[str, Any]] = {
    "gone": {},
    "gone, and edits are guarded": {"situations": {"deleted_left": "delete", "edit_vs_delete": "delete"}},
    "gone, by cursor": {"detect": {"left": {"by": "cursor", "field": "changed"}}},
    "out of scope": {"left": {"connection": "crm", "object": "l", "where": "status != 'draft'"}},
    "gone, two-way": {"direction": "two_way"},
    "out of scope, two-way": {
        "direction": "two_way",
        "left": {"connection": "crm", "object": "l", "where": "status != 'draft'"},
    },
}
BAD = {"a field of the rule": "size", "another field": "born"}


class Both:
    """Six records on both sides, and a rule that deletes on the right what has gone from the left."""

    def __init__(self, world: World, kind: str) -> None:
        self.world, self.kind = world.pages_of(2), kind
        world.crm(LEFT)
        world.erp(RIGHT)
        world.crm("INSERT INTO l VALUES (?, ?, 'ok', ?)", *((n, f"n{n}", n) for n in range(1, 7)))
        more = RULES[kind]
        key = {"left": "id", "right": "no", **({"on": ["create"]} if "direction" in more else {})}
        base = {
            "left": {"connection": "crm", "object": "l"}, "right": {"connection": "erp", "object": "r"},
            "fields": [
                key, {"left": "name", "right": "title"}, {"left": "id", "right": "size", "direction": "left_to_right"},
            ],
            "deletes": {"detect": "full_scan"},
            "situations": {"deleted_left": "delete", "out_of_scope": "delete"},
        }  # fmt: skip
        world.rule(**{**base, **more})
        world.run()
        assert self.right() == [1, 2, 3, 4, 5, 6]

    def drop(self, *keys: int) -> None:
        if self.kind.startswith("gone"):
            self.world.crm(f"DELETE FROM l WHERE id IN {keys}")
        else:
            self.world.crm(f"UPDATE l SET status = 'draft', changed = 9 WHERE id IN {keys}")

    def spoil(self, key: int, name: str, value: Any = "yesterday") -> None:
        self.world.erp(f"UPDATE r SET {name} = {value!r} WHERE no = {key}")

    def right(self) -> list[int]:
        return [row[0] for row in self.world.erp("SELECT no FROM r ORDER BY no")]

    def parked(self) -> list[quarantine.Entry]:
        with self.world.house.db.read() as tx:
            return [entry for entry in quarantine.listing(tx) if entry.state == "open"]


@pytest.fixture(params=RULES)
def both(world: World, request: pytest.FixtureRequest) -> Both:
    return Both(world, request.param)


@pytest.mark.parametrize("name", BAD.values(), ids=BAD)
def test_it_waits_until_it_can_be_read(both: Both, name: str):
    """All others are deleted; it stays on the target and in the quarantine, and goes once its value is good again."""
    both.drop(2, 3, 4)
    both.spoil(3, name)
    for _ in range(2):
        run = both.world.run()
        assert run.state == "succeeded", str(run.message)
        assert both.right() == [1, 3, 5, 6]
        assert any(name in str(entry.reason) for entry in both.parked())
    both.spoil(3, name, 1 if name == "size" else "2000-01-01")
    assert numbers(both.world.run())["deleted"] == 1
    assert (both.right(), both.parked()) == ([1, 5, 6], [])
    assert not {"created", "updated", "deleted", "quarantined"} & set(numbers(both.world.run()))


@pytest.mark.parametrize("both", ["gone"], indirect=True)
def test_it_says_what_to_do(both: Both):
    """The entry names the record of the target, says why it is still there and what to do about it."""
    both.drop(3, 4)
    both.spoil(3, "born")
    run = both.world.run()
    assert numbers(run) == {"read": 4, "unchanged": 4, "deleted": 1}
    (entry,) = both.parked()
    assert (entry.left_key, entry.place, entry.stage) == ("3", "key 3", "match")
    assert "The record '3' of erp › r is not deleted" in str(entry.reason)
    assert "delete the record by hand" in str(entry.reason)
    both.world.erp("DELETE FROM r WHERE no = 3")
    both.world.run()
    assert (both.parked(), numbers(both.world.run())) == ([], {"read": 4, "unchanged": 4})


@pytest.mark.parametrize("both", ["gone", "gone, two-way", "out of scope, two-way"], indirect=True)
@pytest.mark.parametrize("when", ["before", "behind"])
def test_a_plan_leaves_it_out(both: Both, when: str):
    """A simulation, and the run that carries it out, go on without it, also where it was good when it was simulated."""
    both.drop(2, 3, 4)
    if when == "before":
        both.spoil(3, "born")
    simulated = both.world.run("simulate")
    assert simulated.state == "succeeded", str(simulated.message)
    if when == "behind":
        both.spoil(3, "born")
    run_id = approve(both.world.house, simulated.id, ADMIN)
    assert both.world.work(run_id)
    assert both.world.look(run_id).state == "succeeded", str(both.world.look(run_id).message)
    assert both.right() == [1, 3, 5, 6]


@pytest.mark.parametrize("both", ["gone"], indirect=True)
@pytest.mark.parametrize("name", ["title", "born"])
def test_undoing_leaves_it_as_it_is(both: Both, name: str):
    """A record that was created and cannot be read since is not deleted when its run is undone; the others are."""
    both.spoil(3, name, 1 if name == "title" else "yesterday")
    if name == "title":
        both.world.erp("UPDATE r SET title = x'fffe' WHERE no = 3")
    run_id = undo(both.world.house, 1, ADMIN)
    assert both.world.work(run_id)
    assert both.world.look(run_id).state == "succeeded", str(both.world.look(run_id).message)
    assert both.right() == [3]
    assert any("cannot be read" in str(record.reason) for record in both.world.records(run_id))


def test_what_is_gone_from_both_sides_needs_no_deletion(both: Both):
    """A record whose partner somebody has deleted by hand is forgotten: nothing is refused, nothing waits."""
    both.drop(3, 4)
    both.world.erp("DELETE FROM r WHERE no = 3")
    run = both.world.run()
    assert (run.state, numbers(run).get("deleted"), both.parked()) == ("succeeded", 1, [])
    assert both.right() == [1, 2, 5, 6]
    both.world.run()
    assert not {"created", "updated", "deleted", "quarantined"} & set(numbers(both.world.run()))
