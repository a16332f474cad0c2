"""Values that may occur only once: told apart by a digest, remembered over the batches of a run.

A digest is the first 16 bytes of BLAKE2b over the values as text, each with its length in front, so that it is the same
in every process and version. Two different values have the same digest with a probability of 2^-128; what is remembered
is 16 bytes and the key of the record, however long the values are.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b

import polars as pl

from rules.documents.validation import Validation
from rules.reconcile.one_way import key_text

MARKS = {"validation": pl.String(), "digest": pl.Binary(), "key": pl.String()}
_SIZE = 16


@dataclass(frozen=True)
class Claims:
    """The records of a batch that want to have their values for themselves: a row each of `values` and `keys`.

    Records with an empty value among them claim nothing and are not here. `rows` are their places in the batch.
    """

    validation: Validation
    rows: pl.Series
    values: pl.DataFrame
    keys: pl.Series
    digests: pl.Series


def claims(validation: Validation, batch: pl.DataFrame, keys: pl.Series, asked: pl.Series) -> Claims:
    """Return the claims of the records where `asked` is true."""
    texts = batch.select(_text(batch[name]) for name in validation.unique)
    full = texts.select(pl.all_horizontal(pl.all().is_not_null() & (pl.all() != ""))).to_series()
    rows = (asked & full).arg_true()
    return Claims(validation, rows, batch.select(validation.unique)[rows], keys[rows], _digests(texts[rows]))


def _text(values: pl.Series) -> pl.Series:
    if values.dtype.is_float():  # minus zero is zero
        values = pl.select(pl.when(values == 0).then(0.0).otherwise(values).alias(values.name)).to_series()
    return key_text(values).alias(values.name)


def _digests(texts: pl.DataFrame) -> pl.Series:
    parts = [part for name in texts.columns for part in (pl.col(name).str.len_bytes(), pl.lit(":"), pl.col(name))]
    whole = texts.select(pl.concat_str(parts)).to_series().to_list()
    return pl.Series([blake2b(text.encode(), digest_size=_SIZE).digest() for text in whole], dtype=pl.Binary)


class Memory:
    """The unique values that records of earlier batches have."""

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []

    def remember(self, marks: pl.DataFrame) -> None:
        """Take note of the marks of a batch."""
        if not marks.is_empty():
            self._parts.append(marks)

    def held(self, asked: Claims) -> pl.Series:
        """Return for each claim the key of the record that has the values already, null where none has."""
        if not self._parts:
            return pl.Series([None] * len(asked.rows), dtype=pl.String)
        wanted = pl.DataFrame({"digest": asked.digests, "own": asked.keys})
        known = pl.concat(self._parts, rechunk=False).filter(pl.col("validation") == asked.validation.name)
        hits = known.join(wanted, on="digest", how="semi").unique("digest", keep="first", maintain_order=True)
        met = wanted.join(hits, on="digest", how="left", maintain_order="left")
        return met.select(pl.when(pl.col("key").ne_missing(pl.col("own"))).then("key")).to_series()
