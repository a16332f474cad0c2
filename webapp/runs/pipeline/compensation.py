"""What takes a chunk of a finished run back: deletions of what it created, old values, deleted records created again.

Each write of the chunk is undone only as far as its fields still hold what the run wrote. What was changed since stays,
and the outcome of the record says which field it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from rules.reconcile.one_way import key_values
from rules.reconcile.situations import MOVED, UNDONE, Outcome
from rules.schema import Change, Op
from rules.text import Message, msg
from webapp.runs.pipeline.chunk import OUTCOMES, Chunk, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.ends import Ends
from webapp.runs.pipeline.held import Held, differing, there
from webapp.runs.pipeline.images import imaged
from webapp.runs.pipeline.unreadable import Bad

_UNTOLD = msg("The database has worked out itself what it got, which is not kept, so it stays.")
CHANGES = (Outcome.CREATED.value, Outcome.UPDATED.value, Outcome.DELETED.value)


@dataclass
class _Row:
    """A record to be undone: what becomes of it, and why parts of it stay."""

    outcome: Outcome = Outcome.SKIPPED
    situation: str = MOVED
    images: dict[str, str] = field(default_factory=dict)
    stays: list[Message] = field(default_factory=list)
    field: str | None = None

    def keep(self, message: Message, name: str | None = None) -> None:
        """Note what stays as it is."""
        self.stays.append(message)
        self.field = self.field or name

    def reason(self) -> str | None:
        """Return what stays as outcomes hold it."""
        if not self.stays:
            return None
        both = Message("{one} {other}", {"one": self.stays[0], "other": self.stays[-1]})
        return json.dumps((self.stays[0] if len(self.stays) == 1 else both).to_json(), ensure_ascii=False)


@dataclass(frozen=True)
class _Image:
    """One record that the run has written on one side: its place, its key, what it held before and after."""

    row: int
    key: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class Compensation:
    """Makes the chunk that undoes one chunk, compared with what both ends of the rule hold now."""

    def __init__(self, ends: Ends, outcomes: pl.DataFrame) -> None:
        self.ends = ends
        self.done = outcomes.filter(pl.col("outcome").is_in(CHANGES)).reverse()
        self.side = str(self.done["side"].drop_nulls().first() or "left")
        self.own, self.other = ends.sides(self.side)
        self._rows = [_Row() for _ in range(self.done.height)]
        untold = (
            (self.done["outcome"] == Outcome.CREATED) & self.done["after"].is_null() & self.done["own_after"].is_null()
        )
        for row in untold.arg_true():
            self._rows[row].keep(_UNTOLD)

    def chunk(self, no: int, first: int) -> Chunk:
        """Return the chunk that undoes the changes; its first record gets the number `first`."""
        done = self.done
        writes = (*self._side(done, own=False), *self._side(done, own=True))
        told = pl.DataFrame(
            {
                "record_no": pl.int_range(first, first + done.height, dtype=pl.Int64, eager=True),
                "situation": [row.situation for row in self._rows],
                "outcome": [row.outcome.value for row in self._rows],
                "field": [row.field for row in self._rows],
                "reason": [row.reason() for row in self._rows],
                **{name: [row.images.get(name) for row in self._rows] for name in _IMAGES},
                **{name: done[name] for name in ("left_key", "right_key", "side")},
            },
            schema_overrides={n: OUTCOMES[n] for n in ("situation", "outcome", "field", "reason", *_IMAGES)},
        )
        missing = {name: pl.lit(None, dtype=dtype) for name, dtype in OUTCOMES.items() if name not in told.columns}
        told = told.with_columns(**missing).select(*OUTCOMES)
        chunk = Chunk(no, told, writes, self._links(done, writes), side=self.side)
        return imaged(chunk, lambda own: self.own if own else self.other)

    def _side(self, done: pl.DataFrame, *, own: bool) -> Iterator[Write]:
        side, key = (self.own, "left_key") if own else (self.other, "right_key")
        images = list(_images(done, key, "own_" if own else ""))
        yield from self._recreate([i for i in images if i.after is None], side, own=own)
        yield from self._restore([i for i in images if i.after is not None and i.before is not None], side, own=own)
        yield from self._delete([i for i in images if i.before is None], side, own=own)

    def _recreate(self, images: Sequence[_Image], side: Held, *, own: bool) -> Iterator[Write]:
        """Create again what was deleted, unless a record has its key by now; the system makes its keys as ever."""
        names = [
            f.name for f in side.schema.fields if not f.generated and any(f.name in (i.before or {}) for i in images)
        ]
        held = self._now(images, side, ())
        rows = []
        for image, present in zip(images, there(held), strict=True):
            if present:
                text = msg("A record with the key '{key}' is in {place} by now.", key=image.key, place=side.place)
                self._rows[image.row].keep(text, side.key)
            else:
                rows.append(image)
        if rows:
            values = side.typed([json.dumps(image.before) for image in rows], names)
            self._note(rows, Outcome.CREATED, {"after": to_texts(values)}, own=own)
            yield Write(Change(Op.CREATE, side.key, values), _places(rows), own=own)

    def _restore(self, images: Sequence[_Image], side: Held, *, own: bool) -> Iterator[Write]:
        """Give updated records their old values back, field by field, where they still hold what the run wrote."""
        groups: dict[tuple[str, ...], list[_Image]] = {}
        for image, fields in self._untouched(images, side):
            if fields:
                groups.setdefault(fields, []).append(image)
        for fields, rows in groups.items():
            values = side.typed([json.dumps(image.before) for image in rows], fields)
            now = side.typed([json.dumps(image.after) for image in rows], fields)
            self._note(rows, Outcome.UPDATED, {"before": to_texts(now), "after": to_texts(values)}, own=own)
            keys = key_values(pl.Series([image.key for image in rows]), side.schema[side.key].dtype).alias(side.key)
            yield Write(Change(Op.UPDATE, side.key, values.insert_column(0, keys)), _places(rows), own=own)

    def _delete(self, images: Sequence[_Image], side: Held, *, own: bool) -> Iterator[Write]:
        """Delete what was created, unless somebody has changed it since."""
        whole = [image for image, fields in self._untouched(images, side) if len(fields) == len(image.after or {})]
        if whole:
            self._note(whole, Outcome.SKIPPED, {}, own=own)
            keys = key_values(pl.Series([image.key for image in whole]), side.schema[side.key].dtype).alias(side.key)
            yield Write(Change(Op.DELETE, side.key, keys.to_frame()), _places(whole), own=own)

    def _untouched(self, images: Sequence[_Image], side: Held) -> Iterator[tuple[_Image, tuple[str, ...]]]:
        """Yield each record that is still there with its fields that hold what the run wrote; note all others."""
        names = [name for name in side.schema.names if any(name in (image.after or {}) for image in images)]
        bad = Bad()
        now = self._now(images, side, names, bad)
        then = side.typed([json.dumps(image.after) for image in images], names)
        for image, present, changed in zip(images, there(now), differing(then, now, names), strict=True):
            written = list(image.after or {})
            touched = [name for name in written if name in changed or name not in side.schema]
            if image.key in bad:
                why = bad[image.key]
                text = msg(
                    "It cannot be read in {place}, so it stays: {problem}", place=side.place, problem=why.message
                )
                self._rows[image.row].keep(text, why.field)
                continue
            if not present:
                self._rows[image.row].keep(msg("It is gone from {place}.", place=side.place))
                continue
            if touched:
                text = msg(
                    "Changed in {place} since, so it stays: {fields}.", place=side.place, fields=", ".join(touched)
                )
                self._rows[image.row].keep(text, touched[0])
            yield image, tuple(name for name in written if name not in touched)

    @staticmethod
    def _now(images: Sequence[_Image], side: Held, names: Sequence[str], bad: Bad | None = None) -> pl.DataFrame:
        return side.beside(pl.Series([image.key for image in images], dtype=pl.String), names, bad)

    def _note(self, images: Sequence[_Image], outcome: Outcome, texts: Mapping[str, list[str]], *, own: bool) -> None:
        for place, image in enumerate(images):
            row = self._rows[image.row]
            row.situation = UNDONE
            row.outcome = max(row.outcome, outcome, key=_WEIGHT.__getitem__)
            row.images |= {("own_" if own else "") + name: found[place] for name, found in texts.items()}

    def _links(self, done: pl.DataFrame, writes: Sequence[Write]) -> pl.DataFrame:
        """Return the links that go with records that are deleted again, and those that come back with others.

        What was deactivated had lost its link, as its record was gone.
        """
        now = self.ends.partners(self.side, done["left_key"])
        rows = [row for write in writes if write.change.op is Op.DELETE for row in write.rows]
        deleted = pl.int_range(done.height, eager=True).is_in(rows) & done["left_key"].is_not_null()
        restored = (done["outcome"] == Outcome.UPDATED) & (done["situation"] == f"deleted_{self.side}")
        restored &= pl.Series([row.situation == UNDONE for row in self._rows], dtype=pl.Boolean)
        gone = self.ends.unlinked(done.filter(deleted & now.eq_missing(done["right_key"])))
        return pl.concat([gone, self.ends.relinked(done.filter(restored & now.is_null()))])


_IMAGES = ("before", "after", "own_before", "own_after")
_WEIGHT = {Outcome.SKIPPED: 0, Outcome.UPDATED: 1, Outcome.CREATED: 2}


def _images(done: pl.DataFrame, key: str, prefix: str) -> Iterator[_Image]:
    columns = (key, f"{prefix}before", f"{prefix}after")
    for row, (name, before, after) in enumerate(done.select(columns).iter_rows()):
        if name is not None and (before is not None or after is not None):
            yield _Image(row, name, _plain(before), _plain(after))


def _plain(text: str | None) -> Mapping[str, Any] | None:
    return None if text is None else json.loads(text)


def _places(images: Sequence[_Image]) -> pl.Series:
    return pl.Series("row", [image.row for image in images], dtype=pl.UInt32)
