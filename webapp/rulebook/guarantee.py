"""What the systems of a rule guarantee together for what it writes, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.spi import Capabilities
from rules.documents.policies import Execute
from rules.text import N_, Message, msg
from webapp.connections import services as connections
from webapp.connections.catalogue import connector_class
from webapp.rulebook.editing import Document, Form, listed, part_of, set_or_drop

KINDS = ("none", "two_phase", "saga", "outbox")
_WRITTEN = {"left_to_right": ("right",), "right_to_left": ("left",), "two_way": ("left", "right")}


def guarantee(tx: sa.Connection, document: Mapping[str, Any]) -> Message | None:
    """Return what is guaranteed of the writes of a sync rule; None while a system is not chosen or not known."""
    names = [str(part_of(document, side).get("connection", "")) for side in _WRITTEN.get(_way(document), ())]
    able = {name: _abilities(tx, name) for name in names}
    if not names or any(found is None for found in able.values()):
        return None
    weak = next((name for name, found in able.items() if found is not None and not found.transactions), None)
    if document.get("transaction") == "two_phase":
        return _together(names)
    if document.get("transaction") == "saga":
        return _stepwise(document, names[0])
    if document.get("transaction") == "outbox":
        return _later(names[0], able[names[0]])
    return _alone(weak, able[weak]) if weak is not None else _once(document, names)


def _once(document: Mapping[str, Any], names: list[str]) -> Message:
    if document.get("execute") == Execute.PUSHDOWN:
        text = N_(
            "The database {name} carries the rule out itself, range by range, each exactly once, also after a crash; of"
            " a record its keys and what became of it are kept, and what an update changed."
        )
        return msg(text, name=names[0])
    if len(set(names)) > 1:
        text = N_(
            "Each change arrives exactly once in {one} and in {other}; for a moment only one of them may have it."
        )
        return msg(text, one=names[0], other=names[1])
    return msg("Each change arrives in {name} exactly once, also after a crash.", name=names[0])


def _way(document: Mapping[str, Any]) -> str:
    return str(document.get("direction", ""))


def _together(names: list[str]) -> Message:
    if len(names) > 1:
        text = N_("What is written together arrives exactly once in {one} and in {other}, or in neither of them.")
        return msg(text, one=names[0], other=names[1])
    return msg("Each change arrives in {name} exactly once, decided by Syncline, also after a crash.", name=names[0])


def _later(target: str, able: Capabilities | None) -> Message:
    """Return what an outbox guarantees: exactly once wherever the target can tell what it holds."""
    if able is not None and able.messages:
        text = N_(
            "Each change is kept with the run and sent to {name} afterwards, in order for each record, at least once:"
            " after a crash one may arrive twice."
        )
    elif able is not None and able.transactions:
        text = N_(
            "Each change is kept with the run and arrives in {name} afterwards, in order for each record, exactly once,"
            " also after a crash."
        )
    else:
        text = N_(
            "Each change is kept with the run and sent to {name} afterwards, in order for each record, at least once:"
            " before it is sent, the record is looked up by its key, and what is there already is not sent again."
        )
    return msg(text, name=target)


def _stepwise(document: Mapping[str, Any], target: str) -> Message:
    steps = [str(step.get("connection", "")) for step in listed(part_of(document, "saga"), "steps")]
    text = N_(
        "Each record arrives in {one} and then in {others}, or is taken back from those that it had come to; what"
        " cannot be taken back waits for a person."
    )
    return msg(text, one=target, others=", ".join(dict.fromkeys(steps)))


def _alone(name: str, able: Capabilities | None) -> Message:
    if able is not None and able.lookup and not able.generates_keys:
        return msg(
            "Each change arrives in {name} at least once: after a crash a record is looked up by its key before it is "
            "sent again.",
            name=name,
        )
    if able is not None and able.lookup:
        return msg(
            "Each change arrives in {name} at least once: after a crash a new record that is found there as it was sent"
            " is not sent again; one that {name} has stored with other values may arrive twice.",
            name=name,
        )
    return msg("Each change arrives in {name} at least once: after a crash a record may arrive twice.", name=name)


def _abilities(tx: sa.Connection, name: str) -> Capabilities | None:
    """Return what a connection can do; one that may keep no fence cannot tell what it has written."""
    try:
        row = connections.get_connection(tx, name)
        able = connector_class(row.connector).spec.capabilities
    except (connections.ConnectionProblem, ConnectorError):
        return None
    fenced = able.transactions and row.settings.get("own_table", True) is not False
    return able if fenced == able.transactions else Capabilities(lookup=True, transactions=False, generates_keys=True)


def with_transaction(document: Document, form: Form) -> Document:
    """Return the document with the chosen kind of transaction, and place where the rule is carried out.

    A kind that the page does not offer stays.
    """
    new = dict(document)
    if form.get("transaction") in KINDS:
        set_or_drop(new, "transaction", form["transaction"], "none")
    if form.get("execute") in set(Execute):
        set_or_drop(new, "execute", form["execute"], Execute.WORKER.value)
    return new
