"""Tables of the evidence: legal holds, and how far checkpoints have been sent."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, NullableJson, UtcDateTime, metadata

audit_hold = sa.Table(
    "audit_hold",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("subject_kind", sa.String(32), comment="null: everything; else what is held: user, entity, rule, ..."),
    sa.Column("subject", sa.String(255)),
    sa.Column("record_key", sa.String(255)),
    sa.Column("placed_by", sa.String(128), nullable=False),
    sa.Column("placed_at", UtcDateTime, nullable=False),
    sa.Column("released_by", sa.String(128)),
    sa.Column("released_at", UtcDateTime),
)

audit_delivery = sa.Table(
    "audit_delivery",
    metadata,
    sa.Column("target", sa.String(255), primary_key=True, comment="where checkpoints go"),
    sa.Column("size", BigId, nullable=False, comment="of the last checkpoint that arrived there; 0: none has"),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("attempts", sa.Integer, nullable=False, comment="since one arrived"),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("problem", NullableJson, comment="why the last attempt failed"),
)
