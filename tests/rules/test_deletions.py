"""Rules that are told of deletions: what may be said, which side is asked, and which fields that takes."""

from __future__ import annotations

from typing import Any

import pytest

from rules.documents import parse_sync
from rules.documents.check import check_sync
from rules.documents.sync import SideName
from rules.reconcile.agreement import executed
from rules.reconcile.tombstones import told, tombstones
from rules.reconcile.used import used_fields
from rules.schema import Field, FieldType, Schema

FIELDS = (
    Field("id", FieldType.INTEGER, nullable=False),
    Field("gone", FieldType.BOOLEAN, nullable=False),
    Field("at", FieldType.DATETIME),
)
SCHEMA = Schema(FIELDS, ("id",))
SCHEMAS = {SideName.LEFT: SCHEMA, SideName.RIGHT: SCHEMA}
MARKED = {"detect": "tombstone", "when": "gone"}


def rule(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "sync",
        "name": "a",
        "left": {"connection": "c", "object": "o"},
        "right": {"connection": "d", "object": "p"},
        "key": {"left": "id", "right": "id"},
        "fields": [{"left": "id", "right": "id"}],
        **changes,
    }


def problems(left: Schema | None = SCHEMA, right: Schema | None = SCHEMA, **changes: Any) -> dict[str, str]:
    found = check_sync(parse_sync(rule(**changes)), left, right)
    return {problem.path: str(problem.message) for problem in found if problem.path.startswith(("deletes", "situ"))}


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"deletes": {"detect": "tombstone"}}, "deletes/when", "Say which records are deleted"),
    ({"deletes": {**MARKED, "when": "gon"}}, "deletes/when", "Did you mean 'gone'"),
    ({"deletes": {**MARKED, "when_right": "gone"}}, "deletes/when_right", "asks its source only"),
    ({"deletes": {"when": "gone"}}, "deletes/when", "only where deletions are noticed by tombstone"),
    ({"deletes": MARKED, "situations": {"deleted_left": "recreate"}}, "situations/deleted_left", "is still there"),
    (
        {"deletes": MARKED, "direction": "two_way", "situations": {"edit_vs_delete": "recreate"}},
        "situations/edit_vs_delete",
        "is still there",
    ),
]


@pytest.mark.parametrize(("said", "path", "why"), WRONG)
def test_what_is_wrong_is_said_at_its_place(said: dict[str, Any], path: str, why: str):
    """A condition that is missing, wrong or never asked, and a record that cannot be created again."""
    assert why in problems(**said)[path]


def test_what_is_not_known_is_not_checked():
    """Without the fields of a side its condition is left alone; one that is right has no problems."""
    assert problems(left=None, deletes={**MARKED, "when": "gon"}) == {}
    assert problems(deletes=MARKED) == {}
    both = {"direction": "two_way", "deletes": {**MARKED, "when_right": "at != null"}}
    assert problems(**both) == {}
    assert problems(deletes={"detect": "event"}) == {}


def test_a_condition_that_is_always_the_same_is_warned_of():
    """Warnings of the language stand at the condition."""
    assert "deletes/when" in problems(deletes={**MARKED, "when": "id == id || gone || true"})


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, {SideName.LEFT}),
        ({"direction": "right_to_left"}, {SideName.RIGHT}),
        ({"direction": "two_way"}, {SideName.LEFT}),
        ({"direction": "two_way", "deletes": {**MARKED, "when_right": "gone"}}, {SideName.LEFT, SideName.RIGHT}),
        ({"situations": {"deleted_left": "case"}}, {SideName.LEFT}),
        ({"deletes": {"detect": "full_scan"}}, set()),
        ({"deletes": {"detect": "event"}}, {SideName.LEFT}),
        ({"direction": "two_way", "deletes": {"detect": "event"}}, {SideName.LEFT, SideName.RIGHT}),
    ],
)
def test_which_sides_tell_of_deletions(changes: dict[str, Any], asked: set[SideName]):
    """The source, or both sides of a two-way rule, also where a one-way rule is executed like one."""
    made = executed(parse_sync(rule(**{"deletes": MARKED, **changes})))
    assert {side for side in SideName if told(made, side)} == asked
    if made.deletes.detect == "tombstone":
        assert set(tombstones(made)) == asked


def test_the_fields_of_a_mark_are_used():
    """A change of the field that says what is deleted is noticed like that of any other field that is read."""
    used = used_fields(parse_sync(rule(deletes=MARKED)), SCHEMAS)
    assert used[SideName.LEFT] == {"id", "gone"}
    assert used[SideName.RIGHT] == {"id"}
    assert used_fields(parse_sync(rule(deletes=MARKED)), {SideName.RIGHT: SCHEMA})[SideName.RIGHT] == {"id"}
