"""The form of an event rule as nested data: from the names of its inputs, one step in it, and where a problem shows.

The input `states.1.transitions.0.to` stands for model["states"][1]["transitions"][0]["to"]. A list keeps the order of
its numbers; `name[]` holds several values; a time span is posted as `number` and `unit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

from werkzeug.datastructures import MultiDict

from webapp.web.storable import natural

Model = dict[str, Any]
PARTS = ("events", "when", "then", "states", "flow")
_DEEPEST = 12


def model_from(form: MultiDict[str, str]) -> Model:
    """Return what the inputs of a form say."""
    root: Model = {}
    for name in form:
        parts = name.removesuffix("[]").split(".")
        if len(parts) <= _DEEPEST and (parts[0] in PARTS or name in ("label", "by")):
            _put(root, parts, form.getlist(name) if name.endswith("[]") else form[name].replace("\r\n", "\n").strip())
    found = _settled(root)
    return found if isinstance(found, dict) else {}


def _put(node: Model, parts: list[str], value: Any) -> None:
    for part in parts[:-1]:
        below = node.setdefault(part, {})
        if not isinstance(below, dict):
            return
        node = below
    node[parts[-1]] = value


def _settled(node: Any) -> Any:
    """Return lists in the place of numbered parts, and texts in the place of time spans."""
    if not isinstance(node, dict):
        return node
    if node.keys() == {"number", "unit"}:
        return f"{node['number']}{node['unit']}" if node["number"] else ""
    if node and all(key.isdecimal() for key in node):
        return [_settled(node[key]) for key in sorted(node, key=int)]
    return {key: _settled(value) for key, value in node.items()}


def changed(model: Model, deed: str) -> tuple[Model, str]:
    """Return the model after `add:then:case`, `remove:then.0`, `up:then.1` or `down:then.0`, and what to show then."""
    word, _colon, rest = deed.partition(":")
    path, _colon, kind = rest.partition(":")
    new = deepcopy(model)
    try:
        if word == "add":
            return new, _add(new, path.split("."), kind)
        if word in ("remove", "up", "down"):
            return new, _move(new, path.split("."), word)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError):
        pass
    return model, ""


def _add(model: Model, path: list[str], kind: str) -> str:
    holder = _at(model, path[:-1])
    items = holder.setdefault(path[-1], [])
    items.append(_FRESH[path[-1]](items, kind))
    return ".".join([*path, str(len(items) - 1)])


def _move(model: Model, path: list[str], word: str) -> str:
    items, number = _at(model, path[:-1]), int(path[-1])
    item = items.pop(number)
    if word == "remove":
        return ""
    target = max(number - 1, 0) if word == "up" else number + 1
    items.insert(target, item)
    return ".".join([*path[:-1], str(min(target, len(items) - 1))])


def _at(model: Any, path: list[str]) -> Any:
    for part in path:
        model = model[int(part)] if isinstance(model, list) else model[part]
    return model


def _free(items: list[Any], base: str) -> str:
    taken = {item.get("name") for item in items}
    return next(name for n in range(len(items) + 1, len(items) * 2 + 3) if (name := f"{base}_{n}") not in taken)


def _pair(_items: list[Any], _kind: str) -> Any:
    return {"name": "", "value": ""}


_FRESH: dict[str, Callable[[list[Any], str], Any]] = {
    "events": lambda items, _: {"name": _free(items, "event"), "type": "", "open": "1"},
    "names": lambda _items, _: "",
    "then": lambda _items, kind: {"kind": kind, kind: {}, "open": "1"},
    "states": lambda items, _: {"name": _free(items, "state"), "open": "1"},
    "flow": lambda items, _: {"name": _free(items, "stage"), "open": "1"},
    "transitions": lambda _items, kind: {"kind": kind, "open": "1"},
    "next": lambda _items, kind: {"kind": kind, "open": "1"},
    "fields": _pair,
    "details": _pair,
}


def input_of(path: str, document: Mapping[str, Any]) -> str:
    """Return the name of the input where a problem at a key of the document is shown."""
    parts = path.split("/")
    if parts[0] == "when":
        return _WHEN.get("/".join(parts[1:3]), f"when.names.{parts[2]}" if len(parts) > 2 else "when.form")
    node: Any = document
    names: list[str] = []
    for part in parts:
        numbered = isinstance(node, Mapping) and names and names[-1] in _MAPS
        if numbered:
            names.append(str(list(node).index(part)) if part in node else part)
        elif part != "notify":
            names.append(part)
        node = _below(node, part)
    if len(names) > 1 and names[-2] in _MAPS:
        names.append("name" if names[-2] == "events" else "value")
    return ".".join(names)


def _below(node: Any, part: str) -> Any:
    if isinstance(node, Mapping):
        return node.get(part)
    number = natural(part)
    return node[number] if isinstance(node, list) and number is not None and number < len(node) else None


_MAPS = frozenset({"events", "fields", "details"})
_WHEN = {
    "within": "when.within",
    "absent/events": "when.absent.events[]",
    "absent/within": "when.absent.within",
    "absent": "when.absent.within",
    "count/event": "when.names.0",
    "count/times": "when.times",
}
