"""Whether a condition is certainly true or false where it stands, and what follows once it has been answered."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from rules.language.checked import RECORD, Checked, field_of
from rules.language.domains import OPPOSITE, Question
from rules.language.facts import Facts, constant, misfits, opposite, question, relation
from rules.language.nodes import Call, Has, Ident, Literal, Node, Operator, Select
from rules.language.types import Kind
from rules.schema import FieldType, Schema
from rules.text import N_, Message, msg

_BEFORE = N_("This is always {truth} here, because of what is asked before it.")
_LENGTH = N_("'{field}' has at most {length} characters, so this is always {truth}.")
_TYPE = N_("'{field}' cannot have such a value, so this is always {truth}.")
_FILLED = N_("The field '{field}' is never empty, so this is always {truth}.")
_CONSTANT = N_("This is always {truth}.")
_NEVER_NULL = N_("This part is never empty: an empty field in it is an error. Ask for the field itself.")
_SYMBOLS = frozenset({"==", "!=", "<", "<=", ">", ">=", "in"})


@dataclass(frozen=True)
class Answer:
    """A condition that is certainly true or false, and why."""

    truth: bool
    reason: Message

    def negated(self) -> Answer:
        """Return the answer to the opposite condition."""
        return Answer(
            not self.truth, replace(self.reason, values={**self.reason.values, "truth": _word(not self.truth)})
        )


def _answer(truth: bool, text: str, **values: Any) -> Answer:
    return Answer(truth, msg(text, truth=_word(truth), **values))


def _word(truth: bool) -> str:
    return "true" if truth else "false"


class Truths:
    """Answers conditions over the fields of one schema; `bound` are the names that loops have taken."""

    def __init__(self, checked: Checked, schema: Schema) -> None:
        self._checked = checked
        self._schema = schema
        self.bound: list[str] = []

    def field(self, node: Node) -> str | None:
        """Return the field that a node names."""
        name = field_of(node)
        if name is None and isinstance(node, Ident) and node.name not in self.bound:
            name = node.name
        elif RECORD in self.bound:
            name = None
        return name if name is not None and name in self._schema else None

    def asked(self, node: Node) -> str | None:
        """Return the field that `has(record.field)` asks for."""
        if isinstance(node, Has) and isinstance(node.operand, Ident) and node.operand.name == RECORD:
            return node.field if RECORD not in self.bound and node.field in self._schema else None
        return None

    # Answers

    def answer(self, node: Node, facts: Facts) -> Answer | None:
        """Return the answer to a condition that has no conditions in it; None if it depends on the record."""
        match node:
            case Literal(value=bool() as value):
                return _answer(value, _CONSTANT)
            case Operator(symbol="!", operands=(Literal() | Ident() | Select() | Operator(symbol="!") as part,)):
                found = self.answer(part, facts)
                return None if found is None else found.negated()
            case Operator(symbol=symbol, operands=(left, right)) if symbol in _SYMBOLS:
                return self._compared(node, left, right, facts)
            case Has() if (name := self.asked(node)) is not None:
                return self._filled(name, facts, truth=True)
            case Ident() | Select() if (name := self.field(node)) is not None and self._is_boolean(name):
                return self._answered(Question(name, "==", (True,)), facts, wanted=True)
            case _:
                return None

    def _compared(self, node: Operator, left: Node, right: Node, facts: Facts) -> Answer | None:
        empty = self._of_null(node, left, right, facts)
        if empty is not None:
            return empty
        known = relation(node.symbol, constant(left), constant(right))
        if known is not None:
            return _answer(known, _CONSTANT)
        asked = self.test(node)
        return None if asked is None else self._answered(asked[0], facts, wanted=asked[1])

    def _of_null(self, node: Operator, left: Node, right: Node, facts: Facts) -> Answer | None:
        for value, other in ((left, right), (right, left)):
            if node.symbol in ("==", "!=") and isinstance(other, Literal) and other.value is None:
                name = self.field(value)
                if name is not None:
                    return self._filled(name, facts, truth=node.symbol == "!=")
                if self.never_empty(value):
                    return Answer(node.symbol == "!=", msg(_NEVER_NULL))
        return None

    def _filled(self, name: str, facts: Facts, *, truth: bool) -> Answer | None:
        if not self._schema[name].nullable:
            return _answer(truth, _FILLED, field=name)
        if name in facts.filled or name in facts.empty:
            return _answer(truth is (name in facts.filled), _BEFORE)
        return None

    def _answered(self, test: Question, facts: Facts, *, wanted: bool) -> Answer | None:
        field_ = self._schema[test.field]
        if misfits(test, field_):
            long = field_.type is FieldType.TEXT
            text, length = (_LENGTH, {"length": field_.length}) if long else (_TYPE, {})
            return _answer(not wanted, text, field=test.field, **length)
        domain = facts.domain(test.field)
        filled = not field_.nullable or test.field in facts.filled
        found = (replace(domain, filled=True) if filled else domain).answer(test)
        return None if found is None else _answer(found is wanted, _BEFORE)

    def never_empty(self, node: Node) -> bool:
        """Tell whether a part that is no field is an error instead of empty."""
        if isinstance(node, Operator):
            return node.symbol in ("+", "-", "*", "/", "%")
        overload = self._checked.overloads.get(id(node)) if isinstance(node, Call) else None
        return overload is not None and overload.result.kind is not Kind.ANY and not overload.nullable

    # What follows

    def test(self, node: Node) -> tuple[Question, bool] | None:
        """Return what a comparison asks of a field, and the answer that makes it true."""
        if not isinstance(node, Operator) or len(node.operands) != 2 or node.symbol not in _SYMBOLS:
            return None
        for flipped in (False, True):
            name = self.field(node.operands[1 if flipped else 0])
            if name is not None:
                return question(name, node, self._schema[name], flipped=flipped)
        return None

    def after(self, node: Node, facts: Facts, *, truth: bool) -> Facts:
        """Return what is known where a condition has given `truth`."""
        if isinstance(node, Operator):
            return self._after_operator(node, facts, truth=truth)
        match node:
            case Call(name="isBlank", args=(part,)) if (name := self.field(part)) is not None:
                return facts if truth else facts.with_filled([name])
            case Has() if (name := self.asked(node)) is not None:
                return facts.with_filled([name]) if truth else facts.with_empty(name)
            case Ident() | Select() if (name := self.field(node)) is not None and self._is_boolean(name):
                return self._narrowed(Question(name, "==", (True,)), facts, truth=truth, strict=True)
            case _:
                return facts

    def _after_operator(self, node: Operator, facts: Facts, *, truth: bool) -> Facts:
        match node:
            case Operator(symbol="!", operands=(part,)):
                return self.after(part, facts, truth=not truth)
            case Operator(symbol="&&" | "||", operands=(left, right)):
                if truth is (node.symbol == "&&"):
                    return self.after(right, self.after(left, facts, truth=truth), truth=truth)
                return facts
            case _:
                return self._after_comparison(node, facts, truth=truth)

    def _is_boolean(self, name: str) -> bool:
        return self._schema[name].type is FieldType.BOOLEAN

    def _after_comparison(self, node: Operator, facts: Facts, *, truth: bool) -> Facts:
        name = self.null_test(node)
        if name is not None:
            empty = truth is (node.symbol == "==")
            return facts.with_empty(name) if empty else facts.with_filled([name])
        asked = self.test(node)
        return facts if asked is None else self._narrowed(asked[0], facts, truth=truth is asked[1])

    def null_test(self, node: Node) -> str | None:
        """Return the field that is compared with null."""
        if isinstance(node, Operator) and node.symbol in ("==", "!="):
            for value, other in (node.operands, node.operands[::-1]):
                if isinstance(other, Literal) and other.value is None:
                    return self.field(value)
        return None

    def _narrowed(self, test: Question, facts: Facts, *, truth: bool, strict: bool = False) -> Facts:
        """Return what is known once a question was answered; `strict` says that it is an error for an empty field."""
        known, name = test, test.field
        if not truth and test.symbol in OPPOSITE:
            other = opposite(test, self._schema[name])
            if other is None:
                return facts
            known, truth = other, True
        before = facts.domain(name)
        after = before.narrowed(known, answer=truth)
        if strict or test.symbol in OPPOSITE:
            return facts.with_domain(name, replace(after, filled=before.filled)).with_filled([name])
        return facts.with_domain(name, after)
