"""The C++ runtime of CEL: loads a lowered tree and evaluates it record by record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache, cached_property, lru_cache
from itertools import product
from typing import Any

from cel_expr_python import cel

from rules.language.cost import Cost
from rules.language.encode import encode
from rules.language.functions import FUNCTIONS
from rules.language.functions.numbers import divide, to_float
from rules.language.functions.registry import Overload, flavour
from rules.language.lower import DIVIDE, REAL, own_name
from rules.language.nodes import Call, Find, Mode, Node, Variable, children
from rules.language.searches import search
from rules.language.types import FLOAT, INTEGER, MOMENTS, Kind, Type, of_field
from rules.schema import FieldType
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


TOO_MUCH = "own: too much work"


class TooDeep(ValueError):
    """The runtime does not take a tree of this depth."""

    message: Message = msg("This expression is nested too deeply. Split it up.")


class Runner:
    """One expression, ready to be evaluated."""

    def __init__(self, tree: Node) -> None:
        self.variables = tuple(variables(tree).values())
        types = tuple(sorted({(v.name, v.mode is Mode.MOMENT) for v in self.variables}))
        finds = {node.name: node for node in nodes(tree) if isinstance(node, Find)}
        names = tuple(sorted({n.name for n in nodes(tree) if isinstance(n, Call)} & implementations().keys()))
        searches = [declare_search(find) for find in finds.values()]
        # Only what needs no table is kept: the environments of tables live as long as their programs.
        self._environment = _new(types, names, searches) if searches else _environment(types, names)
        self._tree = tree
        try:
            self._expression = self._environment.deserialize(encode(tree))
        except RuntimeError:
            raise TooDeep from None

    @cached_property
    def _cost(self) -> Cost:
        return Cost(self._tree)

    def one(self, row: Mapping[str, Any]) -> Any:
        """Return the value for one record: variable name -> value."""
        found = self._evaluated(row)
        return found if isinstance(found, Failed) else _plain(found)

    def failure(self, row: Mapping[str, Any]) -> Failed | None:
        """Return the error for one record, None if it has a value, without taking that value over."""
        found = self._evaluated(row)
        if isinstance(found, Failed):
            return found
        return Failed(found.plain_value()) if found.type().name() == "ERROR" else None

    def _evaluated(self, row: Mapping[str, Any]) -> cel.Value | Failed:
        if self._cost.is_too_much(row):
            return Failed(TOO_MUCH)
        try:
            return self._expression.eval(data=row)
        except RuntimeError as error:
            return Failed(str(error))


def ensure_depth(tree: Node) -> None:
    """Raise `TooDeep` if the runtime does not take a tree of this depth."""
    try:
        _environment((), ()).deserialize(encode(tree))
    except RuntimeError:
        raise TooDeep from None


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
    return {node.name: node for node in nodes(tree) if isinstance(node, Variable)}


def nodes(tree: Node) -> Iterator[Node]:
    """Yield a tree's nodes, each before its parts."""
    yield tree
    for child in children(tree):
        yield from nodes(child)


@lru_cache(maxsize=1024)
def _environment(types: tuple[tuple[str, bool], ...], names: tuple[str, ...]) -> cel.Env:
    """Return an environment with the named functions only, since each costs time."""
    return _new(types, names, [])


def _new(types: Iterable[tuple[str, bool]], names: Iterable[str], more: list[cel.FunctionDecl]) -> cel.Env:
    kinds = {name: cel.Type.TIMESTAMP if moment else cel.Type.DYN for name, moment in types}
    environment = cel.NewEnv(variables=kinds, functions=[*(_declarations()[name] for name in names), *more])
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
def _declarations() -> dict[str, cel.FunctionDecl]:
    return {
        name: cel.FunctionDecl(name, [declared for overload in overloads for declared in _declared(name, overload)])
        for name, overloads in implementations().items()
    }


def _declared(name: str, overload: Overload) -> Iterator[cel.Overload]:
    options = [_ONCE if p.kind is Kind.ANY else (p.kind,) for p in overload.parameters]
    for kinds in product(*options):
        yield cel.Overload(
            f"{name}({','.join(kinds)})",
            return_type=cel.Type.DYN if overload.nullable else _runtime_type(overload.result),
            parameters=[_KINDS[kind] for kind in kinds],
            is_member=False,
            impl=overload.implementation,
        )


def _runtime_type(type_: Type) -> cel.Type:
    return _KINDS.get(type_.kind, cel.Type.DYN)


def declare_search(find: Find) -> cel.FunctionDecl:
    """Return a lookup as a function of the runtime: of a key, or of an empty value."""
    found = cel.Type.BOOL if find.ask else _moment_or_any(find)
    kinds = {of_field(find.table.key).kind, Kind.NULL} | (
        {Kind.FLOAT} if find.table.key is FieldType.INTEGER else set()
    )
    implementation = search(find)
    overloads = [
        cel.Overload(
            f"{find.name}({kind})", return_type=found, parameters=[_KINDS[kind]], is_member=False, impl=implementation
        )
        for kind in sorted(kinds)
    ]
    return cel.FunctionDecl(find.name, overloads)


def _moment_or_any(find: Find) -> cel.Type:
    kind = of_field(find.table.columns[find.column].type).kind
    return _KINDS[kind] if kind in MOMENTS else cel.Type.DYN
