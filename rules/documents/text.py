"""Documents as text: YAML (the 1.2 core schema, so that `no` and `on` are text) and JSON, with the place of every key.

Refused, because they let a small text become a large or surprising document: anchors and aliases, tags, duplicate keys,
keys that are not text, deep nesting.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from enum import StrEnum
from typing import Any, cast

import yaml
from yaml.cyaml import CSafeLoader

from rules.documents.decision_table import DecisionTable
from rules.documents.event_rule import EventRule
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.shape import hints, inner
from rules.documents.sync import SyncRule
from rules.text import Message, msg

MAX_SIZE = 5_000_000
MAX_DEPTH = 40
_NULL, _BOOL, _INT, _FLOAT, _STR = (f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str"))
_CORE = (
    (_NULL, r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    (_BOOL, r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    (_INT, r"[-+]?[0-9]+", list("-+0123456789")),
    (_FLOAT, r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
)
_ESCAPED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\xa0\u2028\u2029\ufeff]")
_SURROGATES = re.compile(r"\\\\|\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_STEPS = {
    yaml.MappingStartEvent: 1,
    yaml.SequenceStartEvent: 1,
    yaml.MappingEndEvent: -1,
    yaml.SequenceEndEvent: -1,
}
_SORTS: Mapping[str, type] = {"sync": SyncRule, "decision_table": DecisionTable, "event_rule": EventRule}


class Format(StrEnum):
    """How a document is written."""

    YAML = "yaml"
    JSON = "json"


@dataclass(frozen=True)
class Located:
    """A document and where its keys stand; lines and columns count from 1."""

    document: dict[str, Any]
    places: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def place(self, path: str) -> tuple[int, int]:
        """Return the line and column of a path, or of the nearest key around it."""
        while path not in self.places and path:
            path = path.rpartition("/")[0]
        return self.places.get(path, (1, 1))


class _Loader(CSafeLoader):
    """Resolves plain scalars as YAML 1.2 does: no `yes`, `on`, dates or sexagesimal numbers."""


_Loader.yaml_implicit_resolvers = {}


class _Dumper(yaml.SafeDumper):
    """Quotes what either YAML 1.1 or 1.2 would not read as text."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        """Write every value out."""
        return True


for _tag, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)
    _Dumper.add_implicit_resolver(_tag, re.compile(rf"^(?:{_pattern})$"), _first)


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = '"' if _ESCAPED.search(text) else "|" if "\n" in text else None
    return dumper.represent_scalar(_STR, text, style=style)


_Dumper.add_representer(str, _text_node)


def load_documents(text: str, form: Format | str = Format.YAML) -> list[Located]:
    """Return the documents of a text; raises `DocumentError`, whose lines and columns are those of the text."""
    if len(text) > MAX_SIZE:
        raise _refuse(msg("The text is longer than {limit} characters.", limit=MAX_SIZE))
    if Format(form) is Format.JSON:
        _check_json(text)
        text = _SURROGATES.sub(_character, text.replace("\t", " "))
    try:
        _check_events(text)
        roots = list(yaml.compose_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        line, column = (error.problem_mark.line + 1, error.problem_mark.column + 1) if error.problem_mark else (1, 1)
        raise _refuse(
            msg("The text cannot be read: {reason}.", reason=error.problem or error.context or ""), line, column
        ) from None
    except yaml.reader.ReaderError as error:
        before = text[: int(error.position)]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        message = msg("The text cannot be read: a character in it is not allowed in a document.")
        raise _refuse(message, line, column) from None
    return [located for root in roots for located in _documents(root)]


def _check_events(text: str) -> None:
    """Refuse anchors, aliases and deep nesting before nodes are made: the composer recurses, and dies of depth."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        if getattr(event, "anchor", None) is not None:
            raise _refuse(msg("Anchors and aliases (& and *) are not supported. Write the value out."), *_mark(event))
        depth += _STEPS.get(type(event), 0)
        if depth > MAX_DEPTH:
            raise _refuse(msg("The text is nested too deeply."), *_mark(event))


def _character(found: re.Match[str]) -> str:
    """Return the character that a pair of JSON escapes stands for, which YAML does not know."""
    if found[1] is None:
        return found[0]
    return bytes.fromhex(found[1] + found[2]).decode("utf-16-be")


def _documents(root: yaml.Node | None) -> Iterator[Located]:
    if root is None or root.tag == _NULL:
        return
    roots = root.value if isinstance(root, yaml.SequenceNode) else [root]
    for node in roots:
        if not isinstance(node, yaml.MappingNode):
            raise _refuse(msg("A document has to be keys and values, such as kind, name and settings."), *_mark(node))
        reader = _Reader()
        yield Located(reader.value(node, ""), reader.places)


def _check_json(text: str) -> None:
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise _refuse(msg("The JSON cannot be read: {reason}.", reason=error.msg), error.lineno, error.colno) from None
    except (RecursionError, ValueError):
        raise _refuse(
            msg("The JSON cannot be read: it is nested too deeply or has a number that is too long.")
        ) from None


def _refuse(message: Message, line: int = 1, column: int = 1) -> DocumentError:
    return DocumentError([DocumentProblem("", message, line, column)])


def _mark(node: yaml.Node | yaml.Event) -> tuple[int, int]:
    mark = cast(yaml.Mark, node.start_mark)
    return mark.line + 1, mark.column + 1


class _Reader:
    """Turns the nodes of one document into plain data and notes their places."""

    def __init__(self) -> None:
        self.places: dict[str, tuple[int, int]] = {}

    def value(self, node: yaml.Node, path: str) -> Any:
        """Return the plain data of a node."""
        self.places.setdefault(path, _mark(node))
        if isinstance(node, yaml.MappingNode):
            return dict(self._entries(node, path))
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, _join(path, str(n))) for n, item in enumerate(node.value)]
        return self._scalar(node)

    def _entries(self, node: yaml.MappingNode, path: str) -> Iterator[tuple[str, Any]]:
        names: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _refuse(msg("A key has to be text."), *_mark(key))
            if key.value in names:
                raise _refuse(msg("The key '{key}' stands here twice.", key=key.value), *_mark(key))
            names.add(key.value)
            inside = _join(path, key.value)
            self.places[inside] = _mark(key)
            yield key.value, self.value(value, inside)

    def _scalar(self, node: yaml.Node) -> Any:
        text = node.value
        if node.tag == _BOOL:
            return text.lower() == "true"
        if node.tag == _NULL:
            return None
        if node.tag == _INT:
            return self._integer(node)
        if node.tag == _FLOAT:
            return self._float(node)
        if node.tag != _STR:
            raise _refuse(msg("Tags such as {tag} are not supported.", tag=node.tag), *_mark(node))
        return text

    def _integer(self, node: yaml.Node) -> int:
        if len(node.value) > 30:
            raise _refuse(msg("This number is too long. Put it in quotes if it is a text."), *_mark(node))
        return int(node.value)

    def _float(self, node: yaml.Node) -> float:
        value = float(node.value)
        if not math.isfinite(value):
            raise _refuse(msg("This number is too large."), *_mark(node))
        return value


def _join(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def dump_document(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, its keys in the order of the reference, kind and name first."""
    ordered = _ordered(document, _SORTS.get(str(document.get("kind"))))
    return yaml.dump(ordered, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _ordered(value: Any, cls: type | None) -> Any:
    if isinstance(value, Mapping):
        types = hints(cls) if cls is not None else {}
        first = [name for name in ("kind", "name", *types) if name in value]
        names = [*dict.fromkeys(first), *(name for name in value if name not in first)]
        return {name: _part(value[name], types.get(name)) for name in names}
    if isinstance(value, (list, tuple)):
        return [_ordered(item, cls) for item in value]
    return value


def _part(value: Any, hint: Any) -> Any:
    """Return the value of a key; cells of a row stand on one line."""
    cells = hint == tuple[Any, ...] and isinstance(value, (list, tuple))
    if cells and not any(isinstance(item, (Mapping, list, tuple)) for item in value):
        return _Cells(value)
    return _ordered(value, _class(hint))


class _Cells(list[Any]):
    """A list that is written on one line."""


def _cells_node(dumper: yaml.SafeDumper, cells: _Cells) -> yaml.SequenceNode:
    return dumper.represent_sequence("tag:yaml.org,2002:seq", cells, flow_style=True)


_Dumper.add_representer(_Cells, _cells_node)


def _class(hint: Any) -> type | None:
    found = inner(hint)
    return found if is_dataclass(found) and isinstance(found, type) else None
