"""Drafts, versions and their life."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.documents import DocumentError
from rules.text import msg
from tests.rulebook.conftest import ANNA, BEN, document
from webapp.audit.models import audit_event
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.extensions import House
from webapp.rulebook import hooks, services
from webapp.rulebook.errors import BadName, NotPublishable, RuleBusy, RuleMissing, StaleDraft
from webapp.rulebook.models import rule_version


def tags(house: House) -> list[str]:
    with house.db.read() as tx:
        query = sa.select(audit_event.c.tag).where(audit_event.c.subject_kind == "rule").order_by(audit_event.c.id)
        return [tag.split(":")[-1] for tag in tx.scalars(query)]


def row(house: House, name: str = "customers") -> services.RuleRow:
    with house.db.read() as tx:
        return services.get(tx, name)


def test_draft_is_published_and_read(house: House) -> None:
    """A draft that fits its systems becomes version 1, and runs read exactly that document."""
    services.create(house, document(), ANNA)
    with house.db.read() as tx:
        assert services.published(tx, "customers") is None
        assert services.draft(tx, "customers") == document()
    assert services.publish(house, "customers", BEN, "first") == 1
    with house.db.read() as tx:
        found = services.published(tx, "customers")
        assert found is not None
        assert (found.name, found.version, found.document, found.state) == ("customers", 1, document(), "active")
        assert services.version(tx, "customers", 1) == found
        assert [(v.version, v.note, v.published_by) for v in services.versions(tx, "customers")] == [
            (1, "first", "ben")
        ]
    assert not row(house).changed
    assert tags(house) == ["created", "published"]


def test_publishing_the_same_again_publishes_nothing(house: House) -> None:
    """Publishing without a change keeps the version, also when the draft went back and forth."""
    services.create(house, document(), ANNA)
    services.publish(house, "customers", ANNA)
    services.save_draft(house, "customers", document(label="Customers"), ANNA)
    services.save_draft(house, "customers", document(), ANNA)
    assert not row(house).changed
    assert services.publish(house, "customers", ANNA) == 1
    assert tags(house).count("published") == 1


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"fields": []}, "fields"),
        ({"key": {"left": "id"}}, "key/right"),
        ({"left": {"connection": "crm", "object": "nothing"}}, "left/object"),
        ({"left": {"connection": "nowhere", "object": "account"}}, "left/connection"),
        ({"fields": [{"left": "nme", "right": "title"}]}, "fields/0"),
        ({"left": {"connection": "crm", "object": "account", "where": "status = 'x'"}}, "left/where"),
        ({"schedule": {"cron": "every now and then"}}, "schedule/cron"),
        ({"detect": {"left": {"by": "cursor"}}}, "detect/left/field"),
    ],
)
def test_a_rule_that_does_not_fit_is_refused(house: House, changes: dict[str, Any], path: str) -> None:
    """Publishing is refused with the place of the problem, and nothing is stored."""
    services.create(house, document(**changes), ANNA)
    with pytest.raises(NotPublishable) as caught:
        services.publish(house, "customers", ANNA)
    assert path in {problem.path for problem in caught.value.problems}
    with house.db.read() as tx:
        assert services.published(tx, "customers") is None
    assert tags(house) == ["created"]


def test_a_system_that_is_away_is_one_sentence(house: House, tmp_path: Any) -> None:
    """When a system does not answer, the check says so at the connection instead of failing."""
    (tmp_path / "systems" / "crm.db").unlink()
    problems = services.check(house, document())
    assert [p.path for p in problems if p.path.startswith("left/")] in (["left/connection"], ["left/object"])


def test_a_target_that_cannot_be_written_is_refused(house: House) -> None:
    """The direction has to fit what the connector can do."""
    problems = services.check(house, document(detect={"right": {"by": "full"}}))
    assert [p for p in problems if p.path == "right/connection"] == []


TO_RIGHT, TO_LEFT = ("id", "no", "both"), ("name", "title", "right_to_left")


def _view(house: House, tmp_path: Path) -> None:
    """Put a view, which can only be read, beside the table of the CRM."""
    with sqlite3.connect(tmp_path / "systems" / "crm.db") as crm:
        crm.execute("CREATE VIEW seen AS SELECT * FROM account")
    crm.close()
    connections.objects(house, "crm", refresh=True)


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        (
            {"direction": "two_way"},
            {"fields/0/direction", "fields/1/direction", "situations/unmatched_right"},
        ),
        (
            {
                "direction": "two_way",
                "fields": [{"left": n, "right": m, "direction": "left_to_right"} for n, m in (("id", "no"),)],
                "situations": {"unmatched_right": "ignore", "deleted_left": "recreate"},
            },
            {"situations/deleted_left"},
        ),
        (
            {
                "direction": "two_way",
                "fields": [{"left": "id", "right": "no", "direction": "left_to_right"}],
                "situations": {"unmatched_right": "ignore"},
            },
            set(),
        ),
        (
            {"fields": [{"left": n, "right": m, "direction": d} for n, m, d in (TO_RIGHT, TO_LEFT)]},
            {"fields/1/direction"},
        ),
        ({}, set()),
    ],
)
def test_what_flows_back_to_a_side_that_can_only_be_read_is_refused(
    house: House, tmp_path: Path, changes: dict[str, Any], places: set[str]
) -> None:
    """Each field that flows to a view, and each situation that writes there, is told at its place."""
    _view(house, tmp_path)
    problems = services.check(house, document(left={"connection": "crm", "object": "seen"}, **changes))
    found = {p.path: str(p.message) for p in problems if "can only be read" in str(p.message)}
    assert set(found) == places
    assert all("'seen' of the connection 'crm'" in text for text in found.values())


def test_two_people_at_one_draft(house: House) -> None:
    """The second of two savers is told who was first, and nothing is overwritten."""
    first = services.create(house, document(), ANNA)
    services.save_draft(house, "customers", document(label="By Ben"), BEN, first.draft_version)
    with pytest.raises(StaleDraft, match="ben saved a newer draft"):
        services.save_draft(house, "customers", document(label="By Anna"), ANNA, first.draft_version)
    assert row(house).label == "By Ben"


@pytest.mark.parametrize("name", [None, "", "New", "1st", "a-b", "x" * 64, "客户", "new", 7])
def test_bad_names_are_refused(bare_house: House, name: Any) -> None:
    """A name has to fit into addresses, files and the log."""
    with pytest.raises(BadName):
        services.create(bare_house, document(name=name), ANNA)


def test_names_are_unique_and_stay(bare_house: House) -> None:
    """A taken name is refused, and a draft cannot rename its rule."""
    services.create(bare_house, document(), ANNA)
    with pytest.raises(BadName, match="already a rule"):
        services.create(bare_house, document(), ANNA)
    with pytest.raises(BadName, match="cannot be changed"):
        services.save_draft(bare_house, "customers", document(name="other"), ANNA)


def test_roll_back_publishes_an_old_document_as_a_new_version(house: House) -> None:
    """Rolling back never changes a version; the draft stays as it is."""
    services.create(house, document(), ANNA)
    services.publish(house, "customers", ANNA)
    services.save_draft(house, "customers", document(label="Two"), ANNA)
    services.publish(house, "customers", ANNA)
    services.save_draft(house, "customers", document(label="Three"), ANNA)
    assert services.roll_back(house, "customers", 1, BEN) == 3
    with house.db.read() as tx:
        assert [v.document.get("label") for v in services.versions(tx, "customers")] == [None, "Two", None]
    assert row(house).document["label"] == "Three"
    assert tags(house)[-1] == "rolled_back"
    with pytest.raises(RuleMissing):
        services.roll_back(house, "customers", 9, BEN)


def test_discarding_the_draft(house: House) -> None:
    """A discarded draft is what is published; a rule that was never published keeps its draft."""
    services.create(house, document(), ANNA)
    assert services.discard_draft(house, "customers", ANNA).document == document()
    services.publish(house, "customers", ANNA)
    services.save_draft(house, "customers", document(label="Two"), ANNA)
    assert not services.discard_draft(house, "customers", ANNA).changed


def test_schedules_of_active_published_rules_only(house: House) -> None:
    """Drafts, paused rules and rules without a schedule are not scheduled; a schedule takes effect when published."""
    planned = document(schedule={"cron": "*/5 * * * *", "timezone": "Asia/Shanghai"})

    def names() -> list[tuple[str, str, str, str]]:
        with house.db.read() as tx:
            return [(s.name, s.cron, s.timezone, s.misfire) for s in services.scheduled(tx)]

    services.create(house, planned, ANNA)
    services.create(house, document(name="by_hand"), ANNA)
    assert names() == []
    services.publish(house, "customers", ANNA)
    services.publish(house, "by_hand", ANNA)
    assert names() == [("customers", "*/5 * * * *", "Asia/Shanghai", "once")]
    services.pause(house, "customers", ANNA)
    assert names() == []
    services.pause(house, "customers", ANNA)
    services.resume(house, "customers", ANNA)
    assert len(names()) == 1
    assert tags(house)[-2:] == ["paused", "resumed"]


def test_deleting_keeps_the_versions(house: House) -> None:
    """A deleted rule is gone, its versions are kept under its name, and a new rule of that name starts at 1."""
    services.create(house, document(), ANNA)
    services.publish(house, "customers", ANNA)
    services.delete(house, "customers", ANNA)
    with house.db.read() as tx:
        assert services.find(tx, "customers") is None
        assert services.published(tx, "customers") is None
        assert services.scheduled(tx) == []
    services.create(house, document(), ANNA)
    assert services.publish(house, "customers", ANNA) == 1
    with house.db.read() as tx:
        assert tx.scalar(sa.select(sa.func.count()).select_from(rule_version)) == 2


@pytest.fixture
def busy() -> Iterator[None]:
    hooks.deletion.append(lambda _tx, name: msg("Run 7 is at work with the rule '{name}'.", name=name))
    yield
    hooks.deletion.pop()


@pytest.mark.usefixtures("busy")
def test_a_rule_at_work_cannot_be_deleted(bare_house: House) -> None:
    """While a run is at work the rule stays, and the reason is given."""
    services.create(bare_house, document(), ANNA)
    with pytest.raises(RuleBusy, match="Run 7 is at work"):
        services.delete(bare_house, "customers", ANNA)
    assert row(bare_house).name == "customers"


def test_a_used_connection_cannot_be_deleted(house: House) -> None:
    """A connection that a draft or a published rule uses stays."""
    services.create(house, document(), ANNA)
    with pytest.raises(connections.ConnectionInUse, match="customers"):
        connections.delete(house, "erp", ANNA)
    services.delete(house, "customers", ANNA)
    connections.delete(house, "erp", ANNA)


def test_a_used_entity_cannot_be_deleted(bare_house: House) -> None:
    """An entity that a rule reads or writes stays."""
    fields = [{"name": "title", "type": "text"}]
    entities.define(bare_house, {"kind": "entity", "name": "partner", "fields": fields}, ANNA)
    right = {"connection": "hub", "object": "partner"}
    services.create(bare_house, document(right=right), ANNA)
    with pytest.raises(DocumentError, match="the rule customers"):
        entities.delete_entity(bare_house, "partner", ANNA)
    services.delete(bare_house, "customers", ANNA)
    entities.delete_entity(bare_house, "partner", ANNA)


def test_audit_holds_the_documents(house: House) -> None:
    """Every change stands in the audit log with the document before and after and who did it."""
    services.create(house, document(), ANNA)
    services.save_draft(house, "customers", document(label="Two"), BEN)
    with house.db.read() as tx:
        created, updated = tx.execute(sa.select(audit_event).where(audit_event.c.subject_kind == "rule")).all()
    assert (created.before, created.after, created.actor_name) == (None, document(), "anna")
    assert (updated.before, updated.after, updated.actor_name) == (document(), document(label="Two"), "ben")


def test_caller_decides_about_the_transaction(house: House) -> None:
    """Within a caller's transaction everything stands or falls with it."""

    def fail_at_the_end() -> None:
        with house.db.begin() as tx:
            services.create(house, document(), ANNA, tx)
            services.save_draft(house, "customers", document(label="Two"), ANNA, tx=tx)
            assert services.publish(house, "customers", ANNA, tx=tx) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_at_the_end()
    with house.db.read() as tx:
        assert services.list_rules(tx) == []
    assert tags(house) == []


def test_clock_and_actor_are_those_of_the_caller(bare_house: House) -> None:
    """Stamps come from the house's clock and the given actor."""
    at = datetime(2026, 5, 1, 12, tzinfo=UTC)
    house = House(bare_house.settings, bare_house.db, lambda: at)
    created = services.create(house, document(), ANNA)
    assert (created.updated_at, created.updated_by) == (at, "anna")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
EXTRAS = st.fixed_dictionaries(
    {},
    optional={
        "label": TEXTS.filter(lambda t: t != ""),
        "errors": st.fixed_dictionaries({"stop_after": st.integers(1, 10**6)}),
        "schedule": st.fixed_dictionaries(
            {"cron": st.sampled_from(["*/5 * * * *", "0 8 * * 1-5"])}, optional={"timezone": st.just("Asia/Shanghai")}
        ),
        "situations": st.fixed_dictionaries({"unmatched_left": st.sampled_from(["create", "ignore"])}),
    },
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(EXTRAS)
def test_a_document_comes_out_as_it_went_in(house: House, extras: dict[str, Any]) -> None:
    """Draft, publishing and export give back the very document that was put in."""
    wanted = document(**extras)
    with house.db.begin() as tx:
        services.create(house, wanted, ANNA, tx)
        assert services.draft(tx, "customers") == wanted
        services.publish(house, "customers", ANNA, tx=tx)
        assert services.to_document(services.get(tx, "customers")) == wanted
        services.delete(house, "customers", ANNA, tx)
