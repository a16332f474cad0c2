"""The audit table and its seal. Events hold plain copies and point at nothing: nothing can cascade into them."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, UtcDateTime, metadata

audit_event = sa.Table(
    "audit_event",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("tag", sa.String(64), nullable=False, comment="room:subject:deed"),
    sa.Column("actor_kind", sa.String(16), nullable=False),
    sa.Column("actor_id", sa.String(64)),
    sa.Column("actor_name", sa.String(128), nullable=False),
    sa.Column("address", sa.String(64)),
    sa.Column("request_id", sa.String(64)),
    sa.Column("subject_kind", sa.String(32), nullable=False),
    sa.Column("subject", sa.String(255), nullable=False),
    sa.Column("record_key", sa.String(255), comment="the record's key where the subject is a set of records"),
    sa.Column("run_id", BigId),
    sa.Column("before", Json),
    sa.Column("after", Json),
    sa.Column("reason", sa.Text),
    # pages show the newest first, and each index gives them in this order: else a rare name is looked for in all
    sa.Index("ix_audit_event_tag_id", "tag", "id"),
    sa.Index("ix_audit_event_actor_name_id", "actor_name", "id"),
    sa.Index("ix_audit_event_run_id_id", "run_id", "id"),
    sa.Index("ix_audit_event_subject_kind_subject_record_key", "subject_kind", "subject", "record_key", "id"),
    sqlite_autoincrement=True,  # an id is never given again, also where the last events are gone
)

audit_leaf = sa.Table(
    "audit_leaf",
    metadata,
    sa.Column("seq", BigId, primary_key=True, autoincrement=False, comment="its place in the tree, from 0"),
    sa.Column("event_id", BigId, nullable=False, unique=True),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)

audit_node = sa.Table(
    "audit_node",
    metadata,
    sa.Column("level", sa.Integer, primary_key=True, autoincrement=False, comment="8, 16, 24, ..."),
    sa.Column("no", BigId, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.LargeBinary, nullable=False, comment="of a subtree of 2**level leaves"),
)

audit_head = sa.Table(
    "audit_head",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False, comment="always 1"),
    sa.Column("size", BigId, nullable=False, comment="leaves of the tree; a sealer that is late finds another one"),
    sa.Column("edge", sa.LargeBinary, nullable=False, comment="the roots of its largest perfect subtrees"),
    sa.Column("settled", BigId, nullable=False, comment="up to this id no event can appear any more"),
    sa.Column("mark_id", BigId, comment="will be settled once the transactions up to mark_xid have ended"),
    sa.Column("mark_xid", BigId),
    sa.Column("mark_at", UtcDateTime),
)

audit_checkpoint = sa.Table(
    "audit_checkpoint",
    metadata,
    sa.Column("size", BigId, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
    sa.Column("note", sa.Text, nullable=False, comment="C2SP tlog-checkpoint, signed"),
)

audit_key = sa.Table(
    "audit_key",
    metadata,
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("public", sa.String(256), nullable=False, comment="the public key as text, its name in front"),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("statement", sa.Text, nullable=False, comment="all keys so far, signed by the last one and this one"),
)

audit_search = sa.Table(
    "audit_search",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("query", Json, nullable=False, comment="the parameters of the page: text, tag, actor, since, ..."),
    sa.UniqueConstraint("owner", "name"),
)
