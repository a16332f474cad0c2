"""Whether values exist in another system: what validations with a reference ask."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol, TypeVar

import polars as pl

from connectors.spi import Connector, ReadRequest
from rules.documents.validation import Reference
from rules.reconcile.one_way import key_text, key_values
from rules.schema import Schema

T = TypeVar("T")


class Retrying(Protocol):
    """Does something, again where a system did not answer."""

    def __call__(self, work: Callable[[], T]) -> T:
        """Return what `work` returns."""


def _once(work: Callable[[], T]) -> T:
    return work()


REMEMBERED = 200_000
"""So many values of a reference are remembered at a time; then the systems are asked again."""


class References:
    """Looks values up in other systems: each value once, many in one question."""

    def __init__(
        self,
        connect: Callable[[str], AbstractContextManager[Connector]],
        schema: Callable[[str, str], Schema],
        retry: Retrying = _once,
    ) -> None:
        self._connect = connect
        self._schema = schema
        self._retry = retry
        self._stack = ExitStack()
        self._connectors: dict[str, Connector] = {}
        self._known: dict[tuple[str, str, str], dict[str, bool]] = {}
        self._whole: dict[tuple[str, str, str], pl.Series] = {}

    def exists(self, reference: Reference, values: pl.Series) -> pl.Series:
        """Return a mask of the values that exist where the reference says."""
        at = (reference.connection, reference.object, reference.key)
        schema = self._schema(reference.connection, reference.object).select((reference.key,))
        typed = key_values(key_text(values), schema[reference.key].dtype).alias(reference.key)
        texts = key_text(typed)
        if not self._connector(reference.connection).spec.capabilities.lookup:
            return texts.is_in(self._all(at, schema).implode()).fill_null(value=False)
        known = self._known.setdefault(at, {})
        if len(known) > REMEMBERED:
            known.clear()
        fresh = typed.filter(pl.Series([text is not None and text not in known for text in texts], dtype=pl.Boolean))
        if not fresh.is_empty():
            there = set(self._look_up(at, schema, fresh).to_list())
            known.update({text: text in there for text in key_text(fresh).to_list()})
        return pl.Series([known.get(text, False) for text in texts.to_list()], dtype=pl.Boolean)

    def _look_up(self, at: tuple[str, str, str], schema: Schema, values: pl.Series) -> pl.Series:
        connection, thing, key = at
        connector = self._connector(connection)
        found = self._retry(lambda: connector.lookup(thing, schema, key, values.unique(maintain_order=True)))
        return key_text(found[key])

    def _all(self, at: tuple[str, str, str], schema: Schema) -> pl.Series:
        """Return all keys of an object in a system that cannot look records up; it is read once a run."""
        if at not in self._whole:
            connection, thing, key = at
            pages = self._retry(lambda: list(self._connector(connection).read(ReadRequest(thing, schema))))
            self._whole[at] = pl.concat([key_text(page.records[key]) for page in pages]).unique()
        return self._whole[at]

    def _connector(self, name: str) -> Connector:
        if name not in self._connectors:
            self._connectors[name] = self._stack.enter_context(self._connect(name))
        return self._connectors[name]

    def close(self) -> None:
        """Give back the connections."""
        self._stack.close()
