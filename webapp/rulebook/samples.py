"""The first records of a source, kept for a minute, so that trying an expression does not ask the system each time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import polars as pl

from connectors.errors import ConnectorError
from rules.schema import Schema
from rules.text import Message
from webapp.connections import permitted
from webapp.connections import services as connections
from webapp.connections.probing import looked
from webapp.extensions import House

COUNT = 5
READ = 100
SECONDS = 60.0
LARGEST = 200


@dataclass(frozen=True)
class Samples:
    """The fields and first records of an object; `problem` says in one sentence why there are none.

    `many` are the records that values and counts are taken from, `records` the few that are shown.
    """

    schema: Schema
    many: pl.DataFrame
    problem: Message | None = None
    withheld: frozenset[str] = frozenset()
    """The fields whose values who asks may not see; they are empty here."""

    @property
    def records(self) -> pl.DataFrame:
        """Return the few records that are shown one by one."""
        return self.many.head(COUNT)


_kept: dict[tuple[str, str, str, int], tuple[float, Samples]] = {}
_lock = threading.Lock()


def samples(house: House, connection: str, object_name: str) -> Samples:
    """Return the first records of an object, at most a minute old; of these only what who asks may see."""
    found = _kept_samples(house, connection, object_name)
    if found.problem is not None:
        return found
    with house.db.read() as tx:
        rights = permitted.rights_to(tx, connection, object_name, found.schema)
    if permitted.sees_all(rights):
        permitted.looked(rights, found.many)
        return found
    seen = permitted.blanked(rights, found.many)
    permitted.looked(rights, seen)
    return replace(found, many=seen, withheld=permitted.withheld(rights, found.schema.names))


def _kept_samples(house: House, connection: str, object_name: str) -> Samples:
    try:
        with house.db.read() as tx:
            version = connections.get_connection(tx, connection).version
    except connections.ConnectionProblem as error:
        return _nothing(error.message)
    place = (str(house.settings.data), connection, object_name, version)
    now = time.monotonic()
    with _lock:
        found = _kept.get(place)
    if found and now - found[0] < SECONDS:
        return found[1]
    fresh = _ask(house, connection, object_name)
    if fresh.problem is None:
        with _lock:
            if len(_kept) >= LARGEST:
                _kept.clear()
            _kept[place] = (now, fresh)
    return fresh


def shown(value: Any) -> str | None:
    """Return a value as a page shows it; None is empty."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return value.hex() if isinstance(value, bytes) else str(value)


def _ask(house: House, connection: str, object_name: str) -> Samples:
    try:
        found, _rights = looked(house, connection, object_name, READ)
    except connections.ConnectionProblem as error:
        return _nothing(error.message)
    except ConnectorError as error:
        return _nothing(connections.sentence(error))
    return Samples(found.schema, found.rows.head(READ))


def _nothing(problem: Message) -> Samples:
    return Samples(Schema(()), pl.DataFrame(), problem)
