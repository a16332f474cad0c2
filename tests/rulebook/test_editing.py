"""Forms and documents."""

from __future__ import annotations

from typing import Any

import pytest

from rules.schema import Field, FieldType, Schema
from webapp.rulebook.comparing import compared
from webapp.rulebook.editing import EXPRESSION, Flow, rows, with_behaviour, with_mapping, with_suggestions
from webapp.rulebook.wording import summary

TARGET = Schema((Field("no", nullable=False), Field("title"), Field("tel"), Field("vat")), ("no",))
SOURCE = Schema((Field("id"), Field("name"), Field("phone"), Field("updated", FieldType.DATETIME)), ("id",))

DOCUMENT: dict[str, Any] = {
    "kind": "sync",
    "name": "customers",
    "left": {"connection": "crm", "object": "Account"},
    "right": {"connection": "erp", "object": "Customer"},
    "key": {"left": "id", "right": "no"},
    "fields": [
        {"left": "id", "right": "no"},
        {
            "left": "phone",
            "right": "tel",
            "to_right": "phone.trim()",
            "strength": "weak",
            "on": ["create"],
            "conflict": "left",
        },
    ],
}


def form_of(document: dict[str, Any], target: Schema = TARGET) -> dict[str, str]:
    """Return what the page's form sends for a document that nobody touched."""
    flow = Flow.of(document)
    form = {"key_source": document["key"][flow.source], "key_target": document["key"][flow.target]}
    for number, row in enumerate(rows(document, target)):
        form |= {
            f"target-{number}": row.name,
            f"source-{number}": row.source,
            f"expression-{number}": row.expression,
            f"strength-{number}": row.strength,
            f"on-{number}": row.on,
            f"when-{number}": row.when,
            f"on_error-{number}": row.on_error,
            f"default-{number}": row.default,
        }
    return form


@pytest.mark.parametrize("target", [TARGET, TARGET.select(("no",)), Schema(())])
def test_untouched_form_changes_nothing(target: Schema) -> None:
    """Saving the mapping as it is shown gives the same document, also where the target has lost fields."""
    assert with_mapping(DOCUMENT, form_of(DOCUMENT, target)) == DOCUMENT


def test_what_to_do_without_a_value() -> None:
    """The policy of a field and its default are edited; an untouched default keeps its type."""
    first = {"left": "id", "right": "no", "on_error": "default", "default": True}
    document = {**DOCUMENT, "fields": [first]}
    form = form_of(document)
    assert form["default-0"] == "true"
    assert with_mapping(document, form) == document
    form |= {"default-0": "7"}
    assert with_mapping(document, form)["fields"] == [{**first, "default": "7"}]
    form |= {"on_error-0": "quarantine", "default-0": ""}
    assert with_mapping(document, form)["fields"] == [{"left": "id", "right": "no"}]


def test_untouched_form_from_right_to_left() -> None:
    """The same holds for a rule that flows from right to left."""
    document = {
        **DOCUMENT,
        "direction": "right_to_left",
        "fields": [{"left": "name", "right": "title"}, {"left": "phone", "to_left": "tel.trim()"}],
    }
    assert with_mapping(document, form_of(document, SOURCE)) == document


def test_mapping_is_changed_where_the_form_says_so() -> None:
    """A new source, an expression and an emptied row arrive in the document; hidden keys of an entry stay."""
    form = form_of(DOCUMENT)
    number = {form[key]: key.removeprefix("target-") for key in form if key.startswith("target-")}
    form[f"source-{number['title']}"] = "name"
    form[f"source-{number['vat']}"] = EXPRESSION
    form[f"expression-{number['vat']}"] = "'DE' + name"
    form[f"source-{number['no']}"] = ""
    form[f"strength-{number['tel']}"] = "normal"
    assert with_mapping(DOCUMENT, form)["fields"] == [
        {"left": "phone", "right": "tel", "to_right": "phone.trim()", "on": ["create"], "conflict": "left"},
        {"left": "name", "right": "title"},
        {"right": "vat", "to_right": "'DE' + name"},
    ]


def test_fields_of_the_system_are_never_mapped() -> None:
    """A field that the target fills in itself is left out even if a form names it."""
    assert [e["right"] for e in with_mapping(DOCUMENT, form_of(DOCUMENT), ["tel"])["fields"]] == ["no"]


def test_suggestions_fill_only_what_is_open() -> None:
    """Proposals leave the mapped fields and the chosen keys as they are."""
    document, made = with_suggestions(DOCUMENT, SOURCE, TARGET)
    assert made == {"title"}
    assert document["fields"][:2] == DOCUMENT["fields"]
    assert document["key"] == DOCUMENT["key"]


def test_keys_are_guessed() -> None:
    """A new rule starts with the systems' own keys, and the target's key is filled from the source's."""
    document, made = with_suggestions({**DOCUMENT, "key": {}, "fields": []}, SOURCE, TARGET)
    assert document["key"] == {"left": "id", "right": "no"}
    assert {"left": "id", "right": "no"} in document["fields"]
    assert made == {"no", "title", "tel"}


def test_row_knows_what_is_required() -> None:
    """A field that may not be empty and has no default is marked."""
    assert [row.name for row in rows(DOCUMENT, TARGET) if row.required] == ["no"]


def test_behaviour_leaves_out_defaults_and_keeps_the_rest() -> None:
    """What has its default value is left out of the document, and keys that the page does not show stay."""
    document = {**DOCUMENT, "guards": [{"metric": "deletes", "over": 5}], "errors": {"auth": "suspend"}}
    form = {
        "where": " status == 'x' ",
        "detect": "full",
        "on_bad_record": "quarantine",
        "stop_after": "1000",
        "retry": "5",
    }
    changed = with_behaviour(document, form, None)
    assert changed == {**document, "left": {**document["left"], "where": "status == 'x'"}}


def test_behaviour_is_written() -> None:
    """Detection by cursor, situations, error policy and schedule arrive in the document."""
    form = {
        "detect": "cursor",
        "cursor_field": "updated",
        "cursor_overlap": "1h",
        "unmatched_left": "ignore",
        "on_bad_record": "suspend",
        "stop_after": "many",
        "retry": "0",
        "timezone": "Asia/Shanghai",
    }
    changed = with_behaviour(DOCUMENT, form, "0 8 * * *")
    assert changed["detect"] == {"left": {"by": "cursor", "field": "updated", "overlap": "1h"}}
    assert changed["situations"] == {"unmatched_left": "ignore"}
    assert changed["errors"] == {"data": "suspend", "stop_after": "many", "transient": {"retry": 0}}
    assert changed["schedule"] == {"cron": "0 8 * * *", "timezone": "Asia/Shanghai"}


def test_comparison_shows_where_an_added_field_comes_from() -> None:
    """A field that is new is one line that says what fills it."""
    shorter = {**DOCUMENT, "fields": DOCUMENT["fields"][1:]}
    assert compared(shorter, DOCUMENT).after == {"fields/no": "id"}
    assert compared(DOCUMENT, shorter).before == {"fields/no": "id"}


def test_comparison_names_fields_by_their_target() -> None:
    """A field that was moved is the same field; a changed expression is one difference with a name that people use."""
    changed = {**DOCUMENT, "fields": [{**DOCUMENT["fields"][1], "to_right": "phone"}, DOCUMENT["fields"][0]]}
    found = compared(DOCUMENT, changed)
    assert found.before == {"fields/tel/to_right": "phone.trim()"}
    assert found.after == {"fields/tel/to_right": "phone"}
    assert found.labels == {"fields/tel/to_right": "Field tel › Expression"}
    assert not compared(DOCUMENT, DOCUMENT)


def test_comparison_shows_added_parts_one_by_one() -> None:
    """What a validation, a decision or a test says stands line by line, with our own words in words."""
    more = {
        **DOCUMENT,
        "validations": [{"name": "named", "check": "name != ''", "severity": "warn", "message": "Name it"}],
        "decisions": [{"table": "discount", "inputs": {"amount": "total"}}],
        "tests": [{"name": "Shown", "given": {"id": 1, "severity": "warn"}, "ending": "quarantined"}],
    }
    found = compared(DOCUMENT, more)
    assert not found.before
    assert [(found.labels[path], value) for path, value in found.after.items()] == [
        ("Validation named › Condition", "name != ''"),
        ("Validation named › If it is not met", "Warn"),
        ("Validation named › Message", "Name it"),
        ("Decision table 1 › Table", "discount"),
        ("Decision table 1 › Inputs › amount", "total"),
        ("Test Shown › Given › id", 1),
        ("Test Shown › Given › severity", "warn"),
        ("Test Shown › What becomes of the record", "It is parked"),
    ]
    assert compared(more, DOCUMENT).before.keys() == found.after.keys()
    assert compared(DOCUMENT, more, words=False).after["validations/named/severity"] == "warn"


def test_comparison_names_the_cells_of_tables() -> None:
    """A row is told by its number, a cell by its column; columns by their titles."""
    table = {
        "inputs": [{"name": "amount", "label": "Amount"}],
        "outputs": [{"name": "percent", "type": "integer"}],
        "rows": [{"when": ["< 1"], "then": ["0"]}],
    }
    changed = {
        **table,
        "outputs": [{"name": "percent", "type": "decimal"}],
        "rows": [{"when": ["< 2"], "then": ["0"]}, {"when": ["-"], "then": ["5"], "note": "The rest"}],
    }
    found = compared(table, changed)
    assert [(found.labels[path], value) for path, value in found.after.items()] == [
        ("Result percent › Type", "decimal number"),
        ("Row 1 › Amount", "< 2"),
        ("Row 2 › Amount", "-"),
        ("Row 2 › percent", "5"),
        ("Row 2 › Note", "The rest"),
    ]
    codes = {"key": {"name": "code"}, "columns": [{"name": "text"}], "entries": [["a", "Aa"]]}
    found = compared(codes, {**codes, "entries": [["a", "Ab"], ["b", "B"]]})
    assert [(found.labels[path], value) for path, value in found.after.items()] == [
        ("Entry 1 › text", "Ab"),
        ("Entry 2", ["b", "B"]),
    ]


def test_the_summary_tells_decisions_and_validations() -> None:
    """Each severity is one sentence with what is asked; many validations are counted."""
    held = [{"name": f"check_{n}", "check": f"{n} < size(name)"} for n in range(6)]
    validations = [
        *held,
        {"name": "code", "unique": ["code"], "severity": "reject"},
        {"name": "named", "check": "name != ''", "message": "Name it", "severity": "warn"},
    ]
    told = summary({**DOCUMENT, "decisions": [{"table": "discount"}], "validations": validations})
    assert "For each record the decision table discount is asked." in told
    assert "A record that does not meet one of these validations is left out: “code: each value only once”." in told
    assert "A record that does not meet one of these validations is written, and listed: “Name it”." in told
    assert [text for text in told if "parked until" in text and "“3 < size(name)” and 2 more." in text]
    both = summary({**DOCUMENT, "decisions": [{"table": "a"}, {"table": "b"}], "validations": "nothing"})
    assert "For each record these decision tables are asked: a, b." in both


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"linked_conflict": "case", "disputed": "case"}, {"linked_conflict": "case", "disputed": "case"}),
        ({"linked_conflict": "", "edit_vs_delete": "recreate"}, {"edit_vs_delete": "recreate"}),
    ],
)
def test_what_one_way_rules_may_ask_people(form: dict[str, str], said: dict[str, str]):
    """What a rule that flows one way only looks for if it says so is noted when chosen, and dropped when not."""
    made = with_behaviour({**DOCUMENT, "situations": {"linked_conflict": "merge"}}, form, None)
    assert made["situations"] == said | ({} if "linked_conflict" in form else {"linked_conflict": "merge"})
