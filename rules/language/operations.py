"""Which operations exist: the signature that a call uses, and the type of a calculation."""

from __future__ import annotations

from rules.language.functions.registry import Function, Overload
from rules.language.types import ANY, DURATION, MOMENTS, NUMBERS, Kind, Type, comparable, unify


def choose_overload(function: Function, types: list[Type]) -> Overload | None:
    """Return the first signature that takes the types as they are, else the first that takes them after promotion."""
    fitting = [o for o in function.overloads if len(o.parameters) == len(types)]
    for takes in (_takes_exactly, _takes):
        for overload in fitting:
            if all(takes(p, t) for p, t in zip(overload.parameters, types, strict=True)):
                return overload
    return None


def _takes_exactly(parameter: Type, type_: Type) -> bool:
    return parameter.kind in (type_.kind, Kind.ANY) or (parameter.kind is Kind.FLOAT and type_.kind is Kind.DECIMAL)


def _takes(parameter: Type, type_: Type) -> bool:
    number = parameter.kind in (Kind.FLOAT, Kind.DECIMAL) and type_.kind in NUMBERS
    later = parameter.kind is Kind.DATETIME and type_.kind is Kind.DATE
    return type_.kind is Kind.ANY or number or later or _takes_exactly(parameter, type_)


def arithmetic(symbol: str, left: Type, right: Type) -> Type | None:
    """Return the type of `left symbol right`, None where there is no such operation."""
    pair = (left.kind, right.kind)
    if Kind.ANY in pair:
        return ANY if symbol != "%" or set(pair) <= {Kind.ANY, Kind.INTEGER} else None
    if set(pair) <= NUMBERS:
        return unify(left, right) if symbol != "%" or pair == (Kind.INTEGER, Kind.INTEGER) else None
    if symbol == "+" and left.kind == right.kind and left.kind in (Kind.TEXT, Kind.BINARY, Kind.LIST, Kind.DURATION):
        return unify(left, right)
    return _time_arithmetic(symbol, left, right)


def _time_arithmetic(symbol: str, left: Type, right: Type) -> Type | None:
    if symbol not in ("+", "-"):
        return None
    if left.kind in MOMENTS and right.kind is Kind.DURATION:
        return Type(Kind.DATETIME) if left.kind is Kind.DATE else left
    if symbol == "+" and left.kind is Kind.DURATION and right.kind in MOMENTS:
        return _time_arithmetic(symbol, right, left)
    if symbol == "-" and left.kind in MOMENTS and right.kind in MOMENTS and comparable(left, right):
        return DURATION
    return DURATION if left.kind is right.kind is Kind.DURATION else None
