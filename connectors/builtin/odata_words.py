"""What an OData service says is wrong, in one sentence: the message, and what its details name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from connectors.builtin.rest_words import said_by
from connectors.casting import short
from connectors.http_reply import Reply
from connectors.json_records import decode

_MOST = 3


def said(reply: Reply) -> str:
    """Return the service's own words: its message, and up to three details that say more."""
    try:
        error = decode(reply.content)["error"]
        found = list(dict.fromkeys(filter(None, _messages(error))))
    except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError, TypeError):
        found = []
    if not found:
        return said_by(reply)
    first, *more = found
    told = [text for text in more if not first.endswith(text.rpartition(": ")[2])][:_MOST]
    return short(" ".join("; ".join((first, *told)).split()), 300)


def field_of(reply: Reply) -> str | None:
    """Return the property that the first detail is about, None if there is none."""
    try:
        details = list(_details(decode(reply.content)["error"]))
    except (msgspec.DecodeError, UnicodeError, RecursionError, KeyError, TypeError):
        return None
    targets = (str(d.get("target") or d.get("propertyref") or "") for d in details)
    return next((target.rpartition("/")[2] for target in targets if target), None)


def _messages(error: Any) -> Iterator[str]:
    yield _text(error.get("message"))
    for detail in _details(error):
        if str(detail.get("severity") or "error").lower() == "error":
            text, target = _text(detail.get("message")), str(detail.get("target") or detail.get("propertyref") or "")
            yield f"{target.rpartition('/')[2]}: {text}" if target and text else text


def _details(error: Any) -> Iterator[Any]:
    inner = error.get("innererror")
    inner = inner if isinstance(inner, dict) else {}
    for source in (error.get("details"), inner.get("errordetails")):
        yield from (detail for detail in source or () if isinstance(detail, dict))
    if error.get("target") and not error.get("details"):
        yield {"target": error["target"]}


def _text(message: Any) -> str:
    found = message.get("value") if isinstance(message, dict) else message
    return str(found or "").strip()
