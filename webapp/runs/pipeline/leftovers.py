"""What stopped runs of a rule had begun to write.

A run that failed or was cancelled between the target's commit and ours leaves a planned chunk. Before another run of
the rule writes, and so moves the fence, that chunk is checked in if the target holds it, and forgotten if it does not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.spi import Fence
from rules.documents import parse_sync
from rules.documents.sync import Direction, Side
from rules.reconcile.agreement import executed
from webapp.extensions import House
from webapp.runs.models import run, run_chunk
from webapp.runs.pipeline.both import Both
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.journal import Claim, Journal
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.slice import scope_of
from webapp.runs.pipeline.slice_journal import journal_of, with_plans
from webapp.runs.pipeline.through import through_of
from webapp.runs.pipeline.writing import Target


def settle_leftovers(house: House, claim: Claim, side: Side, target: Target[Links], scope: str) -> None:
    """Check in or forget the chunks that other runs of the claim's rule had planned for the target behind `side`."""
    for other in stopped(house, claim):
        rule = executed(parse_sync(other.document))
        there = Sides.of(rule).target
        journal = journal_of(house, other, holder=claim)
        chunk = journal.planned()
        if (
            chunk is None
            or rule.direction is Direction.TWO_WAY
            or (there.connection, there.object) != (side.connection, side.object)
        ):
            continue  # of another target a resume takes care: its fence stays where it is
        fence = Fence(scope_of(scope, other.slice), claim.token, other.run_id, chunk.no)
        through = through_of(target.connector)
        found = target.recover(chunk, fence) if through is None else through.abandoned(target, chunk, fence, journal)
        if found is None:
            if other.slice is not None:  # nobody else writes in its scope, so that its worker may come back even later
                target.connector.write(target.object, target.schema, [], fence)
            journal.drop_plan()
        else:
            journal.check_in(_without_hashes(found), target.links)


def settle_both(house: House, claim: Claim, both: Both, fence: Fence, retry: Retry) -> None:
    """Finish or forget the chunks that other runs of a two-way rule had planned for the same two objects."""
    ours = _ends(claim.document)
    for other in stopped(house, claim):
        journal = Journal(house, other, holder=claim)
        chunk = journal.planned()
        if chunk is None or _ends(other.document) != ours:
            continue
        found = both.recover(chunk, replace(fence, run=other.run_id, chunk=chunk.no), retry)
        if found is None:
            journal.drop_plan()
        else:
            journal.check_in(_without_hashes(found), both.links)


def _without_hashes(chunk: Chunk) -> Chunk:
    """Return the chunk without hashes, which may be those of another version of the rule; all is looked at again."""
    kinds = chunk.links.schema.items()
    none = [pl.lit(None, dtype=kind).alias(name) for name, kind in kinds if name.endswith(("_hash", "_digest"))]
    return replace(chunk, links=chunk.links.with_columns(none))


def _ends(document: Mapping[str, Any]) -> tuple[Any, ...]:
    rule = executed(parse_sync(document))
    sides = ((side.connection, side.object) for side in (rule.left, rule.right))
    return (rule.direction, *sides)


def stopped(house: House, claim: Claim) -> Iterator[Claim]:
    """Yield stopped runs of the rule of a claim that leave a planned chunk behind, oldest first."""
    planned = sa.exists().where(run_chunk.c.run_id == run.c.id, run_chunk.c.state == "planned")
    states = ("queued", "failed", "suspended", "cancelled")
    mine = (run.c.rule_id == claim.rule_id, run.c.id != claim.run_id, run.c.state.in_(states), planned)
    with house.db.read() as tx:
        rows = tx.execute(sa.select(run).where(*mine).order_by(run.c.id)).all()
        found = [one for row in rows for one in with_plans(tx, Claim.of(row))]
    yield from found
