"""The face of the room: what other rooms call, and how connections are created, changed and deleted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa

from rules.text import Message, msg
from webapp.approvals.deeds import Order
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections import approving, store
from webapp.connections.catalogue import connector_class
from webapp.connections.destinations import AGAIN, elsewhere
from webapp.connections.documents import (
    KIND,
    Clean,
    canonical,
    checked,
    file_roots,
    name_problem,
    owner,
    problems,
    to_document,
)
from webapp.connections.errors import (
    ConnectionBuiltIn,
    ConnectionChanged,
    ConnectionInUse,
    ConnectionInvalid,
    ConnectionMissing,
    ConnectionProblem,
    Problem,
    sentence,
)
from webapp.connections.models import connection_object
from webapp.connections.opening import open_connector
from webapp.connections.permitted import sees_part
from webapp.connections.probing import Preview, check, check_draft, object_schema, objects, preview
from webapp.connections.store import (
    ConnectionRow,
    find_connection,
    get_connection,
    known_objects,
    list_connections,
)
from webapp.connections.uploads import upload
from webapp.connections.validation import validate_settings
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted
from webapp.vault import references
from webapp.vault import services as vault

__all__ = [
    "ConnectionBuiltIn",
    "ConnectionChanged",
    "ConnectionInUse",
    "ConnectionInvalid",
    "ConnectionMissing",
    "ConnectionProblem",
    "ConnectionRow",
    "Preview",
    "Problem",
    "User",
    "canonical",
    "check",
    "check_draft",
    "create",
    "delete",
    "find_connection",
    "get_connection",
    "known_objects",
    "list_connections",
    "move_checks",
    "name_problem",
    "object_schema",
    "objects",
    "open_connector",
    "prepare",
    "preview",
    "problems",
    "remove",
    "save",
    "sentence",
    "to_document",
    "update",
    "upload",
    "usage_checks",
    "users",
    "validate_settings",
]


class User(NamedTuple):
    """What uses a connection: as a person knows it, and the address of its page."""

    said: str
    url: str


usage_checks: list[Callable[[sa.Connection], Iterable[tuple[str, User]]]] = []
"""Rooms above say here what uses connections: each returns all pairs of a connection and what uses it."""


move_checks: list[Callable[[sa.Connection, str], Message | None]] = []
"""Rooms above say here why a connection must not lead to another system now; None where it may."""
_LEADS = ("host", "port", "database")


def prepare(house: House) -> None:
    """Make the folder that a newcomer's files go to; called when the installation is set up or started."""
    for name in ("files", "secrets"):
        (house.settings.data / name).mkdir(parents=True, exist_ok=True)
    (house.settings.data / "secrets").chmod(0o700)


def create(
    house: House, document: Mapping[str, Any], actor: Actor, granted_roots: tuple[Path, ...] = ()
) -> ConnectionRow:
    """Store a new connection; raises `ConnectionInvalid`, also when the name is taken."""
    with house.db.begin() as tx:
        clean = _accepted(document)
        if store.find_connection(tx, clean.name) is not None:
            raise ConnectionInvalid(
                clean.name, [Problem(("name",), msg("There is a connection of this name already."))]
            )
        _write(tx, house, clean, None, (actor, granted_roots))
        return get_connection(tx, clean.name)


def update(
    house: House,
    document: Mapping[str, Any],
    actor: Actor,
    version: int | None = None,
    granted_roots: tuple[Path, ...] | None = None,
) -> ConnectionRow:
    """Bring a connection to what the document states; a secret that it does not name is deleted.

    Args:
        house: The house.
        document: The whole document; its name says which connection. An own secret is kept by its reference.
        actor: Who asks.
        version: The version that the change was made from; with None the last writer wins.
        granted_roots: Folders granted from now on; None leaves them.

    Raises:
        ConnectionProblem: Missing, invalid, built in, or changed by somebody else meanwhile.
    """
    with house.db.begin() as tx:
        row = _changeable(tx, str(document.get("name", "")), version)
        granted = row.granted_roots if granted_roots is None else granted_roots
        _write(tx, house, _accepted(document), row, (actor, granted))
        return get_connection(tx, row.name)


def save(
    tx: sa.Connection, house: House, document: Mapping[str, Any], actor: Actor, granted_roots: tuple[Path, ...] = ()
) -> str:
    """Bring a connection to what the document states, in the caller's transaction; return what became of it.

    Returns:
        "created", "updated" or "unchanged". Folders are granted in addition to those granted before.
    """
    clean = _accepted(document)
    row = store.find_connection(tx, clean.name)
    granted = (*(row.granted_roots if row else ()), *granted_roots)
    return _write(tx, house, clean, row, (actor, granted))


def delete(house: House, name: str, actor: Actor, version: int | None = None) -> None:
    """Delete a connection and its secrets; raises `ConnectionInUse` while rules need it."""
    with house.db.begin() as tx:
        remove(tx, house, name, actor, version)


def remove(tx: sa.Connection, house: House, name: str, actor: Actor, version: int | None = None) -> None:
    """Delete a connection in the caller's transaction."""
    row = _changeable(tx, name, version)
    found = users(tx).get(name)
    if found:
        raise ConnectionInUse(name, [user.said for user in found])
    approving.require_removal(tx, name)
    at = house.clock()
    vault.forget(tx, owner(name), actor, at)
    store.remove(tx, row)
    record(tx, actor, at, Event(Tag.CONNECTION_DELETED, Subject(KIND, name), before=to_document(tx, row)))


def users(tx: sa.Connection) -> dict[str, list[User]]:
    """Return what uses each connection, by the names that a person knows; nothing for one that is not used."""
    found: defaultdict[str, set[User]] = defaultdict(set)
    for ask in usage_checks:
        for name, user in ask(tx):
            found[name].add(user)
    return {name: sorted(those) for name, those in found.items()}


def _accepted(document: Mapping[str, Any]) -> Clean:
    clean, found = checked(document)
    if found:
        raise ConnectionInvalid(clean.name, found)
    return clean


def _changeable(tx: sa.Connection, name: str, version: int | None) -> ConnectionRow:
    row = get_connection(tx, name)
    if row.builtin:
        raise ConnectionBuiltIn(name)
    if version is not None and version != row.version:
        raise ConnectionChanged(name, row.updated_by, row.version)
    return row


def _write(
    tx: sa.Connection, house: House, clean: Clean, row: ConnectionRow | None, by: tuple[Actor, tuple[Path, ...]]
) -> str:
    actor, granted = by
    at = house.clock()
    stored = {**_values(clean), "granted_roots": file_roots(granted)}
    before = None if row is None else {**_values(row), "granted_roots": file_roots(row.granted_roots)}
    _known(clean, row)
    if before is not None:
        _stays(tx, clean.name, before, stored)
    if row is not None and before is not None:
        _require_sight(tx, row, stored)
        approving.require_change(tx, row, before, stored, clean.values)
    _keep_secrets(tx, house, clean, actor)
    if before == stored and not clean.values:
        return "unchanged"
    stamps = {"updated_at": at, "updated_by": actor.name}
    if row is None or before is None:
        store.insert(tx, {"name": clean.name, **stored, **stamps, "created_at": at, "created_by": actor.name})
        record(tx, actor, at, Event(Tag.CONNECTION_CREATED, Subject(KIND, clean.name), after=stored))
        return "created"
    if stored["settings"] != before["settings"] or stored["connector"] != before["connector"] or clean.values:
        stamps |= {"last_check": None, "last_check_at": None, "discovered_at": None}
        tx.execute(sa.delete(connection_object).where(connection_object.c.connection_id == row.id))
    if not store.replace(tx, row, {**stored, **stamps}):
        current = get_connection(tx, clean.name)
        raise ConnectionChanged(clean.name, current.updated_by, current.version)
    old, new = _difference(before, stored)
    record(tx, actor, at, Event(Tag.CONNECTION_UPDATED, Subject(KIND, clean.name), before=old, after=new))
    return "updated"


def _known(clean: Clean, row: ConnectionRow | None) -> None:
    """See that who makes a connection lead elsewhere gives its secrets anew; raises `ConnectionInvalid`."""
    if row is None or row.connector != clean.connector:
        return
    spec, own = connector_class(clean.connector).spec, owner(clean.name)
    kept = [n for n in spec.secrets if n not in clean.values and clean.settings.get(n) == references.own(own, n)]
    if kept and elsewhere(spec, row.settings, clean.settings):
        raise ConnectionInvalid(clean.name, [Problem(("settings", name), AGAIN) for name in kept])


def _require_sight(tx: sa.Connection, row: ConnectionRow, after: Mapping[str, Any]) -> None:
    """Raise `NotPermitted` where what is withheld could be seen by own queries, paths or another object's name."""
    secrets = connector_class(row.connector).spec.secrets
    names = {*row.settings, *after["settings"]}.difference(secrets)
    same = all(row.settings.get(name) == after["settings"].get(name) for name in names)
    if (row.connector != after["connector"] or not same) and sees_part(tx, row.name):
        text = "You may not see all records of '{connection}', so you cannot change what is read there or how."
        raise NotPermitted(msg(text, connection=row.name))


def _stays(tx: sa.Connection, name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise `ConnectionInvalid` where a connection would lead to another system while that must not be."""
    lead = [("settings", one) for one in _LEADS if before["settings"].get(one) != after["settings"].get(one)]
    place = [("connector",)] if before["connector"] != after["connector"] else lead
    reasons = [reason for ask in move_checks if place and (reason := ask(tx, name)) is not None]
    if reasons:
        raise ConnectionInvalid(name, [Problem(place[0], reason) for reason in reasons])


def _keep_secrets(tx: sa.Connection, house: House, clean: Clean, actor: Actor) -> None:
    """Store the given values; delete own secrets that no setting refers to any more."""
    own = owner(clean.name)
    for setting, value in clean.values.items():
        vault.put(tx, vault.keyring(house), own, setting, value, actor, house.clock())
    for setting in vault.names(tx, own):
        if clean.settings.get(setting) != references.own(own, setting):
            vault.delete(tx, own, setting, actor, house.clock())


def _values(of: ConnectionRow | Clean) -> dict[str, Any]:
    return {
        "connector": of.connector,
        "label": of.label,
        "note": of.note,
        "preset": of.preset,
        "settings": dict(of.settings),
        "limits": dict(of.limits) if of.limits else None,
    }


def _difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return only what changed of both; settings one by one."""
    flat_before, flat_after = _flat(before), _flat(after)
    names = [n for n in {**flat_before, **flat_after} if flat_before.get(n) != flat_after.get(n)]
    return {n: flat_before.get(n) for n in names}, {n: flat_after.get(n) for n in names}


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    settings = {f"settings.{name}": value for name, value in values["settings"].items()}
    return {**{k: v for k, v in values.items() if k != "settings"}, **settings}


def _approved(order: Order, document: Mapping[str, Any]) -> None:
    """Make a change that a second person has approved."""
    row = _changeable(order.tx, order.subject, None)
    granted = tuple(Path(text) for text in (order.after or {}).get("granted_roots", ()))
    _write(order.tx, order.house, _accepted(document), row, (order.actor, granted))


approving.offer(_approved, remove)
