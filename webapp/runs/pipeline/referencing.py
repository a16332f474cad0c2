"""The links of other rules, as fields that refer to their records ask them: read once, kept as columns, never changed.

A rule's links are loaded when the first of them is asked for. They stay what they are until the run ends, so that a
run means the same from its first chunk to its last.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property

import polars as pl
import sqlalchemy as sa

from rules.documents.sync import Direction
from rules.mapping.references import Standing
from rules.reconcile.agreement import executed_way
from rules.reconcile.situations import Outcome
from webapp.rulebook import linking
from webapp.rulebook.linking import Connect, Document
from webapp.runs.models import quarantine, run, run_record
from webapp.runs.pipeline.codec import column_text
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.pairs import APART, GONE, Pairs

_OTHER = {"left": "right", "right": "left"}
_KEYS = ("left_key", "right_key")
_ASKED = 500
_LINKED = (Outcome.CREATED.value, Outcome.UPDATED.value, Outcome.DELETED.value)


class Linked:
    """The links of one sync rule."""

    def __init__(self, connect: Connect, rule_id: int, document: Document) -> None:
        self._connect = connect
        self._rule_id = rule_id
        self._document = document
        self._found: dict[str, _Index] = {}

    def partners(self, side: str, keys: pl.Series) -> pl.Series:
        """Return the linked key of the other side for each key of a side, null where there is none."""
        if side not in self._found:
            linked = self._rows().filter(pl.col("right_key").is_not_null() & pl.col("left_key").is_not_null())
            self._found[side] = _Index(linked[f"{side}_key"], linked[f"{_OTHER[side]}_key"])
        return self._found[side].find(keys)

    def standing(self, side: str, keys: Sequence[str]) -> dict[str, Standing]:
        """Return why keys of a side have no link; what is not named has never had one."""
        found: dict[str, Standing] = {}
        with self._connect() as tx:
            for start in range(0, len(keys), _ASKED):
                texts = {str(column_text(key)): key for key in keys[start : start + _ASKED]}
                found |= {texts[known]: Standing.REMOVED for known in self._removed(tx, side, list(texts))}
                found |= {texts[known]: Standing.PARKED for known in self._parked(tx, side, list(texts))}
        alone = self._alone[f"{side}_key"]
        return found | dict.fromkeys(alone.filter(alone.is_in(list(keys))).to_list(), Standing.APART)

    @cached_property
    def _alone(self) -> pl.DataFrame:
        """Return the keys of the records that are to stay alone."""
        rows = self._rows()
        return rows.filter(pl.col("op") == APART, pl.any_horizontal(pl.col(_KEYS).is_null()))

    def _rows(self) -> pl.DataFrame:
        """Return left_key, right_key and op of what is linked, sleeps or is to stay alone."""
        with self._connect() as tx:
            way = executed_way(self._document)
            if way is Direction.TWO_WAY:
                return Pairs.load(tx, self._rule_id, "").rows.filter(pl.col("op") != GONE)
            links = Links.load(tx, self._rule_id, reverse=way is Direction.RIGHT_TO_LEFT).rows.select(_KEYS)
        if way is Direction.RIGHT_TO_LEFT:  # links name the key of the source first
            links = links.select(left_key="right_key", right_key="left_key")
        return links.with_columns(op=pl.lit(None, dtype=pl.String))

    def _parked(self, tx: sa.Connection, side: str, keys: list[str]) -> Iterator[str]:
        q = quarantine.c
        mine = (q.rule_id == self._rule_id, q.state == "open", q.side == side, q.left_key.in_(keys))
        yield from tx.scalars(sa.select(q.left_key).where(*mine))

    def _removed(self, tx: sa.Connection, side: str, keys: list[str]) -> Iterator[str]:
        """Yield the keys for which a live run has written to a partner once."""
        r = run_record.c
        name = str(self._document.get("name"))
        mine = (r.rule_name == name, r.left_key.in_(keys), r.side == side, r.right_key.is_not(None))
        query = sa.select(r.left_key).join(run, run.c.id == r.run_id).where(*mine, r.outcome.in_(_LINKED))
        yield from tx.scalars(query.where(run.c.rule_id == self._rule_id, run.c.mode == "live").distinct())


class _Index:
    """Finds partners by binary search: by the keys themselves where all are whole numbers, else by their hashes.

    Numbers take 16 bytes a link, texts their own length and 40 bytes.
    """

    def __init__(self, own: pl.Series, other: pl.Series) -> None:
        numbers = _numbers(own)
        self._whole = numbers.null_count() == 0
        places = numbers if self._whole else own.hash()
        order = places.arg_sort()
        self._places = places.gather(order)
        self._own = None if self._whole else own.gather(order)
        found = _numbers(other)
        self._other = (found if found.null_count() == 0 else other).gather(order)

    def find(self, keys: pl.Series) -> pl.Series:
        """Return the partner of each key, null where there is none."""
        if self._places.is_empty() or keys.is_empty():
            return pl.repeat(None, keys.len(), dtype=pl.String, eager=True)
        asked = _numbers(keys) if self._whole else keys.hash()
        at = self._places.search_sorted(asked.fill_null(0), side="left").clip(0, self._places.len() - 1)
        met = (self._places.gather(at) == asked).fill_null(value=False) & keys.is_not_null()
        same = met if self._own is None else met & (self._own.gather(at) == keys).fill_null(value=False)
        found = self._other.gather(at).set(~same, None)
        for row in (met & ~same).arg_true().to_list():  # two keys with one hash
            mine = self._other.filter(self._own == keys[row])
            found = found if mine.is_empty() else found.scatter(row, mine[0])
        return found.cast(pl.String).alias(keys.name)


def _numbers(texts: pl.Series) -> pl.Series:
    """Return texts as whole numbers, null for those that are no number or are spelled otherwise."""
    numbers = texts.cast(pl.Int64, strict=False)
    return numbers.set((numbers.cast(pl.String) != texts).fill_null(value=True), None)


linking.linked.append(Linked)
