"""What the checker warns of: fields that may be empty where that is an error, conditions that are always true or false.

Both follow what is known at each place: behind `phone != null &&`, in the branches of `?:`, in the parts of `||` that
are reached only when the others are false. An error in one part of && does not count if another part is false, so a
guard may stand on either side.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

from rules.language.checked import MAX_PROBLEMS, Checked
from rules.language.facts import Facts, constant
from rules.language.nodes import Call, Has, Ident, ListOf, Literal, Macro, Node, Operator, Select, children
from rules.language.problems import Severity, problem_at
from rules.language.spans import Span, spans
from rules.language.truths import Truths
from rules.language.types import Kind
from rules.schema import FieldType, Schema
from rules.text import N_, Message, msg

_DEFAULTS = {
    FieldType.TEXT: "''",
    FieldType.TIME: "''",
    FieldType.INTEGER: "0",
    FieldType.DECIMAL: "0.0",
    FieldType.FLOAT: "0.0",
    FieldType.BOOLEAN: "false",
}
_LOGIC = ("&&", "||")


def warn(checked: Checked, text: str, schema: Schema) -> None:
    """Add the warnings of a tree without errors to its problems."""
    _Flow(checked, text, schema).visit(checked.tree, Facts(), strict=False)


class _Flow:
    """Walks through one expression in the order in which it is evaluated."""

    def __init__(self, checked: Checked, text: str, schema: Schema) -> None:
        self._checked = checked
        self._text = text
        self._schema = schema
        self._truths = Truths(checked, schema)
        self._warned: set[str] = set()
        self._visits: dict[type, Callable[[Any, Facts, bool], None]] = {
            Select: self._taken,
            Has: self._taken,
            Operator: self._operator,
            Call: self._call,
            Macro: self._macro,
        }

    @cached_property
    def _spans(self) -> dict[int, Span]:
        return spans(self._text, self._checked.tree)

    def visit(self, node: Node, facts: Facts, *, strict: bool) -> None:
        """Look at a part; `strict` says that it is an error where it is empty."""
        name = self._truths.field(node)
        if name is not None:
            if strict:
                self._used(name, node, facts)
            return
        step = self._visits.get(type(node))
        if step is not None:
            step(node, facts, strict)
        else:
            self._all(children(node), facts, strict=False)

    def _all(self, parts: tuple[Node, ...], facts: Facts, *, strict: bool) -> None:
        for part in parts:
            self.visit(part, facts, strict=strict)

    # Empty fields

    def _used(self, name: str, node: Node, facts: Facts) -> None:
        field = self._schema[name]
        if not field.nullable or name in facts.filled | facts.guarded or name in self._warned:
            return
        self._warned.add(name)
        start, end = self._spans[id(node)]
        written, default = self._text[start:end], _DEFAULTS.get(field.type)
        if default is None:
            text, example = N_("The field '{field}' may be empty, which is an error here. Ask first: {example}."), None
        else:
            text = N_("The field '{field}' may be empty, which is an error here. Write {example}, or ask first.")
            example = f"{written}.orDefault({default})"
        message = msg(text, field=name, example=example or f"{written} == null ? ... : ...")
        self._say(node, message, example)

    def _taken(self, node: Select | Has, facts: Facts, _strict: bool) -> None:
        if self._truths.asked(node) is None:
            self.visit(node.operand, facts, strict=True)
        else:
            self._answer(node, facts)

    # Operators

    def _operator(self, node: Operator, facts: Facts, strict: bool) -> None:
        if node.symbol in _LOGIC:
            self._row(node, facts)
        elif node.symbol == "?:":
            self._ternary(node, facts, strict=strict)
        elif node.symbol == "!":
            self.visit(node.operands[0], facts, strict=True)
            self._answer(node, facts)
        elif node.symbol in ("==", "!="):
            self._all(node.operands, facts, strict=False)
            self._answer(node, facts)
        elif node.symbol == "in":
            self.visit(node.operands[0], facts, strict=False)
            self.visit(node.operands[1], facts, strict=True)
            self._twice(node.operands[1])
            self._answer(node, facts)
        else:
            self._all(node.operands, facts, strict=True)
            self._answer(node, facts)

    def _condition(self, node: Node, facts: Facts) -> None:
        """Look at a condition; comparisons say themselves if they are always true or false."""
        self.visit(node, facts, strict=True)
        if isinstance(node, (Literal, Ident)):
            self._answer(node, facts)

    def _answer(self, node: Node, facts: Facts) -> None:
        answer = self._truths.answer(node, facts)
        if answer is not None:
            self._say(node, answer.reason)

    def _row(self, node: Operator, facts: Facts) -> None:
        """Look at a row of && or ||: each part knows what those before it have given, and the guards behind it."""
        parts = _flat(node, node.symbol)
        going = node.symbol == "&&"
        guards = [self._guards(part, truth=going) for part in parts]
        counts = Counter(name for names in guards for name in names)
        everywhere = frozenset(counts)
        known = facts
        for part, own in zip(parts, guards, strict=True):
            self._condition(part, known.with_guarded(everywhere - {name for name in own if counts[name] == 1}))
            # A part may have ended in an error that another part makes good, so only guards prove a field to be filled.
            known = replace(self._truths.after(part, known, truth=going), filled=known.filled | own)

    def _guards(self, node: Node, *, truth: bool) -> frozenset[str]:
        """Return the fields that cannot be empty where a part gives `truth`, found without an error in any case."""
        match node:
            case Operator(symbol="!", operands=(part,)):
                return self._guards(part, truth=not truth)
            case Operator(symbol="&&" | "||") if truth is (node.symbol == "&&"):
                return frozenset().union(*(self._guards(part, truth=truth) for part in node.operands))
            case Operator(symbol="<" | "<=" | ">" | ">="):
                return frozenset()  # of an empty field it is an error
            case Ident() | Select():
                return frozenset()
            case _:
                return self._truths.after(node, Facts(), truth=truth).filled

    def _ternary(self, node: Operator, facts: Facts, *, strict: bool) -> None:
        test, yes, no = node.operands
        answer = self._truths.answer(test, facts)
        if answer is not None:
            never = no if answer.truth else yes
            text = N_("This part is never used: the condition before it is always {truth}.")
            self._say(never, msg(text, truth="true" if answer.truth else "false"))
        else:
            self._condition(test, facts)
        for branch, truth in ((yes, True), (no, False)):
            if answer is None or answer.truth is truth:
                self.visit(branch, self._truths.after(test, facts, truth=truth), strict=strict)

    # Functions, loops

    def _call(self, node: Call, facts: Facts, strict: bool) -> None:
        if node.name in ("orDefault", "coalesce"):
            self._first(node, facts, strict=strict)
        elif node.name == "choose":
            self.visit(node.args[0], facts, strict=len(node.args) < 3)
            self._all(node.args[1:], facts, strict=False)
        else:
            overload = self._checked.overloads.get(id(node))
            wanted = overload.parameters if overload else ()
            for number, arg in enumerate(node.args):
                self.visit(arg, facts, strict=number < len(wanted) and wanted[number].kind is not Kind.ANY)

    def _first(self, node: Call, facts: Facts, *, strict: bool) -> None:
        for number, arg in enumerate(node.args[:-1]):
            self.visit(arg, facts, strict=False)
            if self._is_filled(arg, facts):
                text = N_("This part is never used: what stands before it is never empty.")
                self._say(node.args[number + 1], msg(text))
                return
            name = self._truths.field(arg)
            facts = facts if name is None else facts.with_empty(name)
        self.visit(node.args[-1], facts, strict=strict)

    def _is_filled(self, node: Node, facts: Facts) -> bool:
        name = self._truths.field(node)
        if name is not None:
            return not self._schema[name].nullable or name in facts.filled
        return (isinstance(node, Literal) and node.value is not None) or self._truths.never_empty(node)

    def _macro(self, node: Macro, facts: Facts, _strict: bool) -> None:
        self.visit(node.source, facts, strict=True)
        self._truths.bound.append(node.variable)
        if node.guard is not None:
            self._condition(node.guard, facts)
            facts = self._truths.after(node.guard, facts, truth=True)
        if node.name.value == "map":
            self.visit(node.body, facts, strict=False)
        else:
            self._condition(node.body, facts)
        self._truths.bound.pop()

    def _twice(self, node: Node) -> None:
        """Say it where a value stands a second time in a list."""
        seen: set[Any] = set()
        for part in node.items if isinstance(node, ListOf) else ():
            value = constant(part)
            if value is not None and value in seen:
                self._say(part, msg("This value stands here a second time."))
            seen.add(value)

    def _say(self, node: Node, message: Message, suggestion: str | None = None) -> None:
        if len(self._checked.problems) >= MAX_PROBLEMS:
            return
        start, end = self._spans[id(node)]
        self._checked.problems.append(problem_at(self._text, start, message, suggestion, Severity.WARNING, end=end))


def _flat(node: Node, symbol: str) -> list[Node]:
    """Return the parts of a row of the same operator in order."""
    found: list[Node] = []
    rest = [node]
    while rest:
        part = rest.pop()
        if isinstance(part, Operator) and part.symbol == symbol:
            rest += reversed(part.operands)
        else:
            found.append(part)
    return found
