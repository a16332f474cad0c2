"""Building the objects of a web service step by step: what the builder's inputs stand for, as a document and back.

Pure. The JSON of the objects stays the truth: the builder changes the members that it knows and keeps all others, so
that what was written by hand in the expert view is not lost.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.builtin.rest_objects import objects_of
from connectors.errors import ConnectorError
from rules.schema import FieldType
from rules.text import Message, msg
from webapp.connections.rest_answer import LiveAnswer
from webapp.connections.rest_builder_calls import CALLS, PREFIX, call_of, put, with_results
from webapp.connections.rest_trials import Trial
from webapp.web.storable import natural

OBJECTS = "setting.objects"
DEED = "b-do"
NEW = "new"

_PLAIN = ("name", "path", "label", "records", "key", "item", "item_record")
_PAGING = {
    "page": ("parameter", "start", "size_parameter", "size", "total", "more"),
    "offset": ("parameter", "start", "size_parameter", "size", "total", "more"),
    "cursor": ("parameter", "next", "size_parameter", "size", "more"),
    "link": ("next", "size_parameter", "size"),
    "keyset": ("parameter", "size_parameter", "size", "more"),
}
_NUMBERS = ("start", "size")

Sent = Mapping[str, str]


@dataclass(frozen=True)
class Draft:
    """The object that is being built; `at` is its place in the list, or `NEW`."""

    at: str
    document: dict[str, Any]
    original: dict[str, Any] = field(default_factory=dict)
    answer: LiveAnswer | None = None
    offered: tuple[dict[str, Any], ...] = ()
    """Fields beside the chosen ones."""
    parent_key: str = ""
    """The record of the other object for which the list is tried; empty: its first."""
    trial: Trial | None = None
    """A batch as it would be sent, or was."""

    @property
    def number(self) -> int | None:
        """Return the place in the list, None for a new object."""
        return natural(self.at)

    @property
    def named(self) -> str:
        """Return the name that the path alone gave to a new object, which goes with the path."""
        name = _name_of(str(self.document.get("path", "")))
        return name if self.number is None and self.document.get("name") == name else ""


@dataclass(frozen=True)
class Builder:
    """What the builder shows: the objects, and the one that is being built; `text` is the expert view."""

    text: str
    objects: tuple[dict[str, Any], ...] = ()
    draft: Draft | None = None
    problem: Message | None = None


def of_text(text: str) -> Builder:
    """Return the builder of the JSON of the objects."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return Builder(text, problem=msg("The text of the objects is not JSON. Correct it in the expert view."))
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        return Builder(text, problem=msg("The objects are a list of descriptions. Correct it in the expert view."))
    return Builder(text, tuple(found))


def of_form(sent: Sent) -> Builder:
    """Return the builder as a form sent it."""
    builder = of_text(sent.get(OBJECTS, ""))
    return replace(builder, draft=_draft(sent)) if sent.get(PREFIX + "at") else builder


def begun(builder: Builder, at: str) -> Builder:
    """Return the builder with an object opened, a new one where there is none at this place."""
    if builder.problem:
        return builder
    number = natural(at)
    if number is not None and number < len(builder.objects):
        document = builder.objects[number]
        return replace(builder, draft=Draft(at, document, document))
    return replace(builder, draft=Draft(NEW, {}))


def removed(builder: Builder, at: str) -> Builder:
    """Return the builder without an object."""
    objects = [one for number, one in enumerate(builder.objects) if str(number) != at]
    return Builder(written(objects), tuple(objects))


def done(builder: Builder) -> Builder:
    """Return the builder with the draft among its objects, or with what is wrong with it."""
    draft = builder.draft
    if draft is None or builder.problem:
        return builder
    document, objects = draft.document, list(builder.objects)
    if not document.get("path"):
        return replace(builder, problem=msg("Enter the path of the list."))
    if draft.number is not None and draft.number < len(objects):
        objects[draft.number] = document
    else:
        objects.append(document)
    try:
        objects_of(objects)
    except ConnectorError as error:
        return replace(builder, problem=error.advice)
    return Builder(written(objects), tuple(objects))


def settled(sent: Sent) -> dict[str, str]:
    """Return a sent form whose JSON holds what the open builder says; an empty draft says nothing."""
    values = dict(sent)
    builder = of_form(sent)
    if builder.draft is not None and builder.draft.document.get("path"):
        values[OBJECTS] = done(builder).text
    return values


def tried(builder: Builder, answer: LiveAnswer) -> Builder:
    """Return the builder with an answer, and with proposals for what is not filled in yet."""
    draft = builder.draft
    if draft is None:
        return builder
    first = draft.answer is None and draft.number is None
    draft = replace(draft, answer=answer)
    lists = answer.lists()
    path = draft.document.get("records", "")
    if lists and (path not in {one.path for one in lists} or (first and not path)):
        return replace(builder, draft=proposed(draft, lists[0].path))
    return replace(builder, draft=proposed(draft, path, keep=True) if lists else draft)


def proposed(draft: Draft, path: str, *, keep: bool = False) -> Draft:
    """Return the draft with the records at a path: key, paging and fields by the answer; `keep` changes only gaps."""
    answer = draft.answer
    if answer is None or not answer.records(path):
        return draft
    found = {f.name: {"name": f.name, "type": f.type.value} for f in answer.fields(path)}
    document = {**draft.document, "records": path}
    if told := _dict(document.get("parent")).get("as"):
        found.setdefault(told, {"name": told, "type": FieldType.TEXT.value})
    if not keep or document.get("key") not in found:
        document["key"] = answer.key(path)
    if not keep or not document.get("paging"):
        document["paging"] = answer.paging(document.get("query") or {}, path) or document.get("paging")
    before = document.get("fields") or []
    known = {one["name"] for one in before} if keep else set()
    if not keep:
        document["fields"] = list(found.values())
    document = {name: value for name, value in document.items() if value not in ("", None)}
    offered = tuple(one for name, one in found.items() if name not in known) if keep else ()
    return replace(draft, document=document, offered=offered)


def family(builder: Builder) -> list[dict[str, Any]]:
    """Return what a live call needs: the object that is being built, and those whose records it is read for."""
    draft = builder.draft
    if draft is None:
        return []
    found = [draft.document]
    others = {one.get("name"): one for n, one in enumerate(builder.objects) if n != draft.number}
    while (above := others.pop(_dict(found[-1].get("parent")).get("object"), None)) is not None:
        found.append(above)
    return found


def parents(builder: Builder) -> list[str]:
    """Return the names of the other objects for whose records the list may be read."""
    draft = builder.draft
    if draft is None:
        return []
    others = [one.get("name") for number, one in enumerate(builder.objects) if number != draft.number]
    names = dict.fromkeys((*others, _dict(draft.document.get("parent")).get("object")))
    return [str(name) for name in names if name and name != draft.document.get("name")]


def answered(builder: Builder, trial: Trial, path: str | None = None) -> Builder:
    """Return the builder with a batch that was tried, and proposals of where its answers are."""
    draft = builder.draft
    if draft is None:
        return builder
    draft = replace(draft, trial=trial)
    lists = [one.path for one in trial.answer.lists()] if trial.answer and trial.answer.good else []
    call = _dict(draft.document.get(trial.call))
    batch = _dict(call.get("batch"))
    if path is None:
        path = next(iter(lists), None) if not batch.get("results") else None
    if path not in lists or trial.answer is None or path is None:
        return replace(builder, draft=draft)
    batch = with_results(batch, trial.answer, path, str(draft.document.get("key", "")))
    return replace(builder, draft=replace(draft, document={**draft.document, trial.call: {**call, "batch": batch}}))


def written(objects: Any) -> str:
    """Return objects as the expert view shows them."""
    return json.dumps(objects, ensure_ascii=False, indent=2)


def query_text(query: Mapping[str, Any]) -> str:
    """Return the parameters as the builder shows them, one a line."""
    return "\n".join(f"{name}={value}" for name, value in query.items())


def _draft(sent: Sent) -> Draft:
    original = _object(sent.get(PREFIX + "original", ""))
    document = dict(original)
    for name in _PLAIN:
        put(document, name, sent.get(PREFIX + name, "").strip())
    if document.get("name", "") in ("", sent.get(PREFIX + "named")):
        document["name"] = _name_of(document.get("path", ""))
    put(document, "query", _query(sent.get(PREFIX + "query", "")))
    put(document, "paging", _paging(sent, original.get("paging")))
    since = sent.get(PREFIX + "since", "").strip()
    put(document, "since", {**_dict(original.get("since")), "parameter": since} if since else None)
    put(document, "parent", _parent(sent, original.get("parent")))
    for name in CALLS:
        put(document, name, call_of(sent, name, original.get(name)))
    fields, offered = _fields(sent, original)
    put(document, "fields", fields if PREFIX + "fixed" in sent else None)
    answer = LiveAnswer.read(sent.get(PREFIX + "answer", ""))
    offered = offered if PREFIX + "fixed" in sent else [*fields, *offered]
    trial = Trial.read(sent.get(PREFIX + "trial", ""))
    key = sent.get(PREFIX + "parent-key", "").strip()
    return Draft(sent[PREFIX + "at"], document, original, answer, tuple(offered), key, trial)


def _query(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.replace("&", "\n").splitlines() if line.strip())
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _paging(sent: Sent, original: Any) -> dict[str, Any] | None:
    by = sent.get(PREFIX + "by", "none")
    if by not in _PAGING:
        return None
    before = _dict(original)
    known = {member for members in _PAGING.values() for member in members} | {"by"}
    found = {"by": by, **{name: value for name, value in before.items() if name not in known}}
    for name in _PAGING[by]:
        text = sent.get(f"{PREFIX}{name}", "").strip()
        if text:
            number = natural(text) if name in _NUMBERS else None
            found[name] = text if number is None else number
    return found


def _parent(sent: Sent, original: Any) -> dict[str, Any] | None:
    above = sent.get(PREFIX + "parent", "").strip()
    if not above:
        return None
    found = {**_dict(original), "object": above}
    for name in ("field", "as"):
        put(found, name, sent.get(f"{PREFIX}parent-{name}", "").strip())
    also = sent.get(PREFIX + "parent-also", "").splitlines()
    put(found, "also", [value.strip() for value in also if value.strip()])
    put(found, "once", PREFIX + "parent-once" in sent)
    return found


def _fields(sent: Sent, original: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the ticked fields and the others."""
    before = {one["name"]: one for one in original.get("fields") or [] if isinstance(one, dict) and "name" in one}
    chosen: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    number = 0
    while (name := sent.get(f"{PREFIX}field-{number}-name")) is not None:
        one = {**before.get(name, {}), "name": name}
        put(one, "type", sent.get(f"{PREFIX}field-{number}-type", FieldType.TEXT.value))
        put(one, "label", sent.get(f"{PREFIX}field-{number}-label", "").strip())
        (chosen if f"{PREFIX}field-{number}-use" in sent else others).append(one)
        number += 1
    return chosen, others


def _object(text: str) -> dict[str, Any]:
    try:
        return _dict(json.loads(text or "{}"))
    except (ValueError, RecursionError):
        return {}


def _dict(value: Any) -> dict[str, Any]:
    return dict(value) if isinstance(value, Mapping) else {}


def _name_of(path: str) -> str:
    parts = [part for part in path.split("/") if part and "{" not in part]
    return re.sub(r"[^\w-]+", "_", parts[-1]) if parts else ""
