"""What a system holds now of the records that steps have written, or are about to write."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from connectors.spi import Connector
from rules.documents.sync import Side
from rules.reconcile.one_way import key_text
from rules.schema import Schema
from webapp.runs.pipeline.codec import from_texts, to_texts
from webapp.runs.pipeline.held import KEY, Held, differing

_COUNT = "__count"


@dataclass(frozen=True)
class Now:
    """Records by the text of one of their fields: beside each text what is held, how often, and the key."""

    frame: pl.DataFrame
    key: str

    @property
    def count(self) -> pl.Series:
        """Return how many records are there for each text."""
        return self.frame[_COUNT]

    @property
    def keys(self) -> pl.Series:
        """Return the key of each record as text."""
        return key_text(self.frame[self.key])

    def differing(self, wanted: pl.DataFrame) -> list[list[str]]:
        """Return for each record which of the wanted fields it does not hold."""
        return differing(wanted, self.frame, wanted.columns)

    def texts(self, names: Sequence[str]) -> list[dict[str, Any]]:
        """Return what is held of some fields, as the ledger keeps it."""
        return plain(self.frame.select(names)) if names else [{} for _ in range(self.frame.height)]


def look(connector: Connector, place: tuple[str, Schema, str], name: str, texts: pl.Series) -> Now:
    """Return what an object holds for texts of its field `name`; `place` is the object, its fields, its key."""
    thing, schema, key = place
    found = Held(connector, Side("", thing), schema, key).find(name, texts)
    counted = found.group_by(KEY, maintain_order=True).agg(pl.all().first(), pl.len().alias(_COUNT))
    asked = pl.DataFrame({KEY: texts}, schema={KEY: pl.String()})
    beside = asked.join(counted, on=KEY, how="left", maintain_order="left", suffix="__found")
    return Now(beside.with_columns(pl.col(_COUNT).fill_null(0)), key)


def plain(records: pl.DataFrame) -> list[dict[str, Any]]:
    """Return records as the ledger keeps them."""
    return [json.loads(text) for text in to_texts(records)]


def typed(records: Sequence[Mapping[str, Any]], schema: Schema) -> pl.DataFrame:
    """Return the fields of a schema of records that the ledger keeps."""
    return from_texts([json.dumps(record) for record in records], schema)[0]
