"""The one text of an event that its seal is made of, however its database writes numbers and orders keys. Pure.

It is JSON in UTF-8 with sorted keys and without blanks; whole numbers have no fraction, since PostgreSQL keeps none.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from webapp.audit.merkle import leaf_hash

VERSION = 1
FIELDS = (
    "id",
    "at",
    "tag",
    "actor_kind",
    "actor_id",
    "actor_name",
    "address",
    "request_id",
    "subject_kind",
    "subject",
    "record_key",
    "run_id",
    "before",
    "after",
    "reason",
)


def document(event: Any) -> dict[str, Any]:
    """Return the JSON object of an event's row."""
    return {"v": VERSION, **{name: _plain(getattr(event, name)) for name in FIELDS}}


def encode(event: Mapping[str, Any]) -> bytes:
    """Return the canonical text of an event's JSON object."""
    text = json.dumps(_plain(event), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def leaf_of(event: Mapping[str, Any]) -> bytes:
    """Return the hash that an event has in the tree."""
    return leaf_hash(encode(event))


def stamp(at: datetime) -> str:
    """Return an instant in UTC to the microsecond."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def instant(text: str) -> datetime:
    """Return the instant that `stamp` wrote; raises `ValueError`."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    return stamp(value) if isinstance(value, datetime) else value
