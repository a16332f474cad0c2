"""A role's policy as a document: parsed, and every mistake told at its place. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rules.documents.problems import DocumentError, DocumentProblem
from rules.language.problems import ExpressionError, nearest
from rules.text import N_, msg
from webapp.policies import conditions, levels
from webapp.policies.levels import LEVELS, PERSONAL, Level
from webapp.policies.objects import ACTIONS, EVERYTHING, DataObject, PolicyField

FieldsOf = Callable[[DataObject], Sequence[PolicyField] | None]
"""Gives the fields of an object, None where they are not known."""
MAX_LINES, MAX_FIELDS, MAX_CONDITION = 500, 1000, 4000
_ON = re.compile(r"\*|entity/(\*|[a-z][a-z0-9_]*)|connection/(\*|[A-Za-z0-9_.-]+/.{1,500})", re.DOTALL)
_KEYS = ("on", "allow", "deny", "rows", "deny_rows", "fields", "other_fields")


@dataclass(frozen=True)
class Line:
    """What a policy says of some data objects; `allow` is None where the role's permissions for rooms say it."""

    on: str
    allow: frozenset[str] | None = None
    deny: frozenset[str] = frozenset()
    rows: str = ""
    deny_rows: str = ""
    fields: Mapping[str, Level] = field(default_factory=dict)
    other_fields: Level = levels.WRITE

    @property
    def levels(self) -> tuple[Level, ...]:
        """Return all that the line says of fields."""
        return (*self.fields.values(), self.other_fields)


@dataclass(frozen=True)
class Policy:
    """What a role may see and do with records; without lines what its permissions for rooms say."""

    data: tuple[Line, ...] = ()
    personal: Level = levels.WRITE

    def line(self, data: DataObject) -> Line | None:
        """Return the line that counts for an object: the one that names it most narrowly."""
        lines = {line.on: line for line in self.data}
        return next((lines[pattern] for pattern in data.patterns if pattern in lines), None)

    @property
    def empty(self) -> bool:
        """Tell whether the policy says nothing."""
        return not self.data and self.personal == levels.WRITE


EMPTY = Policy()


def parse(document: Mapping[str, Any], fields_of: FieldsOf = lambda _data: None) -> Policy:
    """Return the policy that a document states; raises `DocumentError` with every mistake found."""
    problems = list(check(document, fields_of))
    if problems:
        raise DocumentError(problems)
    return build(document)


def build(document: Mapping[str, Any]) -> Policy:
    """Return the policy of a document that has been checked."""
    lines = tuple(_line(line) for line in document.get("data", ()))
    return Policy(lines, PERSONAL[document.get("personal", "read")])


def to_document(policy: Policy) -> dict[str, Any]:
    """Return the document of a policy; defaults are left out."""
    document: dict[str, Any] = {"data": [_plain(line) for line in policy.data]} if policy.data else {}
    if policy.personal != levels.WRITE:
        document["personal"] = next(word for word, level in PERSONAL.items() if level == policy.personal)
    return document


def _line(line: Mapping[str, Any]) -> Line:
    allow = line.get("allow")
    return Line(
        line["on"],
        None if allow is None else frozenset(allow),
        frozenset(line.get("deny", ())),
        line.get("rows", ""),
        line.get("deny_rows", ""),
        {name: LEVELS[text] for name, text in line.get("fields", {}).items()},
        LEVELS[line.get("other_fields", "write")],
    )


def _plain(line: Line) -> dict[str, Any]:
    found: dict[str, Any] = {"on": line.on}
    if line.allow is not None:
        found["allow"] = [action for action in ACTIONS if action in line.allow]
    if line.deny:
        found["deny"] = [action for action in ACTIONS if action in line.deny]
    found.update({key: getattr(line, key) for key in ("rows", "deny_rows") if getattr(line, key)})
    if line.fields:
        found["fields"] = {name: level.text for name, level in line.fields.items()}
    if line.other_fields != levels.WRITE:
        found["other_fields"] = line.other_fields.text
    return found


# Mistakes


def check(document: Any, fields_of: FieldsOf = lambda _data: None) -> Iterator[DocumentProblem]:
    """Yield what is wrong with a document."""
    if not isinstance(document, Mapping):
        yield DocumentProblem("", msg("A policy is a set of keys and values."))
        return
    yield from _unknown("", document, ("data", "personal"))
    if document.get("personal", "read") not in PERSONAL:
        yield _word("personal", document["personal"], PERSONAL)
    lines = document.get("data", [])
    if not isinstance(lines, list) or len(lines) > MAX_LINES:
        yield DocumentProblem("data", msg("A list of at most {count} lines is needed.", count=MAX_LINES))
        return
    seen: set[str] = set()
    for number, line in enumerate(lines):
        yield from _check_line(f"data/{number}", line, seen, fields_of)


def _check_line(path: str, line: Any, seen: set[str], fields_of: FieldsOf) -> Iterator[DocumentProblem]:
    on = line.get("on") if isinstance(line, Mapping) else None
    if not isinstance(on, str) or not _ON.fullmatch(on):
        text = N_("Say which records are meant: {examples}.")
        yield DocumentProblem(f"{path}/on", msg(text, examples="entity/customer, connection/crm/contacts, entity/*, *"))
        return
    if on in seen:
        yield DocumentProblem(f"{path}/on", msg("There is a line for '{on}' already.", on=on))
    seen.add(on)
    yield from _unknown(path, line, _KEYS)
    for key in ("allow", "deny"):
        yield from _check_actions(f"{path}/{key}", line.get(key, []))
    known = None if on.endswith(EVERYTHING) else fields_of(DataObject.of(on))
    yield from _check_levels(path, line, known)
    for key in ("rows", "deny_rows"):
        yield from _check_condition(f"{path}/{key}", line.get(key, ""), known)


def _check_actions(path: str, actions: Any) -> Iterator[DocumentProblem]:
    if not isinstance(actions, list):
        yield DocumentProblem(path, msg("A list is needed."))
        return
    for number, action in enumerate(actions):
        if action not in ACTIONS:
            yield _word(f"{path}/{number}", action, ACTIONS)


def _check_levels(path: str, line: Mapping[str, Any], known: Sequence[PolicyField] | None) -> Iterator[DocumentProblem]:
    if line.get("other_fields", "write") not in LEVELS:
        yield _word(f"{path}/other_fields", line["other_fields"], LEVELS)
    named = line.get("fields", {})
    if not isinstance(named, Mapping) or len(named) > MAX_FIELDS:
        yield DocumentProblem(
            f"{path}/fields", msg("At most {count} fields with what is seen of them.", count=MAX_FIELDS)
        )
        return
    names = None if known is None else [one.name for one in known]
    for name, level in named.items():
        if level not in LEVELS:
            yield _word(f"{path}/fields/{name}", level, LEVELS)
        if names is not None and name not in names:
            text = N_("There is no field '{name}' in {object}.")
            close = nearest(name, names)
            yield DocumentProblem(f"{path}/fields/{name}", msg(text, name=name, object=line["on"]), suggestion=close)


def _check_condition(path: str, text: Any, known: Sequence[PolicyField] | None) -> Iterator[DocumentProblem]:
    if not isinstance(text, str) or len(text) > MAX_CONDITION:
        yield DocumentProblem(path, msg("A condition of at most {count} characters is needed.", count=MAX_CONDITION))
        return
    if not text.strip():
        return
    try:
        if known is None:
            conditions.parsed(text)
        else:
            conditions.compiled(text, known)
    except ExpressionError as error:
        yield from (DocumentProblem.of(path, problem) for problem in error.problems)


def _unknown(path: str, found: Mapping[str, Any], known: Sequence[str]) -> Iterator[DocumentProblem]:
    for key in found:
        if key not in known:
            place = f"{path}/{key}".lstrip("/")
            yield DocumentProblem(
                place, msg("There is no key '{key}' here.", key=key), suggestion=nearest(str(key), known)
            )


def _word(path: str, found: Any, known: Any) -> DocumentProblem:
    words = list(known)
    text = N_("'{word}' is none of these: {words}.")
    return DocumentProblem(
        path, msg(text, word=str(found), words=", ".join(words)), suggestion=nearest(str(found), words)
    )
