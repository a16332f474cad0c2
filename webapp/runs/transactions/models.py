"""Tables of transactions over several systems: the decision row, and a row for each system that takes part."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, UtcDateTime, metadata

global_transaction = sa.Table(
    "global_transaction",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(64), nullable=False),
    sa.Column("run_id", BigId, nullable=False, index=True),
    sa.Column("chunk_no", sa.Integer, nullable=False),
    sa.Column("token", BigId, nullable=False, comment="the fencing token of the worker that has begun it"),
    sa.Column(
        "state", sa.String(16), nullable=False, comment="preparing | committing | aborting | committed | aborted"
    ),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime, index=True),
    sa.Index("ix_global_transaction_state_id", "state", "id"),
    sqlite_autoincrement=True,
)

transaction_branch = sa.Table(
    "transaction_branch",
    metadata,
    sa.Column("transaction_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("side", sa.String(5), primary_key=True, comment="left | right"),
    sa.Column("connection", sa.String(64), nullable=False, index=True),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("records", BigId, nullable=False, comment="how many records it writes, and so keeps locked"),
    sa.Column("gid", sa.String(200), index=True, comment="its id in the system; null: written with the decision"),
    sa.Column("scope", sa.String(200), nullable=False, comment="of the fence, which marks what was committed"),
    sa.Column("state", sa.String(16), nullable=False, comment="open | prepared | committed | aborted | lost"),
    sa.Column("problem", Json, comment="why the system could not be told, as a Message"),
)
