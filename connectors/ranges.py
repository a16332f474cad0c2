"""Ranges of an object by its key, so that several can read it at a time, each a part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

Cuts = Sequence[int | str]
"""Keys at which an object is cut, in ascending order."""


@dataclass(frozen=True)
class KeyRange:
    """The records whose `key` lies from `start` to before `end` as the system sorts it; None: from or to the end."""

    key: str
    start: int | str | None = None
    end: int | str | None = None


class Ranged(Protocol):
    """A connector with `Capabilities.ranges`."""

    def cuts(self, name: str, key: str, every: int) -> Cuts:
        """Return where an object can be cut into ranges of so many records each; the last one may have fewer.

        Nothing where it has no more than that, or cannot be cut by this key. Each record lies in one of the ranges
        between the cuts, also when records come and go while they are read.
        """


def ranges(key: str, cuts: Cuts) -> list[KeyRange]:
    """Return the ranges that an object falls into."""
    return [KeyRange(key, *ends) for ends in zip([None, *cuts], [*cuts, None], strict=True)]
