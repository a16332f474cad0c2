"""A target of messages: nobody can ask what it holds, so a rule goes by what it has sent.

A record with a link has been sent before. It is sent again, as a whole, when what the rule reads of it has changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rules.reconcile.one_way import PARTNER, Batch, Decision, TargetField, key_values
from rules.reconcile.situations import Situation
from rules.schema import Schema
from webapp.runs.pipeline.steady import Hashing

_LINKED = (Situation.LINKED_CHANGED.value, Situation.LINKED_UNCHANGED.value)


@dataclass(frozen=True)
class Sent:
    """Knows by hashes what was sent last."""

    hashing: Hashing

    def mask(self, records: pl.DataFrame, known: pl.DataFrame) -> pl.Series:
        """Return a mask of the records that are as they were when they were sent; `known` are their links."""
        same = known["left_hash"].eq_missing(self.hashing.source(records)) & known["left_hash"].is_not_null()
        return same & known["right_key"].is_not_null()


def partners(known: pl.Series, wanted: pl.Series, schema: Schema, key: str) -> tuple[pl.Series, pl.DataFrame]:
    """Return the text under which each record's partner is sought, and partners of which nothing but the key is known.

    Args:
        known: The linked key of each record, null where there is no link.
        wanted: A mask of the records that go on.
        schema: The fields of the target.
        key: Its key field.
    """
    sought = ("k:" + known).set(~wanted, None)
    keys = known.filter(wanted & known.is_not_null()).unique(maintain_order=True)
    nothing = {name: pl.repeat(None, keys.len(), dtype=kind, eager=True) for name, kind in schema.dtypes().items()}
    frame = pl.DataFrame({**nothing, key: key_values(keys, schema[key].dtype)}, schema=schema.dtypes())
    return sought, frame.with_columns(("k:" + keys).alias(PARTNER))


def whole(
    decision: Decision, batch: Batch, fields: Sequence[TargetField], key: str, actions: Mapping[str, str]
) -> Decision:
    """Return a decision by which every linked record goes out with all its fields, also those without a value."""
    linked = decision.found["situation"].is_in(_LINKED).fill_null(value=False)
    if not linked.any():
        return decision
    everywhere = pl.repeat(value=True, n=linked.len(), eager=True)
    names = pl.DataFrame(
        [
            pl.select(pl.when(batch.applies.get(f.name, everywhere)).then(pl.lit(f.name)).alias(f.name)).to_series()
            for f in fields
            if f.on_update and f.name != key
        ]
    )
    if not names.width:
        return decision
    every = names.select(pl.concat_list(pl.all()).list.drop_nulls()).to_series()
    moved = decision.found["changed"].list.contains(key).fill_null(value=False)
    own = pl.select(pl.when(moved).then(pl.lit([key])).otherwise(pl.lit([], dtype=pl.List(pl.String)))).to_series()
    action = actions[Situation.LINKED_CHANGED.value]
    found = decision.found.with_columns(
        situation=decision.found["situation"].set(linked, Situation.LINKED_CHANGED.value),
        action=decision.found["action"].set(linked, action),
        changed=every.list.concat(own).zip_with(linked, decision.found["changed"]),
    )
    return replace(decision, found=found)
