"""The hit policies on bits: which row wins, which rows contradict it, or all rows that apply."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rules.decisions.columns import WORD, Words, unpacked, words_of
from rules.decisions.matching import first_bits, without
from rules.decisions.plan import Rows
from rules.documents.decision_table import HitPolicy

SINGLE = frozenset({HitPolicy.UNIQUE, HitPolicy.FIRST, HitPolicy.PRIORITY, HitPolicy.ANY})
IN_ORDER = frozenset({HitPolicy.FIRST, HitPolicy.PRIORITY})


class Winners(NamedTuple):
    """For each record the rank of the row that wins and of one that must not apply as well; -1 is none."""

    first: Rows
    second: Rows


def winners(policy: HitPolicy, masks: Words, alike: Words) -> Winners:
    """Return what wins; `alike` gives for each row, with hit policy any, the rows of the same outputs."""
    first = first_bits(masks)
    if policy in IN_ORDER:
        return Winners(first, np.full(len(first), -1))
    others = without(masks, first)
    if policy is HitPolicy.ANY:
        others &= ~alike[first]
    doubtful = others.any(axis=1) & (first >= 0)
    second = np.full(len(first), -1)
    second[doubtful] = first_bits(others[doubtful])
    return Winners(first, second)


@dataclass(frozen=True)
class Pairs:
    """Records and the ranks of the rows that apply to them, by record and then by rank."""

    records: Rows
    ranks: Rows


def pairs(chunks: Iterable[tuple[slice, Words]], count: int) -> Pairs:
    """Return all records with all rows that apply to them; words without a row are passed over."""
    width = words_of(count)
    records, ranks = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for part, masks in chunks:
        flat = masks.ravel()
        places = np.flatnonzero(flat)
        found = np.flatnonzero(unpacked(flat[places, None], WORD).view(bool))
        words = places[found // WORD]
        records.append(words // width + part.start)
        ranks.append(words % width * WORD + found % WORD)
    return Pairs(np.concatenate(records), np.concatenate(ranks))
