"""Two versions of a rule on stored values: every difference is found, and what was not stored is named."""

from __future__ import annotations

import csv
import io

import pytest

from tests.runs.conftest import ADMIN, RULE
from tests.runs.test_decisions import ASKS, GREETING
from webapp.rulebook import services as rulebook
from webapp.runs.comparison import NotComparable, Wish, compared, difference_lines, runs_with_values
from webapp.runs.pipeline.execute import Execution

ONE = "1"
DRAFT = "draft"


def draft(world, **changes) -> None:
    rulebook.save_draft(world.house, "customers", {**RULE, **changes}, ADMIN)


def fields(*more: dict) -> list[dict]:
    return [{"left": "id", "right": "no"}, *more]


@pytest.fixture
def ran(world, monkeypatch):
    """A run over five records in chunks of two; the third has no name, the fourth is a draft."""
    monkeypatch.setattr(Execution, "filters", False, raising=False)  # the source sends what is out of scope too
    world.pages_of(2).customers("Ada", " Bea ", None, "Dan", "Eva")
    world.crm("UPDATE customer SET status = 'draft' WHERE id = 4")
    world.rule(left={**RULE["left"], "where": "status != 'draft'"})
    return world, world.run().id


def counts(found) -> dict[str, int]:
    return {kind: number for kind, number in found.counts.items() if number}


def test_a_version_compared_with_itself_is_the_same(ran):
    """Without a difference in the rule there is none in the outputs."""
    world, number = ran
    found = compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
    assert (counts(found), found.changes, found.records) == ({"same": 5}, (), 5)


def test_differences_are_listed_page_by_page(ran):
    """Each page goes on where the one before ended, also across chunks; the counts stay those of all."""
    world, number = ran
    draft(world, fields=fields({"left": "name", "right": "title", "to_right": "name.orDefault('').trim() + '!'"}))
    wish = Wish("customers", ONE, DRAFT, (number,))
    pages = [compared(world.house, wish, 2, skip) for skip in (0, 2, 4, 6)]
    assert [[one.change.key for one in page.changes] for page in pages] == [["1", "2"], ["3", "4"], ["5"], []]
    assert {page.differing for page in pages} == {5}
    assert [one.change.key for one in compared(world.house, wish, 2, 1).changes] == ["2", "3"]


def test_every_kind_of_difference_is_found(ran):
    """Changed values, newly refused and repaired records, and changes of scope are told apart."""
    world, number = ran
    where = {**RULE["left"], "where": "id != 1"}
    title = {"left": "name", "right": "title", "to_right": "name.orDefault('?').trim().upper()"}
    phone = {"left": "phone", "right": "tel", "to_right": "id == 5 ? name.replace(phone, '') + memo : phone"}
    world.crm("ALTER TABLE customer ADD COLUMN memo TEXT")
    draft(world, left=where, fields=fields(title))
    found = compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
    assert counts(found) == {"different": 2, "newly_fixed": 1, "entered_scope": 1, "left_scope": 1}
    by_key = {one.change.key: one.change for one in found.changes}
    assert (by_key["2"].before, by_key["2"].after) == ({"title": "Bea", "tel": "+86 2"}, {"title": "BEA"})
    assert (by_key["1"].kind, by_key["1"].after) == ("left_scope", {})
    assert (by_key["3"].after, "empty" in str(by_key["3"].reason_before)) == ({"no": 3, "title": "?"}, True)
    assert by_key["4"].after == {"no": 4, "title": "DAN"}
    draft(world, fields=fields({"right": "title", "to_right": "name + ' of a very long line'"}, phone))
    with pytest.raises(NotComparable, match="does not fit the fields"):
        compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
    draft(
        world,
        left={**RULE["left"], "where": "status != 'draft'"},
        fields=fields({"right": "title", "to_right": "name.split(',')[3]"}),
    )
    failing = compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
    assert counts(failing)["newly_failing"] == 3
    assert failing.to_json()["changes"][0]["run"] == number
    assert (failing.counts["same"], failing.differing) == (2, 3)  # the third fails for the same reason


def test_what_was_not_stored_is_named(ran):
    """A field of the target that needs a value which was not kept is left out; a condition that does refuses."""
    world, number = ran
    draft(
        world,
        left={**RULE["left"], "where": "status != 'draft'"},
        fields=[*RULE["fields"], {"left": "changed", "right": "memo"}],
    )
    found = compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
    assert (found.left_out, counts(found)) == (("memo",), {"same": 5})
    draft(world, left={**RULE["left"], "where": "changed > ''"})
    with pytest.raises(
        NotComparable, match="The condition needs the field 'changed', whose values the run has not kept"
    ):
        compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
    draft(world, fields=[{"left": "changed", "right": "no"}], key={"left": "id", "right": "no"})
    with pytest.raises(NotComparable, match="Every field of the rule needs the field 'changed'"):
        compared(world.house, Wish("customers", ONE, DRAFT, (number,)))


def test_validations_refuse_in_the_comparison_too(ran):
    """A validation of the draft refuses records as it would in a run; uniqueness is left to runs."""
    world, number = ran
    checks = [
        {"name": "short", "check": "size(name) <= 3", "severity": "reject"},
        {"name": "once", "unique": ["phone"]},
        {"name": "unkept", "check": "changed != ''"},
    ]
    draft(world, left={**RULE["left"], "where": "status != 'draft'"}, validations=checks)
    found = compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
    assert found.counts["newly_failing"] == 1
    assert found.changes[0].change.key == "2"


def test_all_differences_are_written_to_a_file(ran):
    """The file has a line for each differing field, with cells that a spreadsheet does not execute."""
    world, number = ran
    title = {"left": "name", "right": "title", "to_right": "'=' + name.orDefault('x')"}
    draft(world, left={**RULE["left"], "where": "status != 'draft'"}, fields=fields(title, RULE["fields"][2]))
    text = "".join(difference_lines(world.house, Wish("customers", ONE, DRAFT, (number,)), ADMIN, str))
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0][:5] == ["run", "record", "key", "kind", "field"]
    assert rows[1][:7] == [str(number), "1", "1", "different", "title", "Ada", "'=Ada"]
    assert len(rows) == 7
    draft(world, left={**RULE["left"], "where": "changed > ''"})
    with pytest.raises(NotComparable):
        difference_lines(world.house, Wish("customers", ONE, DRAFT, (number,)), ADMIN, str)


def test_a_decision_table_is_compared_on_what_runs_asked_it(world):
    """The inputs are those that runs of other rules gave it, in the versions of tables that they had pinned."""
    rulebook.create(world.house, GREETING, ADMIN)
    rulebook.publish(world.house, "greeting", ADMIN)
    world.customers("Ada", "Beatrice", None)
    title = {"right": "title", "to_right": "greeting.word + ' ' + name"}
    world.rule(**{**ASKS, "fields": fields(title)})
    number = world.run().id
    rows = [{"when": ["< 3"], "then": ['"Hi"']}, {"when": [">= 3"], "then": ['"Dear"']}]
    rulebook.save_draft(world.house, "greeting", {**GREETING, "rows": rows}, ADMIN)
    with world.house.db.read() as tx:
        row = rulebook.get(tx, "greeting")
    assert [kept.id for kept in runs_with_values(world.house, row)] == [number]
    found = compared(world.house, Wish("greeting", ONE, DRAFT, (number,)))
    assert counts(found) == {"same": 2, "different": 1}
    change = found.changes[0].change
    assert (change.key, change.before, change.after) == ("1", {"greeting.word": "Hi"}, {"greeting.word": "Dear"})


def test_a_decision_table_is_compared_on_its_tests(world):
    """Where no run has asked it, the values of its tests serve."""
    rulebook.create(world.house, GREETING, ADMIN)
    rulebook.publish(world.house, "greeting", ADMIN)
    with pytest.raises(NotComparable, match="no tests of its own"):
        compared(world.house, Wish("greeting", ONE, DRAFT, ()))
    tests = [{"name": "short", "given": {"letters": 3}, "expect": {"word": "Dear"}}]
    rows = [{"when": ["-"], "then": ['"Dear"']}]
    rulebook.save_draft(world.house, "greeting", {**GREETING, "rows": rows, "tests": tests}, ADMIN)
    found = compared(world.house, Wish("greeting", ONE, DRAFT, ()))
    assert (counts(found), found.changes[0].change.key, found.changes[0].run) == ({"different": 1}, "short", None)
    bad = [{"name": "short", "given": {"letters": "x"}, "expect": {}}]
    rulebook.save_draft(world.house, "greeting", {**GREETING, "tests": bad}, ADMIN)
    with pytest.raises(NotComparable, match="is not a value of type"):
        compared(world.house, Wish("greeting", ONE, DRAFT, ()))


def test_what_there_is_not_is_said(ran):
    """Runs of other rules, runs without values and versions that there are not are refused in a sentence."""
    world, number = ran
    for wish, words in (
        (Wish("customers", "9", DRAFT, (number,)), "no version 9"),
        (Wish("customers", "x", DRAFT, (number,)), "no version x"),
        (Wish("customers", ONE, DRAFT, (999,)), "no run 999"),
    ):
        with pytest.raises(NotComparable, match=words):
            compared(world.house, wish)
    world.rule(explain=False)
    with pytest.raises(NotComparable, match="has kept no values"):
        compared(world.house, Wish("customers", ONE, "2", (world.run().id,)))
    draft(world, direction="right_to_left", fields=[{"left": "name", "right": "title"}, {"left": "id", "right": "no"}])
    with pytest.raises(NotComparable, match="read different sides"):
        compared(world.house, Wish("customers", ONE, DRAFT, (number,)))
