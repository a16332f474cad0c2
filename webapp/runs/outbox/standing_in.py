"""What stands in for the target of a rule with an outbox while its runs are at work."""

from __future__ import annotations

from dataclasses import replace

from rules.documents.sync import SyncRule, Transaction
from rules.schema import Schema
from rules.text import N_, msg
from webapp.connections.catalogue import connector_class
from webapp.connections.opening import stored
from webapp.connections.probing import object_schema
from webapp.extensions import House
from webapp.runs.outbox.keeping import Place, open_count
from webapp.runs.pipeline.journal import Claim, Suspended
from webapp.runs.pipeline.posting import Posted
from webapp.runs.pipeline.sides import Sides
from webapp.runs.pipeline.systems import Systems


def posting(systems: Systems, house: House, claim: Claim, rule: SyncRule) -> Systems:
    """Return the systems of a run so that what it writes waits in the outbox, if its rule asks for that.

    Raises `Suspended` for a run that would write past what is under way.
    """
    if claim.kind == "verify":
        return systems
    if rule.transaction is not Transaction.OUTBOX:
        _refuse_overtaking(house, claim)
        return systems
    sides = Sides.of(rule)
    target = (sides.target.connection, sides.target.object)
    posted = Posted(
        connector_class(stored(house, target[0]).connector),
        Place(claim.rule_id, claim.rule_name, sides.source_name, *target, house.clock),
    )

    def schema(name: str, thing: str) -> Schema:
        return object_schema(house, name, thing) if (name, thing) == target else systems.schema(name, thing)

    return replace(systems, schema=schema, posted=posted)


def _refuse_overtaking(house: House, claim: Claim) -> None:
    if not claim.live:
        return
    with house.db.read() as tx:
        number = open_count(tx, claim.rule_id)
    if number:
        text = N_(
            "{count} deliveries of the time when the rule had an outbox are under way. Wait for them, or drop them,"
            " then resume the run."
        )
        raise Suspended(msg(text, count=number))
