"""Explanations of records of rules that work on both sides: what each side gave, the last agreement, who decided."""

from __future__ import annotations

from typing import Any

import pytest

from rules.reconcile.tracing import How
from tests.runs.conftest import ADMIN, World
from tests.runs.test_two_way import FIELDS, _rule, _waiting, synced
from webapp.runs import pair_cases
from webapp.runs.explanation import Explanation, explain
from webapp.runs.explanation_words import deed

__all__ = ["synced"]


def _told(world: World, run_id: int, key: str) -> Explanation:
    found = explain(world.house, run_id, key=key)
    assert found.proven, [str(proof.claim) for proof in found.proofs if not proof.holds]
    return found


def _hows(found: Explanation) -> list[How]:
    assert found.story is not None
    return [told.how for told in found.story.fields]


def test_a_change_on_each_side(synced: World):
    """Each field tells who changed it, what it was before, and where its value went; both ways in one record."""
    synced.crm("UPDATE customer SET name = ' Anna' WHERE id = 1")
    synced.erp("UPDATE client SET tel = '5' WHERE no = 1")
    found = _told(synced, synced.run().id, "1")
    assert _hows(found) == [How.CREATE_ONLY, How.FLOWS, How.FLOWS]
    name, phone = found.story.fields[1:]  # type: ignore[union-attr]
    assert (dict(name.holds), dict(name.gives)) == (
        {"left": " Anna", "right": "Ann"},
        {"left": "Anna", "right": "Ann"},
    )
    assert dict(name.base) == {"left": "Ann", "right": "Ann"}
    assert (dict(name.writes), dict(phone.writes)) == ({"right": "Anna"}, {"left": "5"})
    assert str(name.words(found.names)) == "Only crm has changed it since they last agreed, so erp gets its value."
    assert str(phone.words(found.names)) == "Only erp has changed it since they last agreed, so crm gets its value."
    assert (found.result.after, found.result.own_after) == ({"title": "Anna"}, {"phone": "5"})
    assert [str(proof.claim) for proof in found.proofs][-1] == (
        "Each field is decided again as the run stored it, on both sides."
    )
    assert found.to_json()["fields"][1]["how"] == "flows"
    assert str(deed(found)) == "It was updated in erp › client and crm › customer."


def test_a_record_that_was_read_on_the_right(synced: World):
    """A record of the right side is told from there: the right side is read, the left one is written."""
    synced.erp("UPDATE client SET title = 'Bobby' WHERE no = 2")
    run = synced.run()
    (written,) = [record for record in synced.records(run.id) if record.row.outcome == "updated"]
    found = explain(synced.house, run.id, record_no=written.row.record_no)
    assert found.proven
    assert (found.sides.source.object, found.result.side) == ("client", "right")
    assert found.trace is not None
    assert {field.name: field.value for field in found.trace.fields}["name"] == "Bobby"


@pytest.mark.parametrize(
    ("policy", "how", "words"),
    [
        (None, How.OPEN, "Both sides have changed it, and a person has to decide. Until then both stay as they are."),
        ("left", How.SETTLED, "Both sides have changed it. The rule says: crm wins. erp gets the value of crm."),
        ("max", How.SETTLED, "Both sides have changed it. The rule says: the larger value wins. "
         "crm gets the value of erp."),
    ],
)  # fmt: skip
def test_a_conflict_says_which_policy_decided(synced: World, policy: str | None, how: How, words: str):
    """Where both sides have changed a field the policy is named, or that a person has to decide."""
    if policy:
        _rule(synced, conflict={"default": policy})
        synced.run()
    synced.crm("UPDATE customer SET phone = '1' WHERE id = 1")
    synced.erp("UPDATE client SET tel = '2' WHERE no = 1")
    found = _told(synced, synced.run().id, "1")
    assert _hows(found)[2] is how
    assert str(found.story.fields[2].words(found.names)) == words  # type: ignore[union-attr]


def test_the_times_of_change_are_kept_where_the_newer_record_wins(synced: World):
    """Where the newer record wins, the explanation knows both times of change, although no field maps them."""
    synced.crm("ALTER TABLE customer ADD COLUMN at DATETIME")
    synced.erp("ALTER TABLE client ADD COLUMN at DATETIME")
    moments = {side: {"by": "full", "field": "at"} for side in ("left", "right")}
    _rule(synced, conflict={"default": "newer"}, detect=moments)
    synced.crm("UPDATE customer SET phone = '1', at = '2026-01-01 08:00:00' WHERE id = 1")
    synced.erp("UPDATE client SET tel = '2', at = '2026-01-02 08:00:00' WHERE no = 1")
    found = _told(synced, synced.run().id, "1")
    assert _hows(found)[2] is How.SETTLED
    assert dict(found.story.fields[2].writes) == {"left": "2"}  # type: ignore[union-attr]


def test_an_answer_is_named(synced: World):
    """Where a person has decided, the explanation says so."""
    synced.crm("UPDATE customer SET phone = '1' WHERE id = 1")
    synced.erp("UPDATE client SET tel = '2' WHERE no = 1")
    synced.run()
    with synced.house.db.begin() as tx:
        choice: dict[str, Any] = {"fields": {"2": {"take": "value", "value": "3"}}}
        pair_cases.answer(tx, _waiting(synced)[0].id, choice, ADMIN, synced.house.clock())
    found = _told(synced, synced.run().id, "1")
    assert _hows(found)[2] is How.ANSWERED
    assert dict(found.story.fields[2].writes) == {"left": "3", "right": "3"}  # type: ignore[union-attr]


def test_an_unchanged_record_and_a_new_one(synced: World):
    """A record that was left alone has its values and no fields to decide; a created one tells what it was made of."""
    synced.crm("INSERT INTO customer VALUES (9, ' New ', '9', NULL, NULL)")
    run = synced.run()
    assert _told(synced, run.id, "1").story is not None
    assert _told(synced, run.id, "1").story.fields == ()  # type: ignore[union-attr]
    made = _told(synced, run.id, "9")
    assert made.result.outcome == "created"
    assert "The values come out as the run stored them." in [str(proof.claim) for proof in made.proofs]


def test_rules_without_explanations_keep_nothing(synced: World):
    """A rule that says `explain: false` keeps no values; that is told."""
    _rule(synced, explain=False)
    run = synced.run()
    found = explain(synced.house, run.id, key="1")
    assert found.trace is None
    assert "explain: false" in str(found.untold)


def test_edits_of_the_target_are_told(world: World):
    """A rule that flows one way and asks for cases tells what its target was changed to."""
    world.rule(fields=FIELDS, situations={"linked_conflict": "case"})
    world.customers("Ann")
    world.run()
    world.erp("UPDATE client SET tel = '5'")
    world.crm("UPDATE customer SET name = 'Anna'")
    found = _told(world, world.run().id, "1")
    assert _hows(found) == [How.CREATE_ONLY, How.FLOWS, How.KEPT]
    assert str(found.story.fields[2].words(found.names)) == (  # type: ignore[union-attr]
        "Only erp has changed it, and it flows the other way only, so both stay as they are."
    )
