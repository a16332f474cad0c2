"""A chunk is written to all its systems or to none: prepared everywhere, decided by one row, then committed everywhere.

What lives in the metadata database itself (the hub) is written in the transaction that decides. A record that one
system refuses is written to none: the attempt is undone, the record is parked, and the others are tried again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl
import sqlalchemy as sa

from connectors.errors import ConnectorError, Misconfigured, Unavailable
from connectors.spi import Connector, Failure, Fence, WriteResult
from connectors.two_phase import TwoPhase, Within
from rules.documents.sync import SyncRule, Transaction
from rules.text import msg
from webapp.extensions import House
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.joint import End, Joint, join
from webapp.runs.pipeline.journal import Claim, Journal
from webapp.runs.pipeline.living import Living
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import OTHER, Sides
from webapp.runs.pipeline.systems import Systems
from webapp.runs.pipeline.writing import settled, without
from webapp.runs.transactions import deciding
from webapp.runs.transactions.deciding import Part
from webapp.runs.transactions.finishing import finish
from webapp.runs.transactions.models import global_transaction
from webapp.runs.transactions.states import BranchState, State

_EARLIER = msg("An earlier transaction of this rule is not finished yet.")
_OTHER_KIND = msg("Choose another kind of transaction for the rule, or another connection.")


class _TornError(Exception):
    """Records were refused by one system that another would write: row of the chunk -> why."""

    def __init__(self, rows: Mapping[int, Failure]) -> None:
        super().__init__()
        self.rows = rows


@dataclass
class TwoPhaseCommit:
    """Writes the chunks of one claim."""

    house: House
    claim: Claim
    _fit: set[str] = field(default_factory=set)

    def write(self, chunk: Chunk, ends: Sequence[End], retry: Retry) -> Chunk:
        """Write a chunk and return it with its true outcomes."""
        while True:
            try:
                number, result = retry(partial(self._attempt, chunk, ends))
            except _TornError as error:
                chunk = without(chunk, error.rows)
                if any(write.rows.len() for write in chunk.writes):
                    continue
                return settled(chunk, WriteResult())
            retry(partial(finish, self.house, number, _lent(ends)))
            return settled(chunk, result)

    def ended(self, fence: Fence) -> bool:
        """Tell whether a chunk of a run was decided to be written, and is, or was taken for that, everywhere."""
        mine = (global_transaction.c.run_id == fence.run, global_transaction.c.chunk_no == fence.chunk)
        with self.house.db.read() as tx:
            return bool(deciding.load(tx, *mine, global_transaction.c.state == State.COMMITTED.value))

    def _attempt(self, chunk: Chunk, ends: Sequence[End]) -> tuple[int, WriteResult]:
        """Return the number of a transaction that is decided and what became of the records; else it is undone."""
        ends = [replace(end, system=system_of(end.system)) for end in ends]  # the fence also of one that lost all
        self._check(ends)
        self._clear(ends)
        number, gids = self._begin(chunk, ends)
        prepared: list[str] = []
        try:
            results = dict(self._prepared(chunk, ends, gids, prepared))
            _heed(chunk, ends, results)
            self._decide(chunk, ends, number, results)
        except Exception:
            self._undo(number, prepared, ends)
            raise
        return number, _merged(chunk, ends, results)

    def _begin(self, chunk: Chunk, ends: Sequence[End]) -> tuple[int, dict[str, str]]:
        parts = [
            Part(
                end.side, end.connection, end.object, end.records(chunk), end.fence.scope,
                own=isinstance(end.system, Within),
            )
            for end in ends
        ]  # fmt: skip
        with self.house.db.begin() as tx:
            Journal(self.house, self.claim).guard(tx)
            rule = (self.claim.rule_id, self.claim.rule_name)
            begun = deciding.begin(tx, rule, ends[0].fence, parts, self.house.clock())
        return begun.id, {branch.side: branch.gid or "" for branch in begun.branches}

    def _prepared(
        self, chunk: Chunk, ends: Sequence[End], gids: Mapping[str, str], prepared: list[str]
    ) -> Iterator[tuple[str, WriteResult]]:
        for end in ends:
            if isinstance(end.system, TwoPhase):
                schema = end.system.schema(end.object)
                result = end.system.write_prepared(end.object, schema, end.changes(chunk), end.fence, gids[end.side])
                prepared.append(end.side)
                yield end.side, result

    def _decide(self, chunk: Chunk, ends: Sequence[End], number: int, results: dict[str, WriteResult]) -> None:
        """Commit the decision, and with it what is written to our own database."""
        with self.house.db.begin() as tx:
            Journal(self.house, self.claim).guard(tx)
            for side in results:
                deciding.note(tx, number, side, BranchState.PREPARED)
            for end in ends:
                if isinstance(end.system, Within):
                    results[end.side] = end.system.write_within(tx, end.object, end.changes(chunk), end.fence)
            _heed(chunk, ends, results)
            deciding.commit(tx, number, self.house.clock())

    def _undo(self, number: int, prepared: Sequence[str], ends: Sequence[End]) -> None:
        """Give an attempt up, unless it was decided; what cannot be undone now is left to recovery."""
        with contextlib.suppress(ConnectorError, sa.exc.SQLAlchemyError):
            if deciding.give_up(self.house, number, prepared):
                finish(self.house, number, _lent(ends))

    def _clear(self, ends: Sequence[End]) -> None:
        """See that nothing of the rule is open: a new attempt must not overtake an old one."""
        with self.house.db.read() as tx:
            found = deciding.open_ones(tx, self.claim.rule_id)
        for transaction in found:
            deciding.give_up(self.house, transaction.id)
            finish(self.house, transaction.id, _lent(ends))

    def _check(self, ends: Sequence[End]) -> None:
        """See once that every system can take part."""
        for end in ends:
            if end.connection not in self._fit:
                refuse_unfit(end.connection, end.system)
                self._fit.add(end.connection)


def refuse_unfit(connection: str, system: Connector) -> None:
    """Raise `Misconfigured` where a system cannot take part in a two-phase commit."""
    if isinstance(system, Within):
        return
    if not isinstance(system, TwoPhase):
        text = msg("{connection} cannot keep a write ready until all have agreed to it.", connection=connection)
        raise Misconfigured(text, _OTHER_KIND)
    problem = system.unfit()
    if problem is not None:
        text = msg("{connection} cannot take part: {problem}", connection=connection, problem=problem)
        raise Misconfigured(text, _OTHER_KIND)


def joined(systems: Systems, house: House, claim: Claim, rule: SyncRule) -> Systems:
    """Return the systems of a run so that a chunk is written to all of them or to none, if its rule asks for that."""
    if rule.transaction is not Transaction.TWO_PHASE or not claim.live:
        return systems
    together, side = TwoPhaseCommit(house, claim), OTHER[Sides.of(rule).source_name]

    @contextlib.contextmanager
    def connect(name: str) -> Iterator[Connector]:
        with systems.connect(name) as connector:
            join(connector, Joint(together, name, side))
            yield connector

    return replace(systems, connect=connect)


def system_of(connector: Connector) -> Connector:
    """Return the system behind a view of its records."""
    return connector.system if isinstance(connector, Living) else connector


def _lent(ends: Sequence[End]) -> Callable[[str], contextlib.AbstractContextManager[Connector]]:
    """Return how to reach the systems that are open already."""
    known = {end.connection: system_of(end.system) for end in ends}

    def connect(name: str) -> contextlib.AbstractContextManager[Connector]:
        if name not in known:
            raise Unavailable(_EARLIER)
        return contextlib.nullcontext(known[name])

    return connect


def _heed(chunk: Chunk, ends: Sequence[End], results: Mapping[str, WriteResult]) -> None:
    """Raise `_TornError` where a record is refused by one system and written by another."""
    refused: dict[int, Failure] = {}
    writing: dict[int, set[str]] = {}
    for end in ends:
        for place in end.places:
            for row in chunk.writes[place].rows.to_list():
                writing.setdefault(row, set()).add(end.side)
        for failure in results[end.side].failures if end.side in results else ():
            refused[chunk.writes[end.places[failure.change]].rows[failure.row]] = failure
    torn = {row: failure for row, failure in refused.items() if len(writing[row]) > 1}
    if torn:
        raise _TornError(torn)


def _merged(chunk: Chunk, ends: Sequence[End], results: Mapping[str, WriteResult]) -> WriteResult:
    """Return what became of all writes of a chunk, numbered as in the chunk."""
    failures, warnings = [], []
    keys: list[pl.Series | None] = [None] * len(chunk.writes)
    for end in ends:
        result = results[end.side]
        failures += [replace(f, change=end.places[f.change]) for f in result.failures]
        warnings += [replace(w, change=end.places[w.change]) for w in result.warnings]
        for place, made in zip(end.places, result.keys, strict=False):
            keys[place] = made
    return WriteResult(tuple(failures), tuple(keys), tuple(warnings))
