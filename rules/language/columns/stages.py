"""Stages: temporary columns, each made from columns of earlier stages, so that no expression grows with its depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import polars as pl

from rules.language.columns.value import Value

OWN = "\x1f"
OUTPUT = "\x1e"
_FLAGS = pl.QueryOptFlags(simplify_expression=False)  # the simpler form may treat the sign of a zero another way


@dataclass
class Stages:
    """The temporary columns of a plan, stage by stage, and the numbers that need a column of their own.

    `words` says for each stage what its columns are for; `doing` is what is being compiled, the innermost last.
    """

    levels: list[list[pl.Expr]] = field(default_factory=list)
    words: list[list[str]] = field(default_factory=list)
    doing: list[str] = field(default_factory=list)
    constants: dict[str, float] = field(default_factory=dict)
    count: int = 0

    def stage(self, value: Value) -> Value:
        """Return the same value read from a temporary column: worked out once, however often it is used."""
        if value.simple or value.constant:
            return value
        level, empty_mask = value.level, value.failed if value.empty and value.fallible else None
        failed = None if empty_mask is None else self.add(empty_mask, level)
        expr = self.add(value.expr, level)
        return replace(value, expr=expr, failed=failed, level=level + 1, simple=True)

    def add(self, expr: pl.Expr, level: int) -> pl.Expr:
        """Return a new temporary column of the stage after `level`."""
        self.count += 1
        name = f"{OWN}{self.count}"
        while len(self.levels) <= level:
            self.levels.append([])
            self.words.append([])
        self.words[level] += self.doing[-1:]
        self.levels[level].append(expr.alias(name))
        return pl.col(name)

    def spread(self, value: Value) -> pl.Expr:
        """Return numbers as a column with one for each record, so that Polars calculates with each as it is.

        By a number that it keeps once for all records it divides through the reciprocal, which rounds twice; and it
        adds no zero, but -0.0 + 0.0 is 0.0.
        """
        if value.constant and isinstance(value.literal, float):
            return self.constant(value.literal)
        return value.expr if value.spread else value.expr * self.constant(1.0)

    def constant(self, number: float) -> pl.Expr:
        """Return a number as a column."""
        name = f"{OWN}={number!r}"
        self.constants[name] = number
        return pl.col(name)

    def run(self, frame: pl.DataFrame, outputs: Mapping[str, pl.Expr]) -> pl.DataFrame:
        """Return the output columns over a batch's inputs."""
        if self.constants:
            made = [pl.repeat(n, frame.height, eager=True).alias(name) for name, n in self.constants.items()]
            frame = frame.with_columns(made)
        query = frame.lazy()
        for level in self.levels:
            query = query.with_columns(level)
        # Added and then chosen, rather than chosen at once, so that a constant gets as many rows as the batch has.
        named = query.with_columns(expr.alias(f"{OUTPUT}{name}") for name, expr in outputs.items())
        found = named.select(f"{OUTPUT}{name}" for name in outputs).collect(optimizations=_FLAGS)
        found.columns = list(outputs)
        return found
