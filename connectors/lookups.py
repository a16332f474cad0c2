"""Looking records up by key where a system can only be read: one that is there but cannot be read is not missing."""

from __future__ import annotations

from collections.abc import Callable

import polars as pl

from connectors.errors import RecordRejected
from rules.schema import Schema


def whole(
    found: pl.DataFrame,
    alone: Schema,
    values: pl.Series,
    unread: RecordRejected | None,
    keys: Callable[[], pl.DataFrame],
) -> pl.DataFrame:
    """Return what was found for key values; raises where a record with one of them is there and cannot be read.

    Args:
        found: The records that were found.
        alone: The key field and no other.
        values: The keys that were looked for.
        unread: What is wrong with a record that could not be read, None if all could.
        keys: Returns the records with one of the keys, read with nothing but their key.

    Raises:
        RecordRejected: `unread`.
    """
    (key,) = alone.names
    sought = values.drop_nulls().unique()
    missing = sought.filter(~sought.is_in(found[key].cast(sought.dtype).implode()))
    if unread is None or missing.is_empty() or found.columns == [key]:
        return found
    if missing.is_in(keys()[key].cast(sought.dtype).implode()).any():
        raise unread
    return found
