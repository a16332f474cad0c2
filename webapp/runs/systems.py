"""The systems that one run works with: what was opened to ask for its fields is what reads or writes afterwards."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from connectors.spi import Connector
from rules.schema import Schema
from webapp.connections.catalogue import connector_class
from webapp.connections.opening import clear_settings, context, opened, stored
from webapp.connections.probing import found_schema, object_schema
from webapp.connections.store import ConnectionRow
from webapp.extensions import House


class Reached:
    """Opens the systems of a run; a context manager that closes what nobody has taken over."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ready: dict[str, list[tuple[Connector, contextlib.ExitStack]]] = defaultdict(list)
        self._rows: dict[str, ConnectionRow] = {}
        self._settings: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Close what is still open."""
        with contextlib.ExitStack() as stack:
            for ready in self._ready.values():
                for _, lent in ready:
                    stack.enter_context(lent)

    def schema(self, name: str, thing: str) -> Schema:
        """Return the fields of an object as they are now; a queue has none to look at but those that were seen."""
        row = self._row(name)
        if connector_class(row.connector).spec.capabilities.messages:
            return object_schema(self._house, name, thing)
        connector, stack = self._take(name)
        with stack:
            schema = found_schema(self._house, row, thing, connector)
            self._ready[name].append((connector, stack.pop_all()))
        return schema

    @contextlib.contextmanager
    def connect(self, name: str) -> Iterator[Connector]:
        """Open a connection, or lend one that has been opened, and close it afterwards."""
        connector, stack = self._take(name)
        with stack:
            yield connector

    def _take(self, name: str) -> tuple[Connector, contextlib.ExitStack]:
        if self._ready[name]:
            return self._ready[name].pop()
        row, stack = self._row(name), contextlib.ExitStack()
        if name not in self._settings:
            self._settings[name] = clear_settings(self._house, row)
        lent = opened(row, self._settings[name], context(self._house, row))
        return stack.enter_context(lent), stack

    def _row(self, name: str) -> ConnectionRow:
        """Return a connection as it is stored when the run first asks for it; it stays that."""
        if name not in self._rows:
            self._rows[name] = stored(self._house, name)
        return self._rows[name]
