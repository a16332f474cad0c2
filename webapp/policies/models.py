"""The table of policies: what roles may see and do with records."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import Json, UtcDateTime, metadata

policy = sa.Table(
    "policy",
    metadata,
    sa.Column("role_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("changed_by", sa.String(128), nullable=False),
)

policy_key = sa.Table(
    "policy_key",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, comment="always 1"),
    sa.Column("key", sa.LargeBinary, nullable=False, comment="for signs that stand for masked values"),
)
