"""A rule with an outbox: what its runs write waits there, and its target is asked nothing.

To a run the target is like a queue: it goes by what it has sent last. What it sends commits with the chunk. The links
that it keeps in mind are those that there will be once all is delivered; stored are those that the target has
confirmed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import polars as pl
import sqlalchemy as sa

from connectors.errors import ObjectMissing
from connectors.spi import Connector, Context, Failure, Fence, ObjectInfo, Page, ReadRequest, Step, WriteResult
from rules.reconcile.one_way import TargetField, key_text
from rules.reconcile.situations import Situation
from rules.schema import Op, Schema
from rules.text import N_, Message, msg
from webapp.runs.outbox import keeping
from webapp.runs.outbox.keeping import POSTED, Place
from webapp.runs.pipeline.chunk import ROW, Chunk, Write
from webapp.runs.pipeline.codec import to_texts
from webapp.runs.pipeline.joint import End, Joint, join
from webapp.runs.pipeline.link_log import Connect, LinkLog
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.packing import Packed
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.writing import settled, without

_LONGEST = 255
_NO_KEY = N_("The rule gives it no key in {connection}, so nobody could tell whether it has arrived.")
_ODD_KEY = N_("Its key is longer than 255 characters or holds a NUL, which cannot be kept for a later delivery.")
_PARTS = (Situation.DELETED_LEFT.value, Situation.DELETED_RIGHT.value, Situation.OUT_OF_SCOPE.value)
"""Where a record is updated in these, only the mark of what is gone is written."""


class Posted(Connector):
    """The target of a rule with an outbox, as its runs see it: nobody can ask it anything."""

    def __init__(self, kind: type[Connector], place: Place) -> None:
        super().__init__({}, Context())
        blind = {"messages": True, "concurrent": True, "transactions": False, "two_phase": False, "filter": False}
        able = replace(kind.spec.capabilities, **blind)
        self.spec = replace(kind.spec, capabilities=able)  # type: ignore[misc] # its own
        self.place = place
        join(self, Joint(Outbox(place), place.connection, "right" if place.side == "left" else "left"))

    def links(self, connect: Connect, schemes: tuple[str, str]) -> PostedLinks:
        """Return the links of the rule as they will be."""
        return PostedLinks.opened(connect, self.place, schemes)

    def check(self) -> Iterator[Step]:
        """Yield nothing: there is nothing to test."""
        yield from ()

    def objects(self) -> list[ObjectInfo]:
        """Return the one object."""
        return [ObjectInfo(self.place.object)]

    def schema(self, name: str) -> Schema:
        """Raise `ObjectMissing`: the fields are those that were seen last."""
        raise ObjectMissing(msg("There is no object '{object}'.", object=name), object_name=name)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield one empty page."""
        yield Page(request.schema.empty(), {})

    def applied(self, fence: Fence) -> bool:  # noqa: ARG002 - what was sent is checked in with its chunk, or not at all
        """Return that nothing has arrived: a chunk that is not checked in has left nothing."""
        return False


@dataclass(frozen=True)
class Outbox:
    """Writes a chunk by noting what is to be delivered; the journal commits it with the chunk."""

    place: Place

    def write(self, chunk: Chunk, ends: Sequence[End], retry: Retry) -> Chunk:  # noqa: ARG002 - nothing can fail
        """Return a chunk as if the target had taken all of it, with what is to be delivered for that."""
        bad = dict(self._unfit(chunk))
        chunk = without(chunk, bad) if bad else chunk
        posted = pl.concat([pl.DataFrame(schema=POSTED), *(_posted(chunk, write) for write in chunk.writes)])
        return replace(settled(chunk, WriteResult()), posted=posted)

    def ended(self, fence: Fence) -> bool:  # noqa: ARG002 - the chunk itself tells
        """Return that nothing is known of earlier attempts."""
        return False

    def _unfit(self, chunk: Chunk) -> Iterator[tuple[int, Failure]]:
        """Yield the rows whose records cannot be told apart later, and why."""
        for number, write in enumerate(chunk.writes):
            theirs = _target_keys(write)
            for at, row in enumerate(write.rows.to_list()):
                problem = self._problem(chunk.outcomes["left_key"][row], theirs[at])
                if problem is not None:
                    yield row, Failure(number, at, problem)

    def _problem(self, own: str, theirs: str | None) -> Message | None:
        if theirs is None:
            return msg(_NO_KEY, connection=self.place.connection)
        odd = any(len(key) > _LONGEST or "\x00" in key for key in (own, theirs))
        return msg(_ODD_KEY) if odd else None


class PostedLinks(Links):
    """The links of a rule as they will be once all is delivered; what is appended is a delivery."""

    def __init__(self, log: LinkLog, frame: pl.DataFrame, place: Place) -> None:
        super().__init__(log, frame=frame)
        self._place, self._scheme = place, log.schemes[0]

    @classmethod
    def opened(cls, connect: Connect, place: Place, schemes: tuple[str, str]) -> PostedLinks:
        """Return the links of a rule, with what is under way in place of what the target has confirmed."""
        log = LinkLog(place.rule_id, schemes, reverse=place.side == "right")
        with connect() as tx:
            coming = keeping.coming(tx, place.rule_id, schemes[0])  # first: what ends meanwhile is there twice
            keeping.lock_links(tx, place.rule_id)
            log.look(tx)
            known = log.all(tx)
            doubtful = keeping.parked_keys(tx, place.rule_id, place.side)
        links = cls(log, pl.concat([known, coming]), place)
        again = pl.DataFrame({"left_key": doubtful}, schema={"left_key": pl.String()})
        found = again.hstack(links.known(again["left_key"]).select("right_key")).filter(
            pl.col("right_key").is_not_null()
        )
        links._links.add(
            keeping.linked(found["left_key"], found["right_key"], pl.Series([None] * found.height, dtype=pl.UInt64))
        )
        return links

    def append(self, tx: sa.Connection, run_id: int, chunk: Chunk, packed: Packed | None = None) -> None:  # noqa: ARG002
        """Note what is to be delivered, in the caller's transaction."""
        posted = pl.DataFrame(schema=POSTED) if chunk.posted is None else chunk.posted
        told = pl.concat([posted, _link_only(chunk, posted)])
        if told.is_empty():
            return
        hashes = chunk.links.select("left_key", hash="left_hash") if "left_hash" in chunk.links.columns else None
        known = self.known(told["key"])["left_hash"].alias("known")
        frame = told.with_columns(known)
        if hashes is not None:
            frame = frame.join(hashes, left_on="key", right_on="left_key", how="left", maintain_order="left")
            frame = frame.with_columns(hash=pl.coalesce("hash", "known"))
        else:
            frame = frame.rename({"known": "hash"})
        keeping.store(tx, self._place, (run_id, chunk.no, self._scheme), frame)

    def compact(self, tx: sa.Connection, run_id: int) -> None:
        """Leave that to those who write links: they do it as they deliver."""


def in_full(fields: Sequence[TargetField]) -> tuple[TargetField, ...]:
    """Return fields that are all sent: which of them are written is decided where the target can be asked."""
    return tuple(replace(field, on_create=True, on_update=True, weak=False) for field in fields)


def _posted(chunk: Chunk, write: Write) -> pl.DataFrame:
    """Return what is to be delivered for one write."""
    rows, change = write.rows, write.change
    outcomes = chunk.outcomes[rows]
    gone = change.op is Op.DELETE
    fields = ["{}"] * rows.len() if gone else to_texts(change.records)
    return pl.DataFrame(
        {
            "op": [change.op.value] * rows.len(),
            "whole": ~outcomes["situation"].is_in(_PARTS).fill_null(value=False),
            "key": outcomes["left_key"],
            "target_key": _target_keys(write),
            "fields": fields,
            "record": _records(chunk, rows),
            "record_no": outcomes["record_no"],
        },
        schema=POSTED,
    )


def _records(chunk: Chunk, rows: pl.Series) -> pl.Series:
    """Return the source records of rows as texts, null where they are not known."""
    if chunk.records is None:
        return pl.Series([None] * rows.len(), dtype=pl.String)
    wanted = chunk.records.filter(pl.col(ROW).is_in(rows.cast(chunk.records[ROW].dtype).implode()))
    texts = dict(zip(wanted[ROW].to_list(), to_texts(wanted.drop(ROW)), strict=True))
    return pl.Series([texts.get(row) for row in rows.to_list()], dtype=pl.String)


def _target_keys(write: Write) -> pl.Series:
    change = write.change
    if change.key not in change.records.columns:
        return pl.Series([None] * write.rows.len(), dtype=pl.String)
    return key_text(change.records[change.key])


def _link_only(chunk: Chunk, posted: pl.DataFrame) -> pl.DataFrame:
    """Return the links of a chunk that change without a write."""
    rest = chunk.links.filter(~pl.col("left_key").is_in(posted["key"].implode()))
    op = pl.when(pl.col("right_key").is_null()).then(pl.lit("unlink")).otherwise(pl.lit("link"))
    nothing = pl.lit(None, dtype=pl.String)
    return rest.select(
        op=op, whole=pl.lit(value=False), key="left_key", target_key=pl.coalesce("right_key", pl.lit("")),
        fields=pl.lit("{}"), record=nothing, record_no=pl.lit(None, dtype=pl.Int64),
    ).select(*POSTED)  # fmt: skip
