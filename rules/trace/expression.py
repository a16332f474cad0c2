"""Explains one expression for one record: which part had which value, and which part decided.

The parts are evaluated once more, each by itself, by the runtime that evaluates whole expressions; so a part that the
evaluation passed by is not asked, and is told as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import polars as pl

from rules.language.bindings import parse_json
from rules.language.check import check
from rules.language.checked import field_of
from rules.language.library import EMPTY, Library
from rules.language.nodes import Call, Has, Ident, ListOf, Literal, Macro, MapOf, Node, Operator, children
from rules.language.parse import parse
from rules.language.qualified import qualified
from rules.language.spans import spans
from rules.schema import Schema
from rules.text import Message, msg
from rules.trace.steps import Role, State, Step
from rules.trace.values import Found, Values

MAX_ITEMS = 20
_FALSE = msg("Decides: where all parts have to be true, one that is false is enough.")
_TRUE = msg("Decides: where one part is enough, this one is true.")
_COVERED = msg("This error does not count, because another part decides.")
_TAKEN = msg("Chosen by the condition.")
_PASSED = msg("Not asked: the condition chose the other result.")
_FILLED = msg("Not asked: there is a value before it.")
_DEFAULT = msg("Stands in, because what comes before it is empty.")
_NO_CHOICE = msg("Stands in, because no choice fits.")
_CHOSEN = msg("Not asked: one of the choices fits.")
_MORE = msg("Only the first {count} items are shown.", count=MAX_ITEMS)


class Tracer:
    """Explains one expression for any record; `library` is what it was compiled with."""

    def __init__(self, text: str, schema: Schema, library: Library = EMPTY) -> None:
        self.text = text
        self.tree = qualified(parse(text), schema)
        self._spans = spans(text, self.tree)
        self._values = Values(check(self.tree, text, schema, None, library), schema)
        self._calls: dict[str, Callable[[Call, pl.DataFrame], tuple[Step, ...]]] = {
            "orDefault": self._first,
            "coalesce": self._first,
            "choose": self._choose,
        }

    def trace(self, record: pl.DataFrame) -> Step:
        """Return what became of the expression for a record (a batch of one)."""
        return self._step(self.tree, record, Role.WHOLE)

    @property
    def span(self) -> tuple[int, int]:
        """Return where the whole expression stands in its text, without the blanks and comments around it."""
        return self._spans[id(self.tree)]

    def outline(self) -> Iterator[tuple[Role, int, str]]:
        """Yield the parts that can decide, the clauses and choices, with where each begins and its text.

        What stands inside a loop is left out, since it has a value for each item.
        """
        yield from self._outline(self.tree)

    def _outline(self, node: Node) -> Iterator[tuple[Role, int, str]]:
        for role, part in _deciding(node):
            start, end = self._spans[id(part)]
            yield role, start, self.text[start:end]
        for part in _inside(node):
            yield from self._outline(part)

    def _step(self, node: Node, record: pl.DataFrame, role: Role) -> Step:
        return self._shown(node, role, self._values.of(node, record), self._below(node, record))

    def _shown(self, node: Node, role: Role, found: Found, steps: tuple[Step, ...] = ()) -> Step:
        start, end = self._spans[id(node)]
        state = State.VALUE if found.error is None else State.ERROR
        return Step(self.text[start:end], start, end, state, found.value, found.error, role, steps=steps)

    def _skipped(self, node: Node, note: Message, role: Role = Role.CHOICE) -> Step:
        start, end = self._spans[id(node)]
        return Step(self.text[start:end], start, end, State.SKIPPED, role=role, note=note)

    def _below(self, node: Node, record: pl.DataFrame) -> tuple[Step, ...]:
        if field_of(node) is not None or isinstance(node, (Literal, Ident, Has)):
            return ()
        if isinstance(node, Operator) and node.symbol in ("&&", "||"):
            return self._clauses(node, record)
        if isinstance(node, Operator) and node.symbol == "?:":
            return self._branches(node, record)
        if isinstance(node, Macro):
            return self._loop(node, record)
        if isinstance(node, Call) and node.name in self._calls:
            return self._calls[node.name](node, record)
        return self._parts(children(node), record)

    def _parts(self, nodes: tuple[Node, ...], record: pl.DataFrame) -> tuple[Step, ...]:
        """Return the parts that are not simply written out."""
        return tuple(self._step(node, record, Role.PART) for node in nodes if not constant(node))

    def _clauses(self, node: Operator, record: pl.DataFrame) -> tuple[Step, ...]:
        steps = [self._step(part, record, Role.CLAUSE) for part in clauses(node)]
        settling = node.symbol == "||"
        settled = any(step.state is State.VALUE and step.value is settling for step in steps)
        return tuple(_clause(step, settled, settling=settling) for step in steps)

    def _branches(self, node: Operator, record: pl.DataFrame) -> tuple[Step, ...]:
        test, *results = node.operands
        asked = self._step(test, record, Role.TEST)
        if asked.state is State.ERROR:
            return (asked,)
        taken = 0 if asked.value is True else 1
        made = replace(self._step(results[taken], record, Role.CHOICE), decides=True, note=_TAKEN)
        other = self._skipped(results[1 - taken], _PASSED)
        return (asked, made, other) if taken == 0 else (asked, other, made)

    def _first(self, node: Call, record: pl.DataFrame) -> tuple[Step, ...]:
        """Return the parts of orDefault() and coalesce(): the first that is not empty is taken."""
        steps: list[Step] = []
        done = False
        for number, part in enumerate(node.args):
            if done:
                steps.append(self._skipped(part, _FILLED))
                continue
            step = self._step(part, record, Role.CHOICE)
            done = step.state is State.ERROR or step.value is not None
            took = done or number == len(node.args) - 1
            steps.append(replace(step, decides=took, note=_DEFAULT if number and took else None))
        return tuple(steps)

    def _choose(self, node: Call, record: pl.DataFrame) -> tuple[Step, ...]:
        value, choices, *rest = node.args
        asked = self._step(value, record, Role.TEST)
        if not isinstance(choices, MapOf) or asked.state is State.ERROR:
            return (asked, *self._parts((choices, *rest), record))
        keys = [
            (key, part, self._values.of(key, record)) for key, part in zip(choices.keys, choices.values, strict=True)
        ]
        hit = next((part for _key, part, found in keys if found.error is None and found.value == asked.value), None)
        made = () if hit is None else (replace(self._step(hit, record, Role.CHOICE), decides=True, note=_TAKEN),)
        if not rest:
            return (asked, *made)
        if made:
            return (asked, *made, self._skipped(rest[0], _CHOSEN))
        return (asked, replace(self._step(rest[0], record, Role.CHOICE), decides=True, note=_NO_CHOICE))

    def _loop(self, node: Macro, record: pl.DataFrame) -> tuple[Step, ...]:
        source = self._step(node.source, record, Role.PART)
        items = parse_json(source.value) if isinstance(source.value, str) else source.value
        shown: list[Step] = []
        for number, item in enumerate(items[:MAX_ITEMS] if isinstance(items, list) else ()):
            for part in (node.guard, node.body):
                if part is not None:
                    found = self._values.body(node, part, number, record)
                    shown.append(replace(self._shown(part, Role.ITEM, found), item=item))
        if isinstance(items, list) and len(items) > MAX_ITEMS:
            source = replace(source, note=_MORE)
        return (source, *shown)


def _clause(step: Step, settled: bool, *, settling: bool) -> Step:
    if step.state is State.ERROR:
        return replace(step, note=_COVERED) if settled else step
    decides = step.value is settling
    return replace(step, decides=decides, note=(_TRUE if settling else _FALSE) if decides else None)


def _deciding(node: Node) -> Iterator[tuple[Role, Node]]:
    """Yield the parts of a node of which one decides."""
    match node:
        case Operator(symbol="&&" | "||"):
            yield from ((Role.CLAUSE, part) for part in clauses(node) if not _is_row(part))
        case Operator(symbol="?:", operands=(_test, yes, no)):
            yield from ((Role.CHOICE, part) for part in (yes, no))
        case Call(name="orDefault" | "coalesce", args=parts):
            yield from ((Role.CHOICE, part) for part in parts)
        case Call(name="choose", args=(_value, MapOf(values=values), *rest)):
            yield from ((Role.CHOICE, part) for part in (*values, *rest))


def _inside(node: Node) -> Iterable[Node]:
    """Return the parts of a node that are looked into; a row of && or of || is one level however it was read."""
    if isinstance(node, Macro):
        return (node.source,)
    return clauses(node) if isinstance(node, Operator) and _is_row(node) else children(node)


def _is_row(node: Node) -> bool:
    """Tell whether a node is a row of && or of || itself, whose own clauses decide."""
    return isinstance(node, Operator) and node.symbol in ("&&", "||")


def clauses(row: Operator) -> list[Node]:
    """Return the clauses of a row of && or of ||, in the order they are written."""
    found: list[Node] = []
    for part in row.operands:
        found += clauses(part) if isinstance(part, Operator) and part.symbol == row.symbol else [part]
    return found


def constant(node: Node) -> bool:
    """Tell whether a part is simply written out, so that its value explains nothing."""
    if isinstance(node, (ListOf, MapOf)):
        return all(constant(part) for part in children(node))
    return isinstance(node, Literal)
