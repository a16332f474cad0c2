"""Opening the ends of a rule, whichever way it flows, without what is marked as deleted there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from connectors.spi import Connector
from rules.documents.flows import object_name
from rules.documents.sync import Direction, SideName, SyncRule
from rules.reconcile.tombstones import tombstones
from rules.trace import named_fields
from webapp.extensions import House
from webapp.runs.pipeline.both_ends import opened_both
from webapp.runs.pipeline.ends import Ends, Run, opened_one_way
from webapp.runs.pipeline.living import Living, Marked
from webapp.runs.pipeline.part import Part
from webapp.runs.pipeline.systems import Systems


def opened(stack: contextlib.ExitStack, house: House, rule: SyncRule, run: Run, systems: Systems) -> Ends:
    """Return the ends of a rule; their connections close with the stack."""
    both_ways = rule.direction is Direction.TWO_WAY
    return (opened_both if both_ways else opened_one_way)(stack, house, rule, run, systems)


def living(systems: Systems, rule: SyncRule) -> Systems:
    """Return the systems of a rule without the records that say themselves that they are deleted."""
    marks = tombstones(rule)
    if not marks:
        return systems

    @contextlib.contextmanager
    def connect(name: str) -> Iterator[Connector]:
        with systems.connect(name) as connector:
            found = {}
            for side, mark in marks.items():
                part = rule.left if side is SideName.LEFT else rule.right
                if part.connection == name:
                    schema = systems.schema(name, part.object)
                    program = Part({"where": mark.text}, schema, systems.library, object_name(rule, side))
                    found[part.object] = Marked(program, named_fields(mark.text, schema))
            yield Living(connector, found) if found else connector

    return replace(systems, connect=connect)
