"""Why a run did what it did to a record: told for every outcome, and proven against what the run stored."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
import sqlalchemy as sa

from rules.documents import DocumentError, DocumentProblem
from rules.text import msg
from tests.runs.conftest import ADMIN, RULE
from tests.runs.test_decisions import ASKS, GREETING
from webapp.rulebook import services as rulebook
from webapp.runs import explanation
from webapp.runs import explanation_words as words
from webapp.runs.explanation import NotExplained, explain
from webapp.runs.models import run_input
from webapp.runs.pipeline.codec import digest, pack, unpack
from webapp.runs.pipeline.execute import Execution

WHERE = {**RULE["left"], "where": "status != 'draft' && id < 100"}


@pytest.fixture
def ran(world, monkeypatch):
    """A run with a record of every outcome, in chunks of three."""
    monkeypatch.setattr(Execution, "filters", False, raising=False)  # the source sends what is out of scope too
    world.pages_of(3).customers("Ada", "Bea", "Cid", None, "far too long a name for this target", "Dan")
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 6")
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (1, "Ada", "+86 1", None), (2, "old", "+86 2", None))
    world.rule(left=WHERE)
    return world, world.run().id


def test_every_outcome_is_told_and_proven(ran):
    """Created, updated, unchanged, skipped and parked records are told; working them out again proves each."""
    world, number = ran
    found = {key: explain(world.house, number, key=str(key)) for key in range(1, 7)}
    assert {k: it.result.outcome for k, it in found.items()} == {
        1: "unchanged",
        2: "updated",
        3: "created",
        4: "quarantined",
        5: "quarantined",
        6: "skipped",
    }
    assert all(it.proofs and it.proven for it in found.values())
    assert [str(words.deed(found[k])) for k in (1, 3, 6)] == [
        "It was left alone: erp › client says the same already.",
        "It was created in erp › client.",
        "It was left alone: it does not meet the condition of the rule.",
    ]
    assert (found[2].result.before, found[2].result.after) == ({"title": "old"}, {"title": "Bea"})
    assert found[4].trace.failed.name == "title"
    assert found[6].trace.where.steps[0].decides
    assert str(words.then(found[3])) == "The rule says: create it."
    assert found[4].result.stage == "map"
    assert found[5].result.stage == "write"
    assert json.dumps(found[2].to_json())


def test_a_record_is_found_by_either_key_or_number(ran):
    """The key of the target finds the record as well, and so does its number."""
    world, number = ran
    world.erp("UPDATE client SET no = 77 WHERE no = 3")
    assert explain(world.house, number, key="3").result.record_no == 3
    assert explain(world.house, number, record_no=5).result.left_key == "5"
    for wanted in ({"key": "999"}, {"record_no": 999}):
        with pytest.raises(NotExplained):
            explain(world.house, number, **wanted)


def test_the_version_of_the_run_is_explained(ran):
    """A rule that was changed since does not change what an old run is told to have done."""
    world, number = ran
    world.rule(fields=[{"left": "id", "right": "no"}, {"right": "title", "to_right": "'other'"}])
    assert explain(world.house, number, key="3").trace.values["title"] == "Cid"
    assert explain(world.house, number, key="3").proven


def test_altered_values_are_noticed(ran):
    """If somebody altered the stored values, working it out again does not come to what the run stored."""
    world, number = ran
    with world.house.db.begin() as tx:
        row = tx.execute(sa.select(run_input).where(run_input.c.run_id == number, run_input.c.no == 1)).one()
        frame = unpack(row.blob)["inputs"]
        blob = pack({"inputs": frame.with_columns(name=frame["name"] + "!")})
        mine = (run_input.c.run_id == number, run_input.c.no == 1)
        tx.execute(sa.update(run_input).where(*mine).values(blob=blob, digest=digest(blob)))
    assert not explain(world.house, number, key="3").proven


def test_a_failing_condition_is_proven(world):
    """A record whose scope could not be told names the clause that failed."""
    world.customers("Ada", None)
    world.rule(left={**RULE["left"], "where": "name.size() > 1"})
    it = explain(world.house, world.run().id, key="2")
    assert (it.result.stage, it.proven, str(it.proofs[0].claim)[:20]) == ("scope", True, "The condition fails ")


def test_a_simulation_is_told_as_one(world):
    """In a run that writes nothing the sentences say what would be."""
    world.customers("Ada")
    world.rule()
    it = explain(world.house, world.run("simulate").id, key="1")
    assert str(words.deed(it)) == "It would be created in erp › client."


def test_a_run_that_kept_nothing_says_how_to_switch_it_on(world):
    """Without stored values the outcome is shown, and what to do for the next time."""
    world.customers("Ada")
    world.rule(explain=False)
    it = explain(world.house, world.run().id, key="1")
    assert (it.trace, it.result.outcome) == (None, "created")
    assert "explain: false" in str(it.untold)
    assert not it.proofs


def test_keys_that_occur_twice_are_all_named(world):
    """A repeated key leads to the first record and names the others."""
    world.crm("DROP TABLE customer")
    world.crm("CREATE TABLE customer (id INTEGER, name TEXT, phone TEXT, status TEXT, changed TEXT)")
    world.customers("Ada")
    world.customers("Bea")
    world.rule()
    it = explain(world.house, world.run().id, key="1")
    assert {it.result.record_no, *it.others} == {1, 2}
    with pytest.raises(NotExplained, match="no record with the key"):
        explain(world.house, it.run.id, key="2")


def test_a_right_to_left_rule_reads_its_right_side(world):
    """The source is the side that was read, whatever it is called."""
    world.erp("INSERT INTO client VALUES (?, ?, ?, ?)", (5, "Eve", "+86 5", None))
    fields = [{"left": "id", "right": "no"}, {"left": "name", "right": "title", "to_left": "title.upper()"}]
    world.rule(direction="right_to_left", fields=fields)
    it = explain(world.house, world.run().id, key="5")
    assert (it.sides.source.object, it.trace.read, it.proven) == ("client", {"no": 5, "title": "Eve"}, True)
    assert str(words.then(it)) == "The rule says: create it."


def test_an_unfinished_run_says_so(world):
    """As long as a run is at work its record may still come."""
    world.customers("Ada")
    world.rule()
    with pytest.raises(NotExplained, match="so far"):
        explain(world.house, world.request(), key="1")


def test_words_for_values():
    """Values are shown as people read them."""
    shown = [None, " a", True, Decimal("1.50"), Decimal("100"), datetime(2024, 1, 2, tzinfo=UTC), date(2024, 1, 2)]
    told = [words.shown(value) for value in [*shown, [1, None, "x"], 3]]
    assert told[:5] == [None, "“ a”", "true", "1.5", "100"]
    assert told[5:] == ["2024-01-02 00:00:00+00:00", "2024-01-02", "[1, null, “x”]", "3"]


def test_a_rule_that_cannot_be_read_any_more_is_said(ran, monkeypatch):
    """Should the rule of an old run not compile any more, the outcome is still shown, and why not more."""

    def refuse(*_args, **_kwargs):
        raise DocumentError([DocumentProblem("fields/0", msg("gone"))])

    world, number = ran
    monkeypatch.setattr(explanation, "compile_mapping", refuse)
    it = explain(world.house, number, key="3")
    assert (it.trace, "gone" in str(it.untold)) == (None, True)


def test_decisions_and_validations_are_told_with_their_versions(world):
    """The tables are asked again in the versions that the run had pinned, also when newer ones are published."""
    rulebook.create(world.house, GREETING, ADMIN)
    rulebook.publish(world.house, "greeting", ADMIN)
    world.customers("Ada", "Beatrice", None)
    world.rule(**{**ASKS, "fields": [ASKS["fields"][0], {"right": "title", "to_right": "greeting.word + ' ' + name"}]})
    number = world.run().id
    changed = {**GREETING, "rows": [{"when": ["-"], "then": ['"Moin"']}]}
    rulebook.save_draft(world.house, "greeting", changed, ADMIN)
    rulebook.publish(world.house, "greeting", ADMIN)
    first, parked = (explain(world.house, number, key=key) for key in ("1", "3"))
    assert (first.trace.values["title"], first.proven, first.versions) == ("Hi Ada", True, {"greeting": 1})
    assert [row.row for row in first.trace.decisions[0].fired] == [0]
    assert (parked.result.stage, parked.proven) == ("decide", True)
    assert first.to_json()["tables"] == {"greeting": 1}
    world.rule(validations=[{"name": "long", "check": "size(name) > 3", "severity": "reject"}])
    left = explain(world.house, world.run().id, key="1")
    assert (left.result.situation, left.trace.validations[0].met, left.proven) == ("rejected", False, True)
    assert str(words.deed(left)) == "It was left out: it does not meet a validation of the rule."


def test_a_record_that_the_source_left_out_is_told_as_it_is_now(world):
    """A database that leaves out what is out of scope is asked for the record again; that is said, and not as proof."""
    world.customers("Ada", "Bea", "Cid")
    world.crm("UPDATE customer SET status = 'draft' WHERE id > 1")
    world.rule(left=WHERE)
    number = world.run().id
    it = explain(world.house, number, key="2")
    assert (it.result.outcome, it.trace.in_scope, it.trace.where.steps[0].decides) == ("skipped", False, True)
    assert it.result.record_no == 0 or it.proofs, "either the source left it out, or the run has met it"
    if not it.result.record_no:
        assert "values that it has now" in str(it.untold)
        world.crm("UPDATE customer SET status = 'active' WHERE id = 3")
        for key in ("3", "9", "x"):
            with pytest.raises(NotExplained):
                explain(world.house, number, key=key)
