"""A decision inside another rule: which table is asked, and with which values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rules.documents.shape import NAME, SIDES, entry


@dataclass(frozen=True)
class Decision:
    """A decision table is asked for every record; its outputs can be used like fields: `credit.limit`."""

    table: str = entry("The name of the decision table.", pattern=NAME)
    name: str | None = entry(
        "The word before the outputs in expressions; the table's name if left out.", None, pattern=NAME
    )
    inputs: Mapping[str, str] | None = entry(
        "Input of the table -> expression over the record's fields; the field of the same name if left out.", None
    )
    side: str | None = entry(
        "The side whose records are asked; the one that is read first if left out.", None, enum=SIDES
    )

    @property
    def prefix(self) -> str:
        """Return the word before the outputs."""
        return self.name or self.table
