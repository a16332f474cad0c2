"""How a field that changed on both sides to different values is settled: who wins, or which value both sides get.

Every policy gives an answer a pair, a row each: `take` is "left", "right", "value" or null (a person has to say), and
where it is "value", the columns `to_right` and `to_left` hold what the fields get.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

import polars as pl

from rules.documents.sync import ConflictPolicy

LEFT, RIGHT, VALUE = "left", "right", "value"
_SPACE = " \t\r\n"
_DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Question:
    """A field of pairs whose sides disagree, all columns of one height.

    `left` and `right` are what the fields hold; `to_right` and `to_left` are what each side gives to the other.
    `newer` names the side that changed last, the winner of a tie included.
    """

    left: pl.Series
    right: pl.Series
    to_right: pl.Series
    to_left: pl.Series
    newer: pl.Series

    def at(self, rows: pl.Series) -> Question:
        """Return the question for some of the pairs."""
        return Question(*(getattr(self, item.name).gather(rows) for item in fields(self)))


def settle(policy: ConflictPolicy, question: Question) -> pl.DataFrame:
    """Return the answer that a policy gives for each pair."""
    return _POLICIES[policy](question)


def empty(values: pl.Series) -> pl.Series:
    """Tell which values are none: null, or a text without characters."""
    found = values.is_null()
    return found | values.eq_missing(pl.Series([""])) if values.dtype == pl.String else found


def _take(side: str | None, question: Question) -> pl.DataFrame:
    return pl.DataFrame({"take": pl.repeat(side, len(question.left), dtype=pl.String, eager=True)})


def _won(left_wins: pl.Series) -> pl.DataFrame:
    return pl.select(take=pl.when(left_wins).then(pl.lit(LEFT)).otherwise(pl.lit(RIGHT)))


def _left(question: Question) -> pl.DataFrame:
    return _take(LEFT, question)


def _right(question: Question) -> pl.DataFrame:
    return _take(RIGHT, question)


def _newer(question: Question) -> pl.DataFrame:
    return pl.DataFrame({"take": question.newer})


def _asked(question: Question) -> pl.DataFrame:
    return _take(None, question)


def _first_non_empty(question: Question) -> pl.DataFrame:
    return _won(~empty(question.left) | empty(question.right))


def _max(question: Question) -> pl.DataFrame:
    left, right = _comparable(question.left), _comparable(question.to_left)
    return _won(_alone(question, left, right) | (left > right).fill_null(value=False))


def _min(question: Question) -> pl.DataFrame:
    left, right = _comparable(question.left), _comparable(question.to_left)
    return _won(_alone(question, left, right) | (left < right).fill_null(value=False))


def _alone(question: Question, left: pl.Series, right: pl.Series) -> pl.Series:
    """Return where the left value wins as the right one has no order; what is no number wins over what is not there."""
    return right.is_null() & (left.is_not_null() | question.left.is_not_null() | question.to_left.is_null())


def _comparable(values: pl.Series) -> pl.Series:
    """Return values that have an order: what is no number loses like a value that is not there."""
    return values.fill_nan(None) if values.dtype.is_float() else values


def _union(question: Question) -> pl.DataFrame:
    if question.left.dtype != pl.String or question.right.dtype != pl.String:
        return _asked(question)
    to_left = _united(question.left, question.to_left)
    to_right = _united(question.to_right, question.right)
    made = pl.DataFrame({"to_right": to_right, "to_left": to_left})
    both = to_left.is_not_null() & to_right.is_not_null()
    return made.with_columns(take=pl.when(both).then(pl.lit(VALUE)))


def _united(first: pl.Series, second: pl.Series) -> pl.Series:
    texts = [_union_text(one, other) for one, other in zip(first.to_list(), second.to_list(), strict=True)]
    return pl.Series(texts, dtype=pl.String)


def _union_text(first: str | None, second: str | None) -> str | None:
    """Return the items of the first JSON array and what the second one has besides; None where one is no array."""
    try:
        items = dict.fromkeys([*_items(first or "[]"), *_items(second or "[]")])
    except (ValueError, RecursionError):
        return None
    return f"[{','.join(items)}]"


def _items(text: str) -> Iterator[str]:
    """Yield the items of a JSON array as they are written, so that no number loses digits."""
    if not isinstance(json.loads(text), list):
        raise ValueError(text)  # noqa: TRY004 - as for text that is no JSON at all
    place = _next(text, text.index("[") + 1)
    while text[place] != "]":
        _, end = _DECODER.raw_decode(text, place)
        yield text[place:end]
        place = _next(text, end)


def _next(text: str, place: int) -> int:
    """Return where the next item of an array or its end is."""
    while text[place] in _SPACE or text[place] == ",":
        place += 1
    return place


_POLICIES: Mapping[ConflictPolicy, Callable[[Question], pl.DataFrame]] = {
    ConflictPolicy.LEFT: _left,
    ConflictPolicy.RIGHT: _right,
    ConflictPolicy.NEWER: _newer,
    ConflictPolicy.MAX: _max,
    ConflictPolicy.MIN: _min,
    ConflictPolicy.UNION: _union,
    ConflictPolicy.FIRST_NON_EMPTY: _first_non_empty,
    ConflictPolicy.EXPRESSION: _asked,
    ConflictPolicy.MANUAL: _asked,
}
