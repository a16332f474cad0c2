"""A record by itself: nobody else has its values, and what it refers to exists. Only a run knows better."""

from __future__ import annotations

import polars as pl

from rules.documents.validation import Reference
from rules.validations import Claims


class Alone:
    """What is known outside a batch where nothing is."""

    def held(self, asked: Claims) -> pl.Series:
        """Return that no other record has the values."""
        return pl.Series([None] * len(asked.rows), dtype=pl.String)

    def exists(self, _reference: Reference, values: pl.Series) -> pl.Series:
        """Return that all values exist."""
        return pl.repeat(value=True, n=len(values), dtype=pl.Boolean, eager=True)
