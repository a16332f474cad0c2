"""The values of a comparison on both sides, in the form in which they are compared.

A value may be written in two ways that never agree letter by letter: Chinese or in Latin letters, a phone number with
its country or without. Such values are `marked`. Two values of one way are compared by `own`, of different ways by
`other`: so 王伟 finds Wang Wei, but not 王玮, who is written Wang Wei as well.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from rules.documents.sync import Match, MatchHow, MatchKind
from rules.reconcile.correlate import shapes
from rules.reconcile.correlate.companies import SIGNS, without_form
from rules.reconcile.correlate.plain import HAN, latin, plain, sorted_words, spread, texts
from rules.schema import FieldType, Schema

WORDS = frozenset({MatchKind.TEXT, MatchKind.NAME, MatchKind.COMPANY})
_KINDS = {
    **dict.fromkeys((FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME), MatchKind.DATE),
    **dict.fromkeys((FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT), MatchKind.NUMBER),
}


@dataclass(frozen=True)
class Forms:
    """The values of one side; null where there is none."""

    own: pl.Series
    other: pl.Series
    marked: pl.Series

    @classmethod
    def of(cls, values: pl.Series) -> Forms:
        """Return values that are written in one way only."""
        return cls(values, values, pl.repeat(False, len(values), eager=True))

    @property
    def mixed(self) -> bool:
        """Tell whether some values are marked."""
        return bool(self.marked.any())


Pair = tuple[Forms, Forms]
Shape = Callable[[pl.Series, MatchKind], pl.Series]


def kind_of(match: Match, left: Schema, right: Schema) -> MatchKind:
    """Return what the values of a comparison are: what it says, else what one of its fields is, else text."""
    if match.kind is not None:
        return match.kind
    kinds = {_KINDS.get(schema[name].type) for schema, name in ((left, match.left), (right, match.right))}
    return next((kind for kind in (MatchKind.DATE, MatchKind.NUMBER) if kind in kinds), MatchKind.TEXT)


def equal_forms(left: pl.Series, right: pl.Series, how: MatchHow, kind: MatchKind) -> Pair:
    """Return forms of which equal ones mean a match."""
    if how is MatchHow.EXACT:
        return _exact(left, right)
    if kind in WORDS:
        return _words(left, right, kind, _joined)
    return _SHAPED[kind](left), _SHAPED[kind](right)


def alike_forms(left: pl.Series, right: pl.Series, kind: MatchKind) -> Pair:
    """Return forms that are compared by how alike they are."""
    if kind in WORDS:
        return _words(left, right, kind, lambda values, _kind: values)
    if kind is MatchKind.PHONE:
        return Forms.of(shapes.phones(left)[1]), Forms.of(shapes.phones(right)[1])
    return _SHAPED[kind](left), _SHAPED[kind](right)


def _exact(left: pl.Series, right: pl.Series) -> Pair:
    return Forms.of(texts(left)), Forms.of(texts(right))


def _words(left: pl.Series, right: pl.Series, kind: MatchKind, shape: Shape) -> Pair:
    plains = [_plain(values, kind) for values in (left, right)]
    chinese = [values.str.contains(HAN).fill_null(value=False) for values in plains]
    own = [shape(values, kind) for values in plains]
    if not _mixed(chinese[0], chinese[1]):
        return Forms.of(own[0]), Forms.of(own[1])
    made = []
    for values, mine, marked in zip(plains, own, chinese, strict=True):
        read = shape(latin(values, person=kind is MatchKind.NAME), kind)
        made.append(Forms(mine, read, marked))
    return made[0], made[1]


def _mixed(left: pl.Series, right: pl.Series) -> bool:
    """Tell whether some Chinese value may meet one that is not."""
    return bool((left.any() and not right.all()) or (right.any() and not left.all()))


def _plain(values: pl.Series, kind: MatchKind) -> pl.Series:
    found = texts(values)
    if kind is MatchKind.COMPANY:
        found = found.str.replace_all(SIGNS, "").str.replace_all(".", "", literal=True)
    found = plain(found)
    return found.to_frame("t").select(without_form(pl.col("t"))).to_series() if kind is MatchKind.COMPANY else found


def _joined(values: pl.Series, kind: MatchKind) -> pl.Series:
    return spread(sorted_words(values) if kind is MatchKind.NAME else values)


def _phones(values: pl.Series) -> Forms:
    whole, bare = shapes.phones(values)
    own = pl.select(pl.coalesce(whole, bare)).to_series()
    return Forms(own, bare, whole.is_not_null())


_SHAPED: Mapping[MatchKind, Callable[[pl.Series], Forms]] = {
    MatchKind.CODE: lambda values: Forms.of(spread(plain(texts(values)))),
    MatchKind.PHONE: _phones,
    MatchKind.EMAIL: lambda values: Forms.of(shapes.emails(values)),
    MatchKind.DATE: lambda values: Forms.of(shapes.dates(values)),
    MatchKind.NUMBER: lambda values: Forms.of(shapes.numbers(values)),
}
