"""How alike the values of pairs of records are, from 0 to 1; not a number where one of them is missing.

Text and names take the better of Jaro-Winkler (Winkler 1990) on the words as they stand and of the longest common
subsequence on the words in order. Companies take the better of two edit distances with transpositions (OSA), as words
may be in another order there too; codes, phones and e-mail addresses take OSA. Chosen by measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rapidfuzz import process
from rapidfuzz.distance import OSA, Indel, JaroWinkler

from rules.documents.sync import MatchKind
from rules.reconcile.correlate.forms import WORDS, Pair
from rules.reconcile.correlate.plain import sorted_words

Scores = NDArray[np.float64]
Rows = NDArray[np.uint32]
Texts = NDArray[np.object_]
Hashes = NDArray[np.uint64]

EDITED = frozenset({MatchKind.COMPANY, MatchKind.CODE, MatchKind.PHONE, MatchKind.EMAIL})
_SLICE = 50_000

SWAPPED, ONE_DIGIT, TWO_DIGITS, THREE_DIGITS = 0.9, 0.88, 0.7, 0.4
"""How alike two dates are with day and month or two neighbouring digits swapped, or with other digits."""

SLACK = 1e-4
"""rapidfuzz may cut what is just as alike as its cutoff, so it gets a lower one."""


class Values:
    """The distinct values of one side and which of them a record has (-1: none)."""

    def __init__(self, values: pl.Series, kind: MatchKind) -> None:
        distinct = values.drop_nulls().unique(maintain_order=True)
        numbers = pl.Series(range(len(distinct)), dtype=pl.Int32)
        codes = values.replace_strict(distinct, numbers, default=None, return_dtype=pl.Int32) if len(distinct) else None
        filled = pl.repeat(-1, len(values), dtype=pl.Int32, eager=True) if codes is None else codes.fill_null(-1)
        self.codes: NDArray[np.int32] = filled.to_numpy()
        self.texts = _objects(distinct)
        self.sorted = _objects(sorted_words(distinct)) if kind in WORDS else self.texts
        some = distinct if kind in EDITED else distinct.clear()
        self.letters, self.lengths = letters(some)


def _objects(values: pl.Series) -> Texts:
    found = np.empty(len(values), dtype=object)
    found[:] = values.to_list()
    return found


class Likeness:
    """Compares the values of one comparison; what is less alike than the threshold may count as 0."""

    def __init__(self, forms: Pair, kind: MatchKind, threshold: float) -> None:
        left, right = forms
        self._score = _scorer(kind, threshold)
        self._own = Values(left.own, kind), Values(right.own, kind)
        self._marks = (left.marked.to_numpy(), right.marked.to_numpy()) if left.mixed or right.mixed else None
        self._other = (Values(left.other, kind), Values(right.other, kind)) if self._marks else self._own

    def __call__(self, left: Rows, right: Rows) -> Scores:
        """Return how alike each pair is."""
        if self._marks is None:
            return _compared(*self._own, left, right, self._score)
        differ = self._marks[0][left] != self._marks[1][right]
        found = np.empty(len(left))
        for mask, (a, b) in ((differ, self._other), (~differ, self._own)):
            found[mask] = _compared(a, b, left[mask], right[mask], self._score)
        return found


def _compared(a: Values, b: Values, left: Rows, right: Rows, score: Score) -> Scores:
    """Compare each pair of values; where values repeat themselves, each pair of distinct values once."""
    first, second = a.codes[left], b.codes[right]
    known = (first >= 0) & (second >= 0)
    found = np.full(len(left), np.nan)
    if known.any():
        pairs = first[known].astype(np.int64), second[known].astype(np.int64)
        if 2 * len(a.texts) > len(a.codes) and 2 * len(b.texts) > len(b.codes):
            found[known] = score(a, b, *pairs)
        else:
            distinct, where = _distinct(pairs[0] * len(b.texts) + pairs[1])
            found[known] = score(a, b, distinct // len(b.texts), distinct % len(b.texts))[where]
    return found


Codes = NDArray[np.int64]
Score = Callable[[Values, Values, Codes, Codes], Scores]


def _distinct(pairs: Codes) -> tuple[Codes, Codes]:
    """Return the distinct pairs and which of them each one is; sorting beats the hash table of `numpy.unique`."""
    order = np.argsort(pairs, kind="stable")
    ordered = pairs[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    where = np.empty(len(pairs), np.int64)
    where[order] = np.cumsum(first) - 1
    return ordered[first], where


def letters(values: pl.Series) -> tuple[Hashes, NDArray[np.int64]]:
    """Return for each text which of 32 classes of characters it has, and which twice, as 64 bits; and its length."""
    bits = [np.empty(0, np.uint64)]
    for start in range(0, len(values), _SLICE):
        part = values.slice(start, _SLICE)
        size = part.str.len_chars().to_numpy().astype(np.int64)
        codes = np.frombuffer("".join(part.to_list()).encode("utf-32-le"), np.uint32)
        rows = np.repeat(np.arange(len(part)), size)
        counts = np.bincount(rows * 32 + codes % 32, minlength=len(part) * 32).reshape(-1, 32)
        seen = np.packbits(np.hstack([counts >= 1, counts >= 2]), axis=1)
        bits.append(seen.view(np.uint64).ravel())
    return np.concatenate(bits), values.str.len_chars().to_numpy().astype(np.int64)


def _reachable(a: Values, b: Values, pairs: tuple[Codes, Codes], threshold: float) -> NDArray[np.bool_]:
    """Return which pairs can be that much alike: each letter that only one text has takes an edit of its own."""
    i, j = pairs
    least = np.maximum(np.bitwise_count(a.letters[i] & ~b.letters[j]), np.bitwise_count(b.letters[j] & ~a.letters[i]))
    long, short = np.maximum(a.lengths[i], b.lengths[j]), np.minimum(a.lengths[i], b.lengths[j])
    reachable: NDArray[np.bool_] = np.maximum(least, long - short) <= (1 - threshold) * long
    return reachable


def _edits(*, also_sorted: bool) -> Callable[[float], Score]:
    """Return a scorer by edits that leaves out pairs that differ in too many letters."""
    plain = _by(OSA.normalized_similarity, OSA.normalized_similarity if also_sorted else None)

    def scored(threshold: float) -> Score:
        compare = plain(threshold)

        def score(a: Values, b: Values, i: Codes, j: Codes) -> Scores:
            found = np.zeros(len(i))
            worth = _reachable(a, b, (i, j), threshold)
            found[worth] = compare(a, b, i[worth], j[worth])
            return found

        return score

    return scored


def _by(scorer: Callable[..., float], also: Callable[..., float] | None = None) -> Callable[[float], Score]:
    """Return how texts are scored: as they stand by one scorer, and with their words in order by another one."""

    def scored(threshold: float) -> Score:
        def score(a: Values, b: Values, i: Codes, j: Codes) -> Scores:
            found: Scores = process.cpdist(a.texts[i], b.texts[j], scorer=scorer, score_cutoff=threshold, dtype=float)
            if also is not None:
                turned = process.cpdist(a.sorted[i], b.sorted[j], scorer=also, score_cutoff=threshold, dtype=float)
                found = np.maximum(found, turned)
            return found

        return score

    return scored


def _number(a: Values, b: Values, i: Codes, j: Codes) -> Scores:
    first, second = a.texts.astype(np.float64)[i], b.texts.astype(np.float64)[j]
    largest = np.maximum(np.maximum(np.abs(first), np.abs(second)), np.finfo(np.float64).tiny)
    found: Scores = np.maximum(1 - np.abs(first / largest - second / largest), 0)
    return found


def _digits(values: Values) -> NDArray[np.uint8]:
    return np.frombuffer("".join(values.texts).encode(), np.uint8).reshape(-1, 8)


def _date(a: Values, b: Values, i: Codes, j: Codes) -> Scores:
    first, second = _digits(a)[i], _digits(b)[j]
    differ = first != second
    found: Scores = np.array([1, ONE_DIGIT, TWO_DIGITS, THREE_DIGITS, 0, 0, 0, 0, 0])[differ.sum(axis=1)]
    turned = (first[:, [0, 1, 2, 3, 6, 7, 4, 5]] == second).all(axis=1)
    neighbours = differ[:, :-1] & differ[:, 1:] & (first[:, :-1] == second[:, 1:]) & (first[:, 1:] == second[:, :-1])
    swapped = turned | ((differ.sum(axis=1) == 2) & neighbours.any(axis=1))
    found[swapped] = np.maximum(found[swapped], SWAPPED)
    return found


_TEXTS: Mapping[MatchKind, Callable[[float], Score]] = {
    **dict.fromkeys(
        (MatchKind.TEXT, MatchKind.NAME), _by(JaroWinkler.normalized_similarity, Indel.normalized_similarity)
    ),
    MatchKind.COMPANY: _edits(also_sorted=True),
    **dict.fromkeys(EDITED - {MatchKind.COMPANY}, _edits(also_sorted=False)),
}


def _scorer(kind: MatchKind, threshold: float) -> Score:
    if kind in _TEXTS:
        return _TEXTS[kind](max(threshold - SLACK, 0.0))
    return _date if kind is MatchKind.DATE else _number
