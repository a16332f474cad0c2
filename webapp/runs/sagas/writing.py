"""A chunk of a rule whose transaction is a saga: its records are written, then each step is done for all of them.

A record that is refused by a step is taken back by all steps before, and parked like any other that is refused.
Whatever the worker dies of, the next one finds in the ledger where it was.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from connectors.errors import ConnectorError
from connectors.spi import Connector, Fence
from rules.documents.problems import DocumentError, errors
from rules.documents.sync import SyncRule, Transaction
from rules.mapping.saga import SagaPlan, compile_saga
from webapp.extensions import House
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.journal import Claim, Journal
from webapp.runs.pipeline.retry import Retry
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.through import go_through
from webapp.runs.pipeline.writing import Target
from webapp.runs.sagas import ledger
from webapp.runs.sagas.chunks import Work

if TYPE_CHECKING:
    from webapp.runs.pipeline.systems import Systems


@dataclass
class SagaWriter:
    """Writes the chunks of one claim; `stack` keeps the systems of its steps open as long as the claim is worked on."""

    house: House
    claim: Claim
    rule: SyncRule
    systems: Systems
    stack: ExitStack
    journal: Journal
    _stop: ConnectorError | None = None
    _open: dict[str, Connector] = field(default_factory=dict)

    def write(self, target: Target[Any], chunk: Chunk, fence: Fence, retry: Retry, /, *, again: bool) -> Chunk:
        """Write a chunk and return it with its true outcomes; raises what has stopped a step of the chunk before."""
        if self._stop is not None:
            raise self._stop
        return Work(self, target, chunk, fence, retry).done(again=again)

    def abandoned(self, target: Target[Any], half: Chunk, fence: Fence, journal: Journal, /) -> Chunk | None:
        """Return a chunk that a stopped run had begun as it is once that is taken back; None: nothing was written."""
        once = Retry(0, exponential=False, wait=lambda _seconds: None, tell=lambda _error, _attempt, _seconds: None)
        return Work(replace(self, journal=journal), target, half, fence, once).abandoned()

    @property
    def writes(self) -> bool:
        """Tell whether the rule has steps now; where it had them, there may still be something to take back."""
        return self.rule.transaction is Transaction.SAGA

    @cached_property
    def plan(self) -> SagaPlan:
        """Return the steps, as the fields of all systems are now; raises `DocumentError`."""
        sides, schema = Sides.of(self.rule), self.systems.schema
        source, target = (schema(end.connection, end.object) for end in (sides.source, sides.target))
        plan, problems = compile_saga(self.rule, source, target, schema, self.systems.library)
        if errors(problems):
            raise DocumentError(errors(problems))
        return plan

    def opened(self, name: str) -> Connector:
        """Return the system of a step; it stays open."""
        if name not in self._open:
            self._open[name] = self.stack.enter_context(self.systems.connect(name))
        return self._open[name]

    def stop(self, error: ConnectorError) -> None:
        """Let nothing more be written: a system of the steps does not do its work."""
        self._stop = error


def stepped(systems: Systems, house: House, claim: Claim, rule: SyncRule, stack: ExitStack) -> Systems:
    """Return the systems of a run so that what is written to its target goes on to the steps of its saga."""
    if not claim.live or claim.kind == "undo" or (rule.transaction is not Transaction.SAGA and not _left(house, claim)):
        return systems
    target, writer = (
        Sides.of(rule).target.connection,
        SagaWriter(house, claim, rule, systems, stack, Journal(house, claim)),
    )

    @contextlib.contextmanager
    def connect(name: str) -> Iterator[Connector]:
        with systems.connect(name) as connector:
            if name == target:
                go_through(connector, writer)
            yield connector

    return replace(systems, connect=connect)


def _left(house: House, claim: Claim) -> bool:
    """Tell whether stopped runs of a rule have left sagas that are neither done nor taken back."""
    with house.db.read() as tx:
        return ledger.are_left(tx, claim.rule_id)
