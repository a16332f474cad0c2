"""The words that editors of expressions show; `{name}` places are filled in by the browser."""

from __future__ import annotations

from webapp.rulebook.translation import translate as _


def editor_words() -> dict[str, str]:
    """Return name -> text in the reader's language."""
    return {**_results(), **_rows()}


def _results() -> dict[str, str]:
    return {
        "use": _("Use {text}"),
        "gives": _("gives {type}"),
        "fails": _("no result for {failed} of the first {count} records"),
        "matching": _("{matching} of the first {count} records match."),
        "failed_one": _("For one of them the condition cannot be worked out: {why}"),
        "failed": _("For {failed} of them the condition cannot be worked out: {why}"),
        "slow": _("Slower than usual: {why}"),
        "record": _("Record"),
        "result": _("Result"),
        "yes": _("yes"),
        "no": _("no"),
        "empty": _("empty"),
        "empty_text": _("empty text"),
        "for_example": _("for example {value}"),
        "may_be_empty": _("may be empty"),
        "never_empty": _("never empty"),
        "correct_first": _("The expression has a mistake. Correct it, then it can be shown as rows."),
    }


def _rows() -> dict[str, str]:
    return {
        "field": _("Field"),
        "relation": _("Comparison"),
        "value": _("Value"),
        "and": _("and"),
        "choose_field": _("Choose a field"),
        "not_found": _("{name} (not found)"),
        "expression": _("Expression …"),
        "expression_part": _("Part of the condition as an expression"),
        "expression_example": _("for example {text}").replace("{text}", "size(name) > 3"),
        "group": _("How many of these have to be true"),
        "all": _("All of these are true"),
        "any": _("At least one of these is true"),
        "none": _("None of these is true"),
        "not_all": _("Not all of these are true"),
        "add_row": _("Condition"),
        "add_group": _("Group"),
        "add_expression": _("Expression"),
        "remove_row": _("Remove this condition"),
        "remove_group": _("Remove this group"),
        "add_value": _("Add a value"),
        "remove_value": _("Remove {value}"),
        "no_answer": _("The server does not answer. Try again in a moment."),
        "no_rows": _("No condition yet: it is true for every record."),
        "if_empty": _("If the field is empty"),
        "empty_no": _("if empty: no"),
        "empty_as_text": _("if empty: as empty text"),
        "empty_error": _("if empty: an error"),
        "utc": _("Coordinated universal time"),
    }
