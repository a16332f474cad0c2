"""What the parts of the checker share: the result being built, and how mistakes are noted."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from rules.language.functions.registry import Overload
from rules.language.library import EMPTY, Library, Lookup
from rules.language.nodes import Call, Ident, Literal, Node, Operator, Select
from rules.language.problems import Problem, Severity, problem_at
from rules.language.types import ANY, Kind, Type
from rules.schema import Schema
from rules.text import Message, msg

RECORD = "record"
MAX_PROBLEMS = 25


class Enough(Exception):
    """So many mistakes were found that more of them help nobody."""


@dataclass
class Checked:
    """A tree with the type of each node, the fields it names and what is wrong with it.

    `lookups` tells which table, and which column of it, a call of `lookup()` reads.
    """

    tree: Node
    types: dict[int, Type] = field(default_factory=dict)
    overloads: dict[int, Overload] = field(default_factory=dict)
    fields: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    library: Library = EMPTY
    lookups: dict[int, tuple[Lookup, int]] = field(default_factory=dict)

    def type(self, node: Node) -> Type:
        """Return the type of a node of the tree."""
        return self.types[id(node)]

    def overload(self, node: Call) -> Overload:
        """Return the signature that a call uses."""
        return self.overloads[id(node)]


def field_of(node: Node) -> str | None:
    """Return the field that `record.name` or `record["name"]` names."""
    match node:
        case Select(operand=Ident(name="record"), field=name):
            return name
        case Operator(symbol="[]", operands=(Ident(name="record"), Literal(value=str() as name))):
            return name
        case _:
            return None


class Visitor(ABC):
    """Visits the nodes of one expression; goes on after a mistake, so that all are found at once (`MAX_PROBLEMS`)."""

    def __init__(self, checked: Checked, text: str, schema: Schema) -> None:
        self.checked = checked
        self.schema = schema
        self.variables: dict[str, Type] = {}
        self._text = text

    @abstractmethod
    def visit(self, node: Node) -> Type:
        """Return the type of a node, after noting it and what is wrong with it."""

    def report(
        self,
        at: int,
        message: Message,
        suggestion: str | None = None,
        severity: Severity = Severity.ERROR,
        *,
        end: int | None = None,
    ) -> Type:
        """Note a problem and go on with `any`, so that one mistake is reported once.

        It is a problem of the characters from `at` to `end`, of the word at `at` if that is left out.
        """
        self.checked.problems.append(problem_at(self._text, at, message, suggestion, severity, end=end))
        if len(self.checked.problems) >= MAX_PROBLEMS:
            raise Enough
        return ANY

    def condition(self, node: Node) -> None:
        """Note it if a node that has to be true or false is not."""
        found = self.visit(node)
        if found.kind not in (Kind.BOOLEAN, Kind.ANY):
            self.report(node.at, msg("A condition (true or false) is needed here, this is {type}.", type=str(found)))
