"""Tables of users, roles and keys.

Flask-AppBuilder owns users, roles and permissions (its metadata is `FAB_METADATA`, created before ours); we read and
write them through Core. `access_profile` holds what it does not know of a user.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask_appbuilder import Model
from flask_appbuilder.security.sqla.models import (
    Permission,
    PermissionView,
    Role,
    User,
    ViewMenu,
    assoc_permissionview_role,
    assoc_user_role,
)

from webapp.extensions import BigId, Json, UtcDateTime, metadata

FAB_METADATA: sa.MetaData = Model.metadata

user = User.__table__
role = Role.__table__
permission = Permission.__table__
view = ViewMenu.__table__
permission_view = PermissionView.__table__
role_permission: sa.Table = assoc_permissionview_role
user_role: sa.Table = assoc_user_role

access_profile = sa.Table(
    "access_profile",
    metadata,
    sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("language", sa.String(8)),
    sa.Column("must_change_password", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("external_id", sa.String(200), index=True, comment="what the company's directory calls the user (SCIM)"),
    sa.Column("second_factor_at", UtcDateTime, comment="since when a code is asked for at each sign-in"),
    sa.Column("second_factor_step", sa.BigInteger, nullable=False, server_default="0", comment="of the code used last"),
)

access_role = sa.Table(
    "access_role",
    metadata,
    sa.Column("role_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("description", sa.String(500), nullable=False, server_default=""),
    sa.Column("external_id", sa.String(200), comment="what the company's directory calls the group (SCIM)"),
)

access_session = sa.Table(
    "access_session",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="SHA-256 of the token in the cookie"),
    sa.Column("user_id", sa.Integer, nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("agent", sa.String(300), nullable=False, comment="what the browser says of itself"),
    sa.Column("by", sa.String(16), nullable=False, comment="password, or company: by its identity provider"),
)

access_identity = sa.Table(
    "access_identity",
    metadata,
    sa.Column("issuer", sa.String(255), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True, comment="what the identity provider calls the user"),
    sa.Column("user_id", sa.Integer, nullable=False, index=True),
)

access_recovery = sa.Table(
    "access_recovery",
    metadata,
    sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of a recovery code that has not been used"),
)

access_key = sa.Table(
    "access_key",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(128), nullable=False, unique=True),
    sa.Column("prefix", sa.String(16), nullable=False, comment="its first characters, to recognise it by"),
    sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="SHA-256 of the key"),
    sa.Column("scopes", Json, nullable=False),
    sa.Column("user_id", sa.Integer, nullable=False, index=True, comment="a key can do no more than this user"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
    sa.Column("revoked_at", UtcDateTime),
)

access_scim_call = sa.Table(
    "access_scim_call",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("key", sa.String(128), nullable=False, comment="the name of the key"),
    sa.Column("method", sa.String(16), nullable=False),
    sa.Column("path", sa.String(300), nullable=False, comment="below /scim/v2, without the filter"),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("said", sa.String(300), nullable=False, comment="why it was refused, empty otherwise"),
)


def users() -> sa.Select[*tuple[Any, ...]]:
    """Return the query for users with their profiles."""
    profile = access_profile
    columns = (
        profile.c.language,
        profile.c.must_change_password,
        profile.c.second_factor_at,
        profile.c.second_factor_step,
    )
    return sa.select(user, *columns).select_from(user.outerjoin(profile, profile.c.user_id == user.c.id))


def granted() -> sa.Select[str, str]:
    """Return the query for (permission, room) of `role_permission`; the caller narrows it."""
    pair = permission_view
    source = role_permission.join(pair, pair.c.id == role_permission.c.permission_view_id)
    source = source.join(permission, permission.c.id == pair.c.permission_id).join(
        view, view.c.id == pair.c.view_menu_id
    )
    return sa.select(permission.c.name, view.c.name).select_from(source)
