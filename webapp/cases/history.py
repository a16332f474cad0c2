"""What became of a case: a line for each deed, kept in the transaction of the deed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.cases.models import case_event
from webapp.runs.pair_cases import AT_ONCE

_MET = ("opened", "refreshed", "dropped")


@dataclass(frozen=True)
class Deed:
    """Something that was done about a case; `told` is what was chosen, or who the case was given to."""

    deed: str
    at: datetime
    by: str
    run_id: int | None = None
    told: Mapping[str, Any] | None = None


def note(tx: sa.Connection, cases: Sequence[int], deed: Deed) -> None:
    """Keep what was done about cases."""
    values = {"at": deed.at, "by": deed.by[:128], "deed": deed.deed, "run_id": deed.run_id, "told": deed.told}
    if cases:
        tx.execute(sa.insert(case_event), [{**values, "case_id": case} for case in cases])


def met_by(tx: sa.Connection, cases: Sequence[int], run_id: int) -> set[int]:
    """Return those of the cases that a run has opened or met changed already."""
    table, found = case_event.c, set[int]()
    for start in range(0, len(cases), AT_ONCE):
        mine = (table.case_id.in_(cases[start : start + AT_ONCE]), table.run_id == run_id, table.deed.in_(_MET))
        found.update(tx.scalars(sa.select(table.case_id).where(*mine)))
    return found


def of_case(tx: sa.Connection, case_id: int) -> list[Deed]:
    """Return what was done about a case, the oldest first."""
    table = case_event.c
    columns = (table.deed, table.at, table.by, table.run_id, table.told)
    query = sa.select(*columns).where(table.case_id == case_id).order_by(table.id)
    return [Deed(**row) for row in tx.execute(query).mappings()]
