"""The forms of a plan: one for each kind of batch that was met, a general one when there are many kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import polars as pl

from rules.language.columns.facts import Fact, Inputs, unusable_name

MOST = 6
T = TypeVar("T")
Facts = Mapping[str, Fact]


class Variants(Generic[T]):
    """Finds or makes the form for a batch; a form made for weaker facts is right for every batch that they cover."""

    def __init__(self, make: Callable[[Facts], T]) -> None:
        self._make = make
        self._made: dict[tuple[Fact, ...], T] = {}
        self._general: tuple[tuple[Fact, ...], T] | None = None

    def find(self, read: Inputs) -> tuple[T, pl.DataFrame]:
        """Return the form for a batch, and the batch with all columns that the form reads."""
        names, facts = tuple(read.facts), tuple(read.facts.values())
        found = self._made.get(facts)
        if found is not None:
            return found, read.frame
        if len(self._made) < MOST:
            found = self._made[facts] = self._make(read.facts)
            return found, read.frame
        joined, form = self._covering(names, facts)
        needed = [
            unusable_name(n)
            for n, weak, fact in zip(names, joined, facts, strict=True)
            if weak.unusable > fact.unusable
        ]
        return form, read.frame.with_columns(pl.lit(value=False).alias(name) for name in needed)

    def _covering(self, names: tuple[str, ...], facts: tuple[Fact, ...]) -> tuple[tuple[Fact, ...], T]:
        """Return the general form, made anew where it does not cover the facts."""
        seen = [facts] if self._general is None else [self._general[0], facts]
        joined = tuple(map(join, *seen)) if len(seen) > 1 else tuple(map(join, *self._made, facts))
        if self._general is None or self._general[0] != joined:
            self._general = joined, self._make(dict(zip(names, joined, strict=True)))
        return self._general


def join(*facts: Fact) -> Fact:
    """Return what is true of all."""
    return Fact(
        empty=any(fact.empty for fact in facts),
        unusable=any(fact.unusable for fact in facts),
        bound=max(fact.bound for fact in facts),
        nan=any(fact.nan for fact in facts),
        ascii=all(fact.ascii for fact in facts),
    )
