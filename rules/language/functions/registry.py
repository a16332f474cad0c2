"""The one registry of functions: signature, meaning, examples that are run as tests, and the implementation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Literal

from rules.language.types import (
    ANY,
    BINARY,
    BOOLEAN,
    DATE,
    DATETIME,
    DECIMAL,
    DURATION,
    FLOAT,
    INTEGER,
    LOCAL_DATETIME,
    TEXT,
    Kind,
    Type,
    list_of,
    map_of,
)
from rules.text import N_, Message


class Group(StrEnum):
    """The chapters of the function reference."""

    EMPTY = N_("Empty values")
    TEXT = N_("Text")
    NUMBERS = N_("Numbers")
    MONEY = N_("Money and number formats")
    DATES = N_("Dates and times")
    CONTACTS = N_("Phone, e-mail and addresses")
    IDENTIFIERS = N_("Identity, tax and account numbers")
    LISTS = N_("Lists and choices")
    STRUCTURES = N_("JSON and XML")
    ENCODING = N_("Hashes and encodings")
    CONVERSION = N_("Conversion")
    STANDARD = N_("Standard CEL")


class Form(StrEnum):
    """Functions that the compiler writes out itself, because they do not evaluate all their arguments."""

    OR_DEFAULT = "orDefault"
    COALESCE = "coalesce"
    CHOOSE = "choose"
    LOOKUP = "lookup"


class Builtin(StrEnum):
    """How the runtime spells a function of standard CEL."""

    MEMBER = "member"
    GLOBAL = "global"


class FunctionError(ValueError):
    """A function cannot work on the given values; `message` says why."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


@dataclass(frozen=True)
class Overload:
    """One signature of a function: `text(text, integer)` has two parameters.

    `nullable` says that the result may be empty. `follows` says what of the first argument, a list, the type of the
    result is: its `item`, or the `same` list.
    """

    signature: str
    parameters: tuple[Type, ...]
    result: Type
    implementation: Callable[..., Any] | None = None
    names: tuple[str, ...] = ()
    nullable: bool = False
    follows: Literal["item", "same"] | None = None

    def result_of(self, types: Sequence[Type]) -> Type:
        """Return the type of a call with arguments of these types."""
        if self.follows is None or types[0].kind is not Kind.LIST:
            return self.result
        if self.follows == "same":
            return types[0]
        item = types[0].item
        return ANY if item is None or item.kind is Kind.NULL else item


@dataclass(frozen=True)
class Example:
    """An expression and its value, both as text of the language."""

    expression: str
    result: str


@dataclass(frozen=True)
class Function:
    """A function of the language."""

    name: str
    group: Group
    doc: str
    overloads: tuple[Overload, ...]
    examples: tuple[Example, ...]
    builtin: Builtin | None = None
    form: Form | None = None

    @property
    def counts(self) -> tuple[int, int]:
        """Return the smallest and largest number of arguments."""
        sizes = [len(overload.parameters) for overload in self.overloads]
        return min(sizes), max(sizes)


_TYPES: Mapping[str, Type] = {
    t.kind.value: t
    for t in (ANY, BINARY, BOOLEAN, DATE, DATETIME, DECIMAL, DURATION, FLOAT, INTEGER, LOCAL_DATETIME, TEXT)
} | {"list": list_of(ANY), "list of text": list_of(TEXT), "map": map_of(ANY, ANY)}

_FOLLOWS: Mapping[str, Literal["item", "same"]] = {"item": "item", "same": "same"}
_SIGNATURE = re.compile(r"([\w.]+)\((.*)\) -> (.+?)( or null)?")


def overload(signature: str, implementation: Callable[..., Any] | None = None) -> Overload:
    """Return the overload that a signature like `replace(text: text, old: text) -> text` describes."""
    found = _SIGNATURE.fullmatch(signature)
    if found is None:
        raise ValueError(signature)
    parts = [part.split(": ") for part in found[2].split(", ") if part]
    follows = _FOLLOWS.get(found[3])
    return Overload(
        signature,
        parameters=tuple(_TYPES[type_] for _, type_ in parts),
        result={"item": ANY, "same": list_of(ANY)}[follows] if follows else _TYPES[found[3]],
        implementation=implementation,
        names=tuple(name for name, _ in parts),
        nullable=found[4] is not None,
        follows=follows,
    )


FUNCTIONS: dict[str, Function] = {}
CHECKS: dict[str, Callable[[Any], object]] = {}


def check_constants(parameter: str, check: Callable[[Any], object]) -> None:
    """Have every text that is written out for a parameter of this name checked when an expression is compiled.

    `check` raises `FunctionError` where the text has no meaning: a time zone that does not exist, say.
    """
    CHECKS[parameter] = check


def define(function: Function) -> None:
    """Add a function to the language; raises `ValueError` if there is one of that name."""
    if function.name in FUNCTIONS:
        raise ValueError(function.name)
    FUNCTIONS[function.name] = function


def extend(examples: Mapping[str, str], signatures: Mapping[str, Callable[..., Any] | None]) -> None:
    """Add signatures, and examples for them, to a function that there is already."""
    added = tuple(overload(text, implementation) for text, implementation in signatures.items())
    function = FUNCTIONS[added[0].signature.partition("(")[0]]
    shown = tuple(Example(expression, result) for expression, result in examples.items())
    FUNCTIONS[function.name] = replace(
        function, overloads=(*function.overloads, *added), examples=(*function.examples, *shown)
    )


@dataclass(frozen=True)
class Chapter:
    """Defines the functions of one group."""

    group: Group

    def own(self, doc: str, examples: Mapping[str, str], signatures: Mapping[str, Callable[..., Any]]) -> None:
        """Define a function that we implement."""
        overloads = tuple(overload(text, implementation) for text, implementation in signatures.items())
        self._define(doc, examples, overloads)

    def builtin(self, how: Builtin, doc: str, examples: Mapping[str, str], *signatures: str) -> None:
        """Define a function of standard CEL."""
        self._define(doc, examples, tuple(overload(text) for text in signatures), builtin=how)

    def form(self, form: Form, doc: str, examples: Mapping[str, str], *signatures: str) -> None:
        """Define a function that the compiler writes out."""
        self._define(doc, examples, tuple(overload(text) for text in signatures), form=form)

    def _define(
        self,
        doc: str,
        examples: Mapping[str, str],
        overloads: tuple[Overload, ...],
        *,
        builtin: Builtin | None = None,
        form: Form | None = None,
    ) -> None:
        name = overloads[0].signature.partition("(")[0]
        shown = tuple(Example(expression, result) for expression, result in examples.items())
        define(Function(name, self.group, doc, overloads, shown, builtin, form))


def flavour(overload_: Overload) -> str:
    """Return what tells apart overloads whose values look the same to the runtime: dates, times and local times."""
    kinds = [p.kind for p in overload_.parameters if p.kind in (Kind.DATE, Kind.LOCAL_DATETIME)]
    return "_".join(kinds)
