"""The checker's part for operators."""

from __future__ import annotations

from rules.language.checked import RECORD, Visitor
from rules.language.nodes import Ident, Operator
from rules.language.operations import arithmetic
from rules.language.problems import Severity
from rules.language.types import ANY, BOOLEAN, INTEGER, MOMENTS, NULL, NUMBERS, Kind, Type, comparable, unify
from rules.text import N_, msg


class Operators(Visitor):
    """Types of operators."""

    def operator(self, node: Operator) -> Type:
        """Return the type of an operator's result."""
        match node.symbol:
            case "&&" | "||" | "!":
                for operand in node.operands:
                    self.condition(operand)
                return BOOLEAN
            case "?:":
                return self._ternary(node)
            case "[]":
                return self._index(node)
            case "in":
                return self._in(node)
            case "==" | "!=" | "<" | "<=" | ">" | ">=":
                return self._compare(node)
            case _:
                return self._arithmetic(node)

    def _ternary(self, node: Operator) -> Type:
        self.condition(node.operands[0])
        yes, no = self.visit(node.operands[1]), self.visit(node.operands[2])
        text = N_("Both results need one type; the first is {yes}, the second {no}.")
        return unify(yes, no) or self.report(node.operands[2].at, msg(text, yes=str(yes), no=str(no)))

    def _index(self, node: Operator) -> Type:
        head = node.operands[0]
        if isinstance(head, Ident) and head.name == RECORD and RECORD not in {*self.schema.names, *self.variables}:
            return self.report(node.at, msg('Write the name of the field in quotes, like record["phone"].'))
        source, index = (self.visit(operand) for operand in node.operands)
        wanted = {Kind.LIST: INTEGER, Kind.MAP: source.key or ANY}.get(source.kind, ANY)
        if source.kind not in (Kind.LIST, Kind.MAP, Kind.ANY):
            return self.report(
                node.at, msg("An item can be taken from a list or map, not from {type}.", type=str(source))
            )
        if not comparable(wanted, index):
            self.report(
                node.operands[1].at,
                msg("The item is named by {wanted}, not {type}.", wanted=str(wanted), type=str(index)),
            )
        return source.item or ANY

    def _in(self, node: Operator) -> Type:
        value, source = (self.visit(operand) for operand in node.operands)
        item = source.key if source.kind is Kind.MAP else source.item
        if source.kind not in (Kind.LIST, Kind.MAP, Kind.ANY):
            text = N_("'in' needs a list on its right side, like status in ['new', 'open'], not {type}.")
            self.report(node.operands[1].at, msg(text, type=str(source)))
        elif not comparable(value, item or ANY):
            self._mismatch(node, value, item or ANY)
        return BOOLEAN

    def _compare(self, node: Operator) -> Type:
        left, right = (self.visit(operand) for operand in node.operands)
        ordered = node.symbol not in ("==", "!=")
        if ordered and NULL in (left, right):
            self.report(node.at, msg("An empty value (null) has no order. Compare with == or !=."))
        elif ordered and {left.kind, right.kind} & {Kind.LIST, Kind.MAP}:
            self.report(node.at, msg("Lists and maps have no order."))
        elif not comparable(left, right):
            self._mismatch(node, left, right)
        return BOOLEAN

    def _mismatch(self, node: Operator, left: Type, right: Type) -> None:
        pair = {left.kind, right.kind}
        suggestion = None
        message = msg("{left} and {right} cannot be compared.", left=str(left), right=str(right))
        if Kind.TEXT in pair and Kind.DATE in pair:
            message = msg("A date and text cannot be compared. Write {example}.", example="date('2024-01-31')")
        elif Kind.TEXT in pair and pair & MOMENTS:
            message = msg(
                "A time and text cannot be compared. Write {example}.", example="timestamp('2024-01-31T00:00:00Z')"
            )
        elif Kind.TEXT in pair and pair & NUMBERS:
            message = msg(
                "Text and a number cannot be compared. Put the number in quotes, or use toDecimal() on the text."
            )
        elif {Kind.LOCAL_DATETIME, Kind.DATETIME} == pair:
            message = msg("A local time and an instant can be compared after atZone() on the local time only.")
        self.report(node.at, message, suggestion)

    def _arithmetic(self, node: Operator) -> Type:
        types = [self.visit(operand) for operand in node.operands]
        if len(types) == 1:
            return self._negate(node, types[0])
        left, right = types
        if NULL in types:
            return self.report(node.at, msg("'{symbol}' cannot work with an empty value (null).", symbol=node.symbol))
        result = arithmetic(node.symbol, left, right)
        if result is None:
            return self._no_arithmetic(node, left, right)
        if node.symbol == "/" and result.kind is Kind.INTEGER:
            text = N_("Two whole numbers are divided without a fraction: 7 / 2 is 3. Write {example} to keep it.")
            self.report(node.at, msg(text, example="/ 2.0"), severity=Severity.WARNING)
        return result

    def _negate(self, node: Operator, type_: Type) -> Type:
        if type_.kind in NUMBERS or type_.kind is Kind.ANY:
            return type_
        return self.report(node.at, msg("Only a number can be negated, not {type}.", type=str(type_)))

    def _no_arithmetic(self, node: Operator, left: Type, right: Type) -> Type:
        values = {"symbol": node.symbol, "left": str(left), "right": str(right)}
        if node.symbol == "+" and Kind.TEXT in (left.kind, right.kind):
            return self.report(
                node.at,
                msg(
                    "Text and {other} cannot be joined. Use toText() on the {other}.",
                    other=str(right if left.kind is Kind.TEXT else left),
                ),
            )
        if node.symbol == "%":
            return self.report(node.at, msg("The remainder (%) needs two whole numbers."))
        return self.report(node.at, msg("'{symbol}' cannot work with {left} and {right}.", **values))
