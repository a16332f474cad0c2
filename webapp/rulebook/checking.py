"""Whether a sync rule can be published: its own keys, then against the two objects as their systems describe them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.spi import Capabilities
from rules.documents import DocumentError, DocumentProblem, SyncRule, errors, parse_sync
from rules.documents.check import check_sync
from rules.documents.defaults import actions
from rules.documents.flows import flows
from rules.documents.policies import Execute
from rules.documents.sync import Action, DeleteDetect, DetectBy, SideName
from rules.documents.validation import Reference
from rules.language.library import Library
from rules.reconcile.agreement import executed
from rules.reconcile.tombstones import told
from rules.schema import Schema
from rules.testing import SyncTests
from rules.text import N_, Message, msg
from webapp.connections import services as connections
from webapp.connections.catalogue import connector_class
from webapp.connections.models import connection_object
from webapp.extensions import House
from webapp.rulebook.capturing import check_captures
from webapp.rulebook.encrypted import check_encrypted
from webapp.rulebook.library import library
from webapp.rulebook.messaging import check_messages
from webapp.rulebook.pushdown import check_pushdown
from webapp.rulebook.relations import check_relations
from webapp.rulebook.saga_steps import check_steps, places_of
from webapp.rulebook.transactions import check_transaction

SIDES = ("left", "right")
_WRITES_BACK = {
    "unmatched_{other}": (Action.CREATE,),
    "deleted_{own}": (Action.RECREATE,),
    "deleted_{other}": (Action.DELETE, Action.DEACTIVATE),
}
"""Situation -> actions that write to the side `own`."""


@dataclass(frozen=True)
class Seen:
    """What is known of one side: schema and abilities, or in one sentence why not; `at` is the key to blame."""

    schema: Schema | None = None
    problem: Message | None = None
    at: str = "connection"
    abilities: Capabilities | None = None
    writable: bool = True


def structure(document: Mapping[str, Any]) -> list[DocumentProblem]:
    """Return what is wrong with the document by itself."""
    try:
        parse_sync(document)
    except DocumentError as error:
        return list(error.problems)
    return []


def check(house: House, document: Mapping[str, Any], tx: sa.Connection | None = None) -> list[DocumentProblem]:
    """Return what keeps the document from being published, and what to look at (warnings).

    Inside a caller's transaction the systems are not asked, since that would hold up everybody who wants to write:
    then the fields are checked only as far as they are known from earlier.
    """
    try:
        rule = parse_sync(document)
    except DocumentError as error:
        return list(error.problems)
    seen = {side: look(house, document, side, tx) for side in SIDES}
    found = [DocumentProblem(f"{side}/{s.at}", s.problem) for side, s in seen.items() if s.problem]
    found += _unable(rule, seen)
    found += check_captures(house, rule, {side: s.abilities for side, s in seen.items()}, ask=tx is None)
    found += check_transaction(house, rule, {side: s.abilities for side, s in seen.items()}, ask=tx is None)
    found += check_messages(
        rule, {side: s.abilities for side, s in seen.items()}, {side: s.schema for side, s in seen.items()}
    )
    others = _others(house, rule, tx)
    found += _outages(rule, others)
    found += check_steps(rule, others)
    left, right, known = seen["left"].schema, seen["right"].schema, library(house, tx=tx)
    found += check_sync(rule, left, right, library=known, others=lambda *place: others[place].schema)
    if not errors(found):
        found += check_pushdown(house, rule, {side: s.schema for side, s in seen.items()}, known, ask=tx is None)
    with house.db.read() if tx is None else nullcontext(tx) as reading:
        found += [problem for problem in check_relations(reading, document) if problem not in found]
        found += check_encrypted(reading, rule)
    if rule.tests and left is not None and right is not None and not errors(found):
        found += SyncTests(rule, left, right, known, house.clock()).run().problems()
    return found


def unpushable(house: House, document: Mapping[str, Any]) -> Sequence[DocumentProblem]:
    """Return why the database of both sides cannot carry a rule out, as asked now; none where it cannot be asked."""
    try:
        rule = parse_sync(document)
    except DocumentError:
        return ()  # whoever stores it tells of it
    if rule.execute is not Execute.PUSHDOWN:
        return ()
    schemas = {side: look(house, document, side).schema for side in SIDES}
    return errors(list(check_pushdown(house, rule, schemas, library(house), ask=True)))


def fits(house: House, document: Mapping[str, Any], tx: sa.Connection, known: Library) -> list[DocumentProblem]:
    """Return what keeps a rule from working with the given tables, as far as the fields are known from earlier."""
    try:
        rule = parse_sync(document)
    except DocumentError as error:
        return list(error.problems)
    left, right = (look(house, document, side, tx).schema for side in SIDES)
    others = _others(house, rule, tx)
    return check_sync(rule, left, right, library=known, others=lambda *place: others[place].schema)


def _others(house: House, rule: SyncRule, tx: sa.Connection | None) -> dict[tuple[str, str], Seen]:
    """Return what is known of the objects that validations refer to and steps write."""
    places = {(reference.connection, reference.object) for reference in _references(rule).values()}
    places |= places_of(rule)
    return {place: look_at(house, *place, tx) for place in places}


def _references(rule: SyncRule) -> dict[int, Reference]:
    return {n: v.reference for n, v in enumerate(rule.validations) if v.reference is not None}


def _outages(rule: SyncRule, others: Mapping[tuple[str, str], Seen]) -> Iterator[DocumentProblem]:
    for number, reference in _references(rule).items():
        seen = others[reference.connection, reference.object]
        if seen.problem is not None:
            yield DocumentProblem(f"validations/{number}/reference/{seen.at}", seen.problem)


def look(house: House, document: Mapping[str, Any], side: str, tx: sa.Connection | None = None) -> Seen:
    """Return what is known of one side, or one sentence about why nothing is."""
    part = document.get(side)
    if not isinstance(part, Mapping) or not part.get("connection") or not part.get("object"):
        return Seen()
    return look_at(house, str(part["connection"]), str(part["object"]), tx)


def look_at(house: House, connection: str, object_name: str, tx: sa.Connection | None = None) -> Seen:
    """Return what is known of an object, or one sentence about why nothing is."""
    try:
        return _asked(house, connection, object_name) if tx is None else _known(tx, connection, object_name)
    except connections.ConnectionProblem as error:
        return Seen(problem=error.message)
    except ConnectorError as error:
        at = "object" if error.object_name else "connection"
        return Seen(problem=connections.sentence(error), at=at)


def _asked(house: House, connection: str, object_name: str) -> Seen:
    schema = connections.object_schema(house, connection, object_name)
    with house.db.read() as tx:
        known = _known(tx, connection, object_name)
    return Seen(schema, abilities=known.abilities, writable=known.writable)


def _known(tx: sa.Connection, connection: str, object_name: str) -> Seen:
    row = connections.get_connection(tx, connection)
    table = connection_object.c
    query = sa.select(table.schema, table.writable).where(table.connection_id == row.id, table.name == object_name)
    found = tx.execute(query).one_or_none()
    schema = Schema.from_json(found.schema) if found and found.schema else None
    return Seen(schema, abilities=_abilities(row.connector), writable=found.writable if found else True)


def _abilities(connector: str) -> Capabilities | None:
    try:
        return connector_class(connector).spec.capabilities
    except ConnectorError:
        return None  # a connector that cannot be loaded is told of where its schema is asked for


def _untold(rule: SyncRule, seen: Mapping[str, Seen]) -> Iterator[DocumentProblem]:
    """Yield which systems do not tell of deletions, where the rule waits for that."""
    for side in SIDES:
        able = seen[side].abilities
        asked = rule.deletes.detect is DeleteDetect.EVENT and told(rule, SideName(side))
        captured = getattr(rule.detect, side).by is DetectBy.CDC  # its log tells of them
        if asked and able is not None and not able.deletions and not captured:
            text = N_(
                "The connection '{name}' does not tell of deletions. Let the rule notice them by reading everything, or"
                " by a mark in the records."
            )
            yield DocumentProblem("deletes/detect", msg(text, name=getattr(rule, side).connection))


def _unable(rule: SyncRule, seen: Mapping[str, Seen]) -> Iterator[DocumentProblem]:
    """Yield what the rule wants of a system that its connector cannot do."""
    yield from _untold(rule, seen)
    source, target = ("right", "left") if rule.direction == "right_to_left" else ("left", "right")
    side = getattr(rule, target)
    why = _read_only(seen[target])
    if why == "connection":
        text = N_(
            "Records cannot be written to the connection '{name}'. Choose another connection or the other direction."
        )
        yield DocumentProblem(f"{target}/connection", msg(text, name=side.connection))
    elif why == "object":
        text = N_(
            "'{object}' of the connection '{name}' can only be read. Choose another object or the other direction."
        )
        yield DocumentProblem(f"{target}/object", msg(text, object=side.object, name=side.connection))
    yield from _unable_back(rule, source, seen[source])
    reads = seen[source].abilities
    if reads and not reads.cursor and getattr(rule.detect, source).by == "cursor":
        text = N_("The connection '{name}' cannot read only what is new. Let the rule compare all records each time.")
        yield DocumentProblem(f"detect/{source}/by", msg(text, name=getattr(rule, source).connection))


def _read_only(seen: Seen) -> str:
    """Return what keeps a side from being written: its connection or its object; empty where nothing does."""
    able = seen.abilities
    if able and not (able.create or able.update):
        return "connection"
    return "" if seen.writable else "object"


def _unable_back(rule: SyncRule, own: str, seen: Seen) -> Iterator[DocumentProblem]:
    """Yield which fields and situations would write to the side that the rule reads first, which cannot be written."""
    if not _read_only(seen):
        return
    whole, side = executed(rule), getattr(rule, own)
    other = "right" if own == "left" else "left"
    names = {"object": side.object, "name": side.connection}
    for entry in (entry for flow in flows(whole) if flow.target.value == own for entry in flow.entries):
        text = N_(
            "The field flows to '{object}' of the connection '{name}', which can only be read. Let it flow the other"
            " way only, or choose another object."
        )
        yield DocumentProblem(f"{entry.path}/direction", msg(text, **names))
    said = actions(whole)
    for template, writing in _WRITES_BACK.items():
        situation = template.format(own=own, other=other)
        if len(flows(whole)) > 1 and said[situation] in writing:
            text = N_(
                "This would write to '{object}' of the connection '{name}', which can only be read. Choose what does"
                " not write there."
            )
            yield DocumentProblem(f"situations/{situation}", msg(text, **names))
