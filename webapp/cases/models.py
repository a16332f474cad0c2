"""The tables of cases: what waits for a person, and what people say about it."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, UtcDateTime, metadata

case_item = sa.Table(
    "case_item",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False, comment="what kind of question: event_rule, conflict, match"),
    sa.Column("title", sa.String(500), nullable=False),
    sa.Column("subject", sa.String(500), nullable=False, server_default="", comment="the record or thing it concerns"),
    sa.Column("details", Json, nullable=False),
    sa.Column("rule_name", sa.String(63), index=True, comment="the rule that asks; null: a person"),
    sa.Column("origin", sa.String(200), unique=True, comment="names what opened it, so that it is opened once"),
    sa.Column("state", sa.String(16), nullable=False, comment="open | closed"),
    sa.Column("assignee", sa.String(128)),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("opened_by", sa.String(128), nullable=False),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("closed_by", sa.String(128)),
    sa.Column("resolution", sa.Text),
    sa.Index("ix_case_item_state_id", "state", "id"),
)

case_comment = sa.Table(
    "case_comment",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("case_id", BigId, nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
)
