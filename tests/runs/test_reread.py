"""By cursor: what is read once more and is as it was is passed over, and the end is the same."""

from __future__ import annotations

import random

import pytest

from tests.runs.conftest import RULE, numbers, open_world
from tests.runs.test_filtering import Story, told
from tests.runs.test_steady import looked_at, spoil
from webapp.runs.pipeline import reread

__all__ = ["looked_at"]
CURSOR = {"left": {"by": "cursor", "field": "changed", "overlap": "20s"}}
RULES = (
    {},
    {"left": {"connection": "crm", "object": "customer", "where": "status != 'draft'"}},
    {
        "situations": {"deleted_right": "recreate"},
        "correlate": [{"match": [{"left": "name", "right": "title"}], "confidence": 0.99}],
    },
    {
        "fields": [
            {"left": "id", "right": "no"},
            {"left": "name", "right": "title", "strength": "weak"},
            {"left": "phone", "right": "tel", "when": "status == 'active'", "on": ["update"]},
        ]
    },
)


@pytest.mark.parametrize("changes", RULES)
def test_whatever_happens_on_either_side_the_end_is_the_same(tmp_path, monkeypatch, changes):
    """Edits, deletions and additions on both sides between runs: same target, links, counts and parked records."""
    ends = []
    for most in (0, reread.MOST):
        monkeypatch.setattr(reread, "MOST", most)
        with open_world(tmp_path / str(most)) as world:
            world.rule(detect=CURSOR, **changes)
            story, dice, found = Story(world, 5), random.Random(5), []
            for _ in range(4):
                story.edit()
                found.append(told(world, world.pages_of(7).run().id))
                spoil(world, dice)
                found.append(told(world, world.run().id))
                found.append(told(world, world.run().id))
            ends.append(found)
    for one, other in zip(*ends, strict=True):
        assert one == other
    assert any(end[1].get("unchanged") for end in ends[0])


def test_only_what_has_changed_on_either_side_is_looked_at(world, looked_at):
    """Of records that are read again for the cursor's sake, one whose partner was changed is written again."""
    world.customers(*(f"Name {number}" for number in range(5)))
    world.crm("UPDATE customer SET changed = '2030-01-01 00:00:00'")  # the same moment, so that all are read again
    world.rule(detect=CURSOR, fields=RULE["fields"])
    world.run()
    del looked_at[:]
    assert numbers(world.run()) == {"read": 5, "unchanged": 5}
    assert sum(looked_at) == 0
    world.erp("UPDATE client SET tel = 'spoilt' WHERE no = ?", (5,))
    world.erp("DELETE FROM client WHERE no = ?", (3,))
    assert numbers(world.run()) == {"read": 5, "unchanged": 3, "updated": 1, "created": 1}
    assert sum(looked_at) == 2
