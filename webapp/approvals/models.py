"""Tables of approvals: proposals, what is said about them, and the settings that say what needs a second person."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata

approval = sa.Table(
    "approval",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False, comment="which applier does it"),
    sa.Column("subject", sa.String(255), nullable=False),
    sa.Column("before", NullableJson, comment="the subject when it was proposed; null: there was none"),
    sa.Column("after", NullableJson, comment="the subject as it is to be; null: deleted"),
    sa.Column("detail", Json, nullable=False, comment="what doing it takes beside the document"),
    sa.Column(
        "before_digest", sa.String(64), nullable=False, comment="who changes the subject makes the proposal stale"
    ),
    sa.Column("secrets", Json, nullable=False, comment="names of new secrets, kept in the vault while it waits"),
    sa.Column("reason", sa.Text, nullable=False, server_default=""),
    sa.Column("author_kind", sa.String(16), nullable=False),
    sa.Column("author_id", sa.String(64)),
    sa.Column("author_user", sa.Integer, comment="the user behind it, also by a key or a service account; null: none"),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("decided_by", sa.String(128)),
    sa.Column("decision", sa.Text, nullable=False, server_default="", comment="what was said with it"),
    sa.Index("ix_approval_state", "state", "kind", "subject"),
    sqlite_autoincrement=True,  # the audit log and the vault name it by its number
)

approval_comment = sa.Table(
    "approval_comment",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("approval_id", sa.ForeignKey("approval.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("author", sa.String(128), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)

approval_value = sa.Table(
    "approval_value",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True, comment="settings, or what was agreed on elsewhere"),
    sa.Column("value", Json, nullable=False),
    sa.Column("updated_at", UtcDateTime, nullable=False),
    sa.Column("updated_by", sa.String(128), nullable=False),
)
