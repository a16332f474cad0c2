"""JSON as text, and paths into it: `$.items[0].name`, `[*]` for every item, `['a b']` for other names."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from rules.language.functions.bounds import check_length, short
from rules.language.functions.registry import Chapter, FunctionError, Group, check_constants
from rules.language.jsontext import read_json, write_json
from rules.text import N_, msg

MAX_DEPTH = 64
MAX_PATH = 1_000
_structures = Chapter(Group.STRUCTURES)
_STEP = re.compile(
    r"""\.(?P<name>[^\W\d][\w-]*)|\[(?P<place>-?[0-9]{1,9})\]|\[(?P<quoted>'[^']*'|"[^"]*")\]|(?P<all>\[\*\]|\.\*)"""
)
Step = str | int | None


@lru_cache(maxsize=256)
def path(text: str) -> tuple[Step, ...]:
    """Return the steps of a path: a name, a position, or None for everything."""
    steps: list[Step] = []
    end = 1
    if len(text) > MAX_PATH or not text.startswith("$"):
        raise _wrong(text, 0)
    while end < len(text):
        found = _STEP.match(text, end)
        if found is None:
            raise _wrong(text, end)
        steps.append(_step(found))
        end = found.end()
    return tuple(steps)


def _step(found: re.Match[str]) -> Step:
    if found["all"]:
        return None
    if found["place"]:
        return int(found["place"])
    return found["name"] or found["quoted"][1:-1]


def _wrong(text: str, place: int) -> FunctionError:
    words = N_("'{rest}' cannot stand in a path into JSON. Write it like $.items[0].name, with [*] for every item.")
    return FunctionError(msg(words, rest=short(text[place:])))


def find_all(value: Any, written: str) -> list[Any]:
    """Return everything that a path leads to in a JSON value, or in text that holds JSON."""
    found = [parse_json(value) if isinstance(value, str) else value]
    for step in path(written):
        found = [part for item in found for part in _parts(item, step)]
    return found


def _parts(value: Any, step: Step) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values()) if step is None else [value[step]] if step in value else []
    if isinstance(value, list) and not isinstance(step, str):
        return value if step is None else [value[step]] if -len(value) <= step < len(value) else []
    return []


def find(value: Any, written: str) -> Any:
    """Return the first thing that a path leads to, None where it leads nowhere."""
    found = find_all(value, written)
    return found[0] if found else None


def parse_json(text: str) -> Any:
    """Return the value that JSON text holds; not more than `MAX_DEPTH` lists and objects inside each other."""
    check_length(len(text))
    _check_depth(text)
    try:
        return read_json(text)
    except ValueError as error:
        raise FunctionError(msg("This is not JSON: {reason}", reason=str(error))) from None


_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def _check_depth(text: str) -> None:
    """Refuse JSON that is nested too deeply, or holds what no text can hold, before it is read."""
    depth = 0
    for found in _BRACKET.finditer(text):
        depth += 1 if found[0] in "[{" else -1 if found[0] in "]}" else 0
        if depth > MAX_DEPTH:
            raise FunctionError(msg("The JSON is nested too deeply: at most {limit} levels.", limit=MAX_DEPTH))
    if re.search(r"\\u(0000|[dD][89a-fA-F])", text):
        _check_escapes(text)


def _check_escapes(text: str) -> None:
    pairs = re.sub(r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}", "", text)
    if re.search(r"\\u(0000|[dD][89a-fA-F])", pairs):
        raise FunctionError(msg("The JSON holds characters that no text can hold (code 0, or half a character)."))


def to_json(value: Any) -> str:
    """Return a value as JSON text, keys in order, without spaces."""
    try:
        text = write_json(value)
    except (TypeError, ValueError):
        raise FunctionError(msg("toJson() cannot write this value.")) from None
    check_length(len(text))
    return text


check_constants("path", path)
_structures.own(
    N_(
        "Takes the first value that a path leads to, out of JSON or text with JSON; empty (null) where there is none."
        " A path is made of names, positions, [*] and .* only."
    ),
    {
        "jsonPath('{\"a\": [{\"b\": 7}]}', '$.a[0].b') == 7": "true",
        "jsonPath('{\"a b\": 1}', \"$['a b']\") == 1": "true",
        "jsonPath('{}', '$.a')": "null",
    },
    {"jsonPath(value: any, path: text) -> any": find},
)
_structures.own(
    N_("Lists everything that a path leads to in JSON, or in text with JSON."),
    {"jsonPathAll('[{\"a\": 1}, {\"a\": 2}]', '$[*].a')": "[1, 2]"},
    {"jsonPathAll(value: any, path: text) -> list": find_all},
)
_structures.own(
    N_("Reads JSON from a text."),
    {"parseJson('{\"a\": 1}').a == 1": "true"},
    {"parseJson(text: text) -> any": parse_json},
)
_structures.own(
    N_("Writes a value as JSON, keys in order."),
    {"toJson({'b': 1, 'a': [true, null]})": '\'{"a":[true,null],"b":1}\''},
    {"toJson(value: any) -> text": to_json},
)
