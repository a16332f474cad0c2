"""A description of a service as text, JSON or YAML, read into plain values; nothing in it can make it large.

Aliases of YAML are followed, but a text that unfolds into more than `MOST` values, nests too deeply or holds itself is
refused. Plain words mean what YAML 1.2 says: `no` and `on` are text, and so is a date.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import yaml
from yaml.cyaml import CSafeLoader

from connectors.errors import Misconfigured
from rules.text import Message, msg

LARGEST = 16 * 1024 * 1024
LARGEST_YAML = 6 * 1024 * 1024
MOST = 2_000_000
DEEPEST = 100

_CORE = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,30}", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,3})?", list("-+.0123456789")),
)
_STEPS = {
    yaml.MappingStartEvent: 1,
    yaml.SequenceStartEvent: 1,
    yaml.MappingEndEvent: -1,
    yaml.SequenceEndEvent: -1,
}


class _Loader(CSafeLoader):
    """Resolves plain words as YAML 1.2 does."""


def _integer(loader: _Loader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))


_Loader.yaml_implicit_resolvers = {}
_Loader.add_constructor("tag:yaml.org,2002:int", _integer)  # 010 is ten, not eight
for _name, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _first)


def document_of(text: str | bytes) -> dict[str, Any]:
    """Return the document that a JSON or YAML text holds; raises `Misconfigured` with the place of a mistake."""
    try:
        plain = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise _refuse(msg("the text is not UTF-8")) from None
    if len(plain) > LARGEST:
        raise _refuse(msg("it is larger than {size} MB", size=LARGEST // 1024**2))
    found = _read(plain)
    if not isinstance(found, dict):
        raise _refuse(msg("it has to begin with names and values, such as openapi: 3.0.3"))
    return _Plain().copy(found, 0)  # type: ignore[no-any-return]


def _read(text: str) -> Any:
    if text.lstrip().startswith("{"):
        try:
            return msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            if "# " not in text:  # YAML's short form begins like JSON
                raise _refuse(msg("it is not JSON: {problem}", problem=str(error))) from None
        except RecursionError:
            raise _too_deep() from None
    return _yaml(text)


def _yaml(text: str) -> Any:
    if len(text) > LARGEST_YAML:
        raise _refuse(msg("as YAML it is larger than {size} MB; take the JSON form", size=LARGEST_YAML // 1024**2))
    try:
        _check_depth(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - made from the safe loader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise _refuse(msg("line {line}: {problem}", line=line, problem=error.problem or "-")) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise _refuse(msg("it is not YAML: {problem}", problem=str(error).partition("\n")[0])) from None


def _check_depth(text: str) -> None:
    """Refuse deep nesting before nodes are made: the loader recurses, and dies of depth."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        depth += _STEPS.get(type(event), 0)
        if depth > DEEPEST:
            raise _too_deep()


class _Plain:
    """Copies values, with texts as names, and counts them."""

    def __init__(self) -> None:
        self.count = 0

    def copy(self, value: Any, depth: int) -> Any:
        self.count += 1
        if depth > DEEPEST:
            raise _too_deep()
        if self.count > MOST:
            raise _refuse(msg("it unfolds into more than {most} values", most=MOST))
        if isinstance(value, dict):
            return {_name_of(name): self.copy(item, depth + 1) for name, item in value.items()}
        if isinstance(value, list):
            return [self.copy(item, depth + 1) for item in value]
        return value


def _name_of(key: Any) -> str:
    if isinstance(key, bool):
        return "true" if key else "false"
    return "null" if key is None else str(key)


def _too_deep() -> Misconfigured:
    return _refuse(msg("it is nested too deeply, or holds itself"))


def _refuse(problem: Message) -> Misconfigured:
    return Misconfigured(
        msg("The document cannot be read: {problem}.", problem=problem),
        msg("Give a document in JSON or YAML, as the maker of the service publishes it."),
    )
