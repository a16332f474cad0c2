"""The systems that one run works with: what was opened to ask for its fields is what reads or writes afterwards."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from connectors.spi import Connector
from rules.schema import Schema
from webapp.connections.opening import open_connector
from webapp.connections.probing import found_schema, holds_messages, object_schema
from webapp.extensions import House


class Reached:
    """Opens the systems of a run; a context manager that closes what nobody has taken over."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._ready: dict[str, list[tuple[Connector, contextlib.ExitStack]]] = defaultdict(list)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *error: type[BaseException] | BaseException | TracebackType | None) -> None:
        """Close what is still open."""
        with contextlib.ExitStack() as stack:
            for ready in self._ready.values():
                for _, opened in ready:
                    stack.enter_context(opened)

    def schema(self, name: str, thing: str) -> Schema:
        """Return the fields of an object as they are now; a queue has none to look at but those that were seen."""
        if holds_messages(self._house, name):
            return object_schema(self._house, name, thing)
        connector, opened = self._take(name)
        with opened:
            schema = found_schema(self._house, name, thing, connector)
            self._ready[name].append((connector, opened.pop_all()))
        return schema

    @contextlib.contextmanager
    def connect(self, name: str) -> Iterator[Connector]:
        """Open a connection, or lend one that has been opened, and close it afterwards."""
        connector, opened = self._take(name)
        with opened:
            yield connector

    def _take(self, name: str) -> tuple[Connector, contextlib.ExitStack]:
        if self._ready[name]:
            return self._ready[name].pop()
        opened = contextlib.ExitStack()
        return opened.enter_context(open_connector(self._house, name)), opened
