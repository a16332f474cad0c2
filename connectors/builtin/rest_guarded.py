"""Writes that carry If-Match, so that nobody's change is overwritten unseen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from connectors.builtin.rest_answers import Told, value_of
from connectors.builtin.rest_bodies import Refused
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_lost import Seen
from connectors.builtin.rest_objects import RestObject
from connectors.errors import Misconfigured
from connectors.http_crew import Job
from connectors.http_reply import Reply
from connectors.json_records import member
from rules.text import Message, msg

STALE, REQUIRED = 412, 428
_TIMES = 4


@dataclass(frozen=True)
class Guarded:
    """Writes one record that exists, in the state in which it was seen."""

    calls: Calls
    described: RestObject
    item: str
    wrap: str
    build: Callable[[Mapping[str, Any]], Request]
    names: Sequence[str] | None

    def write(self, seen: Seen | None, *, guard: bool, whole: bool) -> Job[Reply]:
        """Send the write, with If-Match if `guard` or if the service asks for it, and return the answer.

        A stale ETag is fetched anew and the write sent again, unless somebody has changed one of the same fields (or,
        for a deletion, anything) meanwhile: then the record is refused and the next run decides anew.

        Args:
            seen: How the record was seen last; it is read where that is not known and needed.
            guard: False tries without If-Match first.
            whole: The write replaces the whole record, so it has to be known.
        """
        if (guard or whole) and seen is None:
            seen = yield from self.current(tagged=guard)
        for _ in range(_TIMES):
            request = self.build(seen.record if seen else {})
            if guard and seen:
                request = replace(request, headers={**request.headers, "If-Match": seen.tag})
            response = yield from self.calls.responding(request)
            if response.status_code != REQUIRED and not (guard and response.status_code == STALE):
                return response
            guard = True
            fresh = yield from self.current(tagged=True)
            if seen is not None and self._changed(seen.record, fresh.record):
                raise Refused(
                    msg("Somebody else has changed this record meanwhile. It is compared anew in the next run.")
                )
            seen = fresh
        raise Refused(msg("The record changes again and again while it is written. Try again later."))

    def current(self, *, tagged: bool) -> Job[Seen]:
        """Read the record as it is now, with its ETag; without one, `tagged` makes an error."""
        request = Request(self.item, object_name=self.described.name, xml=self.described.format == "xml")
        response = yield from self.calls.responding(request)
        told = self.calls.told(response, request)
        if told.missing:
            raise Refused(gone(told))
        if not told.good:
            raise told.error()
        record = record_in(value_of(response, request), self.described.item_record or self.wrap)
        if record is None:
            raise Refused(msg("The record cannot be read before it is replaced, so its other fields are not known."))
        return Seen(self._tag(response, record) if tagged else "", record)

    def _tag(self, response: Reply, record: Mapping[str, Any]) -> str:
        tag = tag_of(self.described, response, record)
        if not tag:
            raise Misconfigured(
                msg("The service gives no ETag for the records of '{name}', but wants one when they are changed.",
                    name=self.described.name),
                msg("Correct the member 'etag' or 'item' of the object '{name}'.", name=self.described.name),
                object_name=self.described.name,
            )  # fmt: skip
        return tag

    def _changed(self, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
        if self.names is None:
            return dict(before) != dict(now)
        return any(_at(before, name) != _at(now, name) for name in self.names)


def gone(told: Told) -> Message:
    """Return the sentence for a record that is not there any more."""
    return msg("The service has no such record any more ({status}): {said}",
               status=told.response.status_code, said=told.said)  # fmt: skip


def tag_of(described: RestObject, response: Reply, record: Mapping[str, Any]) -> str:
    """Return the ETag of a record, empty if there is none."""
    if described.etag in ("", "header"):
        return response.headers.get("ETag", "")
    return str(_at(record, described.etag) or "")


def record_in(value: Any, path: str) -> Mapping[str, Any] | None:
    """Return the record at a path of an answer, None if there is none."""
    found = _at(value, path) if path else value
    return found if isinstance(found, Mapping) else None


def _at(value: Any, path: str) -> Any:
    try:
        return member(value, path)
    except KeyError:
        return None
