"""Changes of where a connection leads that a second person approves, and of the secrets that connections share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from connectors.errors import ConnectorError
from connectors.spi import Setting
from rules.text import N_, Message, msg
from webapp.approvals import gate
from webapp.approvals.deeds import TARGET, Applier, Deed, Document, Order, Shown, plain_difference, register
from webapp.connections import store
from webapp.connections.catalogue import connector_class
from webapp.connections.errors import ConnectionProblem
from webapp.connections.models import connection
from webapp.connections.store import ConnectionRow
from webapp.extensions import Actor, House
from webapp.vault import references
from webapp.vault import services as vault
from webapp.vault.errors import VaultError
from webapp.vault.models import vault_secret
from webapp.vault.services import Owner

KIND, SHARED = "connection", "shared_secret"
_TARGET = ("connector", "settings", "granted_roots")
_NAMES = {
    "label": N_("Name"),
    "note": N_("Note"),
    "preset": N_("Preset"),
    "connector": N_("Connector"),
    "limits": N_("Limits"),
}

Write = Callable[[Order, Mapping[str, Any]], None]
Remove = Callable[[sa.Connection, House, str, Actor], None]


def require_change(
    tx: sa.Connection, row: ConnectionRow, before: Document, stored: Document, secrets: Mapping[str, str]
) -> None:
    """Let a change through that leads nowhere else, or that a second person has approved."""
    if secrets or any(before[key] != stored[key] for key in _TARGET):
        gate.require(tx, Deed(KIND, row.name, (TARGET,), stored, {}, secrets, {row.name}))


def require_removal(tx: sa.Connection, name: str) -> None:
    """Let a deletion through if one person may do it: another connection could take the name."""
    gate.require(tx, Deed(KIND, name, (TARGET,), None, connections={name}))


def put_shared(tx: sa.Connection, house: House, name: str, value: str, actor: Actor) -> None:
    """Store a secret that connections share; who replaces one changes with what they sign in."""
    owner = Owner(references.SHARED, name)
    if vault.names(tx, owner):
        after = {"secret": f"vault:{name}", "value": "new"}
        secrets = {references.VALUE: value}
        gate.require(tx, Deed(SHARED, name, (TARGET,), after, {}, secrets, _sharing(tx, name)))
    vault.put(tx, vault.keyring(house), owner, references.VALUE, value, actor, house.clock())


def delete_shared(tx: sa.Connection, house: House, name: str, actor: Actor) -> bool:
    """Delete a secret that connections share and tell whether there was one."""
    owner = Owner(references.SHARED, name)
    if vault.names(tx, owner):
        gate.require(tx, Deed(SHARED, name, (TARGET,), None, connections=_sharing(tx, name)))
    return vault.delete(tx, owner, references.VALUE, actor, house.clock())


def _sharing(tx: sa.Connection, name: str) -> set[str]:
    """Return the connections that refer to a shared secret."""
    return {row.name for row in store.list_connections(tx) if f"vault:{name}" in row.settings.values()}


def _read(tx: sa.Connection, name: str) -> dict[str, Any] | None:
    tx.execute(sa.select(connection.c.id).where(connection.c.name == name).with_for_update())
    row = store.find_connection(tx, name)
    if row is None:
        return None
    own = {key: getattr(row, key) for key in ("connector", "label", "note", "preset", "limits", "version")}
    return {**own, "settings": dict(row.settings), "granted_roots": [str(path) for path in row.granted_roots]}


def _read_shared(tx: sa.Connection, name: str) -> dict[str, Any] | None:
    table = vault_secret.c
    mine = (table.owner_kind == references.SHARED, table.owner_name == name)
    at = tx.scalar(sa.select(table.updated_at).where(*mine).with_for_update())
    return None if at is None else {"secret": f"vault:{name}", "value": "stored", "since": at.isoformat()}


def _apply_shared(order: Order) -> None:
    if order.after is None:
        delete_shared(order.tx, order.house, order.subject, order.actor)
    else:
        put_shared(order.tx, order.house, order.subject, order.secrets[references.VALUE], order.actor)


def _shown(before: Document, after: Document) -> Shown:
    sides = tuple({key: value for key, value in side.items() if key != "version"} for side in (before, after))
    found = plain_difference(*sides)
    known = {f"settings › {name}": one.label for name, one in _settings(after or before).items()}
    return Shown(found.before, found.after, {**_NAMES, **known, "granted_roots": N_("Folders that it may use")})


def _settings(document: Document) -> dict[str, Setting]:
    try:
        return {one.name: one for one in connector_class(str(document.get("connector"))).spec.settings}
    except ConnectorError:
        return {}


def _title(subject: str, after: Document | None, _detail: Document) -> Message:
    text = N_("Delete the connection {name}") if after is None else N_("Change where the connection {name} leads")
    return msg(text, name=subject)


def _shared_title(subject: str, after: Document | None, _detail: Document) -> Message:
    text = N_("Delete the shared secret {name}") if after is None else N_("Replace the shared secret {name}")
    return msg(text, name=subject)


def offer(write: Write, remove: Remove) -> None:
    """Make changes of connections known to the approvals, with the services that make them."""

    def apply(order: Order) -> None:
        if order.after is None:
            remove(order.tx, order.house, order.subject, order.actor)
            return
        settings = {**order.after["settings"], **order.secrets}
        document = {key: value for key, value in order.after.items() if key != "granted_roots"}
        write(order, {**document, "kind": KIND, "name": order.subject, "settings": settings})

    permission = ("update", "Connections")
    refusals = (ConnectionProblem, ConnectorError, VaultError)
    register(
        Applier(
            KIND, N_("Connection"), permission, _read, apply, _title, lambda name: f"/connections/{name}/",
            refusals=refusals, shown=_shown,
        )
    )  # fmt: skip
    register(
        Applier(
            SHARED, N_("Shared secret"), permission, _read_shared, _apply_shared, _shared_title,
            lambda _name: "/connections/", refusals=(VaultError,),
        )
    )  # fmt: skip
