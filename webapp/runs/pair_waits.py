"""Which records wait for a person now, and in which pair: those of the pair itself, and its possible partners."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import sqlalchemy as sa

from rules.reconcile.situations import REVIEW, Situation
from webapp.runs.models import pair_case
from webapp.runs.pair_cases import AT_ONCE
from webapp.runs.pipeline.codec import column_text

_DOUBTFUL = (REVIEW, Situation.DISPUTED.value, Situation.UNLINKED.value)
_WAITS = pair_case.c.state != "settled"


@dataclass(frozen=True)
class Waits:
    """A record that waits, and the number of the pair in which it does."""

    side: str
    key: str
    pair: int


def candidates(tx: sa.Connection, rule_id: int) -> Iterator[Waits]:
    """Yield the possible partners of the records of a rule that wait for a person to name theirs."""
    table = pair_case.c
    doubtful = (table.rule_id == rule_id, _WAITS, table.situation.in_(_DOUBTFUL))
    query = sa.select(table.id, table.left_key, table.details).where(*doubtful).order_by(table.id)
    for row in tx.execute(query):
        there = "left" if row.left_key is None else "right"
        for one in row.details.get("candidates") or ():
            yield Waits(there, str(column_text(str(one["key"]))), row.id)


def pairs_of(tx: sa.Connection, rule_id: int, names: Sequence[str]) -> dict[str, int]:
    """Return the numbers of those of the named pairs that wait."""
    found: dict[str, int] = {}
    table = pair_case.c
    for start in range(0, len(names), AT_ONCE):
        mine = (table.rule_id == rule_id, _WAITS, table.pair.in_(names[start : start + AT_ONCE]))
        found |= {row.pair: row.id for row in tx.execute(sa.select(table.pair, table.id).where(*mine))}
    return found


def pairs_with(tx: sa.Connection, rule_id: int, asked: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Return the pair in which each of the given records, by side and key, waits; its own comes before others'."""
    own = {(one.side, one.key): one.pair for one in candidates(tx, rule_id) if (one.side, one.key) in asked}
    for side, column in (("left", pair_case.c.left_key), ("right", pair_case.c.right_key)):
        keys = [key for where, key in asked if where == side]
        for start in range(0, len(keys), AT_ONCE):
            mine = (pair_case.c.rule_id == rule_id, _WAITS, column.in_(keys[start : start + AT_ONCE]))
            own |= {(side, row[0]): row[1] for row in tx.execute(sa.select(column, pair_case.c.id).where(*mine))}
    return own
