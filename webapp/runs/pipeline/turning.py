"""Links of the time when a rule flowed the other way.

A rule that flows one way keeps its links with the key of its source left. One that flows from right to left has them
turned round, as seen from one that flows both ways.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import sqlalchemy as sa

from rules.documents import DocumentError
from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from webapp.runs.models import link_segment, run

_TURNED = {
    f"{side}_{kind}": f"{other}_{kind}"
    for side, other in (("left", "right"), ("right", "left"))
    for kind in ("key", "hash", "digest")
}
_FEW = 100


def flowed(tx: sa.Connection, rule_id: int, only: Sequence[int] = ()) -> dict[int, bool]:
    """Return by segment of a rule that flowed one way whether it flowed to the left; `only` names some segments.

    Segments whose run is not known any more are left out.
    """
    mine: tuple[sa.ColumnElement[bool], ...]
    mine = (link_segment.c.rule_id == rule_id, link_segment.c.scheme.is_(None))
    if 0 < len(only) <= _FEW:
        mine = (*mine, link_segment.c.id.in_(only))
    segments = tx.execute(sa.select(link_segment.c.id, link_segment.c.run_id).where(*mine)).all()
    runs = {segment.run_id for segment in segments}
    if not runs:
        return {}
    query = sa.select(run.c.id, run.c.document).where(run.c.id.in_(sa.select(link_segment.c.run_id).where(*mine)))
    left = {row.id: _to_left(row.document) for row in tx.execute(query)}
    return {segment.id: left[segment.run_id] for segment in segments if segment.run_id in left}


def _to_left(document: dict[str, object]) -> bool:
    try:
        return executed_way(document) is Direction.RIGHT_TO_LEFT
    except DocumentError:  # of a time when rules could say other things
        return document.get("direction") == Direction.RIGHT_TO_LEFT


def turned(links: pl.DataFrame) -> pl.DataFrame:
    """Return links with their sides exchanged."""
    return links.rename({old: new for old, new in _TURNED.items() if old in links.columns}).select(links.columns)
