"""What a database offers that carries out a rule by itself, where both sides of the rule are in it.

It works range by range of the source's key, each in a transaction of its own that sees one moment. Of a range it says
first what becomes of each record, by key; then it writes what it is told, with the fence. Records about which it is not
certain are named as such, and nothing of them is written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import IntEnum

import polars as pl

from connectors.spi import Connector, Fence, Position
from rules.formula import PushedRule
from rules.schema import Schema
from rules.text import Message


class Found(IntEnum):
    """What a database says of a record of the source."""

    UNCERTAIN = 0
    """It has to be looked at by Syncline."""
    OUTSIDE = 1
    """It is out of scope."""
    MISSING = 2
    """The target has no record with its key."""
    SAME = 3
    """The target's record holds all that it would be given."""
    DIFFERENT = 4


KEY, FOUND = "syncline_key", "syncline_found"
"""The columns of `Push.rows`: the key as the source has it, and a value of `Found`."""


class RefusedRange(Exception):
    """The database refuses to write a range, or has written something else than was said: nothing of it is written."""


@dataclass(frozen=True)
class PushRequest:
    """A rule as a database may carry it out: both objects with the fields that are read, their keys, the formulas."""

    source: Connector
    objects: tuple[str, str]
    schemas: tuple[Schema, Schema]
    keys: tuple[str, str]
    rule: PushedRule


class Push(ABC):
    """One range of keys, within its transaction."""

    rows: pl.DataFrame
    """What is found, a row a record in the order of keys: `KEY`, `FOUND`, and a column for each check with a `when`."""
    position: Position | None
    """Behind which a reader of the source goes on; None: this is the last range."""

    @abstractmethod
    def values(self, keys: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return what the target's records would be given, with `KEY`, and the same rows' `when` of fields with one."""

    @abstractmethod
    def held(self, keys: pl.Series) -> pl.DataFrame:
        """Return the target's records with these keys."""

    @abstractmethod
    def write(self, creates: pl.Series | None, updates: pl.Series, names: Sequence[str], fence: Fence) -> None:
        """Create and update, setting the fields `names`; durable once the context ends. Raises `RefusedRange`.

        With None for `creates` all records of the range are created.
        """


class Pushing(ABC):
    """A connector that carries out rules whose source is in the same place as its own objects."""

    @abstractmethod
    def unable(self, request: PushRequest) -> Message | None:
        """Say why it cannot carry out a rule, None if it can."""

    @abstractmethod
    def push(
        self, request: PushRequest, after: Position | None, size: int, *, writes: bool
    ) -> AbstractContextManager[Push]:
        """Open the next range of about `size` records behind a position; an error that leaves it undoes its writes."""
