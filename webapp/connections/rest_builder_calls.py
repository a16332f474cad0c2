"""What the object builder's inputs say of writing: the calls of an object, and their batches, as members of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connectors.builtin.paging_guess import plain
from connectors.json_records import member, text_of
from webapp.connections.rest_answer import LiveAnswer

PREFIX = "b-"
CALLS = {"create": "POST", "update": "PATCH", "delete": "DELETE", "upsert": "PUT"}
"""The calls that write, each with its usual method."""

_BATCH = ("results", "match", "match_field", "ok", "error", "status", "message", "key")
_SAY = {
    "status": ("status", "status_code", "http_status", "http_status_code"),
    "ok": ("ok", "success", "succeeded"),
    "error": ("error", "errors", "fault", "failure"),
    "message": ("message", "detail", "reason", "error_message"),
}
"""How services name what became of a record."""


def put(document: dict[str, Any], name: str, value: Any) -> None:
    """Write a member, or take it out where there is nothing to say."""
    if value:
        document[name] = value
    else:
        document.pop(name, None)


def call_of(sent: Mapping[str, str], name: str, original: Any) -> dict[str, Any] | None:
    """Return what a form says of a call, with the members of `original` that it does not know; None: there is none."""
    if f"{PREFIX}{name}-on" not in sent:
        return None
    call = dict(original) if isinstance(original, Mapping) else {}
    for part in ("method", "path", "wrap", "key"):
        put(call, part, sent.get(f"{PREFIX}{name}-{part}", "").strip())
    put(call, "batch", _batch(sent, f"{PREFIX}{name}-batch", call.get("batch")))
    return call


def _batch(sent: Mapping[str, str], prefix: str, original: Any) -> dict[str, Any] | None:
    """Return what a form says of a batch; `records` stays where it is empty, as the list itself is then the body."""
    if prefix not in sent:
        return None
    batch = dict(original) if isinstance(original, Mapping) else {}
    size = sent.get(f"{prefix}-size", "").strip()
    put(batch, "size", int(size) if size.isdecimal() else size)
    batch["records"] = sent.get(f"{prefix}-records", "").strip()
    for part in _BATCH:
        put(batch, part, sent.get(f"{prefix}-{part}", "").strip())
    return batch


def with_results(batch: Mapping[str, Any], answer: LiveAnswer, path: str, field: str) -> dict[str, Any]:
    """Return a batch whose answers are at a path, with proposals of how they tell what became of a record.

    Args:
        batch: The batch as it is described.
        answer: What the service answered to one.
        path: Where in it the answers of the records are.
        field: The key of the object.
    """
    answers = answer.records(path)
    told = {name: _named(answers, names) for name, names in _SAY.items()}
    if told["status"] and not all(_is_status(one, told["status"]) for one in answers):
        told["status"] = ""
    if told["status"] or told["ok"]:  # what says it outright needs no second witness
        told["error"] = ""
    keyed = field if field and answers and all(field in one for one in answers) else ""
    kept = {name: value for name, value in batch.items() if name not in _SAY and name not in ("results", "match")}
    return kept | {name: value for name, value in {"results": path, "match": keyed, **told}.items() if value}


def _named(answers: Sequence[Mapping[str, Any]], names: Sequence[str]) -> str:
    """Return the member of the answers with a usual name, that of the answer itself before one a level below."""
    places = dict.fromkeys(place for one in answers for place in _places(one))
    found = [place for place in places if plain(place.rpartition(".")[2]) in names]
    return min(found, key=lambda place: place.count("."), default="")


def _places(answer: Mapping[str, Any]) -> list[str]:
    below = [f"{name}.{inner}" for name, part in answer.items() if isinstance(part, Mapping) for inner in part]
    return [*answer, *below]


def _is_status(answer: Mapping[str, Any], place: str) -> bool:
    try:
        return (text_of(member(answer, place)) or "").isdecimal()
    except KeyError:
        return False
