"""What the choices of tables are called."""

from __future__ import annotations

from webapp.rulebook.translation import translate as _
from webapp.rulebook.wording import type_name

Choices = list[tuple[str, str]]

INPUT_TYPES = ("text", "integer", "decimal", "float", "boolean", "date", "time", "datetime", "local_datetime")
OUTPUT_TYPES = (*INPUT_TYPES, "json")


def policies() -> Choices:
    """Return the hit policies in the words of people who do not know DMN."""
    return [
        ("unique", _("Unique: at most one row may apply")),
        ("first", _("First: the uppermost row that applies")),
        ("priority", _("Priority: the row with the most important result")),
        ("any", _("Any: several rows may apply if they agree")),
        ("collect", _("Collect: the results of all rows that apply")),
        ("rule_order", _("Rule order: all results, in the order of the rows")),
        ("output_order", _("Output order: all results, the most important first")),
    ]


def aggregations() -> Choices:
    """Return what `collect` can make of the results."""
    return [
        ("list", _("as a list")),
        ("sum", _("added up")),
        ("min", _("the smallest")),
        ("max", _("the largest")),
        ("count", _("how many")),
    ]


def types(names: tuple[str, ...] = OUTPUT_TYPES) -> Choices:
    """Return the types of columns."""
    return [(name, type_name(name)) for name in names]


def cell_forms() -> Choices:
    """Return the forms of cells with what they mean."""
    return [
        ("-", _("anything, also nothing")),
        ('100, "CN", 2024-01-31', _("exactly this value")),
        ('"CN", "DE"', _("one of these")),
        ('not("CN")', _("anything but this")),
        ("> 100, <= 5", _("more than 100; 5 or less")),
        ("[1..10), ]1..10[", _("from 1 to less than 10; between 1 and 10, both excluded")),
        ("null", _("empty")),
        ("startsWith(?, 'A')", _("an expression that is true; ? is the value of the column")),
    ]


def words() -> dict[str, object]:
    """Return the texts that the editor's script shows."""
    return {
        "types": dict(types()),
        "settings": _("Change this column"),
        "since": _("From"),
        "until": _("Until"),
        "day": _("day"),
        "note": _("Note"),
        "hits": _("Decided"),
        "key": _("key"),
    }
