"""Row conditions: from CEL to a tree of questions to fields, of which each can be told exactly by every database.

What cannot is refused with its place when a policy is saved. `webapp.policies.certain` says for which records such a
tree is true for a given user.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from rules.language.check import check
from rules.language.checked import Checked, field_of
from rules.language.columns.constants import evaluated
from rules.language.columns.value import NoColumn
from rules.language.lower import lower
from rules.language.nodes import Call, Has, Ident, ListOf, Literal, Node, Operator, Select, children
from rules.language.parse import parse
from rules.language.problems import ExpressionError, Severity, problem_at
from rules.language.qualified import qualified
from rules.language.types import Kind, of_field
from rules.language.writing import text_of
from rules.predicate import Place, Test
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg
from webapp.policies.objects import PolicyField
from webapp.policies.questions import (
    Asked,
    Compared,
    Condition,
    Contrary,
    Filled,
    Flag,
    Given,
    Holding,
    Joined,
    Listed,
    OfUser,
    Operand,
)

USER = "user"
LISTS = frozenset({"roles", "groups"})
MOST_QUESTIONS = 100
MOST_VALUES = 500
_PLACES = {"startsWith": Place.START, "endsWith": Place.END, "contains": Place.ANYWHERE}
_ORDERS = {"<": Test.LESS, "<=": Test.AT_MOST, ">": Test.MORE, ">=": Test.AT_LEAST}
_TURNED = {
    Test.LESS: Test.MORE, Test.MORE: Test.LESS, Test.AT_MOST: Test.AT_LEAST, Test.AT_LEAST: Test.AT_MOST,
    Test.EQUAL: Test.EQUAL, Test.DIFFERENT: Test.DIFFERENT,
}  # fmt: skip
COMPARED = {
    FieldType.TEXT, FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN,
    FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME,
}  # fmt: skip
_ALIKE: Mapping[FieldType, tuple[type, ...]] = {
    FieldType.TEXT: (str,),
    FieldType.BOOLEAN: (bool,),
    **dict.fromkeys((FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT), (int, float)),
    **dict.fromkeys((FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME), (date,)),
}


def compiled(text: str, fields: Iterable[PolicyField]) -> Condition:
    """Return the condition; raises `ExpressionError` for what is wrong or cannot be told exactly."""
    known = {field.name: field for field in fields}
    tree = parse(text)
    own = tuple(Field(f.name, f.type) for f in known.values())
    of_user = tuple(Field(f"{USER}.{name}", FieldType.JSON) for name in sorted(_asked(tree)))
    schema = Schema((*own, *of_user))
    tree = qualified(tree, schema)
    checked = check(tree, text, schema)
    wrong = [problem for problem in checked.problems if problem.severity is Severity.ERROR]
    if wrong:
        raise ExpressionError(wrong)
    return _Compiler(checked, text, schema, known).made(tree)


def parsed(text: str) -> None:
    """Raise `ExpressionError` where a condition cannot even be read; for objects whose fields are not known."""
    parse(text)


def mentioned(text: str) -> frozenset[str]:
    """Return the fields that a condition reads; raises `ExpressionError`."""
    return frozenset(name for part in _parts(parse(text)) if (name := field_of(part)) is not None)


def _asked(tree: Node) -> set[str]:
    return {
        part.field for part in _parts(tree) if isinstance(part, Select) and part.operand == Ident(part.operand.at, USER)
    }


def _parts(node: Node) -> Iterator[Node]:
    yield node
    for child in children(node):
        yield from _parts(child)


class _Compiler:
    def __init__(self, checked: Checked, text: str, schema: Schema, known: Mapping[str, PolicyField]) -> None:
        self._checked, self._text, self._schema, self._known = checked, text, schema, known
        self._questions = 0
        self._forms: Mapping[str, Callable[[Operator], Condition]] = {
            "!": lambda node: Contrary(self.made(node.operands[0])),
            "&&": lambda node: Joined(tuple(map(self.made, node.operands)), every=True),
            "||": lambda node: Joined(tuple(map(self.made, node.operands)), every=False),
            "==": lambda node: self._compared(node, Test.EQUAL),
            "!=": lambda node: self._compared(node, Test.DIFFERENT),
            "in": self._among,
            **dict.fromkeys(_ORDERS, lambda node: self._compared(node, _ORDERS[node.symbol])),
        }

    def made(self, node: Node) -> Condition:
        """Return the condition that a node states."""
        self._questions += 1
        if self._questions > MOST_QUESTIONS:
            raise self._refused(node, msg("The condition has too many parts. Make it shorter."))
        field = self._field(node)
        if field is not None:
            return self._flag(node, field)
        match node:
            case Literal(value=bool() as truth):
                return Given(truth)
            case Operator(symbol=symbol) if symbol in self._forms:
                return self._forms[symbol](node)
            case Call(name=name) if name in _PLACES:
                return self._holding(node)
            case Has() if node.operand == Ident(node.operand.at, "record") and node.field in self._known:
                return Filled(self._known[node.field])
            case _:
                raise self._refused(node, self._inexact(node))

    def _flag(self, node: Node, field: PolicyField) -> Condition:
        if field.type is not FieldType.BOOLEAN:
            raise self._refused(node, msg("Compare the field '{field}' with something.", field=field.name))
        self._asked_exactly(node, field)
        return Flag(field)

    def _compared(self, node: Operator, test: Test) -> Condition:
        left, right = node.operands
        field = self._field(left)
        if field is not None:
            return self._of_field(node, field, test, right)
        field = self._field(right)
        if field is not None:
            return self._of_field(node, field, _TURNED[test], left)
        one, other = self._operand(left), self._operand(right)
        if isinstance(one, Asked) and not isinstance(other, Asked):
            return self._of_user(right, one, test, other)
        if isinstance(other, Asked) and not isinstance(one, Asked):
            return self._of_user(left, other, _TURNED[test], one)
        raise self._refused(node, msg("Compare a field of the record, or something of the user, with a fixed value."))

    def _of_field(self, node: Operator, field: PolicyField, test: Test, other: Node) -> Condition:
        if self._field(other) is not None:
            text = N_("Two fields cannot be compared in a condition of rows. Compare a field with a fixed value.")
            raise self._refused(node, msg(text))
        value = self._operand(other)
        if value is None:
            return Contrary(Filled(field)) if test is Test.EQUAL else Filled(field)
        self._asked_exactly(node, field, ordered=test not in (Test.EQUAL, Test.DIFFERENT))
        self._fits(other, field, value)
        ordered = test not in (Test.EQUAL, Test.DIFFERENT)
        if ordered and field.type is FieldType.BOOLEAN:
            raise self._refused(node, msg("Yes and no have no order. Compare with == or !=."))
        return Compared(field, test, value)

    def _of_user(self, place: Node, asked: Asked, test: Test, value: Operand) -> Condition:
        if not isinstance(value, str):
            raise self._refused(place, msg("What is known of a user is text. Compare it with text in quotes."))
        return OfUser(asked, test, value)

    def _among(self, node: Operator) -> Condition:
        left, right = node.operands
        field = self._field(left)
        item: PolicyField | Operand = field if field is not None else self._operand(left)
        if field is None and not isinstance(item, (Asked, str)):
            raise self._refused(left, msg("Look for a field of the record, or something of the user, in a list."))
        if field is not None:
            self._asked_exactly(node, field)
        if self._asks(right):
            if field is not None:
                self._fits(right, field, "")
            return Listed(item, within=Asked((field_of(right) or "").removeprefix(f"{USER}.")))
        if not isinstance(right, ListOf) or len(right.items) > MOST_VALUES:
            raise self._refused(right, msg("Only a list that is written out, or one of the user's, can be searched."))
        return Listed(item, tuple(self._item(part, field) for part in right.items))

    def _item(self, node: Node, field: PolicyField | None) -> Operand:
        value = self._operand(node)
        if value is None or (field is None and not isinstance(value, (str, Asked))):
            raise self._refused(node, msg("This value cannot be looked for."))
        if field is not None:
            self._fits(node, field, value)
        return value

    def _holding(self, node: Call) -> Condition:
        field = self._field(node.args[0])
        if field is None or field.type is not FieldType.TEXT:
            raise self._refused(node, msg("{name}() is asked of a text field of the record.", name=node.name))
        self._asked_exactly(node, field, ordered=True)
        text = self._operand(node.args[1])
        self._fits(node.args[1], field, text)
        return Holding(field, _PLACES[node.name], text)

    def _asked_exactly(self, node: Node, field: PolicyField, *, ordered: bool = False) -> None:
        """Refuse what no index of an encrypted field can answer."""
        if field.encrypted and (ordered or not field.exact):
            text = N_("'{field}' is encrypted. A condition of rows can only ask whether it is empty.")
            exact = N_("'{field}' is encrypted. A condition of rows can compare it by == and != only.")
            raise self._refused(node, msg(exact if field.exact else text, field=field.name))

    def _fits(self, node: Node, field: PolicyField, value: Operand) -> None:
        if field.type not in COMPARED:
            text = N_("The field '{field}' ({type}) cannot be compared in a condition of rows.")
            raise self._refused(node, msg(text, field=field.name, type=field.type.value))
        alike = _ALIKE[field.type]
        right = str in alike if isinstance(value, Asked) else isinstance(value, alike)
        if not right or (isinstance(value, bool) and bool not in alike):
            text = N_("The field '{field}' ({type}) cannot be compared with this.")
            raise self._refused(node, msg(text, field=field.name, type=field.type.value))
        if isinstance(value, str) and "\x00" in value:
            raise self._refused(node, msg("Only plain texts are compared."))

    def _field(self, node: Node) -> PolicyField | None:
        name = node.name if isinstance(node, Ident) else field_of(node)
        return None if name is None else self._known.get(name)

    def _asks(self, node: Node) -> bool:
        name = field_of(node)
        return name is not None and name not in self._known and name.startswith(f"{USER}.")

    def _operand(self, node: Node) -> Operand:
        """Return a value that does not depend on the record."""
        name = field_of(node)
        if name is not None and self._asks(node):
            asked = name.removeprefix(f"{USER}.")
            if asked in LISTS:
                text = N_("user.{name} is a list. Write {example}.")
                raise self._refused(node, msg(text, name=asked, example=f"'...' in user.{asked}"))
            return Asked(asked)
        if isinstance(node, Literal):
            return self._constant(node, node.value)
        if any(isinstance(part, Ident) or (isinstance(part, Call) and part.name == "lookup") for part in _parts(node)):
            raise self._refused(node, self._inexact(node))
        try:
            kind = self._checked.type(node)
            wanted = of_field(FieldType.TEXT) if kind.kind is Kind.NULL else kind
            found = evaluated(lower(replace(self._checked, tree=node), self._schema, wanted).tree)
        except (NoColumn, ExpressionError):
            raise self._refused(node, self._inexact(node)) from None
        return self._constant(node, found.astimezone(UTC) if isinstance(found, datetime) and found.tzinfo else found)

    def _constant(self, node: Node, value: Any) -> Operand:
        if value is None or isinstance(value, (bool, int, float, str, datetime)):
            return value
        raise self._refused(node, self._inexact(node))

    def _inexact(self, node: Node) -> Message:
        match node:
            case Call(name=name):
                text = N_("{name}() cannot be asked of a database exactly, so it cannot stand in a condition of rows.")
                return msg(text, name=name)
            case Operator(symbol=symbol):
                text = N_(
                    "'{symbol}' cannot be asked of a database exactly, so it cannot stand in a condition of rows."
                )
                return msg(text, symbol="? :" if symbol == "?:" else symbol)
            case _:
                text = N_("'{part}' cannot be asked of a database exactly, so it cannot stand in a condition of rows.")
                return msg(text, part=text_of(node))

    def _refused(self, node: Node, message: Message) -> ExpressionError:
        return ExpressionError([problem_at(self._text, node.at, message)])
