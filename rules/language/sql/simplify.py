"""Joins predicates so that they stay short."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from rules.predicate import Empty, Every, Predicate, Some


def every(parts: Sequence[Predicate]) -> Predicate:
    """Return that all parts hold; where one says that a field has a value, the others need not say so."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Every) else (part,))]
    filled = {part.field for part in flat if isinstance(part, Empty) and not part.is_empty}
    kept = tuple(dict.fromkeys(_filled(part, filled) for part in flat))
    return kept[0] if len(kept) == 1 else Every(kept)


def some(parts: Sequence[Predicate]) -> Predicate:
    """Return that at least one part holds."""
    flat = [inner for part in parts for inner in (part.parts if isinstance(part, Some) else (part,))]
    kept = tuple(dict.fromkeys(flat))
    return kept[0] if len(kept) == 1 else Some(kept)


def _filled(part: Predicate, fields: set[str]) -> Predicate:
    """Return a part without its questions for fields that have a value anyway."""
    match part:
        case Every(parts=parts):
            return every([_filled(inner, fields) for inner in parts])
        case Some(parts=parts):
            return some([_filled(inner, fields) for inner in parts])
        case Empty():
            return part
        case _:
            return replace(part, empty=False) if part.field in fields else part
