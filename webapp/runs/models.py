"""Tables of runs: the run with its lease, its chunks, what happened to records, the quarantine, links, schedules."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, NullableJson, UtcDateTime, metadata
from webapp.vault.journal import BlobAtRest, JsonAtRest, NullableJsonAtRest, TextAtRest

run = sa.Table(
    "run",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False, index=True),
    sa.Column("rule_name", sa.String(64), nullable=False, index=True),
    sa.Column("rule_version", sa.Integer, comment="null: the draft"),
    sa.Column("document", Json, nullable=False, comment="the rule as executed"),
    sa.Column("mode", sa.String(16), nullable=False),
    sa.Column(
        "kind", sa.String(16), nullable=False, comment="sync replay approved undo records part verify rebaseline"
    ),
    sa.Column("parameters", NullableJson, comment="what a run other than a sync is about, such as the run it undoes"),
    sa.Column("selection", Json, comment="replay: ids of quarantined records"),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("message", JsonAtRest("run.message"), comment="why it ended so, as a Message"),
    sa.Column("counts", Json, nullable=False),
    sa.Column("uses", NullableJson, comment="the tables it asks: kind -> name -> id of the version"),
    sa.Column("hits", NullableJson, comment="decision table -> how many records each of its rows decided"),
    sa.Column("chunks", sa.Integer, nullable=False, default=0),
    sa.Column("expected", BigId, comment="records that the source says it has"),
    sa.Column("position", Json, comment="where the source is read on"),
    sa.Column("since", Json, comment="cursor value that the run started at"),
    sa.Column("high", Json, comment="highest cursor value read"),
    sa.Column("read_complete", sa.Boolean, nullable=False, default=False),
    sa.Column("requested_by", sa.String(128), nullable=False),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("traceparent", sa.String(55), comment="the trace of who has asked for it, in W3C's form"),
    sa.Column("priority", sa.String(16), nullable=False, default="normal", server_default="normal"),
    sa.Column("turn_at", UtcDateTime, comment="as if asked for then: later for what lets others go first"),
    sa.Column("left_connection", sa.String(64)),
    sa.Column("right_connection", sa.String(64)),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("announced_at", UtcDateTime),
    sa.Column("worker", sa.String(128)),
    sa.Column("token", BigId, nullable=False, default=0, comment="fencing token; grows over all runs of the rule"),
    sa.Column("attempts", sa.Integer, nullable=False, default=0, comment="how often a worker has taken the run up"),
    sa.Column("lease_until", UtcDateTime),
    sa.Column("cancel_requested", sa.Boolean, nullable=False, default=False),
    sa.Column("pause_by", sa.String(128), comment="who has asked it to stop between two chunks, until it is resumed"),
    sa.Column("schemas", Json, comment="fields of source and target, and from which chunk on they were so"),
    sa.Column(
        "told_chunks",
        sa.Integer,
        nullable=False,
        default=0,
        server_default="0",
        comment="up to which chunk people have been told what it found",
    ),
    sa.Index("ix_run_mode_ended_at", "mode", "ended_at"),  # the home page and the metrics ask for the last days
    sa.Index("ix_run_rule_id_started", "rule_id", "mode", "state", "started_at"),  # when each last went well
    sqlite_autoincrement=True,  # systems remember numbers of runs, so that none is given again
)

run_wait = sa.Table(
    "run_wait",
    metadata,
    sa.Column("run_id", BigId, primary_key=True, autoincrement=False, comment="the run that waits"),
    sa.Column("for_run", BigId, primary_key=True, autoincrement=False, index=True),
    sa.Column("well", sa.Boolean, nullable=False, comment="it is called off unless the other one ends well"),
)

dependants_due = sa.Table(
    "dependants_due",
    metadata,
    sa.Column(
        "run_id", BigId, primary_key=True, autoincrement=False, comment="it ended well, and records wait for others"
    ),
    sa.Column("looked_at", UtcDateTime, nullable=False, comment="when somebody last saw which of them can go on"),
)

run_chunk = sa.Table(
    "run_chunk",
    metadata,
    sa.Column("run_id", BigId, primary_key=True),
    sa.Column("no", sa.Integer, primary_key=True),
    sa.Column("slice", sa.Integer, comment="of a split run: the slice that it belongs to"),
    sa.Column("state", sa.String(16), nullable=False, comment="planned: about to be written | done"),
    sa.Column("token", BigId, nullable=False),
    sa.Column(
        "plan", BlobAtRest("run_chunk.plan"), comment="the writes and outcomes of a planned chunk, compressed Arrow"
    ),
    sa.Column("outcomes", BlobAtRest("run_chunk.outcomes"), comment="what became of every record, compressed Arrow"),
    sa.Column("digest", sa.String(64), comment="SHA-256 of outcomes"),
    sa.Column("records", sa.Integer, nullable=False),
    sa.Column("counts", Json, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
)

run_input = sa.Table(
    "run_input",
    metadata,
    sa.Column("run_id", BigId, primary_key=True),
    sa.Column("no", sa.Integer, primary_key=True, comment="the chunk"),
    sa.Column("first", BigId, nullable=False, comment="number of the first record in the run"),
    sa.Column("records", sa.Integer, nullable=False),
    sa.Column(
        "blob", BlobAtRest("run_input.blob"), nullable=False, comment="the values that the rule read, compressed Arrow"
    ),
    sa.Column("digest", sa.String(64), nullable=False, comment="SHA-256 of blob"),
)

run_record = sa.Table(
    "run_record",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("run_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(64), nullable=False),
    sa.Column("record_no", BigId, nullable=False, comment="1-based place in the run"),
    sa.Column("left_key", sa.String(255)),
    sa.Column("right_key", sa.String(255)),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("situation", sa.String(24)),
    sa.Column("before", TextAtRest("run_record.before"), comment="JSON of the changed fields"),
    sa.Column("after", TextAtRest("run_record.after"), comment="JSON of the changed fields"),
    sa.Column("side", sa.String(5), comment="left | right: where it was read; before and after tell of the other"),
    sa.Column(
        "own_before",
        TextAtRest("run_record.own_before"),
        comment="JSON of the fields changed on the side where the record was read",
    ),
    sa.Column(
        "own_after",
        TextAtRest("run_record.own_after"),
        comment="JSON of the fields changed on the side where the record was read",
    ),
    sa.Column("field", sa.String(255)),
    sa.Column("reason", JsonAtRest("run_record.reason")),
    sa.Index("ix_run_record_run_id_outcome_id", "run_id", "outcome", "id"),
    sa.Index("ix_run_record_run_id_situation_outcome", "run_id", "situation", "outcome", "id"),
    sa.Index("ix_run_record_rule_name_left_key", "rule_name", "left_key"),
)

run_validation = sa.Table(
    "run_validation",
    metadata,
    sa.Column("run_id", BigId, primary_key=True),
    sa.Column("validation", sa.String(255), primary_key=True),
    sa.Column("place", sa.Integer, nullable=False, comment="order in the rule"),
    sa.Column("severity", sa.String(16), nullable=False, comment="reject | quarantine | warn"),
    sa.Column("asked", BigId, nullable=False, comment="for how many records it was asked"),
    sa.Column("failed", BigId, nullable=False, comment="how many of them do not meet it"),
    sa.Column("listed", sa.Integer, nullable=False, comment="how many warnings stand in run_warning"),
)

run_warning = sa.Table(
    "run_warning",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("run_id", BigId, nullable=False),
    sa.Column("validation", sa.String(255), nullable=False),
    sa.Column("record_no", BigId, nullable=False, comment="1-based place in the run"),
    sa.Column("left_key", sa.String(255)),
    sa.Column("field", sa.String(255)),
    sa.Column("reason", JsonAtRest("run_warning.reason")),
    sa.Index("ix_run_warning_run_id_validation_id", "run_id", "validation", "id"),
)

run_log = sa.Table(
    "run_log",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("run_id", BigId, nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("level", sa.String(8), nullable=False),
    sa.Column("message", JsonAtRest("run_log.message"), nullable=False),
)

run_verification = sa.Table(
    "run_verification",
    metadata,
    sa.Column("run_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("agrees", sa.Boolean, nullable=False),
    sa.Column("counts", Json, nullable=False, comment="side -> what was found -> how many of its records"),
    sa.Column("fields", Json, nullable=False, comment="field pair -> in how many pairs it differs"),
    sa.Column("one_way_only", BigId, nullable=False, comment="pairs that agree when seen from one side only"),
    sa.Column("left_sum", sa.String(16), nullable=False, comment="64-bit sum of row hashes in hexadecimal"),
    sa.Column("right_sum", sa.String(16), nullable=False),
    sa.Column("listed", sa.Integer, nullable=False, comment="how many differences stand in run_difference"),
    sa.Column("at", UtcDateTime, nullable=False),
)

run_difference = sa.Table(
    "run_difference",
    metadata,
    sa.Column("run_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("no", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(16), nullable=False, comment="differing | only_left | only_right"),
    sa.Column("left_key", sa.String(255)),
    sa.Column("right_key", sa.String(255)),
    sa.Column("waits", sa.String(16), comment="case | quarantine: who has it; null: nobody"),
    sa.Column(
        "details",
        JsonAtRest("run_difference.details"),
        nullable=False,
        comment="fields with both values, or the record that has no partner",
    ),
)

service_level = sa.Table(
    "service_level",
    metadata,
    sa.Column("rule_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(16), nullable=False, comment="met | late | failing"),
    sa.Column("since", UtcDateTime, nullable=False),
    sa.Column("reasons", Json, nullable=False, comment="why it is not met, as Messages"),
)

quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(64), nullable=False, index=True),
    sa.Column("run_id", BigId, nullable=False, index=True, comment="the run that parked it last"),
    sa.Column("side", sa.String(5), nullable=False, default="left", server_default="left", comment="where it was read"),
    sa.Column("left_key", sa.String(255), nullable=False, comment="its key on that side"),
    sa.Column("place", sa.String(255), nullable=False, comment="where in the source: record 17, line 18"),
    sa.Column(
        "record", TextAtRest("quarantine.record"), comment="the source record as JSON; null where it could not be read"
    ),
    sa.Column("raw", TextAtRest("quarantine.raw"), comment="the text of a record that could not be read"),
    sa.Column("edited", TextAtRest("quarantine.edited"), comment="the record as a person corrected it"),
    sa.Column("stage", sa.String(16), nullable=False, comment="read scope validate map match repeated write"),
    sa.Column("field", sa.String(255)),
    sa.Column("reason", JsonAtRest("quarantine.reason"), nullable=False),
    sa.Column("state", sa.String(16), nullable=False, comment="open | resolved | discarded"),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, default=1),
    sa.Column("first_at", UtcDateTime, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    sa.Column("resolved_by", sa.String(128)),
    sa.Column("waits_rule", sa.String(64), comment="the rule that has to link a record before this one can go on"),
    sa.Column("waits_side", sa.String(5), comment="the side of that record in its rule"),
    sa.Column("waits_key", sa.String(255), comment="the key of that record on that side"),
    sa.Index("ix_quarantine_state_id", "state", "id"),
    sa.Index("ix_quarantine_waits_rule_waits_key", "waits_rule", "waits_key"),
    sa.Index(
        "uq_quarantine_open",
        "rule_id",
        "side",
        "left_key",
        unique=True,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    ),
)

pair_case = sa.Table(
    "pair_case",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False),
    sa.Column("rule_name", sa.String(64), nullable=False, index=True),
    sa.Column("run_id", BigId, nullable=False, comment="the run that met it last"),
    sa.Column("pair", sa.String(600), nullable=False, comment="names the pair of records"),
    sa.Column("left_key", sa.String(255)),
    sa.Column("right_key", sa.String(255)),
    sa.Column("situation", sa.String(24), nullable=False),
    sa.Column(
        "details",
        JsonAtRest("pair_case.details"),
        nullable=False,
        comment="the fields in question: both sides' values, the baseline",
    ),
    sa.Column(
        "seen",
        TextAtRest("pair_case.seen"),
        nullable=False,
        comment="digest of the values; an answer holds only for these",
    ),
    sa.Column("state", sa.String(16), nullable=False, comment="open | answered | settled"),
    sa.Column("answer", NullableJsonAtRest("pair_case.answer"), comment="what a person has chosen"),
    sa.Column("answered_by", sa.String(128)),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("first_at", UtcDateTime, nullable=False),
    sa.Column("last_at", UtcDateTime, nullable=False),
    sa.Index(
        "uq_pair_case_waiting",
        "rule_id",
        "pair",
        unique=True,
        sqlite_where=sa.text("state <> 'settled'"),
        postgresql_where=sa.text("state <> 'settled'"),
    ),
)

link_segment = sa.Table(
    "link_segment",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("rule_id", BigId, nullable=False, index=True),
    sa.Column("run_id", BigId, nullable=False),
    sa.Column("rows", sa.Integer, nullable=False),
    sa.Column("bits", sa.LargeBinary, comment="one way: which keys are not in the blob; without them any may be"),
    sa.Column(
        "blob",
        BlobAtRest("link_segment.blob"),
        nullable=False,
        comment="left_key, right_key (null: unlinked), compressed Arrow",
    ),
    sa.Column(
        "baseline",
        BlobAtRest("link_segment.baseline"),
        comment="two-way: what both sides had agreed on, a row per link of the blob",
    ),
    sa.Column("scheme", sa.String(64), comment="how the baseline was made; of another scheme it is read anew"),
)

rule_cursor = sa.Table(
    "rule_cursor",
    metadata,
    sa.Column("rule_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("source", sa.String(255), primary_key=True, comment="connection, object and field that it belongs to"),
    sa.Column("value", Json, nullable=False),
    sa.Column("run_id", BigId, nullable=False),
)

kept_log = sa.Table(
    "kept_log",
    metadata,
    sa.Column("rule_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("side", sa.String(8), primary_key=True),
    sa.Column("rule_name", sa.String(64), nullable=False),
    sa.Column("connection", sa.String(64), nullable=False),
    sa.Column("object", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False, comment="the field by which the log names records"),
    sa.Column("name", sa.String(64), nullable=False, comment="under which the system keeps its log for this rule"),
    sa.Column("kept_at", UtcDateTime, nullable=False),
    sa.Column("seen_at", UtcDateTime, comment="when somebody last looked how it stands"),
    sa.Column("seen", NullableJson, comment="how it stood then: place behind seconds kept limit problem"),
)

schedule_slot = sa.Table(
    "schedule_slot",
    metadata,
    sa.Column("rule_id", BigId, primary_key=True, autoincrement=False),
    sa.Column("slot", UtcDateTime, primary_key=True),
    sa.Column("run_id", BigId, comment="null: skipped"),
    sa.Column("fired_at", UtcDateTime, nullable=False),
)

fence = sa.Table(
    "fence",
    metadata,
    sa.Column("rule_name", sa.String(64), primary_key=True),
    sa.Column(
        "token", BigId, nullable=False, comment="the last token given out; targets remember it, so it never falls"
    ),
    sa.Column("claimed_at", UtcDateTime, comment="when a run of the rule last got its turn"),
)

installation = sa.Table(
    "installation",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("uid", sa.String(32), nullable=False, comment="tells this installation's fences from others'"),
)
