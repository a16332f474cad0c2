"""The sync document: parsing, what is wrong with it in plain words, what this version does not do yet."""

# ruff: noqa: E501 - one case a line reads best

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from typing import Any

import pytest

from rules.documents import (
    DocumentError,
    DocumentProblem,
    actions,
    errors,
    parse_sync,
    unsupported,
    validate,
)
from rules.documents.build import plain
from rules.documents.check import check_sync
from rules.documents.decision_table import parse_decision_table
from rules.documents.flows import flows
from rules.documents.sync import Action, Direction
from rules.language.library import Library
from rules.schema import Field, FieldType, Schema
from rules.text import msg

SMALL: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "Account"},
    "right": {"connection": "erp", "object": "Customer"},
    "key": {"left": "id", "right": "no"},
    "fields": [{"left": "id", "right": "no"}, {"left": "phone", "right": "tel"}],
}
WHOLE: dict[str, Any] = {
    **SMALL,
    "left": {"connection": "crm", "object": "Account", "where": "status != 'draft'"},
    "direction": "two_way",
    "detect": {"left": {"by": "cursor", "field": "updated_at", "tie": "id", "overlap": "10m"}, "right": {"by": "cdc"}},
    "correlate": [
        {"match": [{"left": "tax_no", "right": "vat"}], "confidence": 0.9},
        {
            "match": [
                {"left": "name", "right": "title", "how": "similarity", "threshold": 0.8},
                {"left": "city", "right": "town"},
            ],
        },
    ],
    "auto_link": 0.9,
    "review": 0.5,
    "fields": [
        {
            "left": "phone",
            "right": "tel",
            "direction": "left_to_right",
            "to_right": "phone.trim()",
            "to_left": "tel",
            "strength": "weak",
            "on": ["create"],
            "when": "country == 'CN'",
            "conflict": "newer",
        }
    ],
    "conflict": {"default": "left", "skew": "5s", "tie": "right"},
    "situations": {
        "linked_unchanged": "update",
        "linked_changed": "case",
        "linked_conflict": "case",
        "unlinked": "case",
        "disputed": "ignore",
        "unmatched_left": "delete",
        "unmatched_right": "ignore",
        "deleted_left": "delete",
        "deleted_right": "delete",
        "edit_vs_delete": "delete",
        "out_of_scope": "deactivate",
    },
    "deletes": {"detect": "full_scan", "require_complete_scan": False},
    "guards": [{"metric": "deletes", "over": "5%", "min": 20, "do": "warn"}, {"metric": "creates", "over": 10}],
    "drift": {"new_field": "ignore", "type_change": "suspend"},
    "errors": {
        "transient": {"retry": 3, "backoff": "fixed"},
        "data": "suspend",
        "stop_after": 10,
    },
    "transaction": "saga",
    "schedule": {"cron": "*/5 * * * *", "timezone": "Asia/Shanghai", "misfire": "skip"},
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return the small document with one key changed."""
    document = deepcopy(SMALL)
    *way, last = path.split("/")
    place: Any = document
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
    place[int(last) if isinstance(place, list) else last] = value
    return document


def said(document: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    """Return what is wrong with a document."""
    with pytest.raises(DocumentError) as caught:
        parse_sync(document)
    return [(p.path, str(p.message), p.suggestion) for p in caught.value.problems]


def test_defaults() -> None:
    """What a document leaves out has its default."""
    rule = parse_sync(SMALL)
    assert rule.direction is Direction.LEFT_TO_RIGHT
    assert rule.detect.left.overlap_time == timedelta(minutes=5)
    assert rule.errors.stop_after == 1000
    assert rule.schedule is None
    assert {"kind": "sync", **plain(rule)} == SMALL


def test_whole_document() -> None:
    """Every key of the contract is read, and comes back."""
    assert {"kind": "sync", **plain(parse_sync(WHOLE))} == WHOLE


@pytest.mark.parametrize(
    ("path", "value", "where", "message", "suggestion"),
    [
        ("name", "A b", "name", "'A b' is no name: small letters, digits and underscores, a letter first, at most 63 in all.", None),
        ("kind", "entity", "kind", "This has to be 'sync'.", None),
        ("directon", 1, "directon", "There is no key 'directon' here. Did you mean 'direction'?", "direction"),
        ("key/zzzzz", 1, "key/zzzzz", "There is no key 'zzzzz' here. Possible: left, right.", None),
        ("direction", "both", "direction", "'both' is not possible here. Choose one of: two_way, left_to_right, right_to_left.", None),
        ("left", [], "left", "Keys and values are needed here, not [].", None),
        ("fields", {}, "fields", "A list is needed here, not {}.", None),
        ("fields", [], "fields", "At least 1 entries are needed here.", None),
        ("left/connection", 5, "left/connection", "Text is needed here, not 5.", None),
        ("left/connection", "", "left/connection", "This must not be empty; at least 1 characters are needed.", None),
        ("left/where", None, "left/where", "Text is needed here, not None.", None),
        ("errors", {"stop_after": "x" * 90}, "errors/stop_after", f"A whole number is needed here, not '{'x' * 56}....", None),
        ("errors", {"stop_after": 0}, "errors/stop_after", "This must not be less than 1.", None),
        ("auto_link", "x", "auto_link", "A number is needed here, not 'x'.", None),
        ("auto_link", 2, "auto_link", "This must not be more than 1.", None),
        ("deletes", {"require_complete_scan": "x"}, "deletes/require_complete_scan", "true or false is needed here, not 'x'.", None),
        ("guards", [{"metric": "deletes", "over": []}], "guards/0/over", "Text or a whole number is needed here, not [].", None),
        ("guards", [{"metric": "deletes", "over": "5"}], "guards/0/over", "'5' is neither a number nor a share such as 5%.", None),
        ("conflict", {"skew": "soon"}, "conflict/skew", "'soon' is not a time span such as 5m, 2s, 500ms, 1h or 1d.", None),
        ("fields/0/on", ["create", "create"], "fields/0/on", "A value stands twice in this list.", None),
        ("fields/0/on", ["create", "update", "x"], "fields/0/on", "At most 2 entries are possible here.", None),
        ("fields/1", {"on": ["update"]}, "fields/1", "Name the left field, the right field or both.", None),
        ("fields/1", {"right": "tel"}, "fields/1", "The field 'tel' gets no value. Name the left field, or write an expression under to_right.", None),
        ("fields/1", {"left": "tel"}, "fields/1", "The field 'tel' gets no value. Name the right field, or write an expression under to_left.", None),
        ("detect", {"left": {"by": "cursor"}}, "detect/left/field", "Name the field that grows with every change, such as updated_at.", None),
        ("schedule", {"cron": "* * * * * * *"}, "schedule/cron", "'* * * * * * *' is not a schedule. Five fields are needed: minute, hour, day, month, weekday, like */5 * * * *.", None),
        ("schedule", {"cron": "* * * * *", "timezone": "Nowhere"}, "schedule/timezone", "There is no time zone 'Nowhere'. Write it like Asia/Shanghai.", None),
        ("review", 0.99, "review", "review must not be higher than auto_link.", None),
    ],
)  # fmt: skip
def test_mistakes(path: str, value: Any, where: str, message: str, suggestion: str | None) -> None:
    """Each mistake is said in plain words, at the path of its key."""
    assert (where, message, suggestion) in said(changed(path, value))


def test_missing_keys() -> None:
    """Every missing key is named once, at the place where it belongs."""
    assert said({"kind": "sync", "left": {"object": "x"}}) == [
        (key, f"The key '{key.rpartition('/')[2]}' is missing.", None)
        for key in ("fields", "key", "left/connection", "name", "right")
    ]


def test_other_keywords() -> None:
    """A schema with keywords that we have no words for still gets a sentence."""
    (found,) = validate({"a": 3}, {"properties": {"a": {"multipleOf": 2}}})
    assert (found.path, str(found.message)) == ("a", "3 is not possible here.")
    (found,) = validate({"a": 3}, {"properties": {"a": {"maxLength": 2, "type": "null"}}})
    assert str(found.message) == "3 is not possible here."
    (found,) = validate({"a": "abc"}, {"properties": {"a": {"maxLength": 2}}})
    assert str(found.message) == "This must not be longer than 2 characters."
    (found,) = validate("x", False)
    assert found.path == ""


def test_error_text() -> None:
    """The error itself reads like its problems."""
    with pytest.raises(DocumentError, match=r"^review: review must not be higher"):
        parse_sync(changed("review", 1))
    assert str(DocumentError([DocumentProblem("", msg("Whole."))])) == "Whole."


def test_not_yet() -> None:
    """Everything that this version does not execute is listed at its path; the small document needs nothing of it."""
    assert unsupported(parse_sync(SMALL)) == []
    webhook = {**WHOLE, "detect": {**WHOLE["detect"], "right": {"by": "webhook"}}}
    assert unsupported(parse_sync(WHOLE)) == []
    found = unsupported(parse_sync(webhook))
    assert [p.path for p in found] == ["detect/right/by"]
    assert all("not available yet in this version" in str(p.message) for p in found)
    found = unsupported(parse_sync({**webhook, "direction": "left_to_right"}))
    assert [p.path for p in found] == ["detect/right/by", "situations/linked_unchanged"]
    assert all("not available yet in this version" in str(p.message) for p in found)
    assert unsupported(parse_sync({**SMALL, "deletes": {"detect": "full_scan"}})) == []
    assert unsupported(parse_sync(changed("fields/0/direction", "right_to_left"))) == []


def test_actions() -> None:
    """What a rule leaves unsaid about situations follows from its direction."""
    right = actions(parse_sync(SMALL))
    left = actions(parse_sync(changed("direction", "right_to_left")))
    assert (right["unmatched_left"], right["unmatched_right"]) == (Action.CREATE, Action.IGNORE)
    assert (left["unmatched_left"], left["unmatched_right"]) == (Action.IGNORE, Action.CREATE)
    assert actions(parse_sync(changed("situations/out_of_scope", "ignore")))["out_of_scope"] is Action.IGNORE


def test_flows() -> None:
    """A two-way rule has both flows; a pair without a value in a direction is not part of that flow."""
    document = changed("direction", "two_way")
    document["fields"] = [{"left": "a", "right": "b"}, {"right": "c", "to_right": "1"}, {"left": "d", "to_left": "2"}]
    right, left = flows(parse_sync(document))
    assert [e.target for e in right.entries] == ["b", "c"]
    assert [e.target for e in left.entries] == ["a", "d"]


# Against the two objects

LEFT = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False),
        Field("phone"),
        Field("tax_no"),
        Field("updated_at", FieldType.DATETIME),
        Field("flag", FieldType.BOOLEAN),
        Field("seq", FieldType.INTEGER),
    ),
    ("id",),
)
RIGHT = Schema((Field("no", nullable=False), Field("tel"), Field("serial", FieldType.INTEGER, generated=True)), ("no",))


def checked(
    document: dict[str, Any], left: Schema | None = LEFT, right: Schema | None = RIGHT
) -> list[tuple[str, str]]:
    """Return what is wrong with a document over the two objects."""
    return [(p.path, str(p.message)) for p in check_sync(parse_sync(document), left, right)]


def test_fits() -> None:
    """A rule whose names and types fit has no problems, whichever sides are known."""
    assert (
        checked(SMALL) == checked(SMALL, None, RIGHT) == checked(SMALL, LEFT, None) == checked(SMALL, None, None) == []
    )


@pytest.mark.parametrize(
    ("path", "value", "where", "message"),
    [
        ("key/left", "idd", "key/left", "There is no field 'idd' in crm Account. Did you mean 'id'?"),
        ("key/right", "zzz", "key/right", "There is no field 'zzz' in erp Customer."),
        ("key/left", "phone", "key/left", "The key field 'phone' may be empty; records without it are parked."),
        ("key/right", "tel", "", ""),
        ("detect/left", {"by": "cursor", "field": "updatd_at"}, "detect/left/field", "There is no field 'updatd_at' in crm Account. Did you mean 'updated_at'?"),
        ("detect/left", {"by": "cursor", "field": "updated_at", "tie": "x"}, "detect/left/tie", "There is no field 'x' in crm Account."),
        ("detect/left", {"by": "cursor", "field": "flag"}, "detect/left/field", "'flag' is boolean, which has no order. Choose a field that grows with every change."),
        ("detect/left", {"by": "cursor", "field": "seq"}, "detect/left/field", "'seq' is integer, so the overlap has no effect."),
        ("detect/left", {"by": "cursor", "field": "updated_at"}, "", ""),
        ("left/where", "phone", "left/where", "The result is text, but boolean is needed."),
        ("left/where", "seq / 2 > 1", "left/where", "Two whole numbers are divided without a fraction: 7 / 2 is 3. Write / 2.0 to keep it."),
        ("right/where", "tel == null", "", ""),
        ("correlate", [{"match": [{"left": "tax", "right": "vat"}]}], "correlate/0/match/0/left", "There is no field 'tax' in crm Account."),
        ("correlate", [{"match": [{"left": "tax_no", "right": "vat"}]}], "correlate/0/match/0/right", "There is no field 'vat' in erp Customer."),
        ("fields/1/right", "no", "fields/1", "'no' gets its value here and further up."),
        ("fields/1/right", "serial", "fields/1", "'serial' is filled in by the system itself and cannot be written."),
        ("fields/1/to_right", "seq / 2", "fields/1/to_right", "Two whole numbers are divided without a fraction: 7 / 2 is 3. Write / 2.0 to keep it."),
        ("fields/1/when", "seq / 2 > 1", "fields/1/when", "Two whole numbers are divided without a fraction: 7 / 2 is 3. Write / 2.0 to keep it."),
        ("fields/1/to_right", "phon", "fields/1/to_right", "There is no field 'phon' in crm Account. Did you mean 'phone'?"),
        ("fields/0/when", "flag", "fields", "'no' must not be empty, but is set only when a condition holds."),
        ("fields/0/on", ["update"], "fields", "'no' of erp Customer must not be empty, but no field pair fills it when a record is created."),
        ("direction", "two_way", "", ""),
    ],
)  # fmt: skip
def test_check(path: str, value: Any, where: str, message: str) -> None:
    """Each mistake about the objects' fields is found at its path."""
    found = checked(changed(path, value))
    if message:
        assert (where, message) in found
    else:
        assert found == []


def test_no_creates() -> None:
    """A rule that creates nothing need not fill what a new record needs."""
    document = changed("situations/unmatched_left", "ignore")
    document["fields"] = document["fields"][1:]
    assert checked(document) == []


def test_key_without_value() -> None:
    """A key that nothing fills is worth a warning, unless the system fills it."""
    document = changed("key/right", "tel")
    document["fields"] = document["fields"][:1]
    problems = check_sync(parse_sync(document), LEFT, RIGHT)
    assert [(p.path, p.severity.value) for p in problems] == [("key/right", "warning")]
    assert errors(problems) == ()
    assert checked(changed("key/right", "serial")) == []


def test_warnings_of_decisions_are_told_at_their_input() -> None:
    """What is odd about an input does not keep its decision from being asked."""
    table = {
        "kind": "decision_table",
        "name": "credit",
        "inputs": [{"name": "amount", "type": "decimal"}],
        "outputs": [{"name": "class"}],
        "rows": [{"when": ["-"], "then": ["a"]}],
    }
    asked = {
        **changed("fields/1/to_right", "credit.class"),
        "decisions": [{"table": "credit", "inputs": {"amount": "1 / 2"}}],
    }
    found = check_sync(parse_sync(asked), LEFT, RIGHT, library=Library(tables={"credit": parse_decision_table(table)}))
    assert [(p.path, p.severity.value, p.column, p.length) for p in found] == [
        ("decisions/0/inputs/amount", "warning", 3, 1)
    ]


def test_places_inside_expressions() -> None:
    """A problem in an expression has its line and column there."""
    (found,) = check_sync(parse_sync(changed("fields/1/to_right", "tax_no +\n  phon")), LEFT, RIGHT)
    assert (found.line, found.column, found.length, found.suggestion) == (2, 3, 4, "phone")
