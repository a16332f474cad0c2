"""What a person asks a connection while waiting: tests, objects, fields, first records. Nothing here hangs."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace as changed
from typing import Any, NamedTuple, TypeVar

import polars as pl
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from connectors.errors import ConnectorError, Misconfigured
from connectors.spi import Connector, ObjectInfo, ReadRequest, Reject, Step
from rules.schema import FieldType, Schema
from rules.text import Message, msg
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections import budget, permitted
from webapp.connections.catalogue import connector_class
from webapp.connections.destinations import AGAIN, elsewhere
from webapp.connections.documents import KIND
from webapp.connections.errors import ConnectionProblem, sentence
from webapp.connections.models import connection, connection_object
from webapp.connections.opening import HIDDEN, clear_settings, context, opened, redacted, redacted_step, secret_values
from webapp.connections.permitted import rights_to, sees_all, shown_rejects
from webapp.connections.store import ConnectionRow, get_connection, note_check
from webapp.connections.validation import validate_settings
from webapp.extensions import Actor, House
from webapp.policies.levels import Access
from webapp.policies.objects import READ
from webapp.policies.rights import Rights

PAGES = 5
"""A preview looks no further than this, should the first pages hold rejects only."""

T = TypeVar("T")
_log = logging.getLogger(__name__)


class Preview(NamedTuple):
    """The first records of an object, and what could not be read among them."""

    schema: Schema
    rows: pl.DataFrame
    rejects: tuple[Reject, ...]


def check(house: House, name: str, actor: Actor) -> list[Step]:
    """Test a connection, keep the result and audit it."""
    row = _row(house, name)
    steps = _steps(house, row, lambda: clear_settings(house, row))
    with house.db.begin() as tx:
        at = house.clock()
        if not row.builtin:
            note_check(tx, row, steps, at)
        plain = [{"name": s.name, "ok": s.ok, "detail": str(s.detail)} for s in steps]
        after = {"ok": all(s.ok for s in steps), "steps": plain}
        record(tx, actor, at, Event(Tag.CONNECTION_TESTED, Subject(KIND, name), after=after))
    return steps


def check_draft(
    house: House, connector: str, settings: Mapping[str, Any], keep_secrets_of: str | None = None
) -> list[Step]:
    """Test settings that are not stored yet.

    Args:
        house: The house.
        connector: The connector's name.
        settings: Typed or as a form sends them; secrets as values or references.
        keep_secrets_of: A stored connection whose secrets are used where `settings` has none.
    """
    row, errors = _draft(house, connector, settings, keep_secrets_of)
    if errors:
        return [Step("settings", False, problem) for problem in errors]
    return _steps(house, row, lambda: clear_settings(house, row))


def ask_draft(
    house: House,
    connector: str,
    settings: Mapping[str, Any],
    keep_secrets_of: str | None,
    question: Callable[[Connector], T],
) -> T:
    """Put a question to a system by settings that are not stored yet; raises `ConnectorError`, as for a stored one."""
    row, errors = _draft(house, connector, settings, keep_secrets_of)
    if errors:
        raise Misconfigured(errors[0])
    return _ask(house, row, question)


def _draft(
    house: House, connector: str, settings: Mapping[str, Any], keep_secrets_of: str | None
) -> tuple[ConnectionRow, list[Message]]:
    """Return the connection that the settings would make, and what is wrong with them."""
    spec = connector_class(connector).spec
    stored = _row(house, keep_secrets_of) if keep_secrets_of else ConnectionRow(0, "", "", connector)
    kept = {n: stored.settings[n] for n in spec.secrets if stored.connector == connector and n in stored.settings}
    given = {k: v for k, v in settings.items() if v not in (None, "")}
    clean, errors = validate_settings(spec, {**kept, **given})
    labels = {s.name: s.label for s in spec.settings}
    if kept and elsewhere(spec, stored.settings, clean):
        errors |= {name: AGAIN for name in kept if name in clean and name not in given}
    problems = [msg("{label}: {problem}", label=msg(labels.get(n, n)), problem=e) for n, e in errors.items()]
    return changed(stored, connector=connector, settings=clean), problems


def objects(house: House, name: str, refresh: bool = False) -> list[ObjectInfo]:
    """Return the objects of a connection, as found earlier or, with `refresh` or at first, as found now."""
    row = _row(house, name)
    if row.discovered_at is not None and not refresh:
        with house.db.read() as tx:
            rows = tx.execute(
                sa.select(connection_object)
                .where(connection_object.c.connection_id == row.id)
                .order_by(connection_object.c.name)
            )
            return [ObjectInfo(r.name, r.kind, r.label, r.records, r.writable) for r in rows]
    found = _ask(house, row, lambda connector: connector.objects())
    _keep_objects(house, row, found)
    return found


def object_schema(house: House, name: str, object_name: str, refresh: bool = False) -> Schema:
    """Return the fields of an object, as found earlier or, with `refresh` or at first, as found now."""
    row = _row(house, name)
    if not row.builtin and not refresh:
        known = _known_schema(house, row, object_name)
        if known is not None:
            return known
    schema = _ask(house, row, lambda connector: connector.schema(object_name))
    _keep_schema(house, row, object_name, schema)
    return schema


def found_schema(house: House, row: ConnectionRow, object_name: str, connector: Connector) -> Schema:
    """Return the fields of an object as an open connector finds them now, and keep them where they are others."""
    try:
        schema = budget.within(budget.SECONDS, row.title or row.connector, lambda: connector.schema(object_name))
    except ConnectorError:
        raise
    except Exception as error:  # noqa: BLE001 - a connector's own mistake: logged, and told as a sentence
        spec = connector_class(row.connector).spec
        raise _unexpected(row, error, secret_values(spec, clear_settings(house, row))) from None
    if not row.builtin and _known_schema(house, row, object_name) != schema:
        _keep_schema(house, row, object_name, schema)
    return schema


def holds_messages(house: House, name: str) -> bool:
    """Tell whether the objects of a connection hold messages: their fields are as they were confirmed."""
    try:
        return connector_class(_row(house, name).connector).spec.capabilities.messages
    except (ConnectionProblem, ConnectorError):
        return False  # who opens it says what is wrong


def preview(house: House, name: str, object_name: str, limit: int = 50) -> Preview:
    """Return the fields and the first records of an object as they are now, as far as who asks may see them.

    Raises `NotPermitted` where they may see none.
    """
    found, rights = looked(house, name, object_name, limit)
    rights.require(READ)
    if sees_all(rights):
        permitted.looked(rights, found.rows)
        return found
    seen = rights.frame(found.rows)
    permitted.looked(rights, seen)
    kinds = {
        one.name: one.type if rights.access(one.name) >= Access.READ else FieldType.TEXT for one in found.schema.fields
    }
    fields = (changed(one, type=kinds[one.name]) for one in found.schema.fields if one.name in seen.columns)
    schema = Schema(tuple(fields), tuple(key for key in found.schema.key if key in seen.columns))
    return Preview(schema, seen, shown_rejects(rights, found.rejects))


def looked(house: House, name: str, object_name: str, limit: int) -> tuple[Preview, Rights]:
    """Return the fields and the first records of an object with all that they hold, and what who asks may see of it."""
    row = _row(house, name)

    def look(connector: Connector) -> Preview:
        schema = connector.schema(object_name)
        return Preview(schema, *_first(connector, ReadRequest(object_name, schema, page_size=limit), limit))

    found = _ask(house, row, look)
    _keep_schema(house, row, object_name, found.schema)
    with house.db.read() as tx:
        return found, rights_to(tx, name, object_name, found.schema)


def _first(connector: Connector, request: ReadRequest, limit: int) -> tuple[pl.DataFrame, tuple[Reject, ...]]:
    frames = [request.schema.empty()]
    rejects: list[Reject] = []
    pages = connector.read(request)
    try:
        for number, page in enumerate(pages, 1):
            frames.append(page.records)
            rejects += page.rejects
            if number == PAGES or sum(f.height for f in frames) >= limit:
                break
    finally:
        if hasattr(pages, "close"):
            pages.close()
    return pl.concat(frames).head(limit), tuple(rejects[:limit])


def _row(house: House, name: str) -> ConnectionRow:
    with house.db.read() as tx:
        return get_connection(tx, name)


def _ask(house: House, row: ConnectionRow, question: Callable[[Connector], T]) -> T:
    """Put a question to the system within the budget; raises `ConnectorError` only."""
    settings = clear_settings(house, row)
    allowed = context(house, row, budget.STEP_SECONDS)

    def work() -> T:
        with opened(row, settings, allowed) as connector:
            return question(connector)

    try:
        return budget.within(budget.SECONDS, row.title or row.connector, work)
    except ConnectorError:
        raise
    except Exception as error:  # noqa: BLE001 - a connector's own mistake: logged, and told as a sentence
        raise _unexpected(row, error, secret_values(connector_class(row.connector).spec, settings)) from None


def _steps(house: House, row: ConnectionRow, settings_of: Callable[[], dict[str, Any]]) -> list[Step]:
    """Return the steps of a test; whatever goes wrong is the last of them."""
    steps: list[Step] = []
    try:
        settings = settings_of()
        spec = connector_class(row.connector).spec
    except ConnectorError as error:
        return [Step("settings", False, sentence(error))]
    secrets = secret_values(spec, settings)
    allowed = context(house, row, budget.STEP_SECONDS)

    def work() -> None:
        with opened(row, settings, allowed) as connector:
            for step in connector.check():
                steps.append(redacted_step(step, secrets))  # noqa: PERF401 - what is done so far is shown on time-out

    try:
        budget.within(budget.SECONDS, row.title or row.connector, work)
    except ConnectorError as error:
        steps.append(Step("connect", False, redacted(sentence(error), secrets)))
    except Exception as error:  # noqa: BLE001 - a connector's own mistake: logged, and the test says so
        steps.append(Step("connect", False, sentence(_unexpected(row, error, secrets))))
    return list(steps)


def _unexpected(row: ConnectionRow, error: Exception, secrets: Sequence[str]) -> Misconfigured:
    """Log a connector's own mistake, without the secrets that its text may hold, and return what to tell."""
    trace = "".join(traceback.format_exception(error))
    for secret in secrets:
        trace = trace.replace(secret, HIDDEN)
    _log.error("the connector %s of the connection '%s' failed\n%s", row.connector, row.name, trace)
    return Misconfigured(
        msg("The connector '{connector}' failed unexpectedly.", connector=row.connector),
        msg("Ask the operator to look into the log; it tells what happened."),
    )


def _known_schema(house: House, row: ConnectionRow, object_name: str) -> Schema | None:
    with house.db.read() as tx:
        data = tx.execute(sa.select(connection_object.c.schema).where(_is(row, object_name))).scalar_one_or_none()
    return None if data is None else Schema.from_json(data)


def _keep_objects(house: House, row: ConnectionRow, found: list[ObjectInfo]) -> None:
    if row.builtin:
        return
    with house.db.begin() as tx:
        if not _unchanged(tx, row):
            return
        at = house.clock()
        tx.execute(sa.delete(connection_object).where(connection_object.c.connection_id == row.id))
        if found:
            values = [{**_plain(row, info), "schema": None, "discovered_at": at} for info in found]
            tx.execute(sa.insert(connection_object), values)
        tx.execute(sa.update(connection).where(connection.c.id == row.id).values(discovered_at=at))


def _keep_schema(house: House, row: ConnectionRow, object_name: str, schema: Schema) -> None:
    if row.builtin or (not schema.fields and connector_class(row.connector).spec.capabilities.messages):
        return  # a queue that happens to be empty says nothing of its messages
    with house.db.begin() as tx:
        if not _unchanged(tx, row):
            return
        values = {**_plain(row, ObjectInfo(object_name)), "schema": schema.to_json(), "discovered_at": house.clock()}
        dialect = sqlite if house.db.is_sqlite else postgresql
        insert = dialect.insert(connection_object).values(**values)
        known = {"schema": insert.excluded.schema, "discovered_at": insert.excluded.discovered_at}
        tx.execute(insert.on_conflict_do_update(index_elements=["connection_id", "name"], set_=known))


def _unchanged(tx: sa.Connection, row: ConnectionRow) -> bool:
    """Hold the connection and tell whether it is still what was asked."""
    same = sa.and_(connection.c.id == row.id, connection.c.version == row.version)
    return tx.execute(sa.select(connection.c.id).where(same).with_for_update()).first() is not None


def _plain(row: ConnectionRow, info: ObjectInfo) -> dict[str, Any]:
    return {
        "connection_id": row.id,
        "name": info.name,
        "kind": info.kind,
        "label": info.label,
        "records": info.records,
        "writable": info.writable,
    }


def _is(row: ConnectionRow, object_name: str) -> sa.ColumnElement[bool]:
    return sa.and_(connection_object.c.connection_id == row.id, connection_object.c.name == object_name)
