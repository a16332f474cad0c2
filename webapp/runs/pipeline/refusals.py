"""Errors after which a rule wants its run to stop."""

from __future__ import annotations

import json

import polars as pl

from rules.documents.flows import flows
from rules.documents.policies import ErrorAction
from rules.documents.sync import OnError, SyncRule
from rules.mapping.references import STAGE
from rules.mapping.results import MAP
from rules.text import N_, Message, msg
from webapp.runs.pipeline.chunk import Chunk


def stopping_error(rule: SyncRule, chunk: Chunk) -> Message | None:
    """Return why a run is to stop behind a chunk: a field without a value whose rule says `on_error: stop`."""
    fields = [entry.target for flow in flows(rule)[:1] for entry in flow.entries if entry.on_error is OnError.STOP]
    if not fields:
        return None
    found = chunk.outcomes.filter(pl.col("stage").is_in([MAP, STAGE]) & pl.col("field").is_in(fields)).head(1)
    for number, name, reason in found.select("record_no", "field", "reason").iter_rows():
        text = N_("The field '{field}' of record {number} has no value, and the rule says to stop then: {reason}")
        return msg(text, field=name, number=number, reason=Message.from_json(json.loads(reason)))
    return None


def stop_behind(rule: SyncRule, chunk: Chunk, parked: int, *, strict: bool) -> Message | None:
    """Return why a run stops behind a chunk, where its rule says so; `parked` records were refused by the run so far.

    A simulation (not `strict`) goes on as long as it may, to show all there is.
    """
    stop = stopping_error(rule, chunk)
    if stop is not None and strict:
        return stop
    if parked and rule.errors.data is ErrorAction.SUSPEND and strict:
        return msg("{count} records were refused, and the rule says to stop then.", count=parked)
    if parked >= rule.errors.stop_after:
        text = N_("{count} records were refused; the rule stops at {limit}.")
        return msg(text, count=parked, limit=rule.errors.stop_after)
    return None
