"""Laws of plans and undoing, over arbitrary sources and targets."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given
from hypothesis import settings as limits
from hypothesis import strategies as st

from tests.runs.conftest import ADMIN, RULE, open_world
from webapp.rulebook import services as rulebook
from webapp.runs import quarantine
from webapp.runs.followups import approve, undo
from webapp.runs.pipeline.links import Links

NAME = st.one_of(
    st.none(), st.sampled_from(["Ada", " Bea ", "李雷", "far too long a name for this target", "O'Neil", ""])
)
PHONE = st.one_of(st.none(), st.sampled_from(["1", "2", ""]))
STATUS = st.sampled_from(["active", "active", "draft"])
CUSTOMER = st.tuples(st.integers(1, 8), NAME, PHONE, STATUS)
CLIENT = st.tuples(st.integers(1, 8), st.sampled_from(["Ada", "Bea", "old"]), PHONE, st.sampled_from([None, "memo"]))
FIRST = st.lists(CUSTOMER, max_size=6, unique_by=lambda row: row[0])
GONE = {"situations": {"deleted_left": "delete"}, "deletes": {"detect": "full_scan"}}
RULES = st.sampled_from(
    [
        {},
        {"situations": {"out_of_scope": "delete"}},
        {"situations": {"deleted_right": "recreate"}},
        GONE,
        {"situations": {"deleted_left": "unlink", "deleted_right": "ignore"}, "deletes": {"detect": "full_scan"}},
        {"fields": [{**f, "strength": "weak"} if f["left"] == "phone" else f for f in RULE["fields"]]},
        {
            "correlate": [{"match": [{"left": "phone", "right": "tel"}], "confidence": 1.0}],
            "fields": RULE["fields"][1:],
        },
    ]
)


def put(world, customers):
    world.crm("DELETE FROM customer")
    if customers:
        world.crm("INSERT INTO customer VALUES (?, ?, ?, ?, '')", *customers)


def set_up(world, case):
    """Run the rule once on a first source, then give both sides other records."""
    first, customers, clients, changes, size = case
    world.pages_of(size).rule(**{"left": {**RULE["left"], "where": "status != 'draft'"}, **changes})
    put(world, first)
    world.run()
    put(world, customers)
    for row in clients:
        world.erp("DELETE FROM client WHERE no = ?", row[:1])
        world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", row)
    if len(clients) > 1:
        world.erp("DELETE FROM client WHERE no = ?", (clients[0][0] % 8 + 1,))
    if first and size > 1:  # it may be gone on both sides
        world.erp("DELETE FROM client WHERE no = ?", first[0][:1])


def state(world):
    with world.house.db.read() as tx:
        parked = sorted(entry.left_key for entry in quarantine.listing(tx))
        rule = rulebook.find(tx, "customers")
        links = sorted(Links.load(tx, rule.id).rows.select("left_key", "right_key").rows())
    return world.erp("SELECT * FROM client ORDER BY no, title, tel"), parked, links


CASES = st.tuples(
    FIRST, FIRST, st.lists(CLIENT, max_size=4, unique_by=lambda row: row[0]), RULES, st.sampled_from([1, 3, 50])
)


BOTH_GONE = ([(1, "Ada", None, "active"), (2, "Bea", None, "active")], [(2, "Bea", None, "active")], [], GONE, 3)


@limits(max_examples=25, deadline=None)
@given(case=CASES)
@example(case=BOTH_GONE)
def test_an_approved_plan_is_a_live_run(case):
    """Where nothing has moved, simulating and approving ends like a live run: target, counts, parked, links, next."""
    ends = []
    for planned in (False, True):
        with tempfile.TemporaryDirectory() as folder, open_world(Path(folder) / "data") as world:
            set_up(world, case)
            if planned:
                sim = world.run("simulate")
                run_id = approve(world.house, sim.id, ADMIN)
                assert world.work(run_id)
                run = world.look(run_id)
            else:
                run = world.run()
            assert run.state == "succeeded"
            ends.append((run.counts, state(world), world.run().counts, state(world)))
    assert ends[0] == ends[1]


@limits(max_examples=25, deadline=None)
@given(case=CASES)
def test_undoing_restores_the_target(case):
    """Where nothing has changed since, undoing a run restores the target exactly, and undoing that brings it back."""
    with tempfile.TemporaryDirectory() as folder, open_world(Path(folder) / "data") as world:
        set_up(world, case)
        before = state(world)[0]
        run = world.run()
        after = state(world)[0]
        if not (run.counts["created"] + run.counts["updated"] + run.counts["deleted"]):
            return
        undoing = undo(world.house, run.id, ADMIN)
        assert world.work(undoing)
        assert state(world)[0] == before
        back = undo(world.house, undoing, ADMIN)
        assert world.work(back)
        assert state(world)[0] == after
        assert all(not r.reason for r in world.records(back))
