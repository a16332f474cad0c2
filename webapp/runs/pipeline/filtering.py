"""Which records the source need not send, because the rule's `where` leaves them out for certain.

A run comes to the same end with and without: the same writes, links, parked records and counts. What the source leaves
out is counted by the source, page by page and at the same moment, and has the outcome of every record out of scope:
skipped. That is exact where nothing else depends on having seen such a record, so not

- where digests of the systems tell what has changed: a page of them is not read as records;
- by cursor: where the next run starts depends on all records that were read;
- where the key is not unique for certain: a record with the same key as another one is parked;
- where records that leave the scope are deleted in the target and some are linked: the order of deleting and writing
  would be another one.

Links of records that have left the scope are taken away as ever: they are those that a full scan has not met.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import polars as pl

from connectors.spi import Connector, Page, Position, ReadRequest
from rules.documents.sync import Action, DetectBy
from rules.language.library import Library
from rules.language.sql import Pushed, push_down
from rules.predicate import Empty, Predicate, Some, words
from rules.reconcile.one_way import key_values
from rules.reconcile.situations import Situation
from rules.schema import FieldType
from rules.text import Message, msg
from webapp.runs.pipeline.digests import by_digests
from webapp.runs.pipeline.links import Links
from webapp.runs.pipeline.planning import Planner
from webapp.runs.pipeline.retry import Retry

_KEYS = (FieldType.INTEGER, FieldType.TEXT)


@dataclass(frozen=True)
class Filtered:
    """The request to the source with what it filters by, and what is to be told about it (None: nothing)."""

    request: ReadRequest
    told: Message | None = None


def filtered(reader: Connector, request: ReadRequest, planner: Planner, links: Links, library: Library) -> Filtered:
    """Return the request with what the source can leave out of the records that `where` does not want."""
    where = planner.sides.source.where
    if where is None:
        return Filtered(request)
    reason = _why_not(reader, request, planner, links)
    if reason is not None:
        return Filtered(request, _all_sent(reason))
    pushed = push_down(where, request.schema, library)
    if pushed.filter is None:
        return Filtered(request, _all_sent(pushed.reasons[0].message if pushed.reasons else _NOTHING))
    asked = replace(request, filter=_keyed(pushed.filter, request, planner.sides.source_key))
    done = reader.filterable(asked)
    if done is None:
        return Filtered(request, _all_sent(_UNABLE))
    return Filtered(replace(asked, filter=done), _sentence(done, pushed))


def unseen(
    reader: Connector, request: ReadRequest, planner: Planner, links: Links, retry: Retry
) -> Iterator[pl.DataFrame]:
    """Yield the linked records that the source has left out, where leaving the scope does something to a link."""
    if request.filter is None or _action(planner) == Action.IGNORE:
        return
    key, missed = planner.sides.source_key, links.missing_in(planner.seen)
    for part in missed.to_frame().iter_slices(request.page_size):
        values = key_values(part.to_series(), request.schema[key].dtype).drop_nulls().alias(key)
        found = retry(lambda values=values: reader.left_out(request, key, values))  # type: ignore[misc]
        if not found.is_empty():
            yield found


def again(records: pl.DataFrame, position: Position) -> Page:
    """Return a page of records that were left out, and counted as such, before; the scan stays where it ended."""
    return Page(records, position, left_out=-records.height)


def _why_not(reader: Connector, request: ReadRequest, planner: Planner, links: Links) -> Message | None:
    sides, schema = planner.sides, request.schema
    if by_digests(planner):
        return msg("Digests are compared, and only what has changed is read.")
    if not reader.spec.capabilities.filter:
        return _UNABLE
    if sides.detect.by is not DetectBy.FULL:
        return msg("Only changed records are read anyway.")
    if schema.key != (sides.source_key,) or schema[sides.source_key].type not in _KEYS:
        return msg("'{field}' is not the one key of {object}.", field=sides.source_key, object=request.object)
    action = _action(planner)
    if action not in (Action.IGNORE, Action.UNLINK) and (action != Action.DELETE or len(links)):
        return msg("The rule has to see records that leave its scope.")
    return None


def _action(planner: Planner) -> str:
    return planner.actions[Situation.OUT_OF_SCOPE]


def _keyed(predicate: Predicate, request: ReadRequest, key: str) -> Predicate:
    """Return the predicate with records without a key, which are parked."""
    return Some((predicate, Empty(key))) if request.schema[key].nullable else predicate


def _all_sent(reason: Message) -> Message:
    return msg("The source sends all records: {reason}", reason=reason)


def _sentence(done: Predicate, pushed: Pushed) -> Message:
    if not pushed.rest:
        return msg("The source leaves out what does not meet: {filter}", filter=words(done))
    return msg(
        "The source leaves out what does not meet: {filter}. Asked here: {rest}",
        filter=words(done),
        rest=", ".join(pushed.rest),
    )


_UNABLE = msg("It cannot filter them exactly.")
_NOTHING = msg("The condition leaves nothing out.")
