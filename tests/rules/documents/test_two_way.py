"""What a rule that flows both ways has to say, and what is wrong with one that does not."""

# ruff: noqa: E501 - one case a line reads best

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rules.documents import load_documents, parse_sync
from rules.documents.check import check_sync
from rules.documents.check_two_way import check_deactivation, check_two_way
from rules.documents.flows import flows
from rules.documents.sync import SideName
from rules.language.problems import Severity
from rules.schema import Field, FieldType, Schema
from tests.rules.reference import RULES

LEFT = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False),
        Field("phone"),
        Field("tags", FieldType.JSON),
        Field("credit", FieldType.DECIMAL, scale=2),
        Field("active", FieldType.BOOLEAN, nullable=False),
        Field("seen", FieldType.DATETIME),
        Field("noted", FieldType.LOCAL_DATETIME),
        Field("serial", FieldType.INTEGER, generated=True),
        Field("photo", FieldType.BINARY),
    ),
    ("id",),
)
RIGHT = Schema(
    (
        Field("no", nullable=False),
        Field("tel"),
        Field("labels", FieldType.JSON),
        Field("limit", FieldType.DECIMAL, scale=4),
        Field("closed", FieldType.DATE),
        Field("changed", FieldType.DATETIME),
    ),
    ("no",),
)
BASE: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "Account"},
    "right": {"connection": "erp", "object": "Customer"},
    "direction": "two_way",
    "key": {"left": "id", "right": "no"},
    "detect": {"left": {"field": "seen"}, "right": {"field": "changed"}},
    "fields": [
        {"left": "id", "right": "no"},
        {"left": "phone", "right": "tel"},
        {"left": "tags", "right": "labels"},
        {"left": "credit", "right": "limit"},
    ],
    "situations": {"unmatched_left": "ignore", "unmatched_right": "ignore"},
}


def rule(**changes: Any) -> dict[str, Any]:
    """Return the document with keys changed: `fields__1__conflict="left"`."""
    document = deepcopy(BASE)
    for path, value in changes.items():
        *way, last = path.split("__")
        place: Any = document
        for part in way:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[last] = value
    return document


def said(document: dict[str, Any], left: Schema | None = LEFT, right: Schema | None = RIGHT) -> list[tuple[str, ...]]:
    """Return the path, the weight and the sentence of everything that a two-way rule or a deactivation lacks."""
    known = {SideName.LEFT: left, SideName.RIGHT: right}
    schemas = {side: schema for side, schema in known.items() if schema is not None}
    made = parse_sync(document)
    found = [*check_two_way(made, schemas), *check_deactivation(made, schemas)]
    whole = [(p.path, str(p.message)) for p in check_sync(made, left, right)]
    assert all((p.path, str(p.message)) in whole for p in found)
    return [(p.path, p.severity.value, str(p.message)) for p in found]


MISTAKES: list[tuple[dict[str, Any], str, str, str]] = [
    ({"situations__linked_unchanged": "update"}, "situations/linked_unchanged", "error", "A two-way rule writes nothing to pairs that have not changed. Choose ignore."),
    ({"fields__1__strength": "strong"}, "fields/1/strength", "error", "A field that flows both ways has no side that is always right. Choose a direction, or another strength."),
    ({"fields__1__to_right": "phone.trim()"}, "fields/1/to_left", "warning", "Values flow to 'phone' as they are, but through an expression the other way. Write to_left too, or choose a direction."),
    ({"fields__1__to_left": "tel.trim()"}, "fields/1/to_right", "warning", "Values flow to 'tel' as they are, but through an expression the other way. Write to_right too, or choose a direction."),
    ({"fields__1__conflict": "expression"}, "fields/1/resolve", "error", "Say under resolve which value both sides get, like left > right ? left : right."),
    ({"fields__1__resolve": "left"}, "fields/1/resolve", "error", "resolve is asked only with conflict: expression."),
    ({"fields__1__conflict": "expression", "fields__1__resolve": "lef"}, "fields/1/resolve", "error", "There is no field 'lef' in resolve. Did you mean 'left'?"),
    ({"fields__3__conflict": "expression", "fields__3__resolve": "true"}, "fields/3/resolve", "error", "A boolean value does not fit 'credit', which is decimal. Write an expression."),
    ({"fields__0__conflict": "expression", "fields__0__resolve": "left / right"}, "fields/0/resolve", "warning", "Two whole numbers are divided without a fraction: 7 / 2 is 3. Write / 2.0 to keep it."),
    ({"fields__1__conflict": "union"}, "fields/1/conflict", "error", "'phone' is text: only lists in JSON fields can be joined; a person settles its conflicts."),
    ({"conflict__default": "union"}, "fields/1/conflict", "warning", "'tel' is text: only lists in JSON fields can be joined; a person settles its conflicts."),
    ({"fields__2__conflict": "max"}, "fields/2/conflict", "error", "'tags' is json, which has no order: choose another way to settle its conflicts."),
    ({"conflict__default": "min"}, "fields/2/conflict", "warning", "'labels' is json, which has no order: choose another way to settle its conflicts."),
    ({"conflict__default": "newer", "detect__left": {}}, "detect/left/field", "error", "Conflicts go to the newer record: name the field that says when a record of crm Account last changed."),
    ({"fields__1__conflict": "newer", "detect__right": {"field": "tel"}}, "detect/right/field", "error", "'tel' is text, so it does not say which record is newer. Name a date or time of change."),
    ({"fields__1__conflict": "newer", "detect__left": {"field": "noted"}}, "detect", "error", "One side tells the time of change with its zone and the other without, so they cannot be compared."),
    ({"situations__deleted_left": "deactivate"}, "deletes/deactivate/right", "error", "Say which field of erp Customer is set, and to what, when a record is deactivated."),
    ({"situations__deleted_right": "deactivate"}, "deletes/deactivate/left", "error", "Say which field of crm Account is set, and to what, when a record is deactivated."),
    ({"situations__edit_vs_delete": "deactivate"}, "deletes/deactivate/left", "error", "Say which field of crm Account is set, and to what, when a record is deactivated."),
    ({"situations__unmatched_right": "deactivate"}, "deletes/deactivate/right", "error", "Say which field of erp Customer is set, and to what, when a record is deactivated."),
    ({"situations__out_of_scope": "deactivate", "left__where": "active"}, "deletes/deactivate/right", "error", "Say which field of erp Customer is set, and to what, when a record is deactivated."),
    ({"situations__out_of_scope": "deactivate", "right__where": "tel != null"}, "deletes/deactivate/left", "error", "Say which field of crm Account is set, and to what, when a record is deactivated."),
    ({"deletes__deactivate__left": {"field": "activ", "value": False}}, "deletes/deactivate/left/field", "error", "There is no field 'activ' in crm Account. Did you mean 'active'?"),
    ({"deletes__deactivate__left": {"field": "id", "value": 0}}, "deletes/deactivate/left/field", "error", "'id' cannot be set when a record is deactivated: it is the key, or the system fills it in."),
    ({"deletes__deactivate__left": {"field": "serial", "value": 0}}, "deletes/deactivate/left/field", "error", "'serial' cannot be set when a record is deactivated: it is the key, or the system fills it in."),
    ({"deletes__deactivate__left": {"field": "photo", "value": "none"}}, "deletes/deactivate/left/value", "error", "A text value does not fit 'photo', which is binary. Write an expression."),
    ({"deletes__deactivate__left": {"field": "active", "value": "perhaps"}}, "deletes/deactivate/left/value", "error", "'perhaps' is neither true nor false (nor 1 or 0), which 'active' needs."),
    ({"deletes__deactivate__right": {"field": "closed", "value": "31.12.2024"}}, "deletes/deactivate/right/value", "error", "'31.12.2024' is not a date like 2024-01-31, which 'closed' needs."),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "path", "severity", "message"), MISTAKES)
def test_mistakes(changes: dict[str, Any], path: str, severity: str, message: str) -> None:
    """Each mistake is told at the path of its key, in plain words; a default that does not fit a field only warns."""
    assert (path, severity, message) in said(rule(**changes))


GOOD: list[dict[str, Any]] = [
    {},
    {"conflict__default": "newer"},
    {"conflict__default": "newer", "detect": {}, "fields": [{"left": "phone", "right": "tel", "strength": "weak"}]},
    {"conflict__default": "newer", "detect": {}, "fields": [{"left": "phone", "right": "tel", "on": ["create"]}]},
    {"conflict__default": "newer", "detect": {}, "fields": [{"left": "phone", "right": "tel", "direction": "left_to_right"}]},
    {"fields__1__direction": "left_to_right", "fields__1__strength": "strong"},
    {"fields__1__direction": "left_to_right", "fields__1__to_right": "phone.trim()"},
    {"fields__1__to_right": "phone.trim()", "fields__1__to_left": "tel"},
    {"fields__2__conflict": "union"},
    {"fields__3__conflict": "max"},
    {"fields__3__conflict": "expression", "fields__3__resolve": "left == base ? right : left"},
    {"situations__out_of_scope": "deactivate"},
    {"situations__deleted_left": "deactivate", "deletes__deactivate__right": {"field": "closed", "value": "2024-12-31"}},
    {"situations__deleted_right": "deactivate", "deletes__deactivate__left": {"field": "active", "value": False}},
    {"direction": "left_to_right", "fields__1__strength": "strong", "situations__linked_unchanged": "update"},
    {"conflict__default": "newer", "detect__left": {"field": "missing"}, "fields__1__conflict": "left"},
]  # fmt: skip


@pytest.mark.parametrize("changes", GOOD)
def test_no_mistakes(changes: dict[str, Any]) -> None:
    """What a rule says in full, or what does not concern it, is no mistake."""
    assert said(rule(**changes)) == []


def test_what_is_not_known_is_not_checked() -> None:
    """Without the fields of a side only what the document itself says is looked at."""
    wrong = rule(fields__1__conflict="union", fields__3__conflict="expression", fields__3__resolve="nothing", fields__2__conflict="newer",
                 deletes__deactivate__left={"field": "nothing", "value": 1})  # fmt: skip
    assert said(wrong, None, None) == []
    assert [path for path, *_ in said(wrong, None)] == ["fields/1/conflict"]
    unknown = rule(fields__1__left="nothing", fields__1__conflict="expression", fields__1__resolve="left")
    assert said(unknown) == []


@pytest.mark.parametrize("direction", ["left_to_right", "right_to_left"])
def test_one_way_rules_deactivate_as_they_say(direction: str) -> None:
    """A rule that flows one way deactivates the record that is left, like one that flows both ways."""
    wanted = {"deleted_left": ["right"], "deleted_right": ["left"], "edit_vs_delete": ["left", "right"]}
    for situation, sides in wanted.items():
        made = rule(direction=direction, **{f"situations__{situation}": "deactivate"})
        found = [p.path for p in check_deactivation(parse_sync(made), {SideName.LEFT: LEFT, SideName.RIGHT: RIGHT})]
        assert found == [f"deletes/deactivate/{side}" for side in sides]


def test_each_direction_has_its_condition() -> None:
    """`when_left` is asked where values flow left, `when` everywhere else; each over the record that is read."""
    pairs = [{"left": "phone", "right": "tel", "when": "active", "when_left": "closed == null"}]
    right, left = flows(parse_sync(rule(fields=pairs)))
    assert [(e.when, e.when_path) for e in (*right.entries, *left.entries)] == [
        ("active", "fields/0/when"),
        ("closed == null", "fields/0/when_left"),
    ]
    assert [p.path for p in check_sync(parse_sync(rule(fields=pairs)), LEFT, RIGHT)] == []
    del pairs[0]["when_left"]
    found = check_sync(parse_sync(rule(fields=pairs)), LEFT, RIGHT)
    assert [(p.path, str(p.message)) for p in found] == [
        (
            "fields/0/when_left",
            "The condition asks for 'active', which erp Customer does not have. Say under when_left when values flow left.",
        ),
        ("fields/0/when", "There is no field 'active' in erp Customer."),
    ]
    pairs[0]["when_left"] = "closd == null"
    found = check_sync(parse_sync(rule(fields=pairs)), LEFT, RIGHT)
    assert [(p.path, p.suggestion) for p in found] == [("fields/0/when_left", "closed")]


def test_the_example_of_the_documentation() -> None:
    """The two-way rule that docs/rules.md shows is a rule without mistakes."""
    blocks = [block.split("```")[0] for block in RULES.read_text().split("```yaml\n")[1:]]
    (shown,) = [block for block in blocks if "direction: two_way" in block]
    (found,) = load_documents(shown)
    names = {SideName.LEFT: ["id", "updated_at", "phone", "country", "stock", "owner", "tags"],
             SideName.RIGHT: ["no", "changed", "tel", "land", "units", "clerk", "labels", "closed"]}  # fmt: skip
    types = {"tags": FieldType.JSON, "labels": FieldType.JSON, "stock": FieldType.DECIMAL, "units": FieldType.DECIMAL,
             "updated_at": FieldType.DATETIME, "changed": FieldType.DATETIME, "closed": FieldType.BOOLEAN}  # fmt: skip
    left, right = (Schema(tuple(Field(n, types.get(n, FieldType.TEXT)) for n in names[side])) for side in SideName)
    made = parse_sync(found.document)
    schemas = {SideName.LEFT: left, SideName.RIGHT: right}
    problems = [*check_two_way(made, schemas), *check_deactivation(made, schemas)]
    assert [str(p.message) for p in problems if p.severity is Severity.ERROR] == []
    problems = check_sync(made, left, right)
    assert [p for p in problems if p.severity is Severity.ERROR and "not available yet" not in str(p.message)] == []
