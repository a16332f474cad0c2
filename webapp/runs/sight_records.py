"""The records of runs as who asks may see them: what was done to them, why, and what they held.

Of a record that a run has changed only the changed fields are stored. Where rows are restricted, the others are taken
from the values that the run has kept, and for entities from the record as it is now; where that does not tell that a
record may be seen, it is not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import polars as pl
import sqlalchemy as sa

from rules.text import Message
from webapp.connections.catalogue import HUB
from webapp.entities import frames, storage
from webapp.runs.models import run, run_input
from webapp.runs.pipeline.chunk import ROW
from webapp.runs.pipeline.codec import to_texts, unpack
from webapp.runs.pipeline.inputs import SIDE
from webapp.runs.sight import Sight, other

Record = Mapping[str, Any]
Wholes = dict[int, dict[str, dict[str, Any]]]
"""Number of a record in its run -> side -> what the run has kept of its values."""
T = TypeVar("T")
AT_ONCE = 500


def kept(tx: sa.Connection, sight: Sight, run_id: int, numbers: Iterable[int]) -> Wholes:
    """Return what a run has kept of the values of records; nothing is looked up where every row may be seen."""
    wanted = sorted(set(numbers))
    if sight.all_rows or not wanted:
        return {}
    found: Wholes = {}
    mine = sa.select(run_input.c.no, run_input.c.first, run_input.c.records).where(run_input.c.run_id == run_id)
    for no, first, records in tx.execute(mine.where(run_input.c.first <= wanted[-1])).all():
        inside = [number for number in wanted if first <= number < first + records]
        if inside:
            blob = tx.scalar(sa.select(run_input.c.blob).where(run_input.c.run_id == run_id, run_input.c.no == no))
            found |= _of_chunk(unpack(blob or b""), sight, [(number, number - first) for number in inside])
    return found


def _of_chunk(parts: Mapping[str, Any], sight: Sight, places: Sequence[tuple[int, int]]) -> Wholes:
    side = str(parts[SIDE][SIDE][0]) if SIDE in parts else sight.reads
    rows = [row for _number, row in places]
    texts = to_texts(parts["inputs"][rows])
    found: Wholes = {number: {side: json.loads(text)} for (number, _row), text in zip(places, texts, strict=True)}
    partners = parts.get("partners")
    if partners is not None and not partners.is_empty():
        there = dict(zip(partners[ROW].to_list(), to_texts(partners.drop(ROW)), strict=True))
        for number, row in places:
            if row in there:
                found[number][other(side)] = json.loads(there[row])
    return found


class Now:
    """The records of entities as they are now, by the key of a rule's side; looked up where rows are restricted."""

    def __init__(self, tx: sa.Connection, sight: Sight, places: Mapping[str, tuple[str, str]]) -> None:
        self._tx = tx
        self._sight = sight
        self._objects = {
            side: name
            for side, (connection, name) in places.items()
            if connection == HUB and not sight.sides[side].all_rows
        }
        self._known: dict[tuple[str, str], dict[str, Any]] = {}

    def knows(self, side: str) -> bool:
        """Tell whether the records of a side are those of an entity."""
        return side in self._objects

    def of(self, side: str, key: str | None) -> dict[str, Any]:
        """Return a record as it is now; nothing where it is gone, or of another system."""
        if key is None or side not in self._objects:
            return {}
        place = (side, key)
        if place not in self._known:
            self._known[place] = self._read(side, key)
        return self._known[place]

    def _read(self, side: str, key: str) -> dict[str, Any]:
        try:
            entity = storage.current(self._tx, self._objects[side])
        except storage.NoEntity:
            return {}
        table, name = storage.table(self._tx, entity), self._sight.sides[side].key
        if name not in entity.schema:
            return {}
        query = sa.select(*(table.c[one] for one in entity.schema.names))
        rows = self._tx.execute(query.where(sa.cast(table.c[name], sa.Text) == key).limit(2)).all()
        if len(rows) != 1:
            return {}
        return dict(json.loads(to_texts(frames.from_rows(entity.schema, rows))[0]))


def places_of(tx: sa.Connection, run_id: int) -> dict[str, tuple[str, str]]:
    """Return connection and object of each side of the rule that a run has executed."""
    document = tx.scalar(sa.select(run.c.document).where(run.c.id == run_id)) or {}
    parts = {side: document.get(side) or {} for side in ("left", "right")}
    return {side: (str(one.get("connection")), str(one.get("object"))) for side, one in parts.items()}


class Shown:
    """Records of one run, as who asks may see them."""

    def __init__(self, tx: sa.Connection, sight: Sight, run_id: int) -> None:
        self._tx = tx
        self._run = run_id
        self.sight = sight
        self._now = Now(tx, sight, {} if sight.all_rows else places_of(tx, run_id))

    @property
    def limited(self) -> bool:
        """Tell whether some records may not be seen."""
        return not self.sight.all_rows

    def rows(self, rows: Sequence[Any]) -> list[Any]:
        """Return rows of `run_record`, or of a chunk, that may be seen."""
        if self.sight.everything:
            for row in rows:
                side = row.side or self.sight.reads
                self.sight.looked({side: row.left_key, other(side): row.right_key})
            return list(rows)
        wholes = kept(self._tx, self.sight, self._run, (row.record_no for row in rows if row.record_no))
        seen = ((row, self._shown(vars(row), wholes.get(row.record_no, {}))) for row in rows)
        return [replace(row, **values) for row, values in seen if values is not None]

    def outcomes(self, frame: pl.DataFrame) -> Iterator[dict[str, Any]]:
        """Yield the rows of a chunk's outcomes that may be seen."""
        wholes = kept(self._tx, self.sight, self._run, frame["record_no"].drop_nulls().to_list())
        for row in frame.iter_rows(named=True):
            whole = wholes.get(row["record_no"], {})
            side, record = row["side"] or self.sight.reads, json.loads(row["record"] or "{}")
            given = {**row, "reason": json.loads(row["reason"]) if row["reason"] else None}
            values = self._shown(given, {**whole, side: {**record, **whole.get(side, {})}} if record else whole)
            if values is None:
                continue
            reason = values["reason"] and json.dumps(values["reason"], ensure_ascii=False)
            seen = _text(self.sight.sides[side].values(record)) if record else None
            yield {**row, **values, "reason": reason, "record": seen, "raw": None}

    def _shown(self, row: Record, whole: Mapping[str, Record]) -> dict[str, Any] | None:
        """Return what is seen of keys, images and reason of a row; None where it is not seen."""
        side = row["side"] or self.sight.reads
        there = other(side)
        keys = {side: row["left_key"], there: row["right_key"]}
        parts = {"own_before": side, "own_after": side, "before": there, "after": there}
        images = {part: json.loads(row[part] or "{}") for part in parts}
        states = {side: (images["own_before"], images["own_after"]), there: (images["before"], images["after"])}
        if not all(self.sees(name, keys[name], whole.get(name), states[name]) for name in keys):
            return None
        seen = {part: self.sight.sides[at].values(images[part]) for part, at in parts.items()}
        told = {name: self.sight.sides[name].key_text(key) for name, key in keys.items()}
        known = [*told.values(), *(value for image in seen.values() for value in image.values())]
        reason = row["reason"] and self.sight.message(Message.from_json(row["reason"]), known).to_json()
        texts = {part: _text(image) if row[part] else None for part, image in seen.items()}
        return {"left_key": told[side], "right_key": told[there], "reason": reason, **texts}

    def sees(self, side: str, key: str | None, whole: Record | None, images: tuple[Record, Record]) -> bool:
        """Tell whether the record of a side may be seen, both as it was and as it became."""
        mine = self.sight.sides[side]
        if mine.all_rows:
            return True
        before, after = images
        base = {**self._now.of(side, key), **(whole or {})}
        if not (base or before or after) and (key is None or self._now.knows(side)):
            return True  # there is no record on this side
        states = [{**base, **image} for image in (before, after) if image] or [base]
        return all(mine.sees(state) for state in states)


def _text(values: Mapping[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def filled(fetch: Callable[[Any, int], Sequence[T]], see: Callable[[Sequence[T]], Iterable[T]],
           place: Callable[[T], Any], after: Any, limit: int) -> list[T]:  # fmt: skip
    """Return the first `limit` rows that may be seen, of those that `fetch` gives behind a place.

    Args:
        fetch: returns at most so many rows behind a place.
        see: returns those of them that may be seen.
        place: of a row, to go on behind it.
        after: the place to begin behind.
        limit: how many are wanted.
    """
    found: list[T] = []
    asked = limit
    while len(found) < limit:
        rows = fetch(after, asked)
        found += see(rows)
        if len(rows) < asked:
            break
        after, asked = place(rows[-1]), AT_ONCE
    return found[:limit]
