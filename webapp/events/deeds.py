"""How actions are carried out, one function a kind.

What happens inside Syncline (cases, runs, records of entities) is one transaction with the note that it was done. A
write to another system leaves its fence there in the same transaction, so that after a crash the system itself tells
whether it was done. A request carries the action's name as Idempotency-Key: after a crash in the very moment between
the answer and its note it is sent again, with the same key.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.rest import Rest
from connectors.builtin.rest_calls import Request
from connectors.casting import cast, complaint
from connectors.errors import ConnectorError, Misconfigured, Retriable
from connectors.spi import Connector, Fence
from rules.schema import Change, Field, Op, Schema
from rules.text import N_, Message, msg
from webapp import wake
from webapp.cases.services import NewCase, open_case
from webapp.connections.catalogue import HUB
from webapp.connections.opening import open_connector
from webapp.connections.probing import object_schema
from webapp.entities import bulk, records, storage
from webapp.entities.history import Author
from webapp.entities.model import Entity
from webapp.events import claims, lease, sending
from webapp.events.claims import Action
from webapp.extensions import Actor, House
from webapp.policies.objects import CREATE, UPDATE
from webapp.rulebook import ownership
from webapp.rulebook.reading import find
from webapp.runs.execution import installation_id
from webapp.runs.requests import RunRefused, start

ORIGIN = "event_action:"


class DeedFailed(Exception):
    """An action could not be carried out; `again` says whether another attempt may help."""

    def __init__(self, message: Message, *, again: bool = False) -> None:
        super().__init__(str(message))
        self.message = message
        self.again = again


def carry_out(house: House, action: Action) -> None:
    """Carry an action out and note it; raises `DeedFailed`, `ConnectorError` and `NotOurs`."""
    _require_owner(house, action)
    _DEEDS[action.kind](house, action)


def _require_owner(house: House, action: Action) -> None:
    """Raise `DeedFailed` where the owner of the rule may not do it: by hand it is tried again once that is mended."""
    args = action.args
    with house.db.read() as tx:
        row = find(tx, action.rule_name)
        if row is None or row.id != action.rule_id:
            raise DeedFailed(msg("The rule '{name}' has been deleted.", name=action.rule_name))
        asked = {**(row.published or {}), "kind": row.kind, "asked": {action.kind: args}}
        problem = ownership.refusal(tx, row.name, asked, row.owner)
        if problem is None and action.kind in _WRITING:
            place, deed = (args["connection"], args["object"]), _WRITING[action.kind]
            problem = ownership.writes(tx, action.rule_name, place, deed, args["fields"], args.get("key", ()))
    if problem is not None:
        raise DeedFailed(problem)


def actor_of(action: Action) -> Actor:
    """Return who acts when a rule does; the id leads back to the action."""
    return Actor("system", f"Event rule {action.rule_name}"[:128], f"{ORIGIN}{action.id}")


def _case(house: House, action: Action) -> None:
    args = action.args
    details = {**args.get("details", {}), "key": action.key}
    new = NewCase(
        "event_rule", args["title"] or "-", args["subject"], details, action.rule_name, args["assignee"], action.name
    )
    with house.db.begin() as tx:
        case_id = open_case(house, new, actor_of(action), tx)
        claims.finish(tx, action, house.clock(), {"case": case_id})


def _run(house: House, action: Action) -> None:
    try:
        with house.db.begin() as tx:
            run_id = start(house, action.args["rule"], action.args["mode"], actor_of(action), tx=tx)
            claims.finish(tx, action, house.clock(), {"run": run_id})
    except RunRefused as refusal:
        raise DeedFailed(refusal.message, again=True) from None
    wake.announce(house.settings)


def _record(house: House, action: Action) -> None:
    if action.args["connection"] == HUB:
        _hub_record(house, action)
    else:
        _other_record(house, action)


def _hub_record(house: House, action: Action) -> None:
    args = action.args
    with house.db.begin() as tx:
        try:
            entity = storage.current(tx, args["object"], lock=True)
        except storage.NoEntity as error:
            raise DeedFailed(msg("There is no entity '{name}'.", name=error.name)) from None
        author = Author(actor_of(action), house.clock())
        values = _typed(args["fields"], entity.schema)
        if action.kind == "create_record":
            outcome = records.create(tx, entity, values, author)
        else:
            ids = _ids(tx, entity, _typed(args["key"], entity.schema))
            outcome = records.update(tx, entity, values.with_columns(pl.Series("id", ids)), author)
        if outcome.refusals:
            refusal = outcome.refusals[0]
            text = "{field}: {reason}" if refusal.field else "{reason}"
            raise DeedFailed(msg(text, field=refusal.field, reason=refusal.message))
        claims.finish(tx, action, house.clock(), {"object": args["object"], "id": outcome.ids[0]})


def _ids(tx: sa.Connection, entity: Entity, key: pl.DataFrame) -> list[int]:
    """Return the id of the one record that has the key."""
    name, value = key.columns[0], key[key.columns[0]][0]
    table = storage.table(tx, entity)
    found = tx.scalars(sa.select(table.c.id).where(bulk.among(tx, table.c[name], [value])).limit(2)).all()
    if len(found) != 1:
        none, several = N_("There is no record with {key} = '{value}'."), N_("Several records have {key} = '{value}'.")
        raise DeedFailed(msg(several if found else none, key=name, value=str(value)))
    return [int(found[0])]


def _other_record(house: House, action: Action) -> None:
    """Write to another system; what became of an earlier attempt is asked there first."""
    args = action.args
    scope = f"{installation_id(house)}/event/{action.lane}"
    with open_connector(house, args["connection"]) as connector:
        if action.doubt is not None and _settled(house, action, connector, scope):
            return
        schema = object_schema(house, args["connection"], args["object"])
        change = _change(action, schema)
        with house.db.begin() as tx:
            ticket = lease.next_ticket(tx)
            claims.note_ticket(tx, action, ticket)
        written = connector.write(args["object"], schema, [change], Fence(scope, ticket, 0, ticket))
        connector.finish(args["object"])
    if written.failures:
        claims.settle(house, action)
        raise DeedFailed(written.failures[0].message)
    with house.db.begin() as tx:
        claims.finish(tx, action, house.clock(), {"connection": args["connection"], "object": args["object"]})


def _settled(house: House, action: Action, connector: Connector, scope: str) -> bool:
    """Find out what became of an attempt; tell whether it was the last one needed."""
    ticket = action.doubt or 0
    applied = connector.applied(Fence(scope, ticket, 0, ticket))
    if applied:
        with house.db.begin() as tx:
            claims.finish(tx, action, house.clock(), {"connection": action.args["connection"]})
        return True
    if applied is None and action.kind == "create_record":
        claims.settle(house, action)
        text = N_(
            "It is not known whether the record was created, because the attempt was interrupted. Look, then try again."
        )
        raise DeedFailed(msg(text))
    claims.settle(house, action)
    return False


def _change(action: Action, schema: Schema) -> Change:
    values = _typed(action.args["fields"], schema)
    if action.kind == "create_record":
        return Change(Op.CREATE, schema.key[0] if schema.key else "", values)
    key = _typed(action.args["key"], schema)
    return Change(Op.UPDATE, key.columns[0], pl.concat([key, values.drop(key.columns, strict=False)], how="horizontal"))


def _typed(values: Mapping[str, Any], schema: Schema) -> pl.DataFrame:
    """Return one record whose values have the types of the object's fields."""
    columns = []
    for name, value in values.items():
        if name not in schema:
            raise DeedFailed(msg("There is no field '{name}'.", name=name))
        columns.append(_column(schema[name], value))
    return pl.DataFrame(columns)


def _column(field: Field, value: Any) -> pl.Series:
    if value is None or value == "":
        return pl.Series(field.name, [None if value is None or field.type != "text" else ""], dtype=field.dtype)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    if isinstance(value, float) and value.is_integer():
        text = str(int(value))
    done = cast(pl.Series(field.name, [text], dtype=pl.String), field)
    if done[0] is None:
        raise DeedFailed(complaint(text, field))
    return done.alias(field.name)


def _call(house: House, action: Action) -> None:
    args = action.args
    with open_connector(house, args["connection"]) as connector:
        if not isinstance(connector, Rest):
            raise DeedFailed(msg("'{name}' is not a REST connection.", name=args["connection"]))
        body = json.dumps(args["body"], ensure_ascii=False).encode() if "body" in args else None
        headers = {"Idempotency-Key": sending.idempotency_key(house, action)}
        request = Request(args["path"], args["method"], body=body, headers=headers)
        response = connector.calls.response(request)
        told = connector.calls.told(response, request)
        if not told.good:
            raise told.error()
        result = {"status": response.status_code, "answer": response.text[:1000]}
    with house.db.begin() as tx:
        claims.finish(tx, action, house.clock(), result)


def _notify(house: House, action: Action) -> None:
    args = action.args
    if "web_hook" in args:
        result = sending.web_hook(house, action, args["web_hook"])
    else:
        result = sending.mail(house, action, args["email"])
    with house.db.begin() as tx:
        claims.finish(tx, action, house.clock(), result)


_WRITING = {"create_record": CREATE, "update_record": UPDATE}
_DEEDS: Mapping[str, Callable[[House, Action], None]] = {
    "case": _case,
    "run": _run,
    "create_record": _record,
    "update_record": _record,
    "call": _call,
    "notify": _notify,
}


def failure(error: Exception) -> tuple[Message, bool]:
    """Return what to tell of an error, and whether another attempt may help."""
    if isinstance(error, DeedFailed):
        return error.message, error.again
    if isinstance(error, Misconfigured):
        return error.advice, False
    if isinstance(error, ConnectorError):
        return error.advice, isinstance(error, Retriable)
    if isinstance(error, (sa.exc.OperationalError, OSError)):
        return msg("Something does not answer: {reason}", reason=str(error).splitlines()[0]), True
    return msg("Something unexpected happened; the log has the details: {reason}", reason=type(error).__name__), False
