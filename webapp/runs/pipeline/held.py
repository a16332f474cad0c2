"""What a system holds now of records that a stored chunk names: looked up by key, in bulk."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.spi import Connector
from rules.documents.sync import Side
from rules.reconcile.one_way import key_text, key_values
from rules.schema import Schema
from webapp.runs.pipeline.codec import from_texts
from webapp.runs.pipeline.retry import at_once
from webapp.runs.pipeline.unreadable import Bad, Look, found_by_halves

KEY = "__key"
_ROW = "__row"
_THERE = "__there"


@dataclass(frozen=True)
class Held:
    """One side of a rule: its connector, where its records are, their fields, the field that is their key."""

    connector: Connector
    side: Side
    schema: Schema
    key: str
    retry: Callable[[Callable[[], pl.DataFrame]], pl.DataFrame] = at_once

    @property
    def place(self) -> str:
        """Return how the side is called before people."""
        return f"{self.side.connection} › {self.side.object}"

    @property
    def blind(self) -> bool:
        """Tell whether nobody can ask what it holds: messages are only sent."""
        return self.connector.spec.capabilities.messages

    def find(
        self, name: str, texts: pl.Series, names: Sequence[str] | None = None, bad: Bad | None = None
    ) -> pl.DataFrame:
        """Return the records whose field `name` is one of the texts, with that text as column `__key`.

        One that cannot be read stops the look-up, unless there is a `bad` to take it.
        """
        schema = self.schema
        if names is not None:
            wanted = {name, self.key, *names}
            schema = schema.select(tuple(n for n in schema.names if n in wanted))
        values = key_values(texts.drop_nulls().unique(), schema[name].dtype).drop_nulls().alias(name)
        thing = (self.side.object, schema, name)
        found = schema.empty() if values.is_empty() or self.blind else self._found(thing, values, bad)
        return found.with_columns(key_text(found[name]).alias(KEY))

    def _found(self, thing: tuple[str, Schema, str], values: pl.Series, bad: Bad | None) -> pl.DataFrame:
        look: Look = lambda part: self.retry(lambda: self.connector.lookup(*thing, part))  # noqa: E731
        if bad is None:
            return look(values)
        return pl.concat([thing[1].empty(), *found_by_halves(look, values, bad, "")])

    def beside(self, texts: pl.Series, names: Sequence[str], bad: Bad | None = None) -> pl.DataFrame:
        """Return for each key the record that is held now, with `__there` false where there is none.

        Those that cannot be read are not there, and in `bad` if it is given.
        """
        found = self.find(self.key, texts, names, bad).unique(KEY, keep="first", maintain_order=True)
        asked = pl.DataFrame({KEY: texts})
        joined = asked.join(
            found.with_columns(pl.lit(value=True).alias(_THERE)), on=KEY, how="left", maintain_order="left"
        )
        return joined.with_columns(pl.col(_THERE).fill_null(value=False))

    def typed(self, texts: Sequence[str], names: Sequence[str]) -> pl.DataFrame:
        """Return the named fields of JSON texts as columns; null where a text is not a value of the field any more."""
        return from_texts(list(texts), self.schema.select(tuple(names)))[0]


def there(beside: pl.DataFrame) -> pl.Series:
    """Return the mask of the records that were found."""
    return beside[_THERE]


def differing(then: pl.DataFrame, now: pl.DataFrame, names: Sequence[str]) -> list[list[str]]:
    """Return for each row which of the named fields are not the same in both frames."""
    if not names:
        return [[] for _ in range(now.height)]
    differs = [
        pl.select(pl.when(then[name].ne_missing(now[name])).then(pl.lit(name)).alias(name)).to_series()
        for name in names
    ]
    found: list[list[str]] = (
        pl.DataFrame(differs).select(pl.concat_list(pl.all()).list.drop_nulls()).to_series().to_list()
    )
    return found
