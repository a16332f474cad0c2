"""The cases of google/cel-spec, and what our language says to each."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from rules.language.check import check
from rules.language.parse import parse
from rules.language.problems import ExpressionError, Severity
from rules.language.qualified import qualified
from rules.language.runtime import Failed
from rules.schema import Field, FieldType, Schema
from rules.text import Message
from tests.rules.language.frames import on_runtime

FOLDER = Path(__file__).parent.parent / "cel-spec"
_LEFT_OUT = frozenset(
    {
        "Numbers with the ending u are not supported. Leave the u away.",
        "Objects of a named type are not supported. Leave the name before the brace away.",
        "The character NUL (code 0) is not possible in an expression.",
    }
)
_LEFT_OUT_NAMES = frozenset({"uint", "type", "none", "of", "fn", "sort", "tuple"})
_FIELDS = {
    "int": FieldType.INTEGER,
    "double": FieldType.FLOAT,
    "string": FieldType.TEXT,
    "bool": FieldType.BOOLEAN,
    "bytes": FieldType.BINARY,
}


@dataclass(frozen=True)
class Case:
    """One case of the data; `where` is `file/section/name`, numbered where the data has that twice."""

    where: str
    data: Mapping[str, Any]

    @property
    def expression(self) -> str:
        """Return the text of the expression."""
        return str(self.data["expr"])


class Refused(Exception):
    """Our language does not take the expression at all; `str()` is the first reason."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message

    @property
    def is_error(self) -> bool:
        """Tell whether the expression itself is wrong; False where it uses what our language leaves out."""
        name = self.message.values.get("name")
        return self.message.template not in _LEFT_OUT and name not in _LEFT_OUT_NAMES


@cache
def cases() -> tuple[Case, ...]:
    """Return all cases in order."""
    found: dict[str, Case] = {}
    for file in sorted(FOLDER.glob("*.jsonl")):
        for line in file.read_text("utf-8").splitlines():
            data = json.loads(line)
            place = f"{file.stem}/{data['section']}/{data['name']}"
            where, number = place, 1
            while where in found:
                number += 1
                where = f"{place}#{number}"
            found[where] = Case(where, data)
    return tuple(found.values())


def outcome(case: Case) -> Any:
    """Return the value that our language gives, `Failed` for an error; raises `Refused`."""
    text, schema = case.expression, Schema(tuple(_field(name, type_) for name, type_ in case.data["types"]))
    try:
        checked = check(qualified(parse(text), schema), text, schema)
    except ExpressionError as error:
        raise Refused(error.problems[0].message) from None
    problems = [p for p in checked.problems if p.severity is Severity.ERROR]
    if problems:
        raise Refused(problems[0].message)
    record = {name: _json(value) for name, value in case.data["bindings"].items() if name in schema}
    return on_runtime(checked, schema, [record])[0]


def _field(name: str, type_: str | None) -> Field:
    return Field(name, _FIELDS.get(type_ or "", FieldType.JSON))


def _json(value: Mapping[str, Any]) -> Any:
    kind, plain = next(iter(value.items()))
    match kind:
        case "int":
            return int(plain)
        case "bytes":
            return bytes.fromhex(plain)
        case "list":
            return [_json(part) for part in plain]
        case "map":
            return {_json(key): _json(part) for key, part in plain}
        case _:
            return plain


def passes(case: Case) -> bool:
    """Tell whether our language gives the expected result: the same value of the same type, or an error."""
    try:
        found = outcome(case)
    except Refused as refused:
        return refused.is_error and "error" in (case.data["expect"] or {})
    expect = case.data["expect"]
    if expect is None:
        return found is True
    return isinstance(found, Failed) if "error" in expect else same(expect.get("value", {}), found)


def same(value: Mapping[str, Any], found: Any) -> bool:
    """Tell whether a value of the data is a value of ours, with its type."""
    kind, plain = next(iter(value.items()), ("", None))
    test = _SAME.get(kind)
    return test is not None and test(plain, found)


def _same_plain(plain: Any, found: Any) -> bool:
    return type(found) is type(plain) and bool(found == plain)


def _same_number(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))


def _same_lists(plain: list[Any], found: list[Any]) -> bool:
    return len(plain) == len(found) and all(same(a, b) for a, b in zip(plain, found, strict=True))


def _same_maps(plain: list[Any], found: dict[Any, Any]) -> bool:
    pairs = list(found.items())
    return len(plain) == len(pairs) and all(any(same(k, a) and same(v, b) for a, b in pairs) for k, v in plain)


def _same_duration(plain: Any, found: Any) -> bool:
    return bool(found == timedelta(seconds=plain["seconds"], microseconds=plain["nanos"] // 1000))


_EPOCH = datetime.fromtimestamp(0, UTC)
_SAME: dict[str, Callable[[Any, Any], bool]] = {
    "int": lambda plain, found: type(found) is int and found == int(plain),
    "double": lambda plain, found: type(found) is float and _same_number(float(plain), found),
    "bool": _same_plain,
    "string": _same_plain,
    "null": _same_plain,
    "bytes": lambda plain, found: isinstance(found, (bytes, bytearray)) and bytes(found) == bytes.fromhex(plain),
    "list": lambda plain, found: isinstance(found, list) and _same_lists(plain, found),
    "map": lambda plain, found: isinstance(found, dict) and _same_maps(plain, found),
    "duration": _same_duration,
    "timestamp": lambda plain, found: isinstance(found, datetime) and _same_duration(plain, found - _EPOCH),
}
