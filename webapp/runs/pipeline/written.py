"""Two-way: records are asked the validations of their side once more, as they would be after they are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from rules.reconcile.one_way import key_text
from webapp.runs.pipeline.alone import Alone
from webapp.runs.pipeline.assembling import FLOWS, MADE
from webapp.runs.pipeline.checked import of_verdicts, together
from webapp.runs.pipeline.merging import any_of
from webapp.runs.pipeline.validating import Validating
from webapp.runs.pipeline.views import View

if TYPE_CHECKING:
    from webapp.runs.pipeline.deciding import Deciding


def check_written(deciding: Deciding) -> None:
    """Park or leave out the records whose change the validations of the side that is written do not let through."""
    for view in (deciding.other, deciding.view):
        if view.planner.validating is not None:
            _ask(deciding, view, view.planner.validating)


def _ask(deciding: Deciding, view: View, validating: Validating) -> None:
    rows, records = _after(deciding, view)
    if rows.is_empty():
        return
    batch = view.mapping.ask(records, view.planner.at).batch
    every = pl.repeat(value=True, n=len(rows), dtype=pl.Boolean, eager=True)
    verdicts = validating.ask(batch, every, key_text(records[view.key]))
    told = of_verdicts(verdicts, validating.severities, deciding.numbers[rows], deciding.keys[rows])
    draft = deciding.draft
    draft.checked = together(draft.checked, told)
    for row, verdict in verdicts.blocking.items():
        draft.fail(int(rows[row]), verdict)


def _after(deciding: Deciding, view: View) -> tuple[pl.Series, pl.DataFrame]:
    """Return the rows whose record of a side is to be written, and these records as they would be then."""
    merging, usable = deciding.merging, deciding.draft.usable
    written = any_of((mask for mask, _ in getattr(merging.merged, view.name).values()), len(merging.rows))
    flows = deciding.action[merging.rows].is_in(FLOWS).fill_null(value=False) & usable[merging.rows]
    places = (written & flows).arg_true()
    rows, records = merging.rows[places], merging.after(view.name)[places]
    if view is deciding.view:
        return rows, records
    made = (deciding.action.is_in(MADE).fill_null(value=False) & usable).arg_true()
    alone = Alone(
        deciding.view, deciding.other, deciding.planner.fields, deciding.met, deciding.action, deciding.situation
    )
    fresh = alone.made(made).select(records.columns)
    return pl.concat([rows.cast(pl.UInt32), made.cast(pl.UInt32)]), pl.concat([records, fresh])
