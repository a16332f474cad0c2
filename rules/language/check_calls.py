"""The checker's part for functions."""

from __future__ import annotations

from rules.language.checked import Visitor
from rules.language.functions import FUNCTIONS
from rules.language.functions.registry import Form, Function
from rules.language.nodes import Call, MapOf
from rules.language.operations import choose_overload
from rules.language.problems import nearest
from rules.language.types import ANY, NULL, Kind, Type, comparable, unify
from rules.text import N_, msg

_HINTS = {
    "if": "condition ? a : b",
    "iif": "condition ? a : b",
    "concat": "a + b",
    "len": "size",
    "length": "size",
    "nvl": "orDefault",
    "ifnull": "orDefault",
    "isnull": "isBlank",
    "now": None,
    "today": None,
}


class Calls(Visitor):
    """Types of function calls."""

    def call(self, node: Call) -> Type:
        """Return the type of a call, after noting which signature it uses."""
        if node.name == "dyn" and len(node.args) == 1:
            self.visit(node.args[0])
            return ANY
        function = FUNCTIONS.get(node.name)
        if function is None:
            return self._no_function(node)
        types = [self.visit(arg) for arg in node.args]
        least, most = function.counts
        if not least <= len(types) <= most:
            return self._wrong(node, function, types)
        if function.form is not None:
            return self._form(node, function.form, types)
        chosen = choose_overload(function, types)
        if chosen is None:
            return self._wrong(node, function, types)
        self.checked.overloads[id(node)] = chosen
        decimal = chosen.result.kind is Kind.FLOAT and any(t.kind is Kind.DECIMAL for t in types)
        return Type(Kind.DECIMAL) if decimal else chosen.result

    def _no_function(self, node: Call) -> Type:
        hint = _HINTS.get(node.name.lower())
        if node.name.lower() in _HINTS and hint is None:
            return self.report(
                node.at, msg("'{name}' is not available: a rule gives the same result at any time.", name=node.name)
            )
        close = hint or nearest(node.name, FUNCTIONS)
        if close is None:
            return self.report(node.at, msg("There is no function '{name}'.", name=node.name))
        message = msg("There is no function '{name}'. Did you mean '{close}'?", name=node.name, close=close)
        return self.report(node.at, message, close if close in FUNCTIONS else None)

    def _wrong(self, node: Call, function: Function, types: list[Type]) -> Type:
        given = ", ".join(str(t) for t in types)
        forms = "; ".join(overload.signature for overload in function.overloads)
        message = msg("{name}() cannot take ({given}). Possible: {forms}.", name=node.name, given=given, forms=forms)
        return self.report(node.at, message)

    def _form(self, node: Call, form: Form, types: list[Type]) -> Type:
        if form is Form.CHOOSE:
            return self._choose(node, types)
        result = NULL
        for part, type_ in zip(node.args, types, strict=True):
            unified = unify(result, type_)
            if unified is None:
                text = N_("{name}() needs values of one type; this is {type}, the one before is {other}.")
                return self.report(part.at, msg(text, name=node.name, type=str(type_), other=str(result)))
            result = unified
        return result

    def _choose(self, node: Call, types: list[Type]) -> Type:
        value, choices = types[0], types[1]
        if not isinstance(node.args[1], MapOf):
            return self.report(
                node.args[1].at,
                msg("choose() needs its choices written out, like {example}.", example="{'M': 1, 'F': 2}"),
            )
        if not comparable(value, choices.key or ANY):
            text = N_("The choices are keyed by {key}, but the value is {type}.")
            return self.report(node.args[1].at, msg(text, key=str(choices.key), type=str(value)))
        result = choices.item or ANY
        if len(types) == 2:
            return result
        return unify(result, types[2]) or self.report(
            node.args[2].at,
            msg("The default is {type}, the choices are {other}.", type=str(types[2]), other=str(result)),
        )
