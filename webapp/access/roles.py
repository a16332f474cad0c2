"""What can be permitted, and the roles that every installation starts with."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from rules.text import N_
from webapp.access import models

READ, CREATE, UPDATE, DELETE = "read", "create", "update", "delete"
EXPORT, IMPORT, RUN, PUBLISH, APPROVE = "export", "import", "run", "publish", "approve"
OVERRIDE = "override"
ACTIONS: tuple[str, ...] = (READ, CREATE, UPDATE, DELETE, EXPORT, IMPORT, RUN, PUBLISH, APPROVE, OVERRIDE)
CHANGE = (READ, CREATE, UPDATE, DELETE)

PERMISSIONS: dict[str, tuple[str, ...]] = {
    "Connections": (*CHANGE, EXPORT),
    "Entities": (*CHANGE, EXPORT),
    "Records": (*CHANGE, EXPORT, IMPORT),
    "Rules": (*CHANGE, EXPORT, RUN, PUBLISH),
    "Runs": (READ, UPDATE, EXPORT, RUN, APPROVE),
    "Quarantine": (READ, UPDATE, DELETE, EXPORT, RUN),
    "Cases": (READ, CREATE, UPDATE, EXPORT),
    "Events": (READ, CREATE, UPDATE),
    "Approvals": (READ, CREATE, UPDATE, APPROVE, OVERRIDE),
    "Audit": (READ, UPDATE, DELETE, EXPORT),
    "Users": CHANGE,
    "Roles": CHANGE,
    "Keys": (READ, CREATE, DELETE),
    "Provisioning": (READ, UPDATE),
}

Grants = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class SeedRole:
    """A role of a new installation."""

    name: str
    description: str
    grants: Grants


_DESIGN: Grants = {
    room: PERMISSIONS[room]
    for room in ("Connections", "Entities", "Records", "Rules", "Runs", "Quarantine", "Cases", "Events")
}
_OPERATE: Grants = {
    "Connections": (READ,),
    "Entities": (READ,),
    "Records": (READ, CREATE, UPDATE, EXPORT, IMPORT),
    "Rules": (READ, RUN),
    "Runs": (READ, UPDATE, EXPORT, RUN),
    "Quarantine": (READ, UPDATE, EXPORT, RUN),
    "Cases": (READ, CREATE, UPDATE),
    "Events": (READ, CREATE, UPDATE),
}
_LOOK: Grants = dict.fromkeys(("Connections", "Entities", "Records", "Rules", "Runs", "Events"), (READ,))
_TEND: Grants = {
    **dict.fromkeys(("Connections", "Entities", "Rules", "Runs", "Events"), (READ,)),
    **{room: PERMISSIONS[room] for room in ("Records", "Quarantine", "Cases")},
}
_AUDIT: Grants = {room: (READ,) for room in PERMISSIONS if room not in ("Keys", "Provisioning")}

ADMIN = "Admin"
ROLES: tuple[SeedRole, ...] = (
    SeedRole(ADMIN, N_("Does everything, including users, roles and keys."), PERMISSIONS),
    SeedRole(
        "Designer",
        N_("Connects systems, designs entities and rules, publishes and runs them."),
        _DESIGN | {"Audit": (READ,), "Approvals": (READ, CREATE)},
    ),
    SeedRole(
        "Approver",
        N_("Approves what others have prepared: publications of rules, plans of runs; edits nothing."),
        _LOOK | {"Rules": (READ, PUBLISH), "Runs": (READ, APPROVE), "Approvals": (READ, APPROVE), "Audit": (READ,)},
    ),
    SeedRole("Operator", N_("Runs published rules, follows runs, repairs records that failed."), _OPERATE),
    SeedRole("Steward", N_("Looks after records: corrects them, decides cases, repairs what failed."), _TEND),
    SeedRole(
        "Auditor",
        N_("Reads of everything but personal values, and exports the audit log; changes nothing."),
        _AUDIT | {"Audit": (READ, EXPORT)},
    ),
    SeedRole("Viewer", N_("Looks at connections, entities, rules and runs; changes nothing."), _LOOK),
)
SEED_NAMES = frozenset(role.name for role in ROLES)


def permission_name(action: str) -> str:
    """Return Flask-AppBuilder's name of an action."""
    return f"can_{action}"


def sync(tx: sa.Connection) -> None:
    """Bring permissions and the built-in roles in the database to the state of this module; other roles stay."""
    pairs = permission_ids(tx)
    for seed in ROLES:
        wanted = {pairs[(action, room)] for room, actions in seed.grants.items() for action in actions}
        grant(tx, _role_id(tx, seed), wanted)


def permission_ids(tx: sa.Connection) -> dict[tuple[str, str], int]:
    """Return the id of every (action, room), adding what is missing."""
    names = {permission_name(action) for actions in PERMISSIONS.values() for action in actions}
    permissions = _named(tx, models.permission, names)
    views = _named(tx, models.view, set(PERMISSIONS))
    table = models.permission_view
    known = {(row.permission_id, row.view_menu_id): row.id for row in tx.execute(sa.select(table))}
    found = {}
    for room, actions in PERMISSIONS.items():
        for action in actions:
            pair = (permissions[permission_name(action)], views[room])
            if pair not in known:
                known[pair] = _insert(tx, table, permission_id=pair[0], view_menu_id=pair[1])
            found[(action, room)] = known[pair]
    return found


def _named(tx: sa.Connection, table: sa.Table, names: set[str]) -> dict[str, int]:
    known = {row.name: row.id for row in tx.execute(sa.select(table.c.id, table.c.name))}
    for name in sorted(names - known.keys()):
        known[name] = _insert(tx, table, name=name)
    return known


def _role_id(tx: sa.Connection, seed: SeedRole) -> int:
    found = tx.scalar(sa.select(models.role.c.id).where(models.role.c.name == seed.name))
    return int(found) if found is not None else add_role(tx, seed.name, seed.description)


def add_role(tx: sa.Connection, name: str, description: str) -> int:
    """Add a role without permissions; returns the id."""
    role_id = _insert(tx, models.role, name=name)
    tx.execute(sa.insert(models.access_role).values(role_id=role_id, description=description))
    return role_id


def grant(tx: sa.Connection, role_id: int, wanted: set[int]) -> None:
    """Give a role exactly these permissions."""
    table = models.role_permission
    held = set(tx.scalars(sa.select(table.c.permission_view_id).where(table.c.role_id == role_id)))
    if held - wanted:
        tx.execute(sa.delete(table).where(table.c.role_id == role_id, table.c.permission_view_id.in_(held - wanted)))
    for permission_view_id in sorted(wanted - held):
        _insert(tx, table, role_id=role_id, permission_view_id=permission_view_id)


def _insert(tx: sa.Connection, table: sa.Table, **values: object) -> int:
    key = tx.execute(sa.insert(table).values(**values)).inserted_primary_key
    return int(key[0]) if key else 0
