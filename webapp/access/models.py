"""Tables of users, roles and keys.

Flask-AppBuilder owns users, roles and permissions (its metadata is `FAB_METADATA`, created before ours); we read and
write them through Core. `access_profile` holds what it does not know of a user.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask_appbuilder import Model
from flask_appbuilder.security.sqla.models import (
    Group,
    Permission,
    PermissionView,
    Role,
    User,
    ViewMenu,
    assoc_group_role,
    assoc_permissionview_role,
    assoc_user_group,
    assoc_user_role,
)

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata

FAB_METADATA: sa.MetaData = Model.metadata

user = User.__table__
role = Role.__table__
permission = Permission.__table__
view = ViewMenu.__table__
permission_view = PermissionView.__table__
role_permission: sa.Table = assoc_permissionview_role
user_role: sa.Table = assoc_user_role
group = Group.__table__
group_user: sa.Table = assoc_user_group
group_role: sa.Table = assoc_group_role

access_profile = sa.Table(
    "access_profile",
    metadata,
    sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("language", sa.String(8)),
    sa.Column("must_change_password", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("external_id", sa.String(200), index=True, comment="what the company's directory calls the user (SCIM)"),
    sa.Column("owner_id", sa.Integer, index=True, comment="of a service account: the user who answers for it"),
    sa.Column("purpose", sa.String(300), comment="of a service account: what it is for"),
    sa.Column("second_factor_at", UtcDateTime, comment="since when a code is asked for at each sign-in"),
    sa.Column("second_factor_step", sa.BigInteger, nullable=False, server_default="0", comment="of the code used last"),
    sa.Column("attributes", NullableJson, comment="texts that conditions of rows compare with, such as a country"),
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
    sa.Column("by", sa.String(16), nullable=False, comment="password, passkey, directory, company or saml"),
    sa.Column("proven_at", UtcDateTime, nullable=False, comment="when the user last showed who they are"),
    sa.Column("vouched", sa.Boolean, nullable=False, comment="the provider has asked for a second factor"),
    sa.Column("earlier", sa.String(64), index=True, comment="the digest before `proven_at`, for requests under way"),
    sa.Column("id_token", sa.Text, comment="of the identity provider, to end its session with"),
    sa.Column("seen_as", sa.String(32), comment="role:7 or user:7: as whom the user views the console"),
)

access_identity = sa.Table(
    "access_identity",
    metadata,
    sa.Column("issuer", sa.String(255), primary_key=True),
    sa.Column("subject", sa.String(255), primary_key=True, comment="what the identity provider calls the user"),
    sa.Column("user_id", sa.Integer, nullable=False, index=True),
    sa.Column("confirmed_at", UtcDateTime, nullable=False, comment="when the provider last let the user in"),
)

access_recovery = sa.Table(
    "access_recovery",
    metadata,
    sa.Column("user_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of a recovery code that has not been used"),
)

access_passkey = sa.Table(
    "access_passkey",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("user_id", sa.Integer, nullable=False, index=True),
    sa.Column("handle", sa.String(64), nullable=False, comment="what the user's passkeys call the user"),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False, unique=True, comment="SHA-256 of `credential`"),
    sa.Column("credential", sa.Text, nullable=False, comment="what the device calls the passkey"),
    sa.Column("public_key", sa.Text, nullable=False, comment="COSE, in base64url"),
    sa.Column("sign_count", sa.BigInteger, nullable=False, comment="how often it was used, as it says itself"),
    sa.Column("transports", Json, nullable=False),
    sa.Column("alone", sa.Boolean, nullable=False, comment="lets in without a password"),
    sa.Column("synced", sa.Boolean, nullable=False, comment="may be on several devices"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("last_used_at", UtcDateTime),
)

access_once = sa.Table(
    "access_once",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of what was used and counts no more"),
    sa.Column("until", UtcDateTime, nullable=False, index=True, comment="when it would have expired anyway"),
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
        profile.c.owner_id,
        sa.exists().where(access_passkey.c.user_id == user.c.id).label("has_passkeys"),
        sa.exists().where(access_identity.c.user_id == user.c.id).label("linked"),
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
