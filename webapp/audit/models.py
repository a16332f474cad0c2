"""The audit table. Events hold plain copies and point at nothing, so that nothing can cascade into them."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, UtcDateTime, metadata

audit_event = sa.Table(
    "audit_event",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("tag", sa.String(64), nullable=False, index=True, comment="room:subject:deed"),
    sa.Column("actor_kind", sa.String(16), nullable=False),
    sa.Column("actor_id", sa.String(64)),
    sa.Column("actor_name", sa.String(128), nullable=False, index=True),
    sa.Column("address", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("subject_kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(255), nullable=False),
    sa.Column("record_key", sa.String(255), comment="the record's key where the subject is a set of records"),
    sa.Column("run_id", BigId, index=True),
    sa.Column("before", Json),
    sa.Column("after", Json),
    sa.Column("reason", sa.Text),
    sa.Index("ix_audit_event_subject_kind_subject_record_key", "subject_kind", "subject", "record_key"),
)
