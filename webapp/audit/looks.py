"""Who has looked at personal data: surfaces say what a request has shown, and one event per data object tells of it.

Whoever shows values of personal fields calls `looked`. What one request has shown is gathered and written before its
answer leaves, or, of an answer that is streamed, behind it. A list of a thousand records costs one event. Outside of a
request nothing is shown to anybody, so nothing is told.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, g, has_request_context, request
from werkzeug.wrappers import Response

from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.web.request import actor, house

KEYS = 50
"""So many records are named by their keys; of more it is told how many they were."""
KIND = "data"

log = logging.getLogger(__name__)


@dataclass
class _Look:
    """What a request has shown of one data object."""

    fields: set[str] = field(default_factory=set)
    keys: dict[str, None] = field(default_factory=dict)
    unnamed: int = 0

    def add(self, fields: Iterable[str], keys: Iterable[object], records: int) -> None:
        """Take up what was shown: records with these keys, or so many of which the keys are not known."""
        self.fields.update(fields)
        for key in keys:
            self.keys[str(key)] = None
        self.unnamed += records

    def event(self, data: str) -> Event:
        """Return what is told of it."""
        count = len(self.keys) + self.unnamed
        named = sorted(self.keys)[:KEYS]
        told: dict[str, Any] = {"fields": sorted(self.fields), "records": count}
        if count > 1:
            told["keys"] = named
        told |= {"page": request.path[:500], "way": _way()}
        only = named[0] if count == 1 and named else None
        return Event(Tag.DATA_SEEN, Subject(KIND, data, only), None, told)


def looked(data: str, fields: Iterable[str], keys: Iterable[object] = (), records: int = 0) -> None:
    """Note that this request shows values of personal fields.

    Args:
        data: The data object as policies write it, such as `entity/customer`.
        fields: The personal fields whose values are shown as they are; none: nothing is noted.
        keys: The keys of the records.
        records: How many more there are whose keys are not at hand.
    """
    names = list(fields)
    if names and has_request_context() and house().settings.record_reads:
        looks: dict[str, _Look] = g.setdefault("looks", {})
        looks.setdefault(data, _Look()).add(names, keys, records)


def tell() -> None:
    """Write down what the request has shown so far."""
    looks: dict[str, _Look] = g.pop("looks", {})
    if looks:
        opened = house()
        with opened.db.begin() as tx:
            record(tx, actor(), opened.clock(), *(look.event(data) for data, look in looks.items()))


def register(app: Flask) -> None:
    """Tell of looks before an answer leaves: what cannot be told of is not shown. Of a streamed answer, behind it."""

    @app.after_request
    def _before(answer: Response) -> Response:
        tell()
        return answer

    @app.teardown_request
    def _behind(_error: BaseException | None) -> None:
        try:
            tell()
        except Exception:
            log.exception("What a streamed answer has shown could not be written to the audit log.")


def _way() -> str:
    if request.path.startswith("/api/"):
        return "api"
    return "export" if "export" in request.path or request.path.endswith((".csv", ".jsonl")) else "page"
