"""What a directory tells of its attributes and classes (RFC 4512): syntax, one value or several, how they compare."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

_TOKEN = re.compile(r"'([^']*)'|([()])|\$|([^\s()'$]+)")
_SYNTAX = re.compile(r"[\d.]+")
_FLAGS = frozenset(
    {"SINGLE-VALUE", "NO-USER-MODIFICATION", "COLLECTIVE", "OBSOLETE", "ABSTRACT", "STRUCTURAL", "AUXILIARY"}
)
DIRECTORY_STRING = "1.3.6.1.4.1.1466.115.121.1.15"


@dataclass(frozen=True)
class Attribute:
    """An attribute: its name, the syntax of its values, and how they can be looked for."""

    name: str
    syntax: str = DIRECTORY_STRING
    single: bool = False
    fixed: bool = False
    equality: bool = False
    ordering: bool = False
    label: str = ""


@dataclass(frozen=True)
class ObjectClass:
    """A class of entries: the attributes that they must and may have, the classes above."""

    name: str
    above: tuple[str, ...] = ()
    must: tuple[str, ...] = ()
    may: tuple[str, ...] = ()


class Subschema:
    """The attributes and classes of a directory, by name."""

    def __init__(self, attributes: Iterable[str], classes: Iterable[str], rules: Iterable[str] = ()) -> None:
        self._raw = {
            name.lower(): d for d in map(_definition, attributes) for name in _all(d, "NAME") or _all(d, "OID")
        }
        self._classes = {n.lower(): _class(d) for d in map(_definition, classes) for n in _all(d, "NAME")}
        self._rules = {_first(d, "NAME").lower(): d for d in map(_definition, rules)}
        self._attributes: dict[str, Attribute] = {}

    @property
    def known(self) -> bool:
        """Tell whether the directory tells of anything."""
        return bool(self._raw)

    def attribute(self, name: str) -> Attribute | None:
        """Return an attribute, with what it takes from the one above it; None if there is none."""
        lower = name.lower()
        if lower not in self._attributes:
            definition = self._raw.get(lower)
            if definition is None:
                return None
            self._attributes[lower] = self._made(definition)
        return self._attributes[lower]

    def attributes_of(self, names: Iterable[str]) -> list[str]:
        """Return the attributes of classes and of those above them: those that must be there first."""
        must: dict[str, str] = {}
        may: dict[str, str] = {}
        for found in self._with_above(names):
            must.update({name.lower(): name for name in found.must})
            may.update({name.lower(): name for name in found.may})
        return list({**must, **{n: name for n, name in may.items() if n not in must}}.values())

    def _with_above(self, names: Iterable[str]) -> Iterator[ObjectClass]:
        waiting, seen = list(names), set()
        while waiting:
            name = waiting.pop(0).lower()
            found = self._classes.get(name)
            if found is None or name in seen:
                continue
            seen.add(name)
            yield found
            waiting += found.above
            rule = self._rules.get(name)  # Active Directory says here what a class takes from auxiliary ones
            if rule:
                yield _class(rule)
                waiting += _all(rule, "AUX")

    def _made(self, definition: Mapping[str, list[str]]) -> Attribute:
        chain = [definition]
        while (above := _first(chain[-1], "SUP").lower()) in self._raw and self._raw[above] not in chain:
            chain.append(self._raw[above])
        syntax = next((_first(d, "SYNTAX") for d in chain if _first(d, "SYNTAX")), DIRECTORY_STRING)
        found = _SYNTAX.match(syntax)
        return Attribute(
            _first(definition, "NAME") or _first(definition, "OID"), found[0] if found else DIRECTORY_STRING,
            "SINGLE-VALUE" in definition, "NO-USER-MODIFICATION" in definition,
            any("EQUALITY" in d for d in chain), any("ORDERING" in d for d in chain),
        )  # fmt: skip


def _class(definition: Mapping[str, list[str]]) -> ObjectClass:
    return ObjectClass(_first(definition, "NAME"), *(tuple(_all(definition, word)) for word in ("SUP", "MUST", "MAY")))


def _definition(text: str) -> dict[str, list[str]]:
    """Return the words of a definition, each with what stands behind it; `OID` is its number."""
    tokens = [(t[1] or t[2] or t[3] or "", t[1] is not None) for t in _TOKEN.finditer(text)]
    found: dict[str, list[str]] = {}
    word, inside = "OID", False
    for piece, quoted in tokens[1:-1]:
        if not quoted and piece in ("(", ")", ""):  # the last is a dollar sign between names
            inside = piece == "(" or (inside and not piece)
        elif not quoted and not inside and (piece in _FLAGS or (piece.isupper() and _opens(found, word))):
            word = piece
            found.setdefault(word, [])
        else:
            found.setdefault(word, []).append(piece)
    return found


def _opens(found: Mapping[str, list[str]], word: str) -> bool:
    """Tell whether a word in capitals begins something new: the one before has what belongs to it."""
    return bool(found.get(word)) or word in _FLAGS


def _all(definition: Mapping[str, list[str]], word: str) -> list[str]:
    return definition.get(word, [])


def _first(definition: Mapping[str, list[str]], word: str) -> str:
    return next(iter(definition.get(word, ())), "")
