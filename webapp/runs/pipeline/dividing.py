"""Splitting a run: its source is cut by key into slices, on which many workers can work at a time.

A slice does not know what the others do at the moment. So a run is split only where that makes no difference to any
record: where each record of the target belongs to the record of the source with the same key, and to no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import sqlalchemy as sa

from connectors.errors import Fenced
from connectors.ranges import Cuts, Ranged, ranges
from connectors.spi import Connector, Fence
from rules.documents.flows import flows
from rules.documents.policies import Split
from rules.documents.sync import On, Transaction
from rules.text import N_, Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM
from webapp.runs.pipeline.chunk import add_counts
from webapp.runs.pipeline.execute import Execution
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.named import expected
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.writing import Target
from webapp.runs.slices.models import run_slice, run_split


class Divided(Fenced):
    """The run is split: it is worked on by whoever claims its slices, and by this claim no more."""


class Dividing(Execution):
    """One worker's work on a run that is split, or else carried out as a whole."""

    def _correlate(self, reader: Connector, planner: Planner, target: Target[Links], links: Links) -> None:
        """Split the run before anything is read, where it is large enough and nothing speaks against it."""
        split = self.rule.split
        if split is not None and not self.journal.chunks and self._may_be_over(reader, split):
            reason = next(self._whole_because(reader, planner, target), None)
            cuts = self._cuts(reader, split) if reason is None else []
            if reason is not None:
                self.journal.log("info", msg(N_("The run is not split: {reason}"), reason=reason))
            elif len(cuts) * split.every >= split.over:
                self._divide(cuts)
                raise Divided
        super()._correlate(reader, planner, target, links)

    def _may_be_over(self, reader: Connector, split: Split) -> bool:
        """Tell whether the source may hold that many records; what it says itself may be an estimate."""
        told = expected(self.claim, reader, self.sides, self.retry)
        return told is None or told * 2 >= split.over

    def _cuts(self, reader: Connector, split: Split) -> Cuts:
        thing = (self.sides.source.object, self.sides.source_key)
        return self.retry(lambda: cast(Ranged, reader).cuts(*thing, split.every))

    def _divide(self, cuts: Cuts) -> None:
        claim, parts = self.claim, ranges(self.sides.source_key, cuts)
        nothing = {"run_id": claim.run_id, "state": "queued", "counts": add_counts([])}
        rows = [{**nothing, "no": no, "start": one.start, "end": one.end} for no, one in enumerate(parts, 1)]
        head = {"run_id": claim.run_id, "key": self.sides.source_key, "slices": len(parts), "chunks": 0, "records": 0}
        with self.house.db.begin() as tx:
            self.journal.guard(tx)
            tx.execute(sa.insert(run_split).values(head))
            tx.execute(sa.insert(run_slice), rows)
            after = {"slices": len(parts), "by": self.sides.source_key}
            event = Event(Tag.RUN_SPLIT, Subject("rule", claim.rule_name), None, after, run_id=claim.run_id)
            record(tx, SYSTEM, self.house.clock(), event)
        text = N_("The run is split into {count} slices by '{field}'; each is worked on by whichever worker is free.")
        self.journal.log("info", msg(text, count=len(parts), field=self.sides.source_key))

    def _whole_because(self, reader: Connector, planner: Planner, target: Target[Links]) -> Iterator[Message]:
        """Yield what speaks against it."""
        there, key = target.connector, self.sides.source_key
        if not reader.spec.capabilities.ranges or planner.source_schema.key != (key,):
            yield msg("{object} cannot be cut by '{field}'.", object=self.sides.source.object, field=key)
        yield from self._ruled_out(planner, target)
        able = there.spec.capabilities
        fence = Fence(self.scope, self.claim.token, self.claim.run_id, 0)
        if not (able.transactions and able.concurrent and self.retry(lambda: there.applied(fence)) is not None):
            yield msg("{object} does not tell several writers apart.", object=target.object)
        rows = target.links.rows
        if not rows["left_key"].equals(rows["right_key"]):
            yield msg("Some records are linked to others with another key.")

    def _ruled_out(self, planner: Planner, target: Target[Links]) -> Iterator[Message]:
        """Yield what of the rule speaks against it."""
        if self.rule.transaction is not Transaction.NONE:
            yield msg("What is written belongs to transactions over several systems.")
        if self.rule.correlate:
            yield msg("Partners are found by their values, among all records.")
        if not self._keeps_keys(planner):
            yield msg("Records of {object} do not get the keys of those that are read.", object=target.object)
        if any(one.unique for one in self.rule.validations):
            yield msg("Validations ask for values that occur only once, among all records.")
        if any(one.reference == self.rule.name for one in self.rule.fields):
            yield msg("Records refer to others of the same rule.")

    def _keeps_keys(self, planner: Planner) -> bool:
        """Tell whether each record of the target gets the key of its partner as it is."""
        own, theirs = self.sides.source_key, self.sides.target_key
        kinds = [planner.source_schema[own].type, planner.whole_target[theirs].type]
        entries = [one for one in flows(self.rule)[0].entries if one.target == theirs]
        plain = all(
            (one.source, one.expression, one.when, one.reference) == (own, None, None, None) and On.CREATE in one.on
            for one in entries
        )
        return len(entries) == 1 and plain and kinds[0] is kinds[1]
