"""A page of source records on its way to a chunk, and why some of them cannot go on."""

from __future__ import annotations

from dataclasses import dataclass, field

import polars as pl

from rules.documents.validation import OnFailure
from rules.text import Message
from rules.validations import Verdict
from webapp.runs.pipeline.checked import Checked, nothing


@dataclass(frozen=True)
class Parked:
    """Why a record is parked (or left out, if `rejected`): at which stage, which field, what is wrong."""

    stage: str
    message: Message
    field: str | None = None
    rejected: bool = False


@dataclass
class Draft:
    """A page on its way to a chunk; `parked` maps a row to why it cannot go on, `checked` is what validations said.

    `numbers` are the places of its records in the run, and `behind` is the place behind the page's last record.
    """

    records: pl.DataFrame
    numbers: pl.Series
    checked: Checked = field(default_factory=nothing)
    parked: dict[int, Parked] = field(default_factory=dict)
    behind: int = 0

    def only(self, mask: pl.Series) -> Draft:
        """Return the draft of some of its records."""
        rows = mask.arg_true()
        places = {int(row): at for at, row in enumerate(rows.to_list())} if self.parked else {}
        parked = {places[row]: why for row, why in self.parked.items() if row in places}
        return Draft(self.records[rows], self.numbers[rows], self.checked, parked, self.behind)

    def park(self, row: int, stage: str, message: Message, name: str | None = None) -> None:
        """Park a record; the first reason stays."""
        self.parked.setdefault(row, Parked(stage, message, name))

    def fail(self, row: int, verdict: Verdict) -> None:
        """Park or leave out a record that does not meet a validation."""
        rejected = verdict.severity is OnFailure.REJECT
        self.parked.setdefault(row, Parked("validate", verdict.reason, verdict.field, rejected))

    @property
    def rejected(self) -> pl.Series:
        """Return a mask of the records that are left out."""
        mask = pl.repeat(value=False, n=self.records.height, eager=True)
        rows = [row for row, parked in self.parked.items() if parked.rejected]
        return mask.scatter(rows, values=True) if rows else mask

    @property
    def usable(self) -> pl.Series:
        """Return a mask of the records that are not parked."""
        mask = pl.repeat(value=True, n=self.records.height, eager=True)
        rows = list(self.parked)
        return mask.scatter(rows, values=False) if rows else mask
