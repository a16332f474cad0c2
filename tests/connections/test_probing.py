"""Tests, discovery and previews answer in time, keep what they found, and tell every failure in a sentence."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import sqlalchemy as sa

from connectors.errors import ConnectorError, ObjectMissing, Unavailable
from tests.connections.systems import ROWS, SCHEMA, Notebook
from tests.connections.test_services import ANN, CANARY, document, events, row
from webapp.connections import budget, services
from webapp.connections.models import connection_object
from webapp.extensions import House


def steps(found: list[Any]) -> list[tuple[str, bool, str]]:
    return [(s.name, s.ok, str(s.detail)) for s in found]


def make(house: House, **settings: Any) -> None:
    services.create(house, document(**settings), ANN)


def test_check_is_kept_and_audited(house: House) -> None:
    """The steps of a test are returned, stored with the connection and audited."""
    make(house)
    assert steps(services.check(house, "erp", ANN)) == [
        ("connect", True, "h answers."),
        ("sign in", True, "Signed in."),
    ]
    after = row(house)
    assert (after.state, after.version) == ("ok", 1)
    assert steps(list(after.last_check))[0] == ("connect", True, "h answers.")
    assert after.last_check_at is not None
    assert events(house)[-1].after["ok"] is True


def test_a_failed_check_says_what_to_do(house: House) -> None:
    """Whatever the connector raises becomes the last step: what happened and what to do."""
    make(house, mood="bad")
    assert steps(services.check(house, "erp", ANN))[-1] == ("connect", False, "No answer. Try later.")
    assert row(house).state == "failed"
    assert steps(list(row(house).last_check))[-1] == ("connect", False, "No answer. Try later.")


def test_a_broken_connector_is_told_without_its_traceback(house: House, caplog: pytest.LogCaptureFixture) -> None:
    """A connector's own mistake is a sentence for the reader; the log has the traceback, without the secret."""
    make(house, mood="broken", password=CANARY)
    (_, last) = services.check(house, "erp", ANN)
    assert "failed unexpectedly" in str(last.detail)
    with pytest.raises(ConnectorError, match="failed unexpectedly") as told:
        services.objects(house, "erp")
    assert told.value.__cause__ is None
    assert caplog.text.count("ZeroDivisionError: •••") == 2
    assert CANARY not in caplog.text


def test_a_change_forgets_the_check(house: House) -> None:
    """Another setting makes the last test worthless; another label does not."""
    make(house)
    services.check(house, "erp", ANN)
    services.update(house, {**document(), "label": "Other"}, ANN)
    assert row(house).state == "ok"
    services.update(house, document(port=2), ANN)
    assert row(house).state == "untested"


def test_drafts(house: House) -> None:
    """Unsaved settings are tested with the stored secrets where none are given; mistakes are steps."""
    make(house, password=CANARY, mood="talks")
    found = steps(
        services.check_draft(house, "notebook", {"host": "h", "mood": "talks", "password": ""}, keep_secrets_of="erp")
    )
    assert found[-1][2] == "Refused 'user:•••@host'. Not •••."
    found = steps(
        services.check_draft(
            house, "notebook", {"host": "x", "mood": "talks", "password": "other!"}, keep_secrets_of="erp"
        )
    )
    assert found[-1][2] == "Refused 'user:•••@host'. Not •••."
    assert steps(services.check_draft(house, "notebook", {"host": "", "port": "0"})) == [
        ("settings", False, "Port: Enter a whole number from 1 to 99."),
        ("settings", False, "Host: This is needed."),
    ]
    assert row(house).state == "untested"


def test_a_draft_cannot_borrow_secrets(house: House) -> None:
    """A draft that is not of that connection cannot use its secret."""
    make(house, password=CANARY)
    (step,) = services.check_draft(house, "notebook", {"host": "x", "password": "vault:connection/erp/password"})
    assert not step.ok
    assert "must not be used here" in str(step.detail)


def test_slow_systems_do_not_hold_up_a_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the budget is spent the answer comes, with the steps done so far."""
    monkeypatch.setattr(budget, "SECONDS", 0.3)
    make(house, mood="slow", delay=2)
    started = time.monotonic()
    found = steps(services.check(house, "erp", ANN))
    assert time.monotonic() - started < 1.5
    assert found[0] == ("connect", True, "h answers.")
    assert "did not answer within" in found[-1][2]
    with pytest.raises(Unavailable, match="did not answer within"):
        services.objects(house, "erp")


def test_too_many_questions_at_a_time_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that hang are limited in number."""
    monkeypatch.setattr(budget, "_slots", threading.BoundedSemaphore(1))
    gate = threading.Event()
    with pytest.raises(budget.OutOfTime, match="did not answer"):
        budget.within(0.05, "x", lambda: gate.wait(5))
    with pytest.raises(budget.OutOfTime, match="Too many"):
        budget.within(0.05, "x", lambda: 1)
    gate.set()
    assert budget.within(5, "x", lambda: 1) == 1


def test_objects_are_cached(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Objects are asked for once, then come from the database, until a refresh or a change of settings."""
    make(house)
    calls = []
    real = Notebook.objects
    monkeypatch.setattr(Notebook, "objects", lambda self: calls.append(1) or real(self))
    first = services.objects(house, "erp")
    assert [(o.name, o.kind, o.label, o.records, o.writable) for o in first] == [
        ("notes", "table", "Notes", 3, True),
        ("a/b c?", "view", "", None, False),
    ]
    assert {o.name for o in services.objects(house, "erp")} == {o.name for o in first}
    assert len(calls) == 1
    services.objects(house, "erp", refresh=True)
    assert len(calls) == 2
    services.update(house, document(port=2), ANN)
    services.objects(house, "erp")
    assert len(calls) == 3


def test_schemas_are_cached(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields are asked for once, also of an object that was not listed, until a refresh."""
    make(house)
    assert services.object_schema(house, "erp", "notes") == SCHEMA
    services.objects(house, "erp")
    assert services.object_schema(house, "erp", "notes") == SCHEMA
    monkeypatch.setattr(Notebook, "schema", lambda _self, _name: SCHEMA.select(("id",)))
    assert services.object_schema(house, "erp", "notes") == SCHEMA
    assert services.object_schema(house, "erp", "notes", refresh=True).names == ("id",)
    assert services.object_schema(house, "erp", "notes").names == ("id",)


def test_preview(house: House) -> None:
    """A preview holds the fields, the first records and what could not be read among them."""
    make(house)
    schema, rows, rejects = services.preview(house, "erp", "notes")
    assert schema == SCHEMA
    assert rows.equals(ROWS)
    assert [r.place for r in rejects] == ["page 2"]
    assert services.preview(house, "erp", "notes", limit=1).rows.height == 1
    with house.db.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(connection_object)).scalar() == 1
    with pytest.raises(ObjectMissing, match="Choose another page"):
        services.preview(house, "erp", "nothing")
