"""One chunk of a run: the outcome of every record read, and the writes that make it so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from rules.reconcile.situations import Outcome
from rules.schema import Change, Op
from webapp.runs.pipeline import checked as verdicts
from webapp.runs.pipeline import hits as decisions
from webapp.runs.pipeline import made as creations
from webapp.runs.pipeline.checked import Checked
from webapp.runs.pipeline.codec import pack, unpack
from webapp.runs.pipeline.inputs import Inputs
from webapp.runs.pipeline.made import Made
from webapp.runs.pipeline.packing import NOTHING, Bodies, Packed

OUTCOMES = {
    "record_no": pl.Int64(),  # 1-based place in the run; null for a record of the target that was deleted
    "left_key": pl.String(),
    "right_key": pl.String(),
    "situation": pl.String(),
    "outcome": pl.String(),
    "side": pl.String(),  # left or right: where the record was read
    "before": pl.String(),  # JSON of the fields that change on the other side
    "after": pl.String(),  # of a created record: see `Chunk.made`
    "own_before": pl.String(),  # JSON of the fields that change on the side where the record was read
    "own_after": pl.String(),
    "stage": pl.String(),  # of a parked record: read, scope, validate, map, match, write; of a rejected one: validate
    "field": pl.String(),
    "reason": pl.String(),  # JSON of a Message
    "place": pl.String(),  # where in the source, where the source says so
    "record": pl.String(),  # JSON of the source record, of those that are parked or rejected
    "raw": pl.String(),  # text of a source record that could not be read
}
WAITING = {
    "left_key": pl.String(),
    "right_key": pl.String(),
    "situation": pl.String(),
    "details": pl.String(),  # JSON: the fields in question, or the possible partners
    "seen": pl.String(),  # digest of the values in question
}
PAIRS = {
    "left_key": pl.String(),
    "right_key": pl.String(),
    "left_hash": pl.UInt64(),
    "right_hash": pl.UInt64(),
    "op": pl.String(),  # link | apart | gone
}
ROW = "__row"
COUNTED = tuple(o.value for o in Outcome)


@dataclass(frozen=True)
class Write:
    """A change and, for each of its records, the row in the chunk's outcomes that it belongs to.

    `own` tells that it goes to the side where the chunk's records were read, not to the other one.
    """

    change: Change
    rows: pl.Series
    own: bool = False


@dataclass(frozen=True)
class Chunk:
    """What a page comes to. `outcomes` has the columns `OUTCOMES`, one row a record read.

    `inputs` are the values that the rule read, unless they are stored already or not to be kept. `checked` is what the
    validations said, `hits` which rows of decision tables decided. `left_out` counts the records out of scope that the
    source left out since the page before. It is negative where some of them were asked for after all.
    """

    no: int
    outcomes: pl.DataFrame
    writes: tuple[Write, ...] = ()
    links: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema={"left_key": pl.String(), "right_key": pl.String()})
    )
    position: dict[str, Any] | None = None
    high: Any = None
    inputs: Inputs | None = None
    checked: Checked = field(default_factory=verdicts.nothing)
    hits: pl.DataFrame = field(default_factory=decisions.nothing)
    left_out: int = 0
    side: str = "left"
    """Two-way: the side that the records were read on; in all frames `left_key` is the key on that side."""
    baseline: pl.DataFrame | None = None
    """Two-way: what both sides agree on after the chunk, `left_key` and the columns of `rules.reconcile.baseline`."""
    waiting: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=WAITING))
    """Pairs that wait for a person's decision."""
    answered: tuple[str, ...] = ()
    """The pairs that have waited and need not any more, by name."""
    records: pl.DataFrame | None = None
    """The records read, as far as they may have to be parked, with their rows in `outcomes` as column `ROW`."""
    made: tuple[Made, ...] = ()
    """What was created, once it is written."""
    plan: bytes | None = None
    """Of a simulation: the chunk as it would be written (`dump`), for a person to approve."""
    posted: pl.DataFrame | None = None
    """Of a rule with an outbox: what is to be delivered, in the columns `webapp.runs.outbox.keeping.POSTED`."""
    packed: Packed = field(default_factory=Packed, compare=False)
    """What of it is compressed already."""

    @property
    def read(self) -> int:
        """Return how many source records the chunk accounts for."""
        return self.outcomes["record_no"].count()


def behind(chunk: Chunk, number: int) -> Chunk:
    """Return a chunk whose records are numbered from 1 with numbers behind another one."""
    return replace(chunk, outcomes=chunk.outcomes.with_columns(pl.col("record_no") + number))


def counts(chunk: Chunk) -> dict[str, int]:
    """Return the counts of a chunk; `read` is the sum of all others but `deleted`."""
    counted = chunk.outcomes.filter(pl.col("record_no").is_not_null() | (pl.col("outcome") == Outcome.DELETED))
    found = dict(counted["outcome"].value_counts().iter_rows())
    found[Outcome.SKIPPED.value] = found.get(Outcome.SKIPPED.value, 0) + chunk.left_out
    return {"read": chunk.read + chunk.left_out, **{name: found.get(name, 0) for name in COUNTED}}


def body(chunk: Chunk, packed: Packed) -> bytes:
    """Return what is kept of a chunk that is checked in: what became of its records, and why."""
    more = {**verdicts.frames(chunk.checked), **decisions.frames(chunk.hits), **creations.frames(chunk.made)}
    return pack({"outcomes": chunk.outcomes, **more}, packed)


def add_counts(parts: Iterable[dict[str, int]]) -> dict[str, int]:
    """Return the sums of several counts."""
    total = {"read": 0, **dict.fromkeys(COUNTED, 0)}
    for part in parts:
        for name, number in part.items():
            total[name] += number
    return total


def touched(chunk: Chunk) -> pl.DataFrame | None:
    """Return the records read that are written or parked."""
    if chunk.records is None:
        return None
    parked = chunk.outcomes["stage"].is_not_null().arg_true()
    rows = pl.concat([parked, *(write.rows.cast(parked.dtype) for write in chunk.writes)]).unique()
    return chunk.records.filter(pl.col(ROW).is_in(rows.implode()))


def dump(chunk: Chunk, records: pl.DataFrame | None, packed: Packed | None = None, held: Bodies = NOTHING) -> bytes:
    """Return the chunk, and records that belong to it, as a blob that survives a crash before it is checked in.

    Columns that are `held` beside it are only named.
    """
    frames = {"outcomes": chunk.outcomes, "links": chunk.links}
    frames |= {} if records is None else {"records": records}
    frames |= {**verdicts.frames(chunk.checked), **decisions.frames(chunk.hits)}
    frames |= {} if chunk.baseline is None else {"baseline": chunk.baseline}
    frames |= {} if chunk.waiting.is_empty() else {"waiting": chunk.waiting}
    frames |= {"answered": pl.DataFrame({"pair": chunk.answered})} if chunk.answered else {}
    for number, write in enumerate(chunk.writes):
        side = "own" if write.own else "other"
        frames[f"{number}:{write.change.op}:{side}:{write.change.key}"] = write.change.records
        frames[f"{number}:rows"] = write.rows.to_frame("row")
    return pack(frames, packed, held)


def load(no: int, blob: bytes, note: Mapping[str, Any], held: Mapping[str, bytes] | None = None) -> Chunk:
    """Return the chunk that `dump` was given; `note` and `held` have what is kept beside the blob."""
    frames = unpack(blob, held)
    outcomes, links, checked = frames.pop("outcomes"), frames.pop("links"), verdicts.take(frames)
    hits = decisions.take(frames)
    more: dict[str, Any] = {name: frames.pop(name) for name in ("baseline", "waiting", "records") if name in frames}
    if "answered" in frames:
        more["answered"] = tuple(frames.pop("answered")["pair"])
    rows = {name.partition(":")[0]: frame["row"] for name, frame in frames.items() if name.endswith(":rows")}
    writes = []
    for name, frame in frames.items():
        number, op, *rest = name.split(":", 3)
        if op != "rows":
            writes.append(Write(Change(Op(op), rest[1], frame), rows[number], own=rest[0] == "own"))
    place = {name: note[name] for name in ("position", "high", "left_out", "side")}
    return Chunk(no, outcomes, tuple(writes), links, checked=checked, hits=hits, **place, **more)
