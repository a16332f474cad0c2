"""What expressions of an event rule can name, and how they are worked out for the events at hand.

Each event stands under its name in the rule: `order.amount` is a part of its data, `order.event_at` and
`order.event_id` belong to the event itself, `order_all` is the list of all such events that were seen. `key` is what
the events have in common, `now` the moment at which the rule acts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import quote

import polars as pl

from rules.events.interface import Event
from rules.language.library import EMPTY, Library
from rules.language.problems import ExpressionError, Problem
from rules.language.program import Program, compile_expression
from rules.schema import Field, FieldType, Schema
from rules.text import Message, msg

KEY, NOW = "key", "now"
RESERVED = frozenset({KEY, NOW, "record"})
ALL = "_all"
PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_PARTS = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class CannotWorkOut(Exception):
    """An expression has no result for the events at hand; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Scope:
    """The names of a rule's events, and the lookup tables of the installation.

    Of the events in `unsure` nobody knows whether they were seen when an expression is asked.
    """

    names: tuple[str, ...]
    library: Library = EMPTY
    unsure: frozenset[str] = frozenset()

    @cached_property
    def schema(self) -> Schema:
        """Return the fields that expressions can name."""
        fields = [Field(KEY, FieldType.TEXT, nullable=False), Field(NOW, FieldType.DATETIME, nullable=False)]
        for name in self.names:
            fields.append(Field(f"{name}{ALL}", FieldType.JSON, nullable=False))
            parts = {name: FieldType.JSON, f"{name}.event_at": FieldType.DATETIME, f"{name}.event_id": FieldType.TEXT}
            fields += [Field(part, type_, nullable=name in self.unsure) for part, type_ in parts.items()]
        return Schema(tuple(fields))

    def compile(self, text: str, expect: FieldType | None = None) -> Program:
        """Return the program of an expression; raises `ExpressionError`."""
        return _compiled(self, text, expect)


@lru_cache(maxsize=2000)
def _compiled(scope: Scope, text: str, expect: FieldType | None) -> Program:
    return compile_expression(text, scope.schema, expect=expect, library=scope.library)


@dataclass(frozen=True)
class Moment:
    """The events that a rule has seen by name, the latest last, with the key and the time."""

    key: str
    now: datetime
    seen: Mapping[str, Sequence[Event]]

    def value(self, name: str) -> Any:
        """Return what a field of the scope holds."""
        if name in (KEY, NOW):
            return self.key if name == KEY else self.now
        base, _, part = name.partition(".")
        events = self.seen.get(base.removesuffix(ALL) if base not in self.seen and base.endswith(ALL) else base, ())
        if base not in self.seen and base.endswith(ALL):
            return _json([event.data for event in events])
        if not events:
            return None
        return {"event_at": events[-1].at, "event_id": events[-1].id}[part] if part else _json(events[-1].data)


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, sort_keys=True)


def work_out(program: Program, scope: Scope, moment: Moment) -> Any:
    """Return the value of an expression as JSON holds it; raises `CannotWorkOut`."""
    columns = [pl.Series(n, [moment.value(n)], dtype=scope.schema[n].dtype) for n in sorted(program.fields)]
    batch = pl.DataFrame(columns) if columns else pl.DataFrame({"": [None]})
    result = program.evaluate(batch)
    if result.errors:
        raise CannotWorkOut(result.errors[0].message)
    return _plain(result.values[0], program.type)


def holds(text: str, scope: Scope, moment: Moment) -> bool:
    """Tell whether a condition holds; raises `CannotWorkOut`."""
    return work_out(scope.compile(text, FieldType.BOOLEAN), scope, moment) is True


def _plain(value: Any, type_: FieldType) -> Any:
    if type_ is FieldType.JSON and isinstance(value, str):
        return json.loads(value)
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return str(value) if isinstance(value, Decimal) else value


@dataclass(frozen=True)
class Template:
    """A text with expressions in braces; `parts` are texts and expressions in turn."""

    parts: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> Template:
        """Return the template that a text stands for; raises `ExpressionError`."""
        parts, last = [""], 0
        for found in _PARTS.finditer(text):
            parts[-1] += text[last : found.start()]
            last = found.end()
            if found[1] is not None:
                parts += [found[1], ""]
            elif len(found[0]) == 2:
                parts[-1] += found[0][0]
            else:
                before = text[: found.start()]
                line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
                raise ExpressionError(
                    [Problem(msg("This brace has no partner. Write it twice to mean it."), line, column)]
                )
        parts[-1] += text[last:]
        return cls(tuple(parts))

    @property
    def expressions(self) -> tuple[str, ...]:
        """Return the expressions."""
        return self.parts[1::2]

    def fill(self, scope: Scope, moment: Moment, *, address: bool = False) -> str:
        """Return the text with all expressions worked out, quoted where it is an address; raises `CannotWorkOut`."""
        text = []
        for number, part in enumerate(self.parts):
            if number % 2:
                value = _text(work_out(scope.compile(part), scope, moment))
                text.append(quote(value, safe="") if address else value)
            else:
                text.append(part)
        return "".join(text)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value if isinstance(value, str) else _json(value) if isinstance(value, (dict, list)) else str(value)


def text_of(value: Any) -> str | None:
    """Return a value as a key, None where it cannot be one."""
    if isinstance(value, (str, int, float)) and value == value:  # noqa: PLR0124 - NaN is no key
        return _text(value) or None
    return None
