"""Opening the ends of a rule, whichever way it flows."""

from __future__ import annotations

import contextlib

from rules.documents.sync import Direction, SyncRule
from webapp.extensions import House
from webapp.runs.pipeline.both_ends import opened_both
from webapp.runs.pipeline.ends import Ends, Run, opened_one_way
from webapp.runs.pipeline.execute import Systems


def opened(stack: contextlib.ExitStack, house: House, rule: SyncRule, run: Run, systems: Systems) -> Ends:
    """Return the ends of a rule; their connections close with the stack."""
    both_ways = rule.direction is Direction.TWO_WAY
    return (opened_both if both_ways else opened_one_way)(stack, house, rule, run, systems)
