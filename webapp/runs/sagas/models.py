"""Tables of sagas: a row for each record in work, and the ledger with a row for each of its steps."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, UtcDateTime, metadata
from webapp.vault.journal import NullableJsonAtRest, TextAtRest

saga = sa.Table(
    "saga",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(64), nullable=False),
    sa.Column("run_id", BigId, nullable=False),
    sa.Column("chunk_no", sa.Integer, nullable=False),
    sa.Column("row", sa.Integer, nullable=False, comment="of the chunk's outcomes"),
    sa.Column("side", sa.String(5), nullable=False, comment="left | right: where the record was read"),
    sa.Column("record_key", sa.String(255), nullable=False, comment="its key on that side"),
    sa.Column(
        "state", sa.String(16), nullable=False, comment="working | compensating | done | compensated | stuck | given_up"
    ),
    sa.Column("step", sa.String(64), comment="the step that was refused"),
    sa.Column("field", sa.String(255)),
    sa.Column("reason", NullableJsonAtRest("saga.reason"), comment="why it was taken back, as a Message"),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime, index=True),
    sa.Index("ix_saga_run_id_chunk_no", "run_id", "chunk_no"),
    sa.Index("ix_saga_state_id", "state", "id"),
    sqlite_autoincrement=True,
)

saga_step = sa.Table(
    "saga_step",
    metadata,
    sa.Column("saga_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False, comment="0: the rule's own record"),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("connection", sa.String(64), nullable=False, index=True),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("key_field", sa.Text, nullable=False),
    sa.Column("key", TextAtRest("saga_step.key"), comment="the key of its record; null while it is not known"),
    sa.Column("match_field", sa.Text, comment="the field by which its record is found; null: by its key"),
    sa.Column("match", TextAtRest("saga_step.match")),
    sa.Column("op", sa.String(8), nullable=False, comment="create | update | same"),
    sa.Column("way", sa.String(8), nullable=False, comment="back: delete | restore | update | none | ask"),
    sa.Column("after", NullableJsonAtRest("saga_step.after"), comment="what it wrote"),
    sa.Column("undo", NullableJsonAtRest("saga_step.undo"), comment="what is written to take it back"),
    sa.Column(
        "state", sa.String(16), nullable=False, comment="intent | confirmed | compensated | kept | stuck | taken"
    ),
    sa.Column("problem", NullableJsonAtRest("saga_step.problem"), comment="why it could not be taken back"),
)
