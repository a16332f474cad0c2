"""Pairs that wait for a person: opened once, refreshed while they wait, answered for what was seen, then settled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from rules.schema import Field, FieldType, Schema
from tests.runs.conftest import ADMIN, World
from webapp.audit import queries
from webapp.runs import hooks, pair_cases, reading
from webapp.runs.hooks import PairDeed, PairsMoved
from webapp.runs.models import run
from webapp.runs.pair_cases import AnswerRefused, PairCase
from webapp.runs.pair_choices import ChoiceRefused
from webapp.runs.requests import RunRefused, records

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
RULE = 7
LEFT = Schema(
    (
        Field("id", FieldType.INTEGER),
        Field("name", FieldType.TEXT, nullable=False, length=9),
        Field("price", FieldType.DECIMAL, scale=2),
    ),
    ("id",),
)
DOCUMENT = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "customer"},
    "right": {"connection": "erp", "object": "client"},
    "key": {"left": "id", "right": "no"},
    "direction": "two_way",
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "title"}, {"left": "price", "right": "cost"}],
}
CONFLICT = {
    "fields": [
        {"field": "name / title", "left": {"name": "name", "value": "A"}, "right": {"name": "title", "value": "B"}},
        {"field": "price / cost", "left": {"name": "price", "value": "1.50"}, "right": {"name": "cost", "value": None}},
    ]
}
MATCH: dict[str, Any] = {
    "left": {"id": 1},
    "candidates": [{"key": "7", "confidence": 0.8}, {"key": "8", "confidence": 0.7}],
}


@pytest.fixture
def told() -> Iterator[list[PairsMoved]]:
    """Return what the rooms above are told."""
    heard: list[PairsMoved] = []

    def hear(_tx: sa.Connection, moved: PairsMoved) -> None:
        heard.append(moved)

    hooks.pairs.append(hear)
    yield heard
    hooks.pairs.remove(hear)


def row(
    one: str | None, other: str | None, /, seen: str = "s1", situation: str = "linked_conflict", **more: Any
) -> Any:
    details = more or CONFLICT
    return {
        "left_key": one,
        "right_key": other,
        "situation": situation,
        "details": json.dumps(details),
        "seen": seen,
    }


def frame(*rows: Any) -> pl.DataFrame:
    names = ("left_key", "right_key", "situation", "details", "seen")
    return pl.DataFrame(list(rows), schema=dict.fromkeys(names, pl.String()), orient="row")


def wait(world: World, *rows: Any, run_id: int = 1, at: datetime = NOW) -> None:
    with world.house.db.begin() as tx:
        pair_cases.wait(tx, RULE, "customers", run_id, frame(*rows), at)


def settle(world: World, *pairs: str, run_id: int = 2) -> None:
    with world.house.db.begin() as tx:
        pair_cases.settle(tx, RULE, pairs, run_id, NOW, "run")


def answer(world: World, case: int, choice: Any) -> None:
    with world.house.db.begin() as tx:
        pair_cases.answer(tx, case, choice, ADMIN, NOW)


def waiting(world: World) -> list[dict[str, Any]]:
    with world.house.db.read() as tx:
        return pair_cases.answers(tx, RULE).to_dicts()


def look(world: World, case: int = 1) -> PairCase:
    with world.house.db.read() as tx:
        return pair_cases.get(tx, case)


def make_run(world: World, **values: Any) -> int:
    """Store a run that has met pairs."""
    common = {"rule_id": RULE, "rule_name": "customers", "document": DOCUMENT, "mode": "live", "kind": "sync"}
    state = {"state": "running", "counts": {}, "requested_by": "ada", "requested_at": NOW, **values}
    with world.house.db.begin() as tx:
        return int(tx.execute(sa.insert(run).values({**common, **state})).inserted_primary_key[0])  # type: ignore[index]


KEYS = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=400)


@given(KEYS, KEYS, KEYS, KEYS)
def test_names_tell_pairs_apart(left: str | None, right: str | None, other: str | None, another: str | None) -> None:
    """Two pairs have the same name only if they have the same keys; a name fits its column."""
    one, two = pair_cases.pair_name(left, right), pair_cases.pair_name(other, another)
    assert (one == two) == ((left, right) == (other, another))
    assert len(one) <= pair_cases.NAME_LENGTH
    assert "\x00" not in one


def test_a_pair_is_opened_once_and_refreshed(world: World, told: list[PairsMoved]) -> None:
    """While a pair waits there is one row of it; the same values say nothing new, other values are told."""
    wait(world, row("1", "7"), row(None, "8"), row("1", "7"))
    assert [one["pair"] for one in waiting(world)] == ['["1", "7"]', '[null, "8"]']
    wait(world, row("1", "7"), run_id=2, at=NOW + timedelta(hours=1))
    wait(world, row("1", "7", "s2"), run_id=3)
    wait(world)
    case = look(world)
    assert (case.seen, case.run_id, case.first_at, case.state) == ("s2", 3, NOW, "open")
    assert [(one.deed, one.cases) for one in told] == [(PairDeed.OPENED, (1, 2)), (PairDeed.REFRESHED, (1,))]
    assert told[1] == PairsMoved(PairDeed.REFRESHED, (1,), "customers", 3, "Syncline", NOW)


def test_an_answer_holds_for_what_was_seen(world: World, told: list[PairsMoved]) -> None:
    """An answer stays while the values stay; other values, or another situation, drop it."""
    run_id = make_run(world)
    wait(world, row("1", "7"), run_id=run_id)
    choice = {"fields": {"1": {"take": "left"}, "2": {"take": "right"}}}
    answer(world, 1, {**choice, "seen": "s1"})
    wait(world, row("1", "7"), run_id=run_id)
    assert [json.loads(one["answer"]) for one in waiting(world)] == [choice]
    assert (look(world).state, look(world).answered_by, look(world).answered_at) == ("answered", "ada", NOW)
    wait(world, row("1", "7", "s2"), run_id=run_id)
    assert [(one["state"], one["answer"]) for one in waiting(world)] == [("open", None)]
    with pytest.raises(AnswerRefused, match="changed since you looked"):
        answer(world, 1, {**choice, "seen": "s1"})
    answer(world, 1, choice)
    wait(world, row("1", "7", "s2", "edit_vs_delete"), run_id=run_id)
    assert look(world).answer is None
    deeds = [one.deed.value for one in told]
    assert deeds == ["opened", "answered", "dropped", "answered", "dropped"]


def test_settled_pairs_are_told_apart(world: World, told: list[PairsMoved]) -> None:
    """A run settles what it has carried out and what has resolved itself; afterwards the pair may wait again."""
    run_id = make_run(world)
    wait(world, row("1", "7"), row("2", "8"), row("3", "9"), run_id=run_id)
    answer(world, 1, {"fields": {"1": {"take": "left"}, "2": {"take": "left"}}})
    settle(world, pair_cases.pair_name("1", "7"), pair_cases.pair_name("2", "8"), "nothing")
    settle(world, pair_cases.pair_name("1", "7"))
    assert [one["left_key"] for one in waiting(world)] == ["3"]
    assert [(one.deed.value, one.cases, one.run_id) for one in told[2:]] == [("used", (1,), 2), ("resolved", (2,), 2)]
    assert (look(world).state, look(world).answer is None) == ("settled", False)
    with pytest.raises(AnswerRefused, match="settled already"):
        answer(world, 1, {"fields": {}})
    wait(world, row("1", "7"), run_id=run_id)
    assert [one["left_key"] for one in waiting(world)] == ["3", "1"]
    with world.house.db.read() as tx:
        tags = [one.tag for one in queries.page(tx, queries.Filter(), 100) if one.tag.startswith("cases:")]
        assert set(pair_cases.find(tx, [1, 2, 99])) == {1, 2}
    assert tags == ["cases:cases:opened", "cases:cases:settled", "cases:case:answered", "cases:cases:opened"]


def test_many_pairs_wait(world: World) -> None:
    """More pairs than one statement takes are opened, met again and settled."""
    rows = [row(str(number), None, situation="unmatched_left", left={"id": number}) for number in range(1, 1202)]
    wait(world, *rows)
    wait(world, *rows, run_id=2)
    assert look(world, 1201).run_id == 2
    settle(world, *(pair_cases.pair_name(str(number), None) for number in range(1, 1202)))
    assert waiting(world) == []


def test_other_rules_pairs_stay(world: World) -> None:
    """The same keys under another rule are another pair."""
    wait(world, row("1", "7"))
    with world.house.db.begin() as tx:
        pair_cases.wait(tx, RULE + 1, "orders", 1, frame(row("1", "7")), NOW)
        pair_cases.settle(tx, RULE + 1, [pair_cases.pair_name("1", "7")], 2, NOW, "run")
    assert len(waiting(world)) == 1


def test_odd_keys_and_values_are_kept(world: World) -> None:
    """Long keys are known in full, and NUL does not stop a database that cannot store it."""
    long = "k" * 300
    wait(world, row(long, "a\x00b", left={"name": "x\x00y", "tags": ["\x00", 1]}))
    case = look(world)
    assert case.keys == {"left": long, "right": "a\ufffdb"}
    assert len(case.left_key or "") == 255
    assert case.details["left"] == {"name": "x\ufffdy", "tags": ["\ufffd", 1]}
    assert case.pair == pair_cases.pair_name(long, "a\x00b")


@pytest.mark.parametrize(
    ("choice", "why"),
    [
        ({}, "Choose either"),
        ({"fields": {}, "record": "delete"}, "Choose either"),
        ({"fields": {}, "more": 1}, "Choose either"),
        ({"record": "delete"}, "Choose a value for each field"),
        ({"fields": {}}, "Choose a value for 'name / title'"),
        ({"fields": []}, "Choose a value for 'name / title'"),
        ({"fields": {"1": {"take": "left"}}}, "Choose a value for 'price / cost'"),
        ({"fields": {"1": {"take": "both"}, "2": {"take": "left"}}}, "Choose a value for 'name / title'"),
        ({"fields": {"1": {"take": "value"}, "2": {"take": "left"}}}, "Choose a value for 'name / title'"),
        ({"fields": {"1": "left", "2": {"take": "left"}}}, "Choose a value for 'name / title'"),
        ({"fields": {"0": {"take": "left"}, "1": {"take": "left"}, "2": {"take": "left"}}}, "Field 0 of the rule"),
        ({"fields": {"1": {"take": "value", "value": None}, "2": {"take": "left"}}}, "cannot be empty"),
        ({"fields": {"1": {"take": "value", "value": "x" * 10}, "2": {"take": "left"}}}, "at most 9 characters"),
        ({"fields": {"1": {"take": "left"}, "2": {"take": "value", "value": "1.555"}}}, "not a value of type decimal"),
        ({"fields": {"1": {"take": "left"}, "2": {"take": "value", "value": "much"}}}, "not a value of type decimal"),
    ],
)
def test_choices_that_do_not_fit(world: World, choice: Any, why: str) -> None:
    """What leaves a field open, names others or is no value of its field is refused with a reason."""
    noted = [{"chunk": 1, "source": LEFT.to_json(), "target": LEFT.to_json()}]
    wait(world, row("1", "7"), run_id=make_run(world, schemas=noted))
    with pytest.raises(ChoiceRefused, match=why):
        answer(world, 1, choice)
    assert look(world).answer is None


def test_values_of_a_persons_own(world: World) -> None:
    """A value is checked against the left field where its type is known; a field in question may state its number."""
    noted = [{"chunk": 1, "source": LEFT.to_json(), "target": Schema(()).to_json()}]
    run_id = make_run(world, schemas=noted)
    own = {"fields": {"1": {"take": "value", "value": "Acme"}, "2": {"take": "value", "value": None}}}
    wait(world, row("1", "7"), run_id=run_id)
    answer(world, 1, own)
    assert look(world).answer == own
    entry = {"index": 2, "field": "cost", "right": {"name": "cost", "value": 1}}
    wait(world, row("2", "8", fields=[entry, {"left": {"name": "gone", "value": 1}}]), run_id=make_run(world))
    answer(world, 2, {"fields": {"2": {"take": "value", "value": ["anything"]}}})
    assert look(world, 2).answer == {"fields": {"2": {"take": "value", "value": ["anything"]}}}


@pytest.mark.parametrize(
    ("situation", "choice", "why"),
    [
        ("deleted_left", {"record": "delete"}, None),
        ("edit_vs_delete", {"record": "recreate"}, None),
        ("edit_vs_delete", {"fields": {}}, "Choose what happens to the record: delete, recreate, unlink"),
        ("deleted_right", {"record": "link", "key": "7"}, "Choose what happens to the record"),
        ("review", {"record": "link", "key": "7"}, None),
        ("disputed", {"record": "link", "key": "9"}, "Choose one of the possible partners"),
        ("disputed", {"record": "link"}, "Choose one of the possible partners"),
        ("review", {"record": "create", "key": "7"}, None),
        ("unmatched_left", {"record": "keep"}, None),
        ("out_of_scope", {"record": "unlink"}, None),
        ("never_heard_of", {"record": "unlink"}, "Choose a value for each field"),
    ],
)
def test_choices_for_records(world: World, situation: str, choice: Any, why: str | None) -> None:
    """Each situation has its own choices; a link needs one of the possible partners."""
    wait(world, row("1", None, situation=situation, **MATCH))
    if why:
        with pytest.raises(ChoiceRefused, match=why):
            answer(world, 1, choice)
        return
    answer(world, 1, choice)
    kept = choice if choice["record"] == "link" else {"record": choice["record"]}
    assert look(world).answer == kept


def test_cases_that_are_not_there(world: World) -> None:
    """A number without a case is told."""
    with pytest.raises(AnswerRefused, match="There is no case 5"):
        answer(world, 5, {"record": "delete"})


def test_a_run_for_single_records(world: World) -> None:
    """A run over single records is requested with what it is about; not for nothing or a wrong side."""
    world.rule()
    wanted = [{"side": "left", "key": "42"}, {"side": "left", "key": "43"}]
    with world.house.db.begin() as tx:
        run_id = records(world.house, "customers", wanted, ADMIN, tx)
        stored = tx.execute(sa.select(run).where(run.c.id == run_id)).one()
        assert (stored.kind, stored.mode, stored.parameters) == ("records", "live", {"records": wanted})
        assert reading.get(tx, run_id).state == "queued"
        for rule, chosen, why in (
            ("customers", [], "at least one record"),
            ("customers", [{"side": "top", "key": "1"}], "not a side"),
            ("others", wanted, "not published"),
        ):
            with pytest.raises(RunRefused, match=why):
                records(world.house, rule, chosen, ADMIN, tx)


def test_the_left_side_of_a_rule_that_flows_left(world: World) -> None:
    """A rule that reads the right side has noted its left fields as those of its target."""
    noted = [{"chunk": 1, "source": Schema(()).to_json(), "target": LEFT.to_json()}]
    run_id = make_run(world, schemas=noted, document={**DOCUMENT, "direction": "right_to_left"})
    with world.house.db.read() as tx:
        schemas = pair_cases.schemas_of(tx, run_id, {**DOCUMENT, "direction": "right_to_left"})
        assert (schemas["left"].names, schemas["right"].names) == (("id", "name", "price"), ())
