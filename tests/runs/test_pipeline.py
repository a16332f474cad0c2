"""What a run does to records: creates, updates, leaves alone, parks; and that its numbers add up."""

from __future__ import annotations

import json

import pytest
import sqlalchemy as sa

from tests.runs.conftest import ADMIN, RULE, numbers
from webapp.audit.models import audit_event
from webapp.runs import quarantine, reading
from webapp.runs.models import run_chunk
from webapp.runs.pipeline.codec import digest


def adds_up(run) -> bool:
    counts = run.counts
    parts = ("created", "updated", "unchanged", "skipped", "quarantined", "cases")
    return counts["read"] == sum(counts[name] for name in parts)


def test_a_first_run_creates_and_a_second_writes_nothing(world):
    """Records appear in the target as mapped; with no new edits the next run finds all of them unchanged."""
    world.customers(" Ada ", "李雷", "Grace 😀")
    world.rule()
    first = world.run()
    assert (first.state, numbers(first)) == ("succeeded", {"read": 3, "created": 3})
    assert world.clients() == [(1, "Ada", "+86 1"), (2, "李雷", "+86 2"), (3, "Grace 😀", "+86 3")]
    second = world.run()
    assert numbers(second) == {"read": 3, "unchanged": 3}
    assert world.records(second.id) == []


def test_an_update_sets_only_what_changed(world):
    """A changed field is written, with before and after kept; fields that the rule does not map are untouched."""
    world.customers("Ada", "Grace")
    world.rule()
    world.run()
    world.erp("UPDATE client SET memo = 'keep me', tel = 'changed in the target' WHERE no = 1")
    run = world.run()
    assert numbers(run) == {"read": 2, "updated": 1, "unchanged": 1}
    assert world.erp("SELECT * FROM client WHERE no = 1") == [(1, "Ada", "+86 1", "keep me")]
    record = world.records(run.id)[0]
    assert (record.before, record.after) == ({"tel": "changed in the target"}, {"tel": "+86 1"})


def test_existing_records_are_linked_and_updated(world):
    """A record that the target holds already under the key is taken over, not doubled."""
    world.customers("Ada", "Grace")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ada", "+86 1", None), (2, "old", None, None))
    world.rule()
    assert numbers(world.run()) == {"read": 2, "updated": 1, "unchanged": 1}


def test_records_out_of_scope_are_skipped_and_unlinked(world):
    """`where` decides what is in scope; what leaves it is left alone in the target."""
    world.customers("Ada", "Grace")
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 2")
    world.rule(left={**RULE["left"], "where": "status != 'draft'"})
    run = world.run()
    assert numbers(run) == {"read": 2, "created": 1, "skipped": 1}
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    assert numbers(world.run()) == {"read": 2, "skipped": 2}
    assert len(world.clients()) == 1


def test_out_of_scope_may_delete(world):
    """With `out_of_scope: delete` a record that leaves the scope is deleted in the target, and counted apart."""
    world.customers("Ada", "Grace")
    world.rule(left={**RULE["left"], "where": "status != 'draft'"}, situations={"out_of_scope": "delete"})
    world.run()
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 1")
    run = world.run()
    assert numbers(run) == {"read": 2, "unchanged": 1, "skipped": 1, "deleted": 1}
    assert adds_up(run)
    assert [row[0] for row in world.clients()] == [2]
    (deleted,) = world.records(run.id)
    assert deleted.before == {"no": 1, "title": "Ada", "tel": "+86 1", "memo": None}, "all that it held is kept"
    assert numbers(world.run()) == {"read": 2, "unchanged": 1, "skipped": 1}


def test_refused_records_are_parked_with_their_reason(world):
    """A record that cannot be mapped or written waits in the quarantine; all others are written."""
    world.customers("Ada", None, "far too long a name for this target", "Grace")
    world.rule()
    run = world.run()
    assert numbers(run) == {"read": 4, "created": 2, "quarantined": 2}
    assert adds_up(run)
    with world.house.db.read() as tx:
        entries = {entry.left_key: entry for entry in quarantine.listing(tx)}
    assert entries["2"].stage == "map"
    assert entries["2"].field == "title"
    assert entries["3"].stage == "write"
    assert entries["3"].values["name"] == "far too long a name for this target"


def test_a_corrected_record_is_replayed(world):
    """Editing a parked record and replaying it writes it and settles the entry; the history stays."""
    world.customers("Ada", None)
    world.rule()
    world.run()
    with world.house.db.read() as tx:
        entry = quarantine.listing(tx)[0]
    quarantine.edit(world.house, entry.id, {**entry.values, "name": "Grace"}, entry.version, ADMIN)
    run_id = quarantine.replay(world.house, "customers", [entry.id], ADMIN)
    world.work(run_id)
    run = world.look(run_id)
    assert (run.kind, numbers(run)) == ("replay", {"read": 1, "created": 1})
    assert world.clients()[1] == (2, "Grace", "+86 2")
    with world.house.db.read() as tx:
        assert quarantine.get(tx, entry.id).state == "resolved"


def test_a_replay_that_fails_again_keeps_the_entry(world):
    """Replaying without a correction counts an attempt and leaves the record parked."""
    world.customers(None)
    world.rule()
    world.run()
    with world.house.db.read() as tx:
        entry = quarantine.listing(tx)[0]
    run_id = quarantine.replay(world.house, "customers", None, ADMIN)
    world.work(run_id)
    with world.house.db.read() as tx:
        again = quarantine.listing(tx)
    assert [(e.id, e.attempts, e.state) for e in again] == [(entry.id, 2, "open")]


def test_a_record_repaired_at_its_source_settles_itself(world):
    """When the source is corrected, the next run writes the record and the quarantine entry is resolved."""
    world.customers(None)
    world.rule()
    world.run()
    world.crm("UPDATE customer SET name = 'Ada'")
    assert numbers(world.run()) == {"read": 1, "created": 1}
    with world.house.db.read() as tx:
        assert quarantine.count_open(tx) == 0


def test_a_discarded_record_is_parked_anew_when_it_fails_again(world):
    """Discarding hides an entry; a later failure of the same record is not swallowed."""
    world.customers(None)
    world.rule()
    world.run()
    with world.house.db.read() as tx:
        entry = quarantine.listing(tx)[0]
    quarantine.discard(world.house, [entry.id], ADMIN)
    world.run()
    with world.house.db.read() as tx:
        assert [e.id != entry.id for e in quarantine.listing(tx)] == [True]


def test_two_edits_at_once_are_noticed(world):
    """The second of two people who correct the same record is told, and nothing is overwritten."""
    world.customers(None)
    world.rule()
    world.run()
    with world.house.db.read() as tx:
        entry = quarantine.listing(tx)[0]
    quarantine.edit(world.house, entry.id, {"name": "first"}, entry.version, ADMIN)
    with pytest.raises(quarantine.EntryRefused, match="changed meanwhile"):
        quarantine.edit(world.house, entry.id, {"name": "second"}, entry.version, ADMIN)


def test_a_simulation_writes_nothing_and_shows_the_same(world):
    """A simulation gives the counts and differences of a live run and touches neither target nor quarantine."""
    world.customers("Ada", None, "Grace")
    world.rule()
    simulated = world.run("simulate")
    assert world.clients() == []
    with world.house.db.read() as tx:
        assert quarantine.count_open(tx) == 0
    live = world.run()
    assert simulated.counts == live.counts
    assert [r.after for r in world.records(simulated.id)] == [r.after for r in world.records(live.id)]


def test_a_key_that_occurs_twice_is_parked_once(world):
    """The second record with a key is parked with a reason, on the same page and on a later one."""
    world.crm("DROP TABLE customer")
    world.crm(CUSTOMERS_WITHOUT_KEY)
    world.customers("Ada", "Bea", "Cid")
    world.customers("Ada again", first=1)
    world.rule()
    run = world.pages_of(2).run()
    assert numbers(run) == {"read": 4, "created": 3, "quarantined": 1}
    reason = next(r.reason for r in world.records(run.id) if r.row.outcome == "quarantined")
    assert "occurs more than once" in str(reason)


CUSTOMERS_WITHOUT_KEY = "CREATE TABLE customer (id INTEGER, name TEXT, phone TEXT, status TEXT, changed TEXT)"


def test_a_cursor_reads_only_what_changed(world):
    """With a cursor the second run reads the overlap and what is newer, and misses nothing."""
    world.crm("DROP TABLE customer")
    world.crm("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, phone TEXT, status TEXT, changed INTEGER)")
    world.crm("INSERT INTO customer VALUES (?, ?, ?, ?, ?)", *[(n, f"n{n}", None, "active", n) for n in range(1, 8)])
    world.rule(detect={"left": {"by": "cursor", "field": "changed", "tie": "id"}})
    assert numbers(world.pages_of(3).run()) == {"read": 7, "created": 7}
    world.crm("UPDATE customer SET name = 'new', changed = 9 WHERE id = 2")
    run = world.run()
    assert numbers(run) == {"read": 2, "updated": 1, "unchanged": 1}
    assert numbers(world.run()) == {"read": 1, "unchanged": 1}


def test_right_to_left_flows_the_other_way(world):
    """The same document read from right to left writes into the left system."""
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (7, "Ada", "1", None))
    fields = [{"left": "id", "right": "no"}, {"left": "name", "right": "title", "to_left": "title.upper()"}]
    world.rule(direction="right_to_left", fields=fields)
    assert numbers(world.run()) == {"read": 1, "created": 1}
    assert world.crm("SELECT id, name FROM customer") == [(7, "ADA")]


def test_on_when_and_weak_are_obeyed(world):
    """A field may be set on create only, only while its condition holds, or only into an empty target."""
    world.customers("Ada", "Bea")
    fields = [
        RULE["fields"][0],
        {"left": "name", "right": "title", "on": ["create"]},
        {"left": "phone", "right": "tel", "when": "id == 1"},
        {"left": "status", "right": "memo", "strength": "weak"},
    ]
    world.rule(fields=fields)
    world.run()
    assert world.clients() == [(1, "Ada", "+86 1"), (2, "Bea", None)]
    world.crm("UPDATE customer SET name = 'new', phone = 'new', status = 'new'")
    world.erp("UPDATE client SET memo = NULL WHERE no = 2")
    world.run()
    rows = world.erp("SELECT no, title, tel, memo FROM client ORDER BY no")
    assert rows == [(1, "Ada", "new", "active"), (2, "Bea", None, "new")]


def test_records_are_matched_by_another_field(world):
    """With `correlate` an unlinked record finds its partner by an exact field, and stays linked when that changes."""
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, tel TEXT, memo TEXT)")
    world.erp("INSERT INTO client (no, title, tel) VALUES (?, ?, ?)", (50, "Ada", "+86 1"))
    world.customers("Ada", "Bea")
    world.rule(fields=RULE["fields"][1:], correlate=[{"match": [{"left": "phone", "right": "tel"}]}])
    assert numbers(world.run()) == {"read": 2, "created": 1, "unchanged": 1}
    world.crm("UPDATE customer SET phone = 'new' WHERE id = 1")
    assert numbers(world.run()) == {"read": 2, "updated": 1, "unchanged": 1}
    assert world.clients() == [(50, "Ada", "new"), (51, "Bea", "+86 2")]


def test_a_run_stops_at_its_limit_and_can_go_on(world):
    """`stop_after` suspends a run whose records are refused in number; it says so and can be resumed."""
    world.customers(None, None, None, "Ada")
    world.rule(errors={"stop_after": 2})
    run = world.pages_of(2).run()
    assert run.state == "suspended"
    assert "2 records were refused" in str(run.message)


def test_every_run_is_in_the_audit_log(world):
    """Request, start, each chunk with the digest of its outcomes, and the end are audited."""
    world.customers("Ada")
    world.rule()
    run = world.run()
    with world.house.db.read() as tx:
        events = tx.execute(
            sa.select(audit_event).where(audit_event.c.run_id == run.id).order_by(audit_event.c.id)
        ).all()
        chunk = tx.execute(sa.select(run_chunk).where(run_chunk.c.run_id == run.id)).one()
    tags = ["runs:run:requested", "runs:run:started", "runs:run:chunk_applied", "runs:run:ended"]
    assert [event.tag for event in events] == tags
    assert events[0].actor_name == "ada"
    assert events[2].after["digest"] == chunk.digest == digest(chunk.outcomes)
    assert chunk.state == "done"


def test_every_record_of_a_run_is_accounted_for(world):
    """The chunks' outcomes hold one row for every record read, in order."""
    world.customers(*(f"n{n}" for n in range(1, 12)))
    world.rule()
    run = world.pages_of(4).run()
    with world.house.db.read() as tx:
        numbers_ = [n for frame in reading.outcomes(tx, run.id) for n in frame["record_no"]]
    assert numbers_ == list(range(1, 12))
    assert json.loads(json.dumps(run.to_json()))["counts"]["created"] == 11
