"""SCIM's filters and paths (RFC 7644, sections 3.4.2.2 and 3.5.2), and whether a resource is meant by one."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.access.scim_errors import ScimError

_TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|[()\[\]]|[^\s()\[\]"]+)')
_ATTRIBUTE = re.compile(r"[A-Za-z$][\w$-]*(\.[A-Za-z$][\w$-]*)?")
_URN = re.compile(r"^urn:[\w:.-]+?:(?=[A-Za-z$][\w$-]*(?:\.[A-Za-z$][\w$-]*)?$)", re.IGNORECASE)
_EXACT = frozenset({"id", "externalid", "value"})
_DEEPEST = 30
Test = Callable[[Mapping[str, Any]], bool]


@dataclass(frozen=True)
class Path:
    """What a change is about: an attribute, perhaps only some of its values, perhaps a part of each."""

    attribute: str
    meant: Test | None = None
    part: str = ""


@dataclass(frozen=True)
class Simple:
    """A filter for one value of one attribute, which a database can answer."""

    attribute: str
    value: str


def simple(text: str) -> Simple | None:
    """Return a filter such as `userName eq "anna"` in its parts, None for any other."""
    found = re.fullmatch(r'\s*([\w.:]+)\s+eq\s+("(?:[^"\\]|\\.)*")\s*', text, re.IGNORECASE)
    return Simple(_bare(found[1]).lower(), _value(found[2])) if found else None


def test_of(text: str) -> Test:
    """Return a filter as a test of resources; raises `ScimError`."""
    reader = _Reader(text, "invalidFilter")
    found = reader.some()
    reader.end()
    return found


def path_of(text: str) -> Path:
    """Return the path of a change; raises `ScimError`."""
    reader = _Reader(text, "invalidPath")
    attribute = _bare(reader.next())
    if reader.peek() != "[":
        reader.end()
        name, _, part = attribute.partition(".")
        reader.check(attribute)
        return Path(name, None, part)
    reader.check(attribute)
    reader.next()
    meant = reader.some()
    reader.take("]")
    part = reader.peek()
    if part:
        reader.next()
    reader.end()
    return Path(attribute, meant, part.removeprefix("."))


class _Reader:
    """Reads a filter from left to right."""

    def __init__(self, text: str, kind: str) -> None:
        self.text, self.kind = text, kind
        self._tokens = _TOKEN.findall(text)
        if "".join(self._tokens) != re.sub(r'("(?:[^"\\]|\\.)*")|\s+', lambda found: found[1] or "", text):
            raise self.wrong()
        self._at = self._depth = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def next(self) -> str:
        found = self.peek()
        if not found:
            raise self.wrong()
        self._at += 1
        return found

    def take(self, wanted: str) -> None:
        if self.next() != wanted:
            raise self.wrong()

    def end(self) -> None:
        if self.peek():
            raise self.wrong()

    def check(self, attribute: str) -> None:
        if not _ATTRIBUTE.fullmatch(attribute):
            raise self.wrong()

    def wrong(self) -> ScimError:
        what = "filter" if self.kind == "invalidFilter" else "path"
        return ScimError(400, f"The {what} '{self.text}' cannot be read.", self.kind)

    def some(self) -> Test:
        parts = [self._every()]
        while self.peek().lower() == "or":
            self.next()
            parts.append(self._every())
        return parts[0] if len(parts) == 1 else lambda resource: any(part(resource) for part in parts)

    def _every(self) -> Test:
        parts = [self._one()]
        while self.peek().lower() == "and":
            self.next()
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda resource: all(part(resource) for part in parts)

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.wrong()
        token = self.next()
        if token.lower() == "not" and self.peek() == "(":
            inner = self._one()
            return lambda resource: not inner(resource)
        if token == "(":  # noqa: S105 - a bracket
            inner = self.some()
            self.take(")")
            return inner
        return self._tested(_bare(token))

    def _tested(self, attribute: str) -> Test:
        self.check(attribute)
        if self.peek() == "[":
            self.next()
            inner = self.some()
            self.take("]")
            return lambda resource: any(inner(v) for v in values(resource, attribute) if isinstance(v, Mapping))
        how = self.next().lower()
        if how == "pr":
            return lambda resource: any(value not in (None, "", [], {}) for value in values(resource, attribute))
        if how not in _TESTS:
            raise self.wrong()
        try:
            wanted = _value(self.next())
        except ValueError:
            raise self.wrong() from None
        exact = attribute.lower().rpartition(".")[2] in _EXACT
        return lambda resource: _compared(how, values(resource, attribute), wanted, exact=exact)


def values(resource: Any, path: str) -> list[Any]:
    """Return what a path such as `emails.value` leads to, in any case of its letters."""
    found = [resource]
    for name in path.lower().split("."):
        members = [v for each in found if isinstance(each, Mapping) for k, v in each.items() if k.lower() == name]
        found = [item for member in members for item in (member if isinstance(member, list) else [member])]
    return found


def _bare(attribute: str) -> str:
    return _URN.sub("", attribute)


def _value(text: str) -> Any:
    return json.loads(text.lower() if text.lower() in ("true", "false", "null") else text)


def _compared(how: str, found: list[Any], wanted: Any, *, exact: bool) -> bool:
    plain = [v.get("value") if isinstance(v, Mapping) else v for v in found]
    if how == "ne":
        return not any(_TESTS["eq"](_same(v, exact), _same(wanted, exact)) for v in plain)
    if how == "eq" and wanted is None:
        return not [v for v in plain if v is not None]
    fits = (v for v in plain if type(v) is type(wanted) or (_number(v) and _number(wanted)))
    return any(_TESTS[how](_same(v, exact), _same(wanted, exact)) for v in fits)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _same(value: Any, exact: bool) -> Any:
    if not isinstance(value, str):
        return value
    if re.match(r"\d{4}-\d\d-\d\dT", value):
        try:
            return datetime.fromisoformat(value).isoformat()
        except ValueError:
            return value
    return value if exact else value.casefold()


_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda left, right: bool(left == right),
    "ne": lambda left, right: bool(left != right),
    "co": lambda left, right: isinstance(left, str) and right in left,
    "sw": lambda left, right: isinstance(left, str) and left.startswith(right),
    "ew": lambda left, right: isinstance(left, str) and left.endswith(right),
    "gt": lambda left, right: bool(left > right),
    "ge": lambda left, right: bool(left >= right),
    "lt": lambda left, right: bool(left < right),
    "le": lambda left, right: bool(left <= right),
}
