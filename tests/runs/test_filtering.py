"""A run comes to the same end whether its source leaves out records or sends all."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
import sqlalchemy as sa

from connectors.builtin.sqlite import SQLite
from rules.text import Message
from tests.runs.conftest import RULE, numbers, open_world
from tests.runs.test_crash import Killed, dies
from webapp.runs import quarantine, reading
from webapp.runs.models import run_log, run_record
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.links import Links

WHERE = (
    "status == 'active'",
    "status != 'draft' && name.upper() != 'X'",
    "changed > '2024-01-01 00:00:30' || phone.startsWith('+86 1')",
    "!(name < 'M') && status in ['active', 'new']",
)
STATES = ("active", "draft", "new", None, "Active", b"\xff", 7)
NAMES = ("Ada", "Zoë", "李雷", None, "x" * 30, "M", "nul\x00in", b"blob")


class Story:
    """The same random edits in two worlds, of which one reads with filters."""

    def __init__(self, world, seed):
        self.world, self.dice, self.next = world, random.Random(seed), 1

    def edit(self):
        for _ in range(self.dice.randrange(10, 40)):
            self.world.crm("INSERT INTO customer VALUES (?, ?, ?, ?, ?)", (self.next, *self._record()))
            self.next += 1
        for _ in range(10):
            key = self.dice.randrange(1, self.next)
            statement = self.dice.choice(
                (
                    "UPDATE customer SET name = ?, phone = ?, status = ?, changed = ? WHERE id = ?",
                    "DELETE FROM customer WHERE ? || ? || ? || ? IS NOT 1 AND id = ?",
                )
            )
            self.world.crm(statement, (*self._record(), key))

    def _record(self):
        second = self.dice.randrange(60)
        return (
            self.dice.choice(NAMES),
            f"+86 {second}",
            self.dice.choice(STATES),
            f"2024-01-01 00:00:{second:02}",
        )


def told(world, run_id):
    """Return all that a run has led to."""
    with world.house.db.read() as tx:
        run = reading.get(tx, run_id)
        links = Links.load(tx, run.rule_id)
        entries = quarantine.listing(tx, limit=10_000)
        parked = sorted((e.left_key, e.stage, str(e.reason), e.attempts) for e in entries if e.state == "open")
        columns = ("left_key", "right_key", "outcome", "situation", "before", "after", "field", "reason")
        query = sa.select(*(run_record.c[name] for name in columns)).where(run_record.c.run_id == run_id)
        shown = sorted(map(str, tx.execute(query)))
    return run.state, numbers(run), world.clients(), links.rows.sort("left_key").rows(), parked, shown


def log(world, run_id):
    with world.house.db.read() as tx:
        lines = tx.scalars(sa.select(run_log.c.message).where(run_log.c.run_id == run_id).order_by(run_log.c.id))
        return [Message.from_json(line) for line in lines]


def told_apart(cases):
    """Return all cases, those behind the first three as `large`."""
    return [pytest.param(*case, marks=() if number < 3 else pytest.mark.soak) for number, case in enumerate(cases)]


ACTIONS = ("unlink", "ignore", "delete")
CASES = told_apart([*zip(WHERE, ACTIONS, strict=False), *((w, a) for w in WHERE for a in ACTIONS)])


@pytest.mark.parametrize(("where", "action"), CASES)
def test_a_run_comes_to_the_same_end(tmp_path, monkeypatch, where, action):
    """Counts, writes, links, parked records and what is shown are the same, run after run while records come and go."""
    seed = f"{where}{action}"
    with open_world(tmp_path / "one") as one, open_world(tmp_path / "other") as other:
        stories = [Story(world.pages_of(7), seed) for world in (one, other)]
        for world in (one, other):
            world.rule(left={**RULE["left"], "where": where}, situations={"out_of_scope": action})
        for mode in ("live", "simulate", "live", "live", "live"):
            ends = []
            for story, filters in zip(stories, (True, False), strict=True):
                monkeypatch.setattr(Execution, "filters", filters)
                story.edit()
                run_id = story.world.request(mode)
                story.world.work(run_id)
                ends.append(told(story.world, run_id))
            for one_end, other_end in zip(*ends, strict=True):
                assert one_end == other_end
        assert ends[0][1]["skipped"] > 0


def test_the_log_says_what_is_left_out_and_what_stays(world):
    """The first line of a run names the filter of the source and the parts of the condition that are asked here."""
    world.customers("Ada", "Bea", "Cid")
    world.rule(left={**RULE["left"], "where": "status == 'active' && name.upper() != 'ADA'"})
    run = world.run()
    assert numbers(run) == {"read": 3, "created": 2, "skipped": 1}
    (line,) = log(world, run.id)
    assert line.template.startswith("The source leaves out")
    assert line.values == {"filter": "status = 'active'", "rest": "name.upper() != 'ADA'"}


def test_records_that_are_left_out_do_not_arrive(world, monkeypatch):
    """The source sends what may be in scope, and once more a linked record that has left the scope."""
    sent = []
    read = SQLite.read
    monkeypatch.setattr(SQLite, "read", lambda *args: (sent.append(p.records.height) or p for p in read(*args)))
    world.customers("Ada", "Bea", "Cid")
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 3")
    world.rule(left={**RULE["left"], "where": "status == 'active'"})
    assert numbers(world.run()) == {"read": 3, "created": 2, "skipped": 1}
    assert sent == [2]
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 2")
    assert numbers(world.run()) == {"read": 3, "unchanged": 1, "skipped": 2}
    assert sent == [2, 1]
    with world.house.db.read() as tx:
        assert Links.load(tx, world.look(1).rule_id).keys.to_list() == ["1"]


REASONS = {
    "Only changed records are read anyway.": {"detect": {"left": {"by": "cursor", "field": "changed"}}},
    "upper() is worked out here.": {"left": {**RULE["left"], "where": "name.upper() == 'ADA'"}},
    "'phone' is not the one key of customer.": {"key": {"left": "phone", "right": "no"}},
}


@pytest.mark.parametrize("reason", REASONS)
def test_the_log_says_why_all_are_sent(world, reason):
    """Where leaving records out would not come to the same end, the run says why the source sends all."""
    world.customers("Ada", "Bea")
    world.rule(**{"left": {**RULE["left"], "where": "status == 'active'"}, **REASONS[reason]})
    run_id = world.request()
    world.work(run_id)
    assert [str(line.values["reason"]) for line in log(world, run_id)] == [reason]


def test_deleting_needs_to_see_the_records(world):
    """Records that leave the scope are deleted in the target in the order in which they are read, so all are sent."""
    world.customers("Ada", "Bea")
    world.rule(left={**RULE["left"], "where": "status == 'active'"}, situations={"out_of_scope": "delete"})
    assert log(world, world.run().id)[0].template.startswith("The source leaves out")
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 2")
    run = world.run()
    assert numbers(run) == {"read": 2, "unchanged": 1, "skipped": 1, "deleted": 1}
    assert str(log(world, run.id)[0].values["reason"]) == "The rule has to see records that leave its scope."


def test_a_killed_run_counts_each_record_once(world, monkeypatch):
    """A worker that dies at any write is succeeded by one that goes on, and the counts come out the same."""
    world.customers(*(f"n{number}" for number in range(20)))
    world.crm("UPDATE customer SET status = 'draft' WHERE id % 3 = 0")
    world.rule(left={**RULE["left"], "where": "status == 'active'"})
    run_id = world.pages_of(4).request()
    for times, before in ((1, True), (1, False), (2, False)):
        with monkeypatch.context() as patch:
            dies(patch, SQLite, "write", times, before=before)
            with pytest.raises(Killed):
                world.work(run_id)
        world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    assert numbers(world.look(run_id)) == {"read": 20, "created": 14, "skipped": 6}


@pytest.mark.parametrize("number", [7, 8, 9])
def test_what_is_left_out_behind_the_last_record_is_counted_once(world, monkeypatch, number):
    """A worker that dies when all is read is succeeded by one that counts no record a second time."""
    world.customers(*(f"n{number}" for number in range(number)))
    world.crm("UPDATE customer SET status = 'draft' WHERE id > 4")
    world.rule(left={**RULE["left"], "where": "status == 'active'"})
    run_id = world.pages_of(2).request()
    with monkeypatch.context() as patch:
        dies(patch, Journal, "end", 1, before=True)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    assert numbers(world.look(run_id)) == {"read": number, "created": 4, "skipped": number - 4}
