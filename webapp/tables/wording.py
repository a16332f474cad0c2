"""What the choices of tables are called."""

from __future__ import annotations

from webapp.rulebook.translation import translate as _
from webapp.rulebook.wording import Choices, type_name

INPUT_TYPES = ("text", "integer", "decimal", "float", "boolean", "date", "time", "datetime", "local_datetime")
OUTPUT_TYPES = (*INPUT_TYPES, "json")


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
