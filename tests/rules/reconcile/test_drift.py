"""What is said when the fields of an object have changed since a rule was made."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from rules.documents import parse_sync
from rules.documents.sync import SideName, SyncRule
from rules.reconcile.drift import described, drifted, lacking
from rules.reconcile.used import used_fields
from rules.schema import Field, FieldType, Schema

DOCUMENT: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "Account", "where": "status != 'draft'"},
    "right": {"connection": "erp", "object": "Customer"},
    "direction": "two_way",
    "key": {"left": "id", "right": "no"},
    "detect": {"left": {"by": "cursor", "field": "seen", "tie": "id"}},
    "correlate": [{"match": [{"left": "vat", "right": "tax"}]}],
    "fields": [
        {"left": "phone", "right": "tel", "to_right": "phone.trim()", "when": "has(record.tel) || true"},
        {"left": "name", "right": "title", "direction": "left_to_right", "to_right": 'record["surname"] + given'},
        {"left": "credit", "right": "limit"},
    ],
    "validations": [
        {"name": "vat_once", "unique": ["group"]},
        {"name": "owned", "reference": {"field": "owner", "object": "people", "key": "id"}},
        {"name": "mail", "check": "email.contains('@')", "when": "wants_mail"},
    ],
    "decisions": [{"table": "grade", "inputs": {"x": "points + 1"}}, {"table": "other"}],
}
LEFT = (
    *("id", "status", "seen", "vat", "phone", "tel", "surname", "given", "name", "credit", "group", "owner", "email"),
    *("wants_mail", "points", "unused", "asked"),
)
RIGHT = ("no", "tax", "tel", "phone", "title", "limit", "unused")


def rule(**changes: Any) -> SyncRule:
    """Return the rule, some of its keys changed."""
    return parse_sync({**deepcopy(DOCUMENT), **changes})


def schema(*names: str, **types: Field) -> Schema:
    """Return a schema of text fields, some of them of another kind."""
    return Schema(tuple(types.get(name, Field(name)) for name in names))


def schemas(left: Schema | None = None, right: Schema | None = None) -> dict[SideName, Schema]:
    """Return the schemas of both sides."""
    return {SideName.LEFT: left or schema(*LEFT), SideName.RIGHT: right or schema(*RIGHT)}


def test_used_fields() -> None:
    """Used is what is a key, a cursor, compared, written, copied, or named in an expression or validation."""
    used = used_fields(rule(), schemas(), frozenset({"asked"}))
    assert used[SideName.LEFT] == set(LEFT) - {"unused", "name"}
    assert used[SideName.RIGHT] == set(RIGHT) - {"unused", "phone"}


def test_a_rule_that_only_flows_left() -> None:
    """The side that is read is the right one, and decisions and validations are about it."""
    pairs = [{"left": "phone", "right": "tel", "to_left": "tel + title"}]
    backwards = rule(direction="right_to_left", fields=pairs, validations=[{"name": "one", "unique": ["limit"]}])
    used = used_fields(backwards, schemas(), frozenset({"unused"}))
    assert used[SideName.LEFT] == {"id", "seen", "vat", "phone"}
    assert used[SideName.RIGHT] == {"no", "tax", "tel", "title", "limit", "unused"}


def test_an_expression_that_cannot_be_read_uses_nothing() -> None:
    """Drift is told for the rest of the rule even where an expression is broken."""
    broken = rule(left={"connection": "crm", "object": "Account", "where": "status =="}, validations=[], decisions=[])
    assert "status" not in used_fields(broken, schemas())[SideName.LEFT]
    assert "id" in used_fields(broken, schemas())[SideName.LEFT]


def said(before: dict[SideName, Schema], after: dict[SideName, Schema], **drift: str) -> list[tuple[str, ...]]:
    """Return what is found, in words."""
    return [(d.side, d.field, d.kind, d.do, str(d.message)) for d in drifted(rule(drift=drift), before, after)]


def test_nothing_has_changed() -> None:
    """The same fields in another order are the same fields."""
    assert said(schemas(), schemas(schema(*reversed(LEFT)))) == []


def test_each_kind_of_change() -> None:
    """A used field that is gone, a used one of another type, any new one: each with what the rule says to do."""
    left = schema(*(name for name in LEFT if name not in ("phone", "unused")), "fresh")
    right = schema(*RIGHT, title=Field("title", FieldType.INTEGER), unused=Field("unused", FieldType.DATE))
    assert said(schemas(), schemas(left, right)) == [
        (
            "left", "phone", "removed", "suspend",
            "'phone' (text) is gone from crm Account. The run has stopped. Undo the change and resume the run, or "
            "change the rule, publish it and start it anew.",
        ),
        (
            "left", "fresh", "new_field", "propose",
            "crm Account has a new field 'fresh' (text). Add it to the rule if its values are wanted on the other "
            "side.",
        ),
        (
            "right", "title", "type_change", "quarantine",
            "'title' of erp Customer was text and is integer now. Records that cannot be mapped any more are parked. "
            "Look at the rule and publish it anew.",
        ),
    ]  # fmt: skip


def test_the_rule_says_what_to_do() -> None:
    """Each kind of change has its own answer in the rule."""
    left = schema(*(name for name in LEFT if name != "phone"), "fresh")
    right = schema(*RIGHT, title=Field("title", FieldType.INTEGER))
    found = said(schemas(), schemas(left, right), new_field="ignore", type_change="suspend")
    assert [row[3] for row in found] == ["suspend", "ignore", "suspend"]
    assert found[1][4].endswith("The rule leaves it alone.")


def test_what_a_rule_cannot_do_without() -> None:
    """Keys, cursors and what finds partners have to be there; the cursor of a side that is not read need not."""
    changes = {"deletes": {"deactivate": {"right": {"field": "gone", "value": "yes"}}}}
    found = lacking(rule(**changes), schemas(schema("id"), schema("no")))
    assert [(problem.path, str(problem.message)) for problem in found] == [
        ("detect/left/field", "There is no field 'seen' in crm Account."),
        ("correlate/0/match/0/left", "There is no field 'vat' in crm Account."),
        ("correlate/0/match/0/right", "There is no field 'tax' in erp Customer."),
        ("deletes/deactivate/right/field", "There is no field 'gone' in erp Customer."),
    ]
    pairs = [{"left": "phone", "right": "tel"}]
    backwards = rule(direction="right_to_left", fields=pairs, validations=[], decisions=[], correlate=[])
    assert lacking(backwards, schemas(schema("id"), schema())) == lacking(backwards, {SideName.RIGHT: schema()})


def test_a_side_that_is_not_known_is_left_out() -> None:
    """Without the fields of then or of now nothing can be said."""
    known = {SideName.LEFT: schema(*LEFT)}
    assert said(known, schemas(right=schema())) == []
    assert said(schemas(), known) == []


T = FieldType
CASES = [
    (Field("x", length=10), Field("x", length=20), True),
    (Field("x", length=10), Field("x"), True),
    (Field("x"), Field("x", length=20), False),
    (Field("x", length=20), Field("x", length=10), False),
    (Field("x", T.INTEGER), Field("x", T.DECIMAL), True),
    (Field("x", T.INTEGER), Field("x", T.FLOAT), False),
    (Field("x", T.DECIMAL), Field("x", T.INTEGER), False),
    (Field("x", T.DECIMAL, precision=10, scale=2), Field("x", T.DECIMAL, precision=12, scale=2), True),
    (Field("x", T.DECIMAL, precision=10, scale=2), Field("x", T.DECIMAL, precision=12, scale=4), True),
    (Field("x", T.DECIMAL, precision=10, scale=2), Field("x", T.DECIMAL, precision=10, scale=4), False),
    (Field("x", T.DECIMAL, precision=10, scale=2), Field("x", T.DECIMAL, precision=10, scale=1), False),
    (Field("x", T.DECIMAL, precision=10), Field("x", T.DECIMAL), True),
    (Field("x", T.DECIMAL), Field("x", T.DECIMAL, precision=10, scale=2), False),
    (Field("x", T.DATETIME, scale=3), Field("x", T.DATETIME), True),
    (Field("x", T.DATETIME), Field("x", T.DATETIME, scale=0), False),
    (Field("x", T.DATETIME), Field("x", T.LOCAL_DATETIME), False),
    (Field("x", T.DATE), Field("x", T.DATE, nullable=False), True),
]


@pytest.mark.parametrize(("before", "after", "fits"), CASES)
def test_what_holds_more_has_not_changed(before: Field, after: Field, fits: bool) -> None:
    """A field that holds all that it held before is no change; one that holds less or something else is."""
    old, new = Field(**{**vars(before), "name": "phone"}), Field(**{**vars(after), "name": "phone"})
    found = said(schemas(schema(*LEFT, phone=old)), schemas(schema(*LEFT, phone=new)))
    assert [row[2] for row in found] == ([] if fits else ["type_change"])


def test_types_in_words() -> None:
    """A type is shown with the limits that tell it from its neighbours."""
    assert described(Field("x", length=40)) == "text(40)"
    assert described(Field("x", T.DECIMAL, precision=12, scale=2)) == "decimal(12, 2)"
    assert described(Field("x", T.DECIMAL, precision=12)) == "decimal(12, 0)"
    assert described(Field("x", T.DECIMAL)) == "decimal"
    assert described(Field("x", T.DATETIME, scale=3)) == "datetime(3)"
    assert described(Field("x", T.INTEGER)) == "integer"
