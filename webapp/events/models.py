"""The tables of event rules: events, what is open, timers, what was met, and what is to be done about it."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata
from webapp.vault.journal import JsonAtRest, NullableJsonAtRest

event = sa.Table(
    "event",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column(
        "uid", sa.String(200), nullable=False, unique=True, comment="given by the source; a second one is ignored"
    ),
    sa.Column("type", sa.String(100), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False, comment="when it happened, as its source says"),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("source", sa.String(200), nullable=False, comment="api:KEY, cli:NAME, entity:NAME, run"),
    sa.Column("data", JsonAtRest("event.data"), nullable=False),
    sa.Column("depth", sa.Integer, nullable=False, comment="how many actions of event rules stand behind it"),
    sa.Column("position", BigId, unique=True, comment="its place in the order of all that were taken; null: it waits"),
    sa.Column("taken_at", UtcDateTime, comment="the moment at which rules saw it; never falls with position"),
    sa.Column("notes", NullableJsonAtRest("event.notes"), comment="why rules left it aside, as messages"),
    sa.Index("ix_event_type_id", "type", "id"),
    sa.Index("ix_event_received_at", "received_at"),
)

event_rule_clock = sa.Table(
    "event_rule_clock",
    metadata,
    sa.Column("rule_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("clock", UtcDateTime, nullable=False, comment="timers up to here have fired"),
    sa.Column("problem", NullableJson, comment="why the rule stands still, as a Message"),
)

event_kept = sa.Table(
    "event_kept",
    metadata,
    sa.Column("rule_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("key", sa.String(200), primary_key=True),
    sa.Column("position", BigId, primary_key=True, autoincrement=False, comment="an event that what is open needs"),
    sa.Column("names", Json, nullable=False, comment="what the rule calls it"),
)

event_process = sa.Table(
    "event_process",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("state", sa.String(63), comment="of a chart; null for a pattern"),
    sa.Column("events", Json, nullable=False, comment="name -> ids of the events that were seen"),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Index("ix_event_process_rule_name_id", "rule_name", "id"),
    sa.Index("ix_event_process_rule_id_version_key", "rule_id", "version", "key"),
)

event_timer = sa.Table(
    "event_timer",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("name", sa.String(200), nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("fired_at", UtcDateTime, comment="null: it is still to come"),
    sa.Index("ix_event_timer_rule_id_version_key", "rule_id", "version", "key"),
    sa.Index("ix_event_timer_fired_at_due_at", "fired_at", "due_at"),
)

event_match = sa.Table(
    "event_match",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(63), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column(
        "cause", sa.String(100), nullable=False, comment="tells steps apart, also when they are worked out again"
    ),
    sa.Column("kind", sa.String(16), nullable=False, comment="match | move"),
    sa.Column("before", sa.String(63)),
    sa.Column("after", sa.String(63)),
    sa.Column("events", Json, nullable=False, comment="name -> ids of the events"),
    sa.Column("depth", sa.Integer, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("recorded_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("rule_id", "version", "key", "cause"),
    sa.Index("ix_event_match_rule_name_id", "rule_name", "id"),
)

event_action = sa.Table(
    "event_action",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("match_id", BigId, nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(63), nullable=False),
    sa.Column("key", sa.String(200), nullable=False),
    sa.Column("path", sa.String(100), nullable=False, comment="where in the rule"),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("args", JsonAtRest("event_action.args"), nullable=False),
    sa.Column("retry", Json, nullable=False),
    sa.Column("lane", sa.String(200), comment="of those in one lane, one is carried out after the other"),
    sa.Column("state", sa.String(16), nullable=False, comment="pending | running | done | failed"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("ticket", BigId, comment="of the attempt whose outcome is not known yet"),
    sa.Column("due_at", UtcDateTime, nullable=False),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("worker", sa.String(128)),
    sa.Column("depth", sa.Integer, nullable=False),
    sa.Column("result", NullableJsonAtRest("event_action.result")),
    sa.Column("problem", NullableJsonAtRest("event_action.problem"), comment="why it failed or waits, as a Message"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.UniqueConstraint("match_id", "number"),
    sa.Index("ix_event_action_state_due_at", "state", "due_at"),
    sa.Index("ix_event_action_rule_name_id", "rule_name", "id"),
    sqlite_autoincrement=True,  # receivers know an action again by its number
)

event_lease = sa.Table(
    "event_lease",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("holder", sa.String(128)),
    sa.Column("until", UtcDateTime),
    sa.Column("token", BigId, nullable=False, comment="grows with every new holder; an older one can store nothing"),
    sa.Column("position", BigId, nullable=False, comment="the last that was given to an event"),
    sa.Column("clock", UtcDateTime, comment="the moment up to which events and timers were seen"),
    sa.Column("ticket", BigId, nullable=False, comment="the last that was given to an attempt of an action"),
)

notice_wish = sa.Table(
    "notice_wish",
    metadata,
    sa.Column("username", sa.String(128), primary_key=True),
    sa.Column("wishes", Json, nullable=False, comment="what to be told of by e-mail: assigned opened parked stopped"),
)

notice = sa.Table(
    "notice",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("uid", sa.String(200), nullable=False, unique=True, comment="names what it tells of"),
    sa.Column("username", sa.String(128), nullable=False, index=True),
    sa.Column(
        "lines",
        JsonAtRest("notice.lines"),
        nullable=False,
        comment="what it tells, as messages with the pages where that stands",
    ),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("due_at", UtcDateTime, nullable=False, comment="not tried before"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("sent_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime, index=True, comment="sent or given up"),
    sa.Column("problem", NullableJson, comment="why the last attempt failed, as a Message"),
    sqlite_autoincrement=True,  # mail servers know a notice again by its number
)

event_hook = sa.Table(
    "event_hook",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("name", sa.String(63), nullable=False, unique=True, comment="the end of its address"),
    sa.Column("label", sa.String(200), nullable=False),
    sa.Column("type", sa.String(100), nullable=False, comment="of the events that its deliveries become"),
    sa.Column("scheme", sa.String(16), nullable=False, comment="how deliveries are signed"),
    sa.Column("signature_header", sa.String(100), nullable=False, comment="empty: that of the scheme"),
    sa.Column("time_header", sa.String(100), nullable=False, comment="empty: that of the scheme"),
    sa.Column("seconds", sa.Integer, nullable=False, comment="how far the time of a delivery may be from ours"),
    sa.Column("enabled", sa.Boolean, nullable=False),
    sa.Column("live_keys", Json, nullable=False, comment="current, next -> id, moment; the vault holds them"),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
)

event_hook_seen = sa.Table(
    "event_hook_seen",
    metadata,
    sa.Column("hook_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of what was signed, or of a delivery's id"),
    sa.Column("uid", sa.String(200), nullable=False, comment="of the event that the delivery became"),
    sa.Column("at", UtcDateTime, nullable=False, index=True),
)

event_hook_delivery = sa.Table(
    "event_hook_delivery",
    metadata,
    sa.Column("uid", sa.String(200), primary_key=True, comment="of the event"),
    sa.Column("hook_id", BigId, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("address", sa.String(64), nullable=False),
    sa.Column("size", sa.Integer, nullable=False),
    sa.Column("key", sa.String(16), nullable=False, comment="the id of the key that signed it"),
    sa.Index("ix_event_hook_delivery_hook_id_at", "hook_id", "at"),
)

event_hook_refusal = sa.Table(
    "event_hook_refusal",
    metadata,
    sa.Column("hook_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("reason", sa.String(32), primary_key=True),
    sa.Column("times", BigId, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    sa.Column("last_address", sa.String(64), nullable=False),
)
