"""Tables of deliveries: one row for each record that is to be written, and the lanes in which they are sent."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, UtcDateTime, metadata
from webapp.vault.journal import NullableJsonAtRest, TextAtRest

delivery = sa.Table(
    "delivery",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(64), nullable=False),
    sa.Column("run_id", BigId, nullable=False),
    sa.Column("chunk_no", sa.Integer, nullable=False),
    sa.Column("record_no", BigId, comment="1-based place in the run; null: it was not read"),
    sa.Column("lane", sa.Integer, nullable=False, comment="all deliveries of a key are in one lane"),
    sa.Column("side", sa.String(5), nullable=False, comment="left | right: where the record was read"),
    sa.Column("key", sa.String(255), nullable=False, comment="its key on that side"),
    sa.Column("target_key", sa.String(255), nullable=False, comment="its key in the target"),
    sa.Column("connection", sa.String(64), nullable=False, index=True),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("op", sa.String(8), nullable=False, comment="create | update | delete | link | unlink"),
    sa.Column("whole", sa.Boolean, nullable=False, comment="all that the rule maps, so that it can be made anew"),
    sa.Column("fields", TextAtRest("delivery.fields"), comment="JSON of what is written; null once it has ended"),
    sa.Column("record", TextAtRest("delivery.record"), comment="JSON of the source record; null once it has ended"),
    sa.Column("hash", sa.String(16), comment="of what the rule read, in hexadecimal; see `steady`"),
    sa.Column("scheme", sa.String(64), nullable=False, comment="how that hash was made"),
    sa.Column("state", sa.String(16), nullable=False, comment="waiting | sending | delivered | failed | dropped"),
    sa.Column("attempts", sa.Integer, nullable=False, comment="how often it was sent"),
    sa.Column("failures", sa.Integer, nullable=False, comment="how often while others got through"),
    sa.Column("did", sa.String(16), comment="what it came to: created updated deleted unchanged linked unlinked"),
    sa.Column("answer", NullableJsonAtRest("delivery.answer"), comment="what the target said besides, as Messages"),
    sa.Column("problem", NullableJsonAtRest("delivery.problem"), comment="why the last attempt failed, as a Message"),
    sa.Column("queued_at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime, index=True),
    sa.Index("ix_delivery_state_rule_id_lane_id", "state", "rule_id", "lane", "id"),
    sa.Index("ix_delivery_rule_id_key_state_id", "rule_id", "key", "state", "id"),
    sa.Index("ix_delivery_run_id_state", "run_id", "state"),
    sa.Index("ix_delivery_rule_name_key", "rule_name", "key"),
    sqlite_autoincrement=True,  # receivers may remember their numbers, so that none is given again
)

delivery_lane = sa.Table(
    "delivery_lane",
    metadata,
    sa.Column("rule_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("lane", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("token", BigId, nullable=False, comment="fencing token of who sends; grows"),
    sa.Column("worker", sa.String(128)),
    sa.Column("lease_until", UtcDateTime, comment="null: nobody sends"),
    sa.Column("due_at", UtcDateTime, nullable=False, comment="not before: its target was away"),
    sa.Column("failures", sa.Integer, nullable=False, comment="how often in a row nothing got through"),
)
