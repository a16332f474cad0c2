"""The checker's part for functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rules.language.checked import Visitor
from rules.language.functions import FUNCTIONS
from rules.language.functions.registry import CHECKS, Form, Function, FunctionError, Overload
from rules.language.hints import CLOCK, HINTS
from rules.language.nodes import Call, Ident, ListOf, Literal, MacroName, MapOf, Node
from rules.language.operations import choose_overload
from rules.language.problems import nearest
from rules.language.types import ANY, NULL, Kind, Type, comparable, of_field, unify
from rules.text import N_, msg

_NAMES = (*(name.value for name in MacroName), "has")


class Calls(Visitor):
    """Types of function calls."""

    def call(self, node: Call) -> Type:
        """Return the type of a call, after noting which signature it uses."""
        if node.name == "dyn" and len(node.args) == 1:
            self.visit(node.args[0])
            return ANY
        function = FUNCTIONS.get(node.name)
        if function is None or self._space(node):
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
        self._constants(node, chosen)
        result = chosen.result_of(types)
        decimal = result.kind is Kind.FLOAT and any(t.kind is Kind.DECIMAL for t in types)
        return Type(Kind.DECIMAL) if decimal else result

    def _constants(self, node: Call, overload: Overload) -> None:
        """Note what is wrong with arguments that are written out, like a time zone that does not exist."""
        for name, arg in zip(overload.names, node.args, strict=True):
            if name in CHECKS:
                for part in arg.items if isinstance(arg, ListOf) else (arg,):
                    self._constant(part, CHECKS[name])

    def _constant(self, node: Node, check: Callable[[str], object]) -> None:
        if isinstance(node, Literal) and isinstance(node.value, str):
            try:
                check(node.value)
            except FunctionError as error:
                self.report(node.at, error.message)

    def _space(self, node: Call) -> str:
        """Return what stands before the name of a function as `math.` does, empty where that is a value."""
        head = node.args[0] if node.member else None
        if not isinstance(head, Ident) or head.name in self.schema or head.name in self.variables:
            return ""
        space = f"{head.name}."
        return space if any(name.startswith(space) for name in FUNCTIONS) else ""

    def _no_function(self, node: Call) -> Type:
        space = self._space(node)
        name = space + node.name
        at = node.args[0].at if space else node.at
        folded = {known.lower(): known for known in FUNCTIONS}
        if name.lower() in CLOCK:
            return self.report(
                at, msg("'{name}' is not available: a rule gives the same result at any time.", name=name)
            )
        hint = HINTS.get(name.lower())
        if hint is not None and name.lower() not in folded:
            text = N_("There is no function '{name}'. Write {form}.")
            return self.report(at, msg(text, name=name, form=hint.form), hint.name, end=node.at + len(node.name))
        close = nearest(name, (*FUNCTIONS, *_NAMES))
        if close is None:
            return self.report(at, msg("There is no function '{name}'.", name=name), end=node.at + len(node.name))
        message = msg("There is no function '{name}'. Did you mean '{close}'?", name=name, close=close)
        return self.report(at, message, close, end=node.at + len(node.name))

    def _wrong(self, node: Call, function: Function, types: list[Type]) -> Type:
        given = ", ".join(str(t) for t in types)
        forms = "; ".join(overload.signature for overload in function.overloads)
        message = msg("{name}() cannot take ({given}). Possible: {forms}.", name=node.name, given=given, forms=forms)
        return self.report(node.at, message)

    def _form(self, node: Call, form: Form, types: list[Type]) -> Type:
        if form is Form.CHOOSE:
            return self._choose(node, types)
        if form is Form.LOOKUP:
            return self._lookup(node, types)
        result = NULL
        for part, type_ in zip(node.args, types, strict=True):
            unified = unify(result, type_)
            if unified is None:
                text = N_("{name}() needs values of one type; this is {type}, the one before is {other}.")
                return self.report(part.at, msg(text, name=node.name, type=str(type_), other=str(result)))
            result = unified
        return result

    def _lookup(self, node: Call, types: list[Type]) -> Type:
        """Return the type of the column that a lookup reads, after noting table and column."""
        written = [arg.value if isinstance(arg, Literal) else None for arg in (node.args[0], *node.args[2:])]
        wrong = next((arg for arg, name in zip((node.args[0], *node.args[2:]), written, strict=True) if not name), None)
        if wrong is not None:
            text = N_("lookup() needs the names of table and column written out, like {example}.")
            return self.report(wrong.at, msg(text, example="lookup('countries', code, 'name')"))
        table = self.checked.library.lookups.get(str(written[0]))
        if table is None:
            return self._unknown(
                node.args[0], N_("There is no lookup table '{name}'."), self.checked.library.lookups, written[0]
            )
        names = [column.name for column in table.columns]
        column = str(written[1]) if len(written) > 1 else names[0]
        if column not in names:
            return self._unknown(node.args[2], N_("The lookup table has no column '{name}'."), names, column)
        if types[1].kind not in (of_field(table.key).kind, Kind.ANY, Kind.NULL):
            text = N_("The lookup table '{table}' is keyed by {key}, but the value is {type}.")
            return self.report(node.args[1].at, msg(text, table=table.name, key=table.key.value, type=str(types[1])))
        self.checked.lookups[id(node)] = (table, names.index(column))
        return of_field(table.columns[names.index(column)].type)

    def _unknown(self, node: Node, text: str, known: Iterable[str], name: object) -> Type:
        close = nearest(str(name), known)
        if close is None:
            return self.report(node.at, msg(text, name=name))
        message = msg("{problem} Did you mean '{close}'?", problem=msg(text, name=name), close=close)
        return self.report(node.at, message, f"'{close}'")

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
