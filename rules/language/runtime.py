"""The C++ runtime of CEL: loads a lowered tree and evaluates it record by record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from itertools import product
from typing import Any

from cel_expr_python import cel

from rules.language.encode import encode
from rules.language.functions import FUNCTIONS
from rules.language.functions.numbers import divide, to_float
from rules.language.functions.registry import Overload, flavour
from rules.language.lower import DIVIDE, REAL, own_name
from rules.language.nodes import Mode, Node, Variable, children
from rules.language.types import FLOAT, INTEGER, Kind, Type
from rules.text import Message, msg

_KINDS: Mapping[Kind, cel.Type] = {
    Kind.BOOLEAN: cel.Type.BOOL,
    Kind.INTEGER: cel.Type.INT,
    Kind.FLOAT: cel.Type.DOUBLE,
    Kind.DECIMAL: cel.Type.DOUBLE,
    Kind.TEXT: cel.Type.STRING,
    Kind.BINARY: cel.Type.BYTES,
    Kind.DATE: cel.Type.TIMESTAMP,
    Kind.DATETIME: cel.Type.TIMESTAMP,
    Kind.LOCAL_DATETIME: cel.Type.TIMESTAMP,
    Kind.DURATION: cel.Type.DURATION,
    Kind.LIST: cel.Type.List(cel.Type.DYN),
    Kind.MAP: cel.Type.Map(cel.Type.DYN, cel.Type.DYN),
    Kind.NULL: cel.Type.NULL,
}
_ONCE = (
    Kind.BOOLEAN,
    Kind.INTEGER,
    Kind.FLOAT,
    Kind.TEXT,
    Kind.BINARY,
    Kind.DATETIME,
    Kind.DURATION,
    Kind.LIST,
    Kind.MAP,
    Kind.NULL,
)


_SIMPLE = frozenset({"BOOL", "INT", "DOUBLE", "STRING", "BYTES", "TIMESTAMP", "DURATION"})


class Failed:
    """The value of an expression that ended in an error; `reason` is the runtime's own text."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


class TooDeep(ValueError):
    """The runtime does not take a tree of this depth."""

    message: Message = msg("This expression is nested too deeply. Split it up.")


class Runner:
    """One expression, ready to be evaluated."""

    def __init__(self, tree: Node) -> None:
        self.variables = tuple(variables(tree).values())
        self._environment = _environment(tuple(sorted({(v.name, v.mode is Mode.MOMENT) for v in self.variables})))
        try:
            self._expression = self._environment.deserialize(encode(tree))
        except RuntimeError:
            raise TooDeep from None

    def one(self, row: Mapping[str, Any]) -> Any:
        """Return the value for one record: variable name -> value."""
        try:
            return _plain(self._expression.eval(data=row))
        except RuntimeError as error:
            return Failed(str(error))


def _plain(value: cel.Value) -> Any:
    """Return a value of the runtime as a Python value.

    The runtime must never make the None itself: it hands out a reference that it does not own, and after some thousand
    of those Python 3.11 dies. So lists and maps are taken apart here, and nulls are recognised by their type.
    """
    name = value.type().name()
    if name in _SIMPLE:
        return value.plain_value()
    if name == "NULL":
        return None
    if name == "ERROR":
        return Failed(value.plain_value())
    parts = value.value()
    if isinstance(parts, dict):
        return {key: _plain(part) for key, part in parts.items()}
    return [_plain(part) for part in parts]


def variables(tree: Node) -> dict[str, Variable]:
    """Return the columns that a tree needs, by the name of the variable."""
    found = {tree.name: tree} if isinstance(tree, Variable) else {}
    for child in children(tree):
        found |= variables(child)
    return found


@lru_cache(maxsize=1024)
def _environment(names: tuple[tuple[str, bool], ...]) -> cel.Env:
    types = {name: cel.Type.TIMESTAMP if moment else cel.Type.DYN for name, moment in names}
    environment = cel.NewEnv(variables=types, functions=list(_declarations()))
    environment.compile("true")  # until something was compiled, the environment forgets the types of its variables
    return environment


@cache
def implementations() -> dict[str, list[Overload]]:
    """Return our own functions by the name under which the runtime knows them."""
    found: dict[str, list[Overload]] = {
        DIVIDE: [Overload(DIVIDE, (FLOAT, FLOAT), FLOAT, divide)],
        REAL: [Overload(REAL, (INTEGER,), FLOAT, to_float)],
    }
    for function in FUNCTIONS.values():
        for overload in function.overloads:
            if overload.implementation is not None:
                found.setdefault(own_name(function.name, flavour(overload)), []).append(overload)
    return found


@cache
def _declarations() -> tuple[cel.FunctionDecl, ...]:
    return tuple(
        cel.FunctionDecl(name, [declared for overload in overloads for declared in _declared(name, overload)])
        for name, overloads in implementations().items()
    )


def _declared(name: str, overload: Overload) -> Iterator[cel.Overload]:
    options = [_ONCE if p.kind is Kind.ANY else (p.kind,) for p in overload.parameters]
    for kinds in product(*options):
        yield cel.Overload(
            f"{name}({','.join(kinds)})",
            return_type=_runtime_type(overload.result),
            parameters=[_KINDS[kind] for kind in kinds],
            is_member=False,
            impl=overload.implementation,
        )


def _runtime_type(type_: Type) -> cel.Type:
    return _KINDS.get(type_.kind, cel.Type.DYN)
