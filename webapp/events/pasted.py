"""Events that somebody pastes: JSON lines, JSON, or YAML; what cannot be read is told with its line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rules.documents import DocumentError, Located, load_documents
from rules.events.simulate import BadEvent, read_events
from rules.text import Message, msg

LONGEST = 500_000


class Unreadable(ValueError):
    """Pasted text holds no events; `message` says why, `line` where."""

    def __init__(self, message: Message, line: int | None = None) -> None:
        super().__init__(str(message))
        self.message = message
        self.line = line


@dataclass(frozen=True)
class Pasted:
    """The events of a text, and the line of each."""

    items: list[Any]
    lines: list[int]


def read(text: str) -> Pasted:
    """Return the events of a text; raises `Unreadable`."""
    if len(text) > LONGEST:
        raise Unreadable(msg("The text is longer than {limit} characters.", limit=LONGEST))
    if not text.strip():
        raise Unreadable(msg("Paste at least one event."))
    found = _read(text)
    try:
        read_events(found.items)
    except BadEvent as error:
        number = error.message.values.get("number")
        line = found.lines[number - 1] if isinstance(number, int) and number <= len(found.lines) else None
        raise Unreadable(error.message, line) from None
    return found


def _read(text: str) -> Pasted:
    first = next(line for line in text.splitlines() if line.strip()).lstrip()
    if first.startswith("{") and not _one_object(text):
        return _json_lines(text)
    if first.startswith(("{", "[")):
        return _document(text, "json")
    return _document(text, "yaml")


def _one_object(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _json_lines(text: str) -> Pasted:
    items, lines = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip().rstrip(","):
            try:
                items.append(json.loads(line.strip().rstrip(",")))
            except (ValueError, RecursionError) as error:
                raise Unreadable(msg("This line is not JSON: {reason}.", reason=error), number) from None
            lines.append(number)
    return Pasted(items, lines)


def _document(text: str, form: str) -> Pasted:
    """Read a list (of one event as well) as the only key of a document, which knows the lines of its values."""
    if form == "json":
        plain = text.strip()
        whole = f'{{"events":[{text}]}}' if plain.startswith("{") else f'{{"events":{text}}}'
        shift = 0
    else:
        whole, shift = (text, 0) if text.lstrip().startswith("events:") else ("events:\n" + text, 1)
    try:
        found = load_documents(whole, form)
    except DocumentError as error:
        problem = error.problems[0]
        line = problem.line - shift if problem.line and problem.line > shift else None
        raise Unreadable(problem.message, line) from None
    items = found[0].document.get("events") if found else None
    if not isinstance(items, list):
        raise Unreadable(msg("A list of events is needed: each begins with a dash, or stands in a line of its own."))
    return Pasted(items, [_line(found[0], number, shift) for number in range(len(items))])


def _line(located: Located, number: int, shift: int) -> int:
    return max(located.place(f"events/{number}")[0] - shift, 1)
