"""The tables of cases: what waits for a person, what people say about it, and what became of it."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, UtcDateTime, metadata
from webapp.vault.journal import JsonAtRest, NullableJsonAtRest, TextAtRest

case_item = sa.Table(
    "case_item",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("kind", sa.String(32), nullable=False, comment="who asks: event_rule, sync, saga, manual"),
    sa.Column("title", sa.String(500), nullable=False),
    sa.Column("subject", sa.String(500), nullable=False, server_default="", comment="the record or thing it concerns"),
    sa.Column("details", JsonAtRest("case_item.details"), nullable=False),
    sa.Column("rule_name", sa.String(63), index=True, comment="the rule that asks; null: a person"),
    sa.Column("origin", sa.String(200), unique=True, comment="names what opened it, so that it is opened once"),
    sa.Column("state", sa.String(16), nullable=False, comment="open | closed"),
    sa.Column("assignee", sa.String(128)),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("opened_by", sa.String(128), nullable=False),
    sa.Column("closed_at", UtcDateTime),
    sa.Column("closed_by", sa.String(128)),
    sa.Column("resolution", TextAtRest("case_item.resolution")),
    sa.Column("pair_id", BigId, unique=True, comment="sync: the row of pair_case that waits"),
    sa.Column("situation", sa.String(24), comment="sync: what was found for the pair"),
    sa.Index("ix_case_item_state_id", "state", "id"),
)

case_comment = sa.Table(
    "case_comment",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("case_id", BigId, nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("text", TextAtRest("case_comment.text"), nullable=False),
)

case_event = sa.Table(
    "case_event",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("case_id", BigId, nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("by", sa.String(128), nullable=False),
    sa.Column("deed", sa.String(16), nullable=False, comment="opened refreshed dropped answered used resolved ..."),
    sa.Column("run_id", BigId, comment="the run that did it"),
    sa.Column("told", NullableJsonAtRest("case_event.told"), comment="what was chosen, or who it was given to"),
)
