"""The tables of the rulebook: a rule with its draft, and its published versions, which never change."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata

rule = sa.Table(
    "rule",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True),
    sa.Column("label", sa.String(200), nullable=False, server_default=""),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("draft", NullableJson, comment="the document as edited; null when it is what is published"),
    sa.Column("draft_version", sa.Integer, nullable=False, comment="raised by every save; a stale save is refused"),
    sa.Column("published_version", sa.Integer),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(64), comment="with whose rights it works; null: the installation's; empty: deleted"),
    sa.Column("held_at", UtcDateTime, comment="since when only approved plans write: an older state was put back"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
    sqlite_autoincrement=True,  # versions outlive their rule, so an id is never given again
)

rule_version = sa.Table(
    "rule_version",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(63), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("published_at", UtcDateTime, nullable=False),
    sa.Column("published_by", sa.String(128), nullable=False),
    sa.Column("note", sa.Text, nullable=False, server_default=""),
    sa.UniqueConstraint("rule_id", "version"),
)
