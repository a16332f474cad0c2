"""A full comparison comes to the same end whether it passes over what hashes say is as it was, or looks at all."""

from __future__ import annotations

import random

import pytest

from connectors.builtin.sqlite import SQLite
from connectors.errors import AuthFailed
from rules.text import msg
from tests.runs.conftest import RULE, numbers, open_world
from tests.runs.test_filtering import Story, told
from webapp.runs import validations
from webapp.runs.pipeline import steady
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.planning import Planner

NEVER = 10**9
DELETING = {"deletes": {"detect": "full_scan"}, "situations": {"deleted_left": "delete"}}
RULES = (
    {},
    {"detect": {"left": {"by": "full"}}, **DELETING},
    {"left": {"connection": "crm", "object": "customer", "where": "status != 'draft'"}, **DELETING},
    {
        "fields": [
            {"left": "id", "right": "no"},
            {"left": "name", "right": "title", "strength": "weak"},
            {"left": "phone", "right": "tel", "when": "status == 'active'", "on": ["update"]},
        ]
    },
)


@pytest.fixture
def looked_at(monkeypatch):
    """Count the records that go the long way."""
    seen = []
    decided = Planner._decided

    def count(self, looked, *more):
        seen.append(looked.keys.len())
        return decided(self, looked, *more)

    monkeypatch.setattr(Planner, "_decided", count)
    return seen


def spoil(world, dice):
    """Edit, delete and add records of the target."""
    for key, *_ in world.clients():
        deed = dice.random()
        if deed < 0.1:
            world.erp("DELETE FROM client WHERE no = ?", (key,))
        elif deed < 0.2:
            world.erp("UPDATE client SET tel = ?, memo = 'seen' WHERE no = ?", (dice.choice((None, "1", "+86 1")), key))
    world.erp("INSERT OR IGNORE INTO client VALUES (?, 'Own', NULL, NULL)", (dice.randrange(1, 60),))


@pytest.mark.parametrize("changes", RULES)
@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_happens_on_either_side_the_end_is_the_same(tmp_path, monkeypatch, changes, seed):
    """Edits, deletions and additions on both sides between runs: same target, links, counts and parked records."""
    ends = []
    for least in (0, NEVER):
        monkeypatch.setattr(steady, "LEAST", least)
        with open_world(tmp_path / str(least)) as world:
            world.rule(**changes)
            story, dice, found = Story(world, seed), random.Random(seed), []
            for _ in range(4):
                story.edit()
                found.append(told(world, world.pages_of(7).run().id))
                spoil(world, dice)
                found.append(told(world, world.run().id))
                found.append(told(world, world.run().id))
            ends.append(found)
    for one, other in zip(*ends, strict=True):
        assert one == other


def test_what_is_as_it_was_is_not_looked_at(world, monkeypatch, looked_at):
    """A second run maps and looks up nothing; a third one the records that have changed on either side only."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers(*(f"Name {number}" for number in range(50)))
    world.rule()
    assert numbers(world.run()) == {"read": 50, "created": 50}
    del looked_at[:]
    assert numbers(world.run()) == {"read": 50, "unchanged": 50}
    assert sum(looked_at) == 0
    world.crm("UPDATE customer SET phone = 'new' WHERE id = ?", (3,))
    world.erp("UPDATE client SET tel = 'spoilt' WHERE no = ?", (5,))
    world.erp("DELETE FROM client WHERE no = ?", (7,))
    assert numbers(world.run()) == {"read": 50, "unchanged": 47, "updated": 2, "created": 1}
    assert sum(looked_at) == 3


def test_another_rule_looks_at_all_anew(world, monkeypatch, looked_at):
    """Hashes made for another version of the rule say nothing."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers("Ada", "Bob")
    world.rule()
    world.run()
    world.rule(fields=[*RULE["fields"], {"left": "status", "right": "memo"}])
    del looked_at[:]
    assert numbers(world.run()) == {"read": 2, "updated": 2}
    assert sum(looked_at) == 2


def test_a_target_that_is_far_larger_is_not_read_as_a_whole(world, monkeypatch, looked_at):
    """Records are looked up one page at a time where the target holds many more than are linked."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers("Ada", "Bob")
    world.rule()
    world.run()
    world.erp("INSERT INTO client VALUES (?, 'Other', NULL, NULL)", *((number,) for number in range(100, 200)))
    del looked_at[:]
    assert numbers(world.run()) == {"read": 2, "unchanged": 2}
    assert sum(looked_at) == 2


def test_a_partner_that_is_as_it_was_is_not_given_to_another_record(tmp_path, monkeypatch):
    """A new record that leads to the partner of an unchanged one is parked, whichever of the two comes first."""
    ends = []
    for least, size in ((0, 10), (0, 1), (NEVER, 10), (NEVER, 1)):
        monkeypatch.setattr(steady, "LEAST", least)
        with open_world(tmp_path / f"{least}-{size}") as world:
            keyed = [{"left": "id", "right": "no", "to_right": "id % 100"}, *RULE["fields"][1:]]
            world.rule(fields=keyed)
            world.customers("Ada", "Bob")
            world.run()
            world.customers("Zoe", first=101)
            ends.append([(numbers(world.pages_of(size).run()), world.clients()) for _ in range(2)])
    assert all(end == ends[0] for end in ends)
    assert ends[0][0][0] == {"read": 3, "unchanged": 2, "quarantined": 1}


def test_validations_are_asked_of_all(world, monkeypatch):
    """Of how many records a validation was asked does not depend on what is passed over."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.rule(validations=[{"name": "short", "check": "name.size() < 3", "severity": "warn"}])
    world.customers("Ada", "Bo")
    for _ in range(2):
        run = world.run()
        with world.house.db.read() as tx:
            (tally,) = validations.tallies(tx, run.id)
        assert (tally.asked, tally.failed) == (2, 1)


def test_hashes_of_a_stopped_run_of_another_version_say_nothing(world, monkeypatch):
    """What a failed run had written under the old rule is looked at under the new one."""
    monkeypatch.setattr(steady, "LEAST", 1)
    world.customers("Ada", "Bob")
    world.rule()
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "check_in", _refuse)
        assert world.run().state == "suspended"
    assert [row[1] for row in world.clients()] == ["Ada", "Bob"]
    upper = {"left": "name", "right": "title", "to_right": "name.trim().upper()"}
    world.rule(fields=[RULE["fields"][0], upper, RULE["fields"][2]])
    assert numbers(world.run()) == {"read": 2, "updated": 2}
    assert [row[1] for row in world.clients()] == ["ADA", "BOB"]


def _refuse(*_):
    raise AuthFailed(msg("The book is locked."))


@pytest.mark.parametrize("again", [3, 1])
def test_a_record_that_comes_again_on_the_next_page_is_decided_on_behind_the_first(world, monkeypatch, again):
    """By cursor a record that changes while pages are read comes twice: created once, and the later values stay."""
    world.customers("Ada", "Bob", "Cid")
    world.rule(detect={"left": {"by": "cursor", "field": "changed", "tie": "id"}})
    read = SQLite.read

    def moving(self, request):
        for number, page in enumerate(read(self, request)):
            if number == 0:
                world.crm("UPDATE customer SET name = 'Eva', changed = '2024-01-01 00:00:30' WHERE id = 1")
            yield page

    monkeypatch.setattr(SQLite, "read", moving)
    run = world.pages_of(again).run()
    assert run.state == "succeeded"
    assert [row[0] for row in world.clients()] == [1, 2, 3]
    if again == 1:
        assert world.clients()[0][1] == "Eva"
