"""The tables of connections, and of what was found in them."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata

connection = sa.Table(
    "connection",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("connector", sa.String(64), nullable=False),
    sa.Column("settings", Json, nullable=False, comment="secrets are references"),
    sa.Column("granted_roots", Json, nullable=False, comment="folders granted by an operator's configuration file"),
    sa.Column("note", sa.Text, nullable=False),
    sa.Column("preset", sa.String(80), nullable=False, comment="name@version of the preset that it was made from"),
    sa.Column("limits", NullableJson, comment="runs, per_rule: how much may be under way on it at a time"),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
    sa.Column("last_check", Json, comment="the steps of the last test"),
    sa.Column("last_check_at", UtcDateTime),
    sa.Column("discovered_at", UtcDateTime, comment="when its objects were last listed"),
)

connection_object = sa.Table(
    "connection_object",
    metadata,
    sa.Column("connection_id", sa.ForeignKey("connection.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("name", sa.String(500), primary_key=True),
    sa.Column("kind", sa.String(64), nullable=False),
    sa.Column("label", sa.String(500), nullable=False),
    sa.Column("records", sa.BigInteger),
    sa.Column("writable", sa.Boolean, nullable=False),
    sa.Column("schema", Json),
    sa.Column("discovered_at", UtcDateTime, nullable=False),
)

connection_personal = sa.Table(
    "connection_personal",
    metadata,
    sa.Column("connection", sa.String(64), primary_key=True, comment="its name; marks outlive it"),
    sa.Column("object", sa.String(500), primary_key=True),
    sa.Column("field", sa.String(500), primary_key=True, comment="about a person"),
)
