"""Errors of single fields, and what the rule wants done about them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import RULE, numbers
from tests.runs.test_crash import Killed, dies
from webapp.runs.explanation import explain
from webapp.runs.pipeline.journal import Journal

ID = {"left": "id", "right": "no"}
NAME = {"left": "name", "right": "title", "to_right": "name.trim()"}


def test_stop(world):
    """A field whose rule says stop ends the run behind its page, says why, and simulating does not stop."""
    world.customers("Ada", None, "Cid", "Dan")
    world.rule(fields=[ID, {**NAME, "on_error": "stop"}])
    world.pages_of(2)
    assert world.run("simulate").state == "succeeded"
    run = world.run()
    assert (run.state, numbers(run)) == ("suspended", {"read": 2, "created": 1, "quarantined": 1})
    assert str(run.message).startswith("The field 'title' of record 2 has no value, and the rule says to stop then: ")
    assert "The field 'name' is empty" in str(run.message)


def test_stop_after_a_crash(world, monkeypatch):
    """A run that stops for a chunk whose worker died in the middle still hands over what it counts as written."""
    finished: list[str] = []
    finish = SQLite.finish
    monkeypatch.setattr(SQLite, "finish", lambda self, name: (finished.append(name), finish(self, name))[1])
    world.customers("Ada", None)
    world.rule(fields=[ID, {**NAME, "on_error": "stop"}])
    run_id = world.request()
    with monkeypatch.context() as dying:
        dies(dying, Journal, "check_in", 1, before=True)
        with pytest.raises(Killed):
            world.work(run_id)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    run = world.look(run_id)
    assert (run.state, numbers(run)) == ("suspended", {"read": 2, "created": 1, "quarantined": 1})
    assert finished == ["client"]


def test_stop_behind_another_error(world):
    """A field that is to stop the run does so too where another field of the record has no value either."""
    world.customers("Ada", None)
    world.rule(fields=[ID, NAME, {"right": "tel", "to_right": "name.trim()", "on_error": "stop"}])
    run = world.run()
    assert (run.state, numbers(run)) == ("suspended", {"read": 2, "created": 1, "quarantined": 1})
    assert str(run.message).startswith("The field 'tel' of record 2 has no value")
    told = explain(world.house, run.id, record_no=2)
    assert (told.result.field, told.proven) == ("tel", True)


def test_replaced(world):
    """A field may be left empty or get a default instead; then its record is written."""
    world.customers("Ada", None)
    fields = [
        ID,
        {**NAME, "on_error": "default", "default": "unknown"},
        {"right": "tel", "to_right": "name.trim()", "on_error": "null"},
    ]
    world.rule(fields=fields)
    run = world.run()
    assert (run.state, numbers(run)) == ("succeeded", {"read": 2, "created": 2})
    assert world.clients() == [(1, "Ada", "Ada"), (2, "unknown", None)]
    assert RULE["fields"][1] == NAME
