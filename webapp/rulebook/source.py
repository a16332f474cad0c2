"""A document as text, and the lines of its keys, so that an editor can underline what the check found."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from rules.documents import dump_document
from rules.documents.problems import DocumentProblem
from rules.text import Message, msg


@dataclass(frozen=True)
class SyntaxProblem:
    """Text that is neither YAML nor JSON, and where it stops being so; lines and columns count from 1."""

    message: Message
    line: int = 1
    column: int = 1


def written(document: Mapping[str, Any], form: str) -> str:
    """Return the document as text: "yaml" or "json"."""
    if form == "json":
        return json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    return dump_document(document)


def read(text: str) -> tuple[dict[str, Any] | None, SyntaxProblem | None]:
    """Return the document that YAML or JSON text holds, or why it holds none."""
    try:
        found = list(yaml.safe_load_all(text))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        return None, SyntaxProblem(
            msg("The text cannot be read: {problem}.", problem=error.problem or error.context or ""), *place
        )
    except yaml.YAMLError as error:
        return None, SyntaxProblem(msg("The text cannot be read: {problem}.", problem=str(error)))
    if len(found) != 1 or not isinstance(found[0], dict):
        return None, SyntaxProblem(msg("The text has to be one document with keys, such as name, left and right."))
    return _plain(found[0]), None


class Lines:
    """Knows on which line of a text each key of its document stands."""

    def __init__(self, text: str) -> None:
        self._lines: dict[str, tuple[int, int]] = {}
        try:
            root = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError:
            root = None
        for path, node in _walk("", root) if root else ():
            self._lines[path] = (node.start_mark.line + 1, node.start_mark.column + 1)

    def of(self, problem: DocumentProblem) -> tuple[int, int]:
        """Return line and column of a problem: of its key, or of the nearest key above it that exists."""
        path = problem.path
        while path and path not in self._lines:
            path = path.rpartition("/")[0]
        return self._lines.get(path, (1, 1))


def _walk(path: str, node: yaml.Node) -> Iterator[tuple[str, yaml.Node]]:
    yield path, node
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _walk(f"{path}/{key.value}".lstrip("/"), value)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield from _walk(f"{path}/{number}".lstrip("/"), value)


def _plain(value: Any) -> Any:
    """Return YAML data as JSON can hold it: keys are text, dates are text."""
    if isinstance(value, dict):
        return {_key(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value.isoformat() if hasattr(value, "isoformat") else value


def _key(key: Any) -> str:
    return "on" if key is True else str(key)  # YAML 1.1 reads the key `on` as yes
