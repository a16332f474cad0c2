"""An event rule as its form shows it, and back; what the form does not know of a document stays as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rules.documents.event_rule import ACTS
from webapp.events.form_model import Model

Document = Mapping[str, Any]
FORMS = ("all", "sequence", "any", "count")
_OWN = ("label", "events", "by", "when", "states", "flow", "then")
_RETRY = {"times": "5", "wait": "10s", "backoff": "exponential"}
_WAYS = {"states": "transitions", "flow": "next"}


def form_of(document: Document) -> str:
    """Return in which form the rule says what has to happen."""
    return next((form for form in ("states", "flow") if form in document), "when")


def model_of(document: Document) -> Model:
    """Return what the form shows of a document; what a broken draft holds in the place of a part is left out."""
    events = [
        {"name": name, "was": name, **_texts(one, "type", "where", "by")}
        for name, one in _mapping(document.get("events")).items()
    ]
    model: Model = {**_texts(document, "label", "by"), "events": events}
    form = form_of(document)
    if form == "when":
        return {**model, "when": _when(_mapping(document.get("when"))), "then": _acts(document.get("then"))}
    return {**model, form: [_place(one, _WAYS[form]) for one in _list(document.get(form))]}


def _when(when: Document) -> Model:
    form = next((form for form in FORMS if when.get(form)), "all")
    count, absent = _mapping(when.get("count")), _mapping(when.get("absent"))
    names = [str(count.get("event", ""))] if form == "count" else [str(one) for one in _list(when.get(form), str)]
    gone = {"events": [str(one) for one in _list(absent.get("events"), str)], **_texts(absent, "within")}
    return {
        "form": form, "names": names, "times": _text(count.get("times")), **_texts(when, "within"), "absent": gone,
    }  # fmt: skip


def _place(place: Document, ways: str) -> Model:
    found: Model = {**_texts(place, "name", "label"), "was": _text(place.get("name"))}
    for name in ("initial", "final"):
        if place.get(name) is True:
            found[name] = "true"
    found["then"] = _acts(place.get("then"))
    found[ways] = [
        {**_texts(way, "to", "on", "after", "when"), "kind": _way_kind(way), "then": _acts(way.get("then"))}
        for way in _list(place.get(ways))
    ]
    return found


def _way_kind(way: Document) -> str:
    return "after" if way.get("after") else "on" if way.get("on") else "now"


def _acts(acts: Any) -> list[Model]:
    return [_act(act) for act in _list(acts)]


def _act(act: Document) -> Model:
    kind = next((kind for kind in ACTS if act.get(kind) is not None), "case")
    part = _mapping(act.get(kind))
    if kind == "notify":
        kind = "email" if part.get("email") is not None else "web_hook"
        part = _mapping(part.get(kind))
    retry = {**_RETRY, **{name: _text(value) for name, value in _mapping(act.get("retry")).items()}}
    return {**_texts(act, "when"), "kind": kind, kind: {n: _part(n, v) for n, v in part.items()}, "retry": retry}


def _part(name: str, value: Any) -> Any:
    if name in ("fields", "details"):
        return [{"name": key, "value": _text(text)} for key, text in _mapping(value).items()]
    if name == "key":
        return next(({"name": key, "value": _text(text)} for key, text in _mapping(value).items()), {})
    return "\n".join(map(str, value)) if isinstance(value, (list, tuple)) else _text(value)


def document_of(model: Model, before: Document) -> dict[str, Any]:
    """Return the document of a form; a renamed event or state is renamed wherever the form names it."""
    kept = {name: value for name, value in before.items() if name not in _OWN}
    tests = {"tests": kept.pop("tests")} if "tests" in kept else {}
    names = {one.get("was"): one.get("name") for one in _list(model.get("events")) if one.get("was")}
    document = {**kept, **_given(label=model.get("label")), "events": _events(model), **_given(by=model.get("by"))}
    form = form_of(before)
    if form == "when":
        document["when"] = _written_when(_mapping(model.get("when")), names)
        document |= _given(then=_written_acts(model.get("then")))
    else:
        document[form] = _places(_list(model.get(form)), form, names)
    return {**document, **tests}


def _events(model: Model) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in _list(model.get("events")):
        name = one.get("name") or str(one.get("type", "")).rpartition(".")[2] or "event"
        while name in found:
            name += "_2"
        found[name] = {"type": one.get("type", ""), **_given(where=one.get("where"), by=one.get("by"))}
    return found


def _written_when(when: Document, names: Mapping[Any, Any]) -> dict[str, Any]:
    form = when.get("form") if when.get("form") in FORMS else "all"
    chosen = [names.get(name, name) for name in _list(when.get("names"), str) if name]
    found: dict[str, Any] = {str(form): list(dict.fromkeys(chosen))}
    if form == "count":
        found = {"count": {"event": chosen[0] if chosen else "", "times": _number(when.get("times"))}}
    absent = _mapping(when.get("absent"))
    gone = [names.get(name, name) for name in _list(absent.get("events"), str)]
    if gone or absent.get("within"):
        found["absent"] = {"events": gone, **_given(within=absent.get("within"))}
    return {**found, **_given(within=when.get("within"))}


def _places(places: Sequence[Document], form: str, names: Mapping[Any, Any]) -> list[dict[str, Any]]:
    renamed = {one.get("was"): one.get("name") for one in places if one.get("was")}
    return [_written_place(one, _WAYS[form], names, renamed) for one in places]


def _written_place(place: Document, ways: str, names: Mapping[Any, Any], places: Mapping[Any, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"name": place.get("name", ""), **_given(label=place.get("label"))}
    found |= {name: True for name in ("initial", "final") if place.get(name) == "true"}
    found |= _given(then=_written_acts(place.get("then")))
    out = [_way(way, names, places) for way in _list(place.get(ways))]
    return {**found, **_given(**{ways: out})}


def _way(way: Document, names: Mapping[Any, Any], places: Mapping[Any, Any]) -> dict[str, Any]:
    kind, on = way.get("kind"), names.get(way.get("on"), way.get("on"))
    found = {"on": on or ""} if kind == "on" else {"after": way.get("after") or ""} if kind == "after" else {}
    to = places.get(way.get("to"), way.get("to"))
    return {**found, "to": to or "", **_given(when=way.get("when"), then=_written_acts(way.get("then")))}


def _written_acts(acts: Any) -> list[dict[str, Any]]:
    return [_written_act(act) for act in _list(acts)]


def _written_act(act: Document) -> dict[str, Any]:
    kind = str(act.get("kind") or "case")
    part = {name: value for name, value in _parts(_mapping(act.get(kind))) if value not in ("", None, {}, [])}
    written: dict[str, Any] = {"notify": {kind: part}} if kind in ("email", "web_hook") else {kind: part}
    retry = {n: v for n, v in _mapping(act.get("retry")).items() if v and v != _RETRY.get(n)}
    if "times" in retry:
        retry["times"] = _number(retry["times"])
    return {**written, **_given(when=act.get("when"), retry=retry)}


def _parts(part: Document) -> Iterator[tuple[str, Any]]:
    for name, value in part.items():
        if name in ("fields", "details"):
            yield name, {one["name"]: one.get("value", "") for one in _list(value) if one.get("name")}
        elif name == "key":
            pair = _mapping(value)
            yield name, {pair["name"]: pair.get("value", "")} if pair.get("name") else {}
        elif name == "to":
            yield name, list(dict.fromkeys(str(value).replace(",", " ").replace(";", " ").split()))
        else:
            yield name, value


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def _number(text: Any) -> Any:
    return int(text) if isinstance(text, str) and text.isdecimal() and text.isascii() else text or 0


def _texts(held: Any, *names: str) -> dict[str, str]:
    return {name: _text(_mapping(held).get(name)) for name in names}


def _text(value: Any) -> str:
    return "" if value is None or isinstance(value, (dict, list)) else str(value)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _list(value: Any, of: type = Mapping) -> list[Any]:
    return [one for one in value if isinstance(one, of)] if isinstance(value, (list, tuple)) else []
