"""Why records are refused."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import polars as pl

from rules.documents.validation import OnFailure
from rules.text import Message


@dataclass(frozen=True)
class Refusal:
    """One record of a batch that is refused: its row, why, and the field where one is to blame.

    `validation` is the one that it does not meet, `severity` what that one says about it; a warning refuses nothing.
    `veiled` says the same without other records and their values, for those who may not see them.
    """

    row: int
    message: Message
    field: str | None = None
    severity: OnFailure = OnFailure.REJECT
    validation: str = ""
    veiled: Message | None = None

    def at(self, row: int) -> Refusal:
        """Return the same of another row."""
        return replace(self, row=row)


def rows(mask: pl.Series) -> list[int]:
    """Return the numbers of the rows where `mask` is true."""
    return mask.fill_null(value=False).arg_true().to_list()


def refuse(mask: pl.Series, message: Message, field: str | None = None) -> list[Refusal]:
    """Return a refusal with the same sentence for each row where `mask` is true."""
    return [Refusal(row, message, field) for row in rows(mask)]


def refused_rows(refusals: Iterable[Refusal]) -> set[int]:
    """Return the rows that are refused."""
    return {refusal.row for refusal in refusals}
