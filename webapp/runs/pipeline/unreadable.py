"""Records of a system that cannot be read: looked up by halves, so that each spoils nothing but itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import polars as pl

from connectors.errors import RecordRejected
from connectors.spi import Reject
from rules.reconcile.one_way import key_text
from rules.text import msg
from webapp.runs.pipeline.draft import Draft

Look = Callable[[pl.Series], pl.DataFrame]
Bad = dict[str, RecordRejected]
"""Records that cannot be read, by what they were looked up by."""


def found_by_halves(look: Look, values: pl.Series, bad: Bad, mark: str) -> list[pl.DataFrame]:
    """Return the records that can be read; `bad` gets the others, by their value behind `mark`."""
    try:
        return [look(values)]
    except RecordRejected as error:
        if values.len() == 1:
            bad[mark + key_text(values)[0]] = error
            return []
    half = values.len() // 2
    parts = (values.head(half), values.tail(values.len() - half))
    return [frame for part in parts for frame in found_by_halves(look, part, bad, mark)]


def rejects(bad: Bad) -> tuple[Reject, ...]:
    """Return records that cannot be read as pages name them; they were looked up by their keys."""
    return tuple(Reject(f"key {key}", "", error.message, error.field, key) for key, error in bad.items())


def park_unreadable(draft: Draft, sought: pl.Series, bad: Mapping[str, RecordRejected], place: str) -> None:
    """Park the records whose partners cannot be read: what becomes of them cannot be said."""
    if not bad:
        return
    for row in sought.is_in(list(bad)).fill_null(value=False).arg_true().to_list():
        error = bad[sought[row]]
        text = msg("Its partner in {object} cannot be read: {problem}", object=place, problem=error.message)
        draft.park(row, "match", text, error.field)
