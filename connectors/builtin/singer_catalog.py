"""What a tap can give: its catalog of streams, and the catalog that asks for one of them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from connectors.builtin.rest_json_schema import fields_of
from connectors.errors import Misconfigured
from rules.schema import FREE_SCALE, Field, FieldType, Schema
from rules.text import msg

DELETED = "_sdc_deleted_at"
FULL, INCREMENTAL, LOG = "FULL_TABLE", "INCREMENTAL", "LOG_BASED"


@dataclass(frozen=True)
class Stream:
    """One stream of a catalog."""

    entry: Mapping[str, Any]
    key: tuple[str, ...]

    @property
    def id(self) -> str:
        """Return the name that the catalog knows it by."""
        return str(self.entry.get("tap_stream_id") or self.entry["stream"])

    @property
    def name(self) -> str:
        """Return the name that its messages have."""
        return str(self.entry.get("stream") or self.id)

    @property
    def schema(self) -> Schema:
        """Return its fields, without what a tap adds about deletions."""
        described = self.entry["schema"]
        parts = described.get("properties") or {}
        fields = tuple(_scaled(f, parts.get(f.name)) for f in fields_of(described) if f.name != DELETED)
        known = {field.name for field in fields}
        return Schema(fields, self.key if self.key and set(self.key) <= known else ())

    @property
    def by_log(self) -> bool:
        """Tell whether it says that it can be read by its system's log of changes."""
        about = _about(self.entry)
        told = (self.entry.get("replication_method"), about.get("forced-replication-method"))
        return LOG in (*told, *(about.get("valid-replication-methods") or ()))

    def grows(self, field: str) -> bool:
        """Tell whether the tap can start at a value of the field."""
        about = _about(self.entry)
        told = about.get("valid-replication-keys") or ()
        return field in ([told] if isinstance(told, str) else [*told, self.entry.get("replication_key")])


def streams_of(catalog: Any, key: str) -> dict[str, Stream]:
    """Return the streams of what a tap discovered; `key` is stated for streams that have none."""
    entries = catalog.get("streams") if isinstance(catalog, Mapping) else None
    if not isinstance(entries, list) or not all(
        isinstance(e, Mapping) and isinstance(e.get("schema"), Mapping) for e in entries
    ):
        raise Misconfigured(
            msg("The tap's catalog has no streams."), msg("Use a tap that can discover its streams (--discover).")
        )
    stated = tuple(name.strip() for name in key.split(",") if name.strip())
    found = {}
    for entry in entries:
        told = entry.get("key_properties") or _about(entry).get("table-key-properties") or ()
        stream = Stream(entry, tuple(told) or stated)
        found[stream.id] = stream
    return dict(sorted(found.items()))


def asking_for(streams: Mapping[str, Stream], wanted: Stream, method: str, field: str = "") -> dict[str, Any]:
    """Return the catalog that selects one stream and says how it is read."""
    entries = []
    for stream in streams.values():
        entry = copy.deepcopy(dict(stream.entry))
        selected = stream.id == wanted.id
        entry["selected"] = selected
        entry["schema"]["selected"] = selected
        if selected:
            entry["replication_method"] = method
            entry.pop("replication_key", None)
            entry |= {"replication_key": field} if field else {}
        entry["metadata"] = _selecting(entry.get("metadata"), selected, method, field)
        entries.append(entry)
    return {"streams": entries}


def bookmark(stream: Stream, field: str, value: str) -> dict[str, Any]:
    """Return the state that lets a tap start at a value, in the forms that taps know."""
    return {"bookmarks": {stream.id: {"replication_key": field, "replication_key_value": value, field: value}}}


def unfinished(state: Any, stream: Stream) -> bool:
    """Tell whether a tap's last state says that it has not come to the end of a stream."""
    if not isinstance(state, Mapping):
        return False
    mine = (state.get("bookmarks") or {}).get(stream.id) if isinstance(state.get("bookmarks"), Mapping) else None
    marks = mine.get("progress_markers") if isinstance(mine, Mapping) else None
    return state.get("currently_syncing") == stream.id or bool(marks)


def _scaled(field: Field, part: Any) -> Field:
    """Return a decimal with the digits that the taps' way to state them (`multipleOf`) says."""
    step = part.get("multipleOf") if isinstance(part, Mapping) else None
    if field.type is not FieldType.DECIMAL or not step:
        return field
    places = -int(Decimal(str(step)).normalize().as_tuple().exponent)
    return replace(field, scale=places) if 0 <= places <= FREE_SCALE else field


def _about(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the catalog says about the stream itself."""
    for part in entry.get("metadata") or ():
        if isinstance(part, Mapping) and not part.get("breadcrumb"):
            found = part.get("metadata")
            return found if isinstance(found, Mapping) else {}
    return {}


def _selecting(metadata: Any, selected: bool, method: str, field: str) -> list[dict[str, Any]]:
    parts = [dict(part) for part in metadata or ()]
    if not any(not part.get("breadcrumb") for part in parts):
        parts.insert(0, {"breadcrumb": [], "metadata": {}})
    for part in parts:
        about = dict(part.get("metadata") or {})
        if part.get("breadcrumb"):
            about |= {"selected": selected}
        else:
            about |= {"selected": selected, "replication-method": method}
            about |= {"replication-key": field} if field else {}
        part["metadata"] = about
    return parts
