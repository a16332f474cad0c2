"""The answer of a live call as the object builder shows it: short, without secrets, with the lists that it holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import msgspec

from connectors.builtin.paging_guess import LINKS, LISTS, TOTALS, key_of, named, paging_of, plain
from connectors.json_records import decode, encode, member, sample_of
from connectors.sampling import schema_of
from rules.schema import Field, FieldType
from webapp.connections.opening import HIDDEN

KEPT = 25
"""So many elements of a list are kept, which is enough to judge its fields by."""

_SHOWN = 2
_LONGEST = 300
_LINES = 400
_DEEPEST = 12
_MANY = 10**12
T = TypeVar("T")
_AS_IT_CAME = msgspec.json.Encoder(decimal_format="number")


class Said(Protocol):
    """A response of whatever client."""

    @property
    def status_code(self) -> int:
        """Return the status."""

    @property
    def text(self) -> str:
        """Return the body."""

    @property
    def headers(self) -> Any:
        """Return the headers, by name in any case."""

    @property
    def links(self) -> Mapping[Any, Any]:
        """Return the Link headers by their relation."""


@dataclass(frozen=True)
class FoundList:
    """A list of records in an answer: where it is, how long, and some of its fields."""

    path: str
    count: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A line of an answer as it is shown; `found` is the list that begins here."""

    indent: int
    text: str
    found: FoundList | None = None


@dataclass(frozen=True)
class LiveAnswer:
    """What a service answered, cut short; `counts` are the lengths of its lists by path."""

    status: int
    seconds: float
    value: Any
    counts: Mapping[str, int] = field(default_factory=dict)
    linked: bool = False
    kind: str = ""
    call: str = ""
    """What was asked, such as GET /customers."""

    @classmethod
    def of(
        cls, response: Said, seconds: float, secrets: Sequence[str], hide: Callable[[str], str] = str, call: str = ""
    ) -> LiveAnswer:
        """Return a response without the secrets and what was made of them, should the service repeat one."""
        text = without(response.text, secrets, hide)
        kind = response.headers.get("Content-Type", "").partition(";")[0]
        counts: dict[str, int] = {}
        try:
            value = _cut(decode(text), "", counts, 0) if text.strip() else None
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return cls(response.status_code, seconds, text[: 4 * _LONGEST], kind=kind or "text/plain", call=call)
        return cls(response.status_code, seconds, value, counts, "next" in response.links, call=call)

    @classmethod
    def read(cls, text: str) -> LiveAnswer | None:
        """Return the answer that `text` gave, None where it is none."""
        return restored(cls, text)

    @property
    def text(self) -> str:
        """Return the answer as the page keeps it from step to step."""
        return _AS_IT_CAME.encode(self).decode()

    @property
    def good(self) -> bool:
        """Tell whether the service gave what was asked for, in JSON."""
        return 200 <= self.status < 300 and not self.kind

    def lists(self) -> list[FoundList]:
        """Return the lists of records, the likeliest first: those with a usual name, and of them the longest."""
        found = [FoundList(path, self.counts[path], _names(records)) for path, records in _lists(self.value, "", 0)]
        usual = ("", *LISTS)
        return sorted(found, key=lambda one: (plain(one.path.rpartition(".")[2]) not in usual, -one.count))

    def records(self, path: str) -> list[dict[str, Any]]:
        """Return the records at a path, as far as they are kept."""
        try:
            found = member(self.value, path)
        except KeyError:
            return []
        return [record for record in found if isinstance(record, dict)] if isinstance(found, list) else []

    def fields(self, path: str) -> list[Field]:
        """Return the fields of the records at a path, with the types that they probably have."""
        records = self.records(path)
        return list(schema_of(sample_of(records, complete=False)).fields) if records else []

    def key(self, path: str) -> str:
        """Return the field that probably tells the records at a path apart."""
        names = [f.name for f in self.fields(path) if f.type is not FieldType.JSON]
        return key_of(names) or next(iter(schema_of(sample_of(self.records(path), complete=False)).key), "")

    def paging(self, query: Mapping[str, str], path: str) -> dict[str, Any]:
        """Return how the list is probably paged, by what was asked and what stands beside it."""
        beside = dict(_beside(self.value, ""))
        asked: dict[str, dict[str, Any]] = {name: _known(value) for name, value in query.items()}
        for kind, name in (("page", "page"), ("current_page", "page"), ("offset", "offset"), ("next_cursor", "cursor")):
            if any(p.rpartition(".")[2] == kind for p in beside) and not asked.keys() & {name}:
                asked.setdefault(name, {})
        found = paging_of(asked, beside, linked=self.linked)
        if "size" in found and found["size_parameter"] in query:
            found["size"] = max(self.counts.get(path, 0), 1)
        return found

    def claimed(self, path: str) -> int | None:
        """Return how many records there are by the answer's own word, None where it holds them all or says nothing."""
        for place, kind in _beside(self.value, ""):
            if kind == "number" and plain(place.rpartition(".")[2]) in TOTALS:
                total = member(self.value, place)
                return int(total) if 0 < self.counts.get(path, 0) < total < _MANY else None
        return None

    def lines(self) -> list[Line]:
        """Return the answer line by line, long lists cut."""
        lists = {one.path: one for one in self.lists()}
        lines = _Lines(lists, self.counts)
        lines.add(self.value, "", "", 0)
        return lines.lines[:_LINES]


def restored(kind: type[T], text: str) -> T | None:
    """Return what a page kept from step to step, None where it is something else."""
    try:
        return msgspec.convert(decode(text), kind)
    except (msgspec.DecodeError, msgspec.ValidationError, RecursionError):
        return None


def without(text: str, secrets: Sequence[str], hide: Callable[[str], str]) -> str:
    """Return a text without secrets, as they are and as JSON writes them, and without what `hide` knows."""
    text = hide(text)
    for secret in secrets:
        for form in {secret, json.dumps(secret)[1:-1]}:
            text = text.replace(form, HIDDEN)
    return text


class _Lines:
    """Writes a value as lines of JSON."""

    def __init__(self, lists: Mapping[str, FoundList], counts: Mapping[str, int]) -> None:
        self.lists = lists
        self.counts = counts
        self.lines: list[Line] = []

    def add(self, value: Any, path: str | None, before: str, indent: int) -> None:
        """Add a value; `path` is None within a list, whose lists cannot be chosen."""
        if len(self.lines) > _LINES:
            return
        if isinstance(value, dict) and value:
            self.lines.append(Line(indent, before + "{"))
            for name, inner in value.items():
                self.add(inner, _joined(path, name), f"{json.dumps(name, ensure_ascii=False)}: ", indent + 1)
            self.lines.append(Line(indent, "}"))
        elif isinstance(value, list) and value:
            self._list(value, path, before, indent)
        else:
            self.lines.append(Line(indent, before + encode(value).decode()))

    def _list(self, value: list[Any], path: str | None, before: str, indent: int) -> None:
        self.lines.append(Line(indent, before + "[", None if path is None else self.lists.get(path)))
        for inner in value[:_SHOWN]:
            self.add(inner, None, "", indent + 1)
        more = (len(value) if path is None else self.counts.get(path, len(value))) - _SHOWN
        if more > 0:
            self.lines.append(Line(indent + 1, f"… + {more}"))
        self.lines.append(Line(indent, "]"))


def _joined(path: str | None, name: str) -> str | None:
    return None if path is None else f"{path}.{name}" if path else name


def _cut(value: Any, path: str, counts: dict[str, int], depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    if depth > _DEEPEST:
        return None if isinstance(value, (dict, list)) else value
    if isinstance(value, dict):
        return {
            name: _cut(inner, f"{path}.{name}" if path else name, counts, depth + 1) for name, inner in value.items()
        }
    if isinstance(value, list):
        counts.setdefault(path, len(value))
        return [_cut(inner, f"{path}.#", counts, depth + 1) for inner in value[:KEPT]]
    return value


def _lists(value: Any, path: str, depth: int) -> Iterator[tuple[str, list[Any]]]:
    if isinstance(value, list) and any(isinstance(one, dict) for one in value):
        yield path, value
    elif isinstance(value, dict) and depth < 4:
        for name, inner in value.items():
            if "." not in name:
                yield from _lists(inner, f"{path}.{name}" if path else name, depth + 1)


def _names(records: Sequence[Any]) -> tuple[str, ...]:
    return tuple(next((list(one) for one in records if isinstance(one, dict)), []))[:8]


def _beside(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield the plain members of an answer that are in no list, with their kinds."""
    if not isinstance(value, dict) or path.count(".") > 2:
        return
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from _beside(inner, f"{path}{name}.")
        elif not isinstance(inner, list):
            yield path + name, _kind(name, inner)


def _kind(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, str):
        return "address" if value.startswith(("http://", "https://", "/")) else "text"
    if value is None:
        return "address" if named((name,), LINKS[1:]) else "other"
    return "number" if not isinstance(value, (list, dict)) else "other"


def _known(value: str) -> dict[str, Any]:
    return {"default": int(value)} if value.isdecimal() else {}
