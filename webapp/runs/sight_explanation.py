"""An explanation as who asks may see it: all of it, or only what became of the record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import polars as pl
import sqlalchemy as sa

from rules.text import Message, msg
from webapp.runs.pipeline.chunk import OUTCOMES
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.sight import Sight, other, sight_of_run
from webapp.runs.sight_records import Shown

if TYPE_CHECKING:
    from webapp.runs.explanation import Explanation, Result

_IMAGES = ("before", "after", "own_before", "own_after")
WITHHELD = msg(
    "You may not see all values that the rule reads or writes here, so only what became of the record is shown. Ask an"
    " administrator for a role that may."
)


def shown_explanation(tx: sa.Connection, told: Explanation) -> Explanation | None:
    """Return an explanation as far as who asks may see it; None where they may not see the record."""
    sight = sight_of_run(tx, told.run.id)
    if sight.everything:
        side = told.result.side
        sight.looked({side: told.result.left_key, other(side): told.result.right_key})
        return told
    result = _result(Shown(tx, sight, told.run.id), told)
    if result is None:
        return None
    if all(sight.sides[side].plain(name) for side, name in _touched(told)) and _whole(sight, told):
        return replace(told, result=result)
    return replace(told, result=result, trace=None, untold=WITHHELD, proofs=(), story=None, versions={})


def _touched(told: Explanation) -> Iterator[tuple[str, str]]:
    """Yield side and name of the fields whose values the explanation tells of."""
    if told.trace is None:
        return
    side = told.result.side
    yield from ((side, name) for name in told.trace.read)
    yield from ((other(side), field.name) for field in told.trace.fields)
    if told.story is not None:
        yield from ((at, name) for one in told.story.fields for at, name in one.fields.items() if name)
        if told.story.partner is not None:
            yield from ((other(side), name) for name in told.story.partner.read)


def _whole(sight: Sight, told: Explanation) -> bool:
    """Tell whether the records of both sides may be seen: a sentence may quote either."""
    return told.trace is None or all(one.known for one in sight.sides.values())


def _result(shown: Shown, told: Explanation) -> Result | None:
    row = _row(told)
    seen = next(shown.outcomes(pl.DataFrame([row], schema=OUTCOMES)), None)
    if seen is None:
        return None
    images: dict[str, Any] = {name: json.loads(seen[name] or "{}") for name in _IMAGES}
    reason = Message.from_json(json.loads(seen["reason"])) if seen["reason"] else None
    keys = {name: seen[name] for name in ("left_key", "right_key", "raw")}
    return replace(told.result, **keys, **images, reason=reason)


def _row(told: Explanation) -> dict[str, Any]:
    """Return the result as a row of a chunk's outcomes, with what the rule has read of the record."""
    result = told.result
    images = {name: json.dumps(getattr(result, name)) if getattr(result, name) else None for name in _IMAGES}
    reason = json.dumps(result.reason.to_json()) if result.reason else None
    read = None if told.trace is None or not told.trace.read else _text(told.trace.read)
    names = ("record_no", "left_key", "right_key", "situation", "outcome", "stage", "field", "place", "side")
    plain = {name: getattr(result, name) for name in names}
    return {**dict.fromkeys(OUTCOMES), **plain, **images, "reason": reason, "record": read}


def _text(values: Mapping[str, Any]) -> str:
    return to_texts(pl.DataFrame([dict(values)]))[0]
