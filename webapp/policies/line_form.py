"""The form of one line of a policy: from the line to its inputs, from the inputs to a line, and mistakes to inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from werkzeug.datastructures import MultiDict

from rules.documents.problems import DocumentProblem
from rules.predicate import EVERYTHING
from rules.schema import FieldType
from rules.text import N_, Message, msg
from webapp.policies import matrix
from webapp.policies.difference import level_words
from webapp.policies.documents import Line, Policy
from webapp.policies.grants import Grant, Rooms
from webapp.policies.levels import LEVELS, WRITE, Level
from webapp.policies.masks import MASK_LABELS, Mask, masked
from webapp.policies.objects import ACTIONS, PolicyField

SPARE = 3
"""So many empty rows for fields that nobody knows."""
_KEY = b"an example"
_TEXT, _DAY, _NUMBER = "Example 4711", date(1987, 4, 12), 48_250
_SPEAKING = {
    "mail": "anna.meyer@example.com",
    "iban": "DE02120300000000202051",
    "phone": "+49 30 5550123",
    "country": "DE",
    "name": "Anna Meyer",
}
"""Examples for fields with a part of these names."""
_DATES = (FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME)
_NUMBERS = (FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT)
CHOICES: tuple[tuple[str, str], ...] = (
    ("write", N_("seen and changed")),
    ("read", N_("seen")),
    *((f"mask:{mask.value}", MASK_LABELS[mask]) for mask in reversed(Mask)),
    ("hide", N_("not shown")),
    ("deny", N_("denied, whatever other roles show")),
)
"""What may be said of a field, from the most to the least."""


@dataclass(frozen=True)
class FieldRow:
    """A field of an object with what is said of it; `known` is false for one that only the line names."""

    field: PolicyField
    said: str
    counts: Message
    examples: Mapping[str, str]
    known: bool = True


def field_rows(line: Line, policy: Policy, known: Sequence[PolicyField] | None) -> list[FieldRow]:
    """Return the rows of fields: those of the object, and those that only the line names."""
    fields = [*(known or ()), *(PolicyField(n) for n in line.fields if n not in {f.name for f in known or ()})]
    names = {f.name for f in known or ()}
    return [
        FieldRow(
            field,
            line.fields[field.name].text if field.name in line.fields else "",
            level_words(counting(line, policy, field)),
            examples(field, counting(replace(line, fields={}), policy, field)),
            known is None or field.name in names,
        )
        for field in fields
    ]


def counting(line: Line, policy: Policy, field: PolicyField) -> Level:
    """Return how much of a field a line shows, by itself or by what it says of other and of personal fields."""
    return Grant("", line, frozenset(), frozenset(), EVERYTHING, EVERYTHING, policy.personal).level(field)


def examples(field: PolicyField, silent: Level) -> dict[str, str]:
    """Return how an example of a field's values looks for each thing that can be said of it."""
    value = _example(field)
    plain = {word: _shown(level, value) for word, level in LEVELS.items()}
    return {**plain, "": _shown(silent, value)}


def _example(field: PolicyField) -> object:
    if field.type in _DATES:
        return _DAY
    if field.type in _NUMBERS:
        return _NUMBER
    if field.type is FieldType.BOOLEAN:
        return "true"
    return next((value for part, value in _SPEAKING.items() if part in field.name.lower()), _TEXT)


def _shown(level: Level, value: object) -> str:
    if level.mask is not None:
        return masked(level.mask, value, _KEY) or ""
    return str(value) if level.access >= LEVELS["read"].access else ""


def line_from(form: MultiDict[str, str], old: Line, areas: Rooms) -> Line:
    """Return the line that a form states; `old` is the one that it was made of."""
    cells = {action: form.get(f"cell:{action}", "") for action in ACTIONS}
    allow = frozenset(action for action, state in cells.items() if state == matrix.ALLOW)
    deny = frozenset(action for action, state in cells.items() if state == matrix.DENY)
    follows = form.get("follow") == "yes" or (old.allow is None and allow == matrix.permitted(areas, old.on) - deny)
    said = {key.removeprefix("field:"): value for key, value in form.items() if key.startswith("field:")}
    for number in range(SPARE):
        if name := form.get(f"name-{number}", "").strip():
            said[name] = form.get(f"level-{number}", "")
    return Line(
        old.on,
        None if follows else allow,
        deny,
        form.get("rows", "").replace("\r\n", "\n").strip(),
        form.get("deny_rows", "").replace("\r\n", "\n").strip(),
        {name: LEVELS[word] for name, word in said.items() if word in LEVELS},
        LEVELS.get(form.get("other_fields", ""), WRITE),
    )


def errors_of(problems: Iterable[DocumentProblem], number: int) -> dict[str, Message]:
    """Return the first mistake of each input of the line with this number; others are told above the form."""
    found: dict[str, Message] = {}
    for problem in problems:
        path = problem.path.removeprefix(f"data/{number}/") if problem.path.startswith(f"data/{number}/") else ""
        place = path.replace("fields/", "field:", 1) if path.startswith("fields/") else path
        found.setdefault(place, _told(problem))
    return found


def _told(problem: DocumentProblem) -> Message:
    if problem.suggestion:
        return msg("{problem} Did you mean '{close}'?", problem=problem.message, close=problem.suggestion)
    return problem.message
