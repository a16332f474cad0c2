"""Cases keep in step with the records that wait: opened once, refreshed, decided, closed by the run."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from tests.cases.waiting import ADA, DOCUMENT, MATCH, PHONES, conflict, entry, make_rule, settle, wait
from webapp.audit import queries
from webapp.cases import deciding, history, rule_changes, services
from webapp.cases.services import Case, CaseMissing, CaseRefused, Wanted
from webapp.extensions import House
from webapp.rulebook import services as rulebook
from webapp.rulebook.errors import StaleDraft
from webapp.rulebook.side_names import side_names
from webapp.runs import pair_cases
from webapp.runs.models import run
from webapp.runs.pair_cases import AnswerRefused
from webapp.runs.pair_choices import ChoiceRefused

FOUR = conflict(*(entry(number, 1, 2) for number in (1, 2, 3, 4)))


@pytest.fixture
def rule(house: House) -> int:
    return make_rule(house)


def look(house: House, number: int = 1) -> Case:
    with house.db.read() as tx:
        return services.get(tx, number)


def deeds(house: House, number: int = 1) -> list[str]:
    with house.db.read() as tx:
        return [one.deed for one in history.of_case(tx, number)]


def records_asked(house: House) -> list[Any]:
    """Return what the runs over single records are about."""
    query = sa.select(run.c.parameters).where(run.c.kind == "records").order_by(run.c.id)
    with house.db.read() as tx:
        return [parameters["records"] for parameters in tx.scalars(query)]


def proposal(house: House, number: int = 1) -> rule_changes.Proposal | None:
    with house.db.read() as tx:
        pair = pair_cases.get(tx, look(house, number).pair_id or 0)
        names = side_names(tx, DOCUMENT)
        return rule_changes.propose(tx, pair, pair_cases.document_of(tx, pair), names)


def test_the_life_of_a_case_of_a_record(house: House, rule: int) -> None:
    """A record that waits has one case in plain words; new values drop the decision; the run closes the case."""
    first = wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    case = look(house)
    assert (case.title, case.subject) == ("Sales and erp disagree about phone", "Acme · account 1 · client 7")
    assert (case.kind, case.state, case.rule_name, case.situation) == ("sync", "open", "customers", "linked_conflict")
    run_id = deciding.decide(house, 1, {"fields": {"2": {"take": "left"}}, "seen": "s1"}, ADA)
    assert records_asked(house) == [[{"side": "left", "key": "1"}, {"side": "right", "key": "7"}]]
    wait(house, rule, ("1", "7", "linked_conflict", conflict(entry(2, "+86 3", "+86 2"))), seen="s2")
    wait(house, rule, ("1", "7", "linked_conflict", conflict(entry(1, "A", "B"))), seen="s3")
    assert look(house).title == "Sales and erp disagree about name"
    deciding.decide(house, 1, {"fields": {"1": {"take": "value", "value": "C"}}}, ADA)
    settle(house, rule, "1", "7", run_id or 0)
    case = look(house)
    assert (case.state, case.resolution, case.closed_by) == ("closed", "name: C", "run")
    done = ["opened", "answered", "sent", "dropped", "refreshed", "answered", "sent", "used"]
    assert deeds(house) == done
    with house.db.read() as tx:
        assert history.of_case(tx, 1)[0].run_id == first
        assert services.count(tx, Wanted(None)) == 1
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), seen="s4")
    assert look(house, 2).state == "open"


def test_a_run_that_meets_a_pair_twice_is_told_once(house: House, rule: int) -> None:
    """What a run itself has written between its two looks at a pair is no change while it waited."""
    run_id = wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), seen="s2", run_id=run_id)
    assert deeds(house) == ["opened"]
    wait(house, rule, ("1", "7", "linked_conflict", PHONES), seen="s3")
    assert deeds(house) == ["opened", "refreshed"]


def test_a_record_that_resolves_itself(house: House, rule: int) -> None:
    """Where both systems agree again, the case closes and says so; it cannot be opened again by hand."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    with pytest.raises(CaseRefused, match="Decide what happens"):
        services.close(house, 1, "whatever", ADA)
    settle(house, rule, "1", "7")
    assert (look(house).state, look(house).resolution) == ("closed", "Nothing was left to decide.")
    with pytest.raises(CaseRefused, match="settled"):
        services.reopen(house, 1, ADA)
    with pytest.raises(AnswerRefused, match="settled"):
        deciding.decide(house, 1, {"fields": {"2": {"take": "left"}}}, ADA)


def test_cases_of_a_rule_that_is_gone_can_be_closed(house: House, rule: int) -> None:
    """Without its rule no run carries a decision out: the decision is kept, and a person may close the case."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    rulebook.delete(house, "customers", ADA)
    assert deciding.decide(house, 1, {"fields": {"2": {"take": "left"}}}, ADA) is None
    services.close(house, 1, "not needed any more", ADA)
    assert look(house).state == "closed"
    with house.db.read() as tx:
        assert pair_cases.get(tx, look(house).pair_id or 0).state == "settled"


@pytest.mark.parametrize(
    ("situation", "details", "title"),
    [
        ("linked_conflict", FOUR, "Sales and erp disagree about name, phone, credit and 1 more"),
        ("linked_changed", PHONES, "A change waits: phone"),
        ("deleted_left", {"right": {"no": 7, "title": "Acme"}}, "Deleted in Sales, still in erp"),
        ("deleted_right", {"left": {"id": 1}}, "Deleted in erp, still in Sales"),
        ("edit_vs_delete", {"right": {"no": 7}}, "Changed in erp, deleted in Sales"),
        ("disputed", MATCH, "Several possible partners in erp"),
        ("review", MATCH, "Perhaps the same record in Sales and erp"),
        ("unmatched_right", {"right": {"no": 7}}, "Only in erp, not in Sales"),
        ("out_of_scope", {"left": {"id": 1}}, "No longer meets the condition of the rule"),
        ("never_heard_of", {}, "A record waits for a decision"),
    ],
)  # fmt: skip
def test_titles(house: House, rule: int, situation: str, details: dict[str, Any], title: str) -> None:
    """Each situation is told in plain words, with the names that people gave their systems."""
    wait(house, rule, ("1", "7", situation, details))
    assert look(house).title == title


def test_sides_in_one_connection_are_told_apart() -> None:
    """Where both sides are in one system, its objects tell them apart."""
    document = {side: {"connection": "crm", "object": name} for side, name in (("left", "a"), ("right", "b"))}
    with sa.create_engine("sqlite://").connect() as tx:
        tx.execute(sa.text("CREATE TABLE connection (name TEXT, label TEXT)"))
        names = side_names(tx, document)
    assert (names.left, names.right) == ("crm › a", "crm › b")


def test_many_are_decided_at_once(house: House, rule: int) -> None:
    """A choice for many is the same for each case of its kind, in one run a rule; what does not fit stays open."""
    rows = [(str(n), str(n), "linked_conflict", PHONES) for n in range(1, 252)]
    wait(house, rule, *rows, ("900", None, "review", MATCH), ("901", None, "review", {"left": {"id": 901}}))
    with house.db.read() as tx:
        waiting = deciding.select(tx, Wanted("open", rule_name="customers"))
        would = deciding.would_decide(tx, waiting, {"take": "right"})
    assert (len(waiting), len(would.cases), len(would.left_out)) == (253, 251, 2)
    chosen = {
        ("customers", "linked_conflict"): {"take": "right"},
        ("customers", "review"): {"record": "link"},
    }
    done = deciding.decide_many(house, waiting, chosen, ADA)
    assert (len(done.cases), [case for case, _ in done.left_out], len(done.runs)) == (252, [253], 1)
    (asked,) = records_asked(house)
    assert len(asked) == 251 * 2 + 1
    with house.db.read() as tx:
        assert pair_cases.get(tx, look(house, 252).pair_id or 0).answer == {"record": "link", "key": "9"}
        assert services.undecided(tx, services.listing(tx, Wanted("open"), 500)) == {253}
    assert deciding.decide_many(house, waiting, {}, ADA).cases == []


def test_a_rule_that_flows_one_way_is_asked_on_its_source(house: House) -> None:
    """A rule that reads one side only is asked for the record by its key there."""
    one_way = {
        "direction": "left_to_right",
        "fields": [{"left": "id", "right": "no"}, {"left": "phone", "right": "tel"}],
    }
    rule_id = make_rule(house, **one_way)
    wait(house, rule_id, ("1", "7", "out_of_scope", {"left": {"id": 1}}))
    deciding.decide(house, 1, {"record": "unlink"}, ADA)
    assert records_asked(house) == [[{"side": "left", "key": "1"}]]


def test_what_many_cannot_be_asked(house: House, rule: int) -> None:
    """A side is left or right; cases without a record of a rule have nothing to decide."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    services.open_case(house, services.NewCase("manual", "By hand"), ADA)
    with house.db.read() as tx:
        (one,) = deciding.select(tx, Wanted("open"))
    with pytest.raises(ChoiceRefused, match="left or right"):
        deciding.whole_choice(one.pair, DOCUMENT, {"take": "top"})
    with pytest.raises(CaseRefused, match="not about a record"):
        deciding.decide(house, 2, {"record": "delete"}, ADA)
    with pytest.raises(CaseMissing):
        deciding.decide(house, 9, {"record": "delete"}, ADA)


def test_many_are_given_to_somebody(house: House, rule: int) -> None:
    """Open cases of a selection change hands, each with a line of its own."""
    wait(house, rule, *((str(n), str(n), "linked_conflict", PHONES) for n in (1, 2, 3)), days=2)
    services.assign(house, 1, "ben", ADA)
    assert services.assign_many(house, Wanted("open"), "ben", ADA) == 2
    assert deeds(house, 3) == ["opened", "assigned"]
    with house.db.read() as tx:
        now = house.clock()
        assert services.counts(tx, Wanted("open"), "assignee") == {"ben": 3}
        assert services.count(tx, Wanted("open", opened_before=now, upto=2, assignee="ben")) == 2
        assert services.count(tx, Wanted("open", nobodys=True)) == 0
        assert services.next_open(tx, 2, "customers") == 3
        assert services.next_open(tx, 3, "customers") == 1


def test_from_now_on_for_fields(house: House, rule: int) -> None:
    """Fields taken from a side become conflict policies in the draft; values of one's own say nothing for all."""
    three = conflict(entry(1, "A", "B"), entry(2, "1", "2"), entry(3, "1.00", "2.00"))
    wait(house, rule, ("1", "7", "linked_conflict", three))
    assert proposal(house) is None
    takes = {"1": {"take": "left"}, "2": {"take": "value", "value": "3"}, "3": {"take": "right"}}
    deciding.decide(house, 1, {"fields": takes}, ADA)
    found = rule_changes.refuse_nothing(proposal(house))
    assert [str(one) for one in found.sentences] == [
        "When both change name, Sales wins.",
        "When both change credit, erp wins.",
    ]
    assert set(found.changes.after) == {"fields/title/conflict", "fields/ceiling/conflict"}
    with pytest.raises(StaleDraft):
        rule_changes.apply(house, 1, found, found.rule.draft_version - 1, ADA)
    rule_changes.apply(house, 1, found, found.rule.draft_version, ADA)
    with house.db.read() as tx:
        row = rulebook.get(tx, "customers")
        tags = [one.tag for one in queries.page(tx, queries.Filter(), 3)]
    assert row.draft is not None
    assert [one.get("conflict") for one in row.draft["fields"]] == [None, "left", None, "right", None]
    assert row.published == DOCUMENT
    assert {"cases:case:generalised", "rulebook:rule:updated"} <= set(tags)
    assert proposal(house) is None
    assert deeds(house)[-1] == "generalised"


@pytest.mark.parametrize(
    ("situation", "details", "choice", "change"),
    [
        ("deleted_left", {"right": {"no": 1}}, {"record": "delete"}, {"situations/deleted_left": "delete"}),
        ("edit_vs_delete", {"left": {"id": 1}}, {"record": "recreate"}, {"situations/edit_vs_delete": "recreate"}),
        ("unmatched_left", {"left": {"id": 1}}, {"record": "keep"}, {"situations/unmatched_left": "ignore"}),
        ("review", MATCH, {"record": "link", "key": "9"}, {"auto_link": 0.85}),
        ("review", MATCH, {"record": "create"}, {"review": 0.86}),
        ("review", {"left": {"id": 1}, "candidates": [{"key": "1", "confidence": 0.95}]}, {"record": "create"}, None),
        ("review", {"left": {"id": 1}, "candidates": [{"key": "1"}]}, {"record": "link", "key": "1"}, None),
        ("disputed", MATCH, {"record": "link", "key": "8"}, None),
        ("unlinked", MATCH, {"record": "link", "key": "8"}, {"situations/unlinked": "link_update"}),
    ],
)
def test_from_now_on_for_records(
    house: House, rule: int, situation: str, details: dict[str, Any], choice: dict[str, Any], change: Any
) -> None:
    """What was decided about a record becomes the action of its situation, or moves the borders of matching."""
    wait(house, rule, ("1", "7", situation, details))
    deciding.decide(house, 1, choice, ADA)
    found = proposal(house)
    if change is None:
        assert found is None
        with pytest.raises(CaseRefused, match="this record only"):
            rule_changes.refuse_nothing(found)
        return
    assert found is not None
    (path,) = change
    place, _slash, name = path.partition("/")
    assert (found.document[place][name] if name else found.document[place]) == change[path]
    assert len(found.changes) == len(found.sentences) == 1


def test_a_field_that_has_left_the_rule(house: House, rule: int) -> None:
    """A decision about a field that the rule no longer has cannot be turned into a policy."""
    wait(house, rule, ("1", "7", "linked_conflict", PHONES))
    deciding.decide(house, 1, {"fields": {"2": {"take": "left"}}}, ADA)
    document = {**DOCUMENT, "fields": [one for one in DOCUMENT["fields"] if one["left"] != "phone"]}
    rulebook.save_draft(house, "customers", document, ADA)
    assert proposal(house) is None
