"""Tables of the evidence: legal holds, how far checkpoints and events were sent, and work on the log as a whole."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata

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

audit_forward = sa.Table(
    "audit_forward",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("address", sa.String(500), nullable=False, comment="syslog://, syslog+tcp://, syslog+tls://, https://"),
    sa.Column("format", sa.String(16), nullable=False, comment="rfc5424 | json | cef"),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("settings", Json, nullable=False, comment="sign: none, bearer or hmac; certificates; events"),
    sa.Column("position", BigId, nullable=False, comment="places of the sealed log below this one have arrived"),
    sa.Column("sent", BigId, nullable=False, comment="how many events have arrived"),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("attempts", sa.Integer, nullable=False, comment="since something arrived"),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("problem", NullableJson, comment="why the last attempt failed"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(128), nullable=False),
)

audit_job = sa.Table(
    "audit_job",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(16), nullable=False, comment="package | verify"),
    sa.Column("wanted", Json, nullable=False, comment="package: which events, its title, with records of runs or not"),
    sa.Column("state", sa.String(16), nullable=False, index=True, comment="queued | working | done | failed"),
    sa.Column("requested_by", sa.String(128), nullable=False),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("announced_at", UtcDateTime),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("token", BigId, nullable=False, comment="grows with each worker that takes it up"),
    sa.Column("done", BigId, nullable=False),
    sa.Column("total", BigId, nullable=False),
    sa.Column("result", NullableJson, comment="what was found, or why it failed"),
    sa.Column("file", sa.String(255), comment="package: its name in the data folder"),
    sa.Column("size", BigId),
    sa.Column("digest", sa.String(64), comment="SHA-256 of the file"),
)
