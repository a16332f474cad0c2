"""The event rule as a kind of rule of the rulebook: its check against what is there, and its examples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext

import sqlalchemy as sa

from connectors.errors import ConnectorError
from rules.documents import DocumentError, DocumentProblem, errors
from rules.documents.event_rule import KIND, Act, Write
from rules.events.check import check_event_rule
from rules.events.parse import acts_of, event_rule_schema, parse_event_rule
from rules.language.library import Library
from rules.language.problems import Severity, nearest
from rules.schema import Schema
from rules.text import N_, msg
from webapp.connections import services as connections
from webapp.connections.catalogue import HUB
from webapp.entities import services as entities
from webapp.events import simulating
from webapp.extensions import House
from webapp.rulebook import kinds
from webapp.rulebook import reading as rulebook
from webapp.rulebook.encrypted import check_heard
from webapp.rulebook.kind import Document, RuleKind
from webapp.rulebook.library import library


def structure(document: Document) -> list[DocumentProblem]:
    """Return what is wrong with the document by itself."""
    try:
        return list(errors(check_event_rule(parse_event_rule(document))))
    except DocumentError as error:
        return list(error.problems)


def check(house: House, document: Document, tx: sa.Connection | None = None) -> list[DocumentProblem]:
    """Return what keeps the document from being published, and what to look at (warnings)."""
    found = check_form(house, document, tx)
    if document.get("tests") and not errors(found):
        found += _examples(house, document)
    return found


def check_form(house: House, document: Document, tx: sa.Connection | None = None) -> list[DocumentProblem]:
    """Return the same without trying the examples, which takes a process of its own: for somebody who is typing."""
    try:
        rule = parse_event_rule(document)
    except DocumentError as error:
        return list(error.problems)
    found = check_event_rule(rule, library(house, tx=tx))
    with house.db.read() if tx is None else nullcontext(tx) as reading:
        found += check_heard(reading, document)
    for path, act in acts_of(rule):
        found += _surroundings(house, path, act, tx)
    return found


def fits(_house: House, document: Document, _tx: sa.Connection, known: Library) -> list[DocumentProblem]:
    """Return what keeps a rule from working with the given tables."""
    try:
        return check_event_rule(parse_event_rule(document), known)
    except DocumentError as error:
        return list(error.problems)


def _examples(house: House, document: Document) -> Iterator[DocumentProblem]:
    try:
        verdicts = simulating.run_examples(house, document)
    except simulating.SimulationRefused as refusal:
        yield DocumentProblem("tests", refusal.message)
        return
    for number, verdict in enumerate(verdicts):
        for problem in verdict.problems:
            text = N_("The example '{name}' does not come out as stated. {problem}")
            yield DocumentProblem(f"tests/{number}", msg(text, name=verdict.name, problem=problem))


def _surroundings(house: House, path: str, act: Act, tx: sa.Connection | None) -> Iterator[DocumentProblem]:
    if tx is None:
        with house.db.read() as reading:
            yield from _inside(house, path, act, reading)
    else:
        yield from _inside(house, path, act, tx)


def _inside(house: House, path: str, act: Act, tx: sa.Connection) -> Iterator[DocumentProblem]:
    write = act.create_record or act.update_record
    if write is not None:
        kind = "create_record" if act.create_record else "update_record"
        yield from _write(tx, f"{path}/{kind}", write)
    if act.call is not None:
        yield from _connection(tx, f"{path}/call/connection", act.call.connection, "rest")
    if act.run is not None:
        row = rulebook.find(tx, act.run.rule)
        if row is None or row.kind != "sync":
            yield DocumentProblem(f"{path}/run/rule", msg("There is no sync rule called '{name}'.", name=act.run.rule))
    if act.notify is not None and act.notify.email is not None and not house.settings.smtp_url:
        text = N_("No mail server is set up, so that no e-mail can be sent (SYNCLINE_SMTP_URL).")
        yield DocumentProblem(f"{path}/notify/email", msg(text), severity=Severity.WARNING)


def _connection(tx: sa.Connection, path: str, name: str, connector: str = "") -> Iterator[DocumentProblem]:
    row = connections.find_connection(tx, name)
    if row is None:
        yield DocumentProblem(path, msg("There is no connection called '{name}'.", name=name))
    elif connector and row.connector != connector:
        yield DocumentProblem(path, msg("'{name}' is not a REST connection.", name=name))


def _write(tx: sa.Connection, path: str, write: Write) -> Iterator[DocumentProblem]:
    if write.connection != HUB:
        yield from _connection(tx, f"{path}/connection", write.connection)
        return
    try:
        schema = entities.entity(tx, write.object).schema
    except (entities.NoEntity, ConnectorError):
        yield DocumentProblem(f"{path}/object", msg("There is no entity '{name}'.", name=write.object))
        return
    for part in ("key", "fields"):
        yield from (p for name in getattr(write, part) or {} for p in _field(f"{path}/{part}/{name}", name, schema))


def _field(path: str, name: str, schema: Schema) -> Iterator[DocumentProblem]:
    if name not in schema:
        close = nearest(name, schema.names)
        text = N_("There is no field '{name}'.") if close is None else _CLOSE
        yield DocumentProblem(path, msg(text, name=name, close=close), suggestion=close)


_CLOSE = N_("There is no field '{name}'. Did you mean '{close}'?")


def _lead(document: Document) -> str:
    held = document.get("events")
    listens = held.values() if isinstance(held, Mapping) else ()
    types = [str(listen.get("type", "?")) for listen in listens if isinstance(listen, Mapping)]
    return ", ".join(types[:4]) + (" ..." if len(types) > 4 else "")


EVENT_RULE = RuleKind(
    name=KIND,
    label=N_("Event rule"),
    about=N_("Acts when events happen: in an order, a number, within a time, or step by step through a process."),
    icon="lightning-charge",
    structure=structure,
    check=check,
    schema=event_rule_schema,
    lead=_lead,
    new="/rules/new/event",
    home="event",
    tabs=(("event", N_("Rule")), ("simulation", N_("Simulation")), ("work", N_("At work"))),
    pausable=True,
    fits=fits,
)
kinds.register(EVENT_RULE)
