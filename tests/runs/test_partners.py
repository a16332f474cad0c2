"""Which record of the target belongs to which of the source, where keys change, collide or are made by the target."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.builtin.sqlite import SQLite
from connectors.errors import Unavailable
from rules.text import msg
from tests.runs.conftest import ADMIN, RULE, numbers
from tests.runs.test_crash import Killed, dies
from webapp.runs import quarantine

BY_CODE = [{"left": "phone", "right": "tel"}, {"left": "name", "right": "title"}]
BY_PHONE = {"fields": RULE["fields"][1:], "correlate": [{"match": [{"left": "phone", "right": "tel"}]}]}


@pytest.fixture
def coded(world):
    """A target whose key is another field than the key of the source."""
    world.customers("Ada", "Bea")
    world.rule(key={"left": "id", "right": "tel"}, fields=BY_CODE)
    return world


@pytest.fixture
def serial(world):
    """A target that makes its keys itself."""
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL, tel TEXT, memo TEXT)")
    world.customers("Ada", "Bea", "Cid")
    world.rule(fields=RULE["fields"][1:])
    return world


def test_a_changed_key_never_overwrites_another_record(coded):
    """When the rule gives a linked record another key, it is parked with both keys, and no record is touched."""
    coded.run()
    coded.crm("UPDATE customer SET phone = '+86 2', name = 'new' WHERE id = 1")
    coded.crm("UPDATE customer SET phone = '+86 9' WHERE id = 2")
    before = coded.clients()
    run = coded.run()
    assert numbers(run) == {"read": 2, "quarantined": 2}
    assert "'+86 1', and the rule now gives '+86 2'" in str(coded.records(run.id)[0].reason)
    assert coded.clients() == before


def test_a_record_created_again_under_another_key_is_linked_to_it(coded):
    """A record whose partner is gone and whose key has changed is created once, not in every run."""
    coded.run()
    coded.erp("DELETE FROM client WHERE tel = '+86 1'")
    coded.crm("UPDATE customer SET phone = '+86 9' WHERE id = 1")
    assert numbers(coded.run()) == {"read": 2, "created": 1, "unchanged": 1}
    assert numbers(coded.run()) == {"read": 2, "unchanged": 2}


@pytest.mark.parametrize("size", [1, 10])
def test_two_records_with_one_partner_do_not_overwrite_each_other(world, size):
    """Of two records that the rule brings to one record of the target the second is parked, in every run."""
    world.customers("Ada", "Bea")
    world.crm("UPDATE customer SET phone = 'same'")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (50, "old", "same", None))
    world.rule(**BY_PHONE)
    world.pages_of(size)
    assert numbers(world.run()) == {"read": 2, "updated": 1, "quarantined": 1}
    again = world.run()
    assert numbers(again) == {"read": 2, "unchanged": 1, "quarantined": 1}
    assert "as its partner already" in str(world.records(again.id)[0].reason)
    with world.house.db.read() as tx:
        entry = quarantine.listing(tx)[0]
    replayed = quarantine.replay(world.house, "customers", [entry.id], ADMIN)
    world.work(replayed)
    assert numbers(world.look(replayed)) == {"read": 1, "quarantined": 1}
    assert world.clients() == [(50, "Ada", "same")]


def test_an_empty_text_is_no_match(world):
    """Records whose matching field is empty are not taken for the same."""
    world.customers("Ada")
    world.crm("UPDATE customer SET phone = ''")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (50, "other", "", None))
    world.rule(**BY_PHONE)
    assert numbers(world.run()) == {"read": 1, "created": 1}


def test_equal_values_of_two_tiers_are_kept_apart(world):
    """A value that one tier finds in one field is not mixed up with the same value that another tier finds."""
    world.customers("Ada", "tel-2")
    world.crm("UPDATE customer SET phone = 'x', status = 'y' WHERE id = 1")
    world.crm("UPDATE customer SET phone = 'z', status = 'x' WHERE id = 2")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (50, "a", "x", None), (51, "b", None, "x"))
    tiers = [
        {"match": [{"left": "phone", "right": "tel"}]},
        {"match": [{"left": "status", "right": "memo"}]},
    ]
    world.rule(fields=[RULE["fields"][1]], correlate=tiers)
    assert numbers(world.run()) == {"read": 2, "updated": 2}
    assert [row[:2] for row in world.clients()] == [(50, "Ada"), (51, "tel-2")]


def test_numbers_match_however_many_decimals_they_have(world):
    """A whole number of the source finds the same number that the target keeps as a decimal."""
    world.crm("DROP TABLE customer")
    world.crm("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, phone INTEGER)")
    world.crm("INSERT INTO customer VALUES (?, ?, ?)", (1, "Ada", 7))
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER PRIMARY KEY, title TEXT, tel NUMERIC(9, 2), memo TEXT)")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (50, "old", 7, None))
    world.rule(**{**BY_PHONE, "fields": [RULE["fields"][1]]})
    assert numbers(world.run()) == {"read": 1, "updated": 1}


@pytest.mark.parametrize("at", [1, 2])
def test_keys_that_the_target_made_survive_a_crash(serial, monkeypatch, at):
    """A worker that dies behind the target's commit loses no key: nothing is parked, nothing arrives twice."""
    serial.pages_of(2)
    run_id = serial.request()
    with monkeypatch.context() as patch:
        dies(patch, SQLite, "write", at, before=False)
        with pytest.raises(Killed):
            serial.work(run_id)
    serial.shift += timedelta(seconds=serial.house.settings.lease_seconds + 1)
    assert serial.work(run_id, "w2")
    assert numbers(serial.look(run_id)) == {"read": 3, "created": 3}
    assert numbers(serial.run()) == {"read": 3, "unchanged": 3}
    assert [row[1] for row in serial.clients()] == ["Ada", "Bea", "Cid"]


def test_keys_that_the_target_made_survive_a_lost_answer(serial, monkeypatch):
    """A write whose answer is lost is recognised; records that hold the same are told apart."""
    serial.customers("Ada", first=4)
    serial.crm("UPDATE customer SET phone = NULL WHERE name = 'Ada'")
    serial.erp("INSERT INTO client (title) VALUES (?)", ("Ada",))
    write, failures = SQLite.write, [1]

    def flaky(self, *args, **kwargs):
        result = write(self, *args, **kwargs)
        if failures.pop() if failures else 0:
            raise Unavailable(msg("The answer was lost."))
        return result

    monkeypatch.setattr(SQLite, "write", flaky)
    assert numbers(serial.run()) == {"read": 4, "created": 4}
    assert numbers(serial.run()) == {"read": 4, "unchanged": 4}
    serial.erp("DELETE FROM client WHERE no = 1")
    assert numbers(serial.run()) == {"read": 4, "unchanged": 4}, "the record that was there before is not linked"


@pytest.mark.parametrize(
    ("kind", "values"), [("DATE", ["2024-01-02", "1969-12-31"]), ("BOOLEAN", [1, 0]), ("NUMERIC(9, 2)", [1.5, 2])]
)
def test_keys_of_any_type(world, kind, values):
    """A key may be a date, a truth value or a decimal; its link is found again."""
    world.crm("DROP TABLE customer")
    world.crm(f"CREATE TABLE customer (id {kind} PRIMARY KEY, name TEXT, phone TEXT)")
    world.crm("INSERT INTO customer VALUES (?, ?, ?)", *[(value, f"n{value}", None) for value in values])
    world.erp("DROP TABLE client")
    world.erp(f"CREATE TABLE client (no {kind} PRIMARY KEY, title TEXT, tel TEXT)")
    world.rule()
    assert numbers(world.run()) == {"read": 2, "created": 2}
    assert numbers(world.run()) == {"read": 2, "unchanged": 2}


def test_alike_records_are_partners(world):
    """A one-way rule finds partners by likeness; one in doubt is parked with the keys that it may be."""
    world.erp("DROP TABLE client")
    world.erp("CREATE TABLE client (no INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT, tel TEXT, memo TEXT)")
    world.customers("Miller & Sons Ltd")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (70, "Miller and Sons Ltd", "1", None))
    tier = {"match": [{"left": "name", "right": "title", "how": "similarity", "threshold": 0.6}], "confidence": 0.8}
    fields = [{"left": "name", "right": "title"}, {"left": "phone", "right": "tel"}]
    world.rule(fields=fields, correlate=[tier])
    assert numbers(world.run()) == {"read": 1, "quarantined": 1}
    world.rule(fields=fields, correlate=[{**tier, "confidence": 1.0}])
    assert numbers(world.run()) == {"read": 1, "updated": 1}
    assert world.clients() == [(70, "Miller & Sons Ltd", "+86 1")]
    assert numbers(world.run()) == {"read": 1, "unchanged": 1}
