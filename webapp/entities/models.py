"""The room's own tables; the records of an entity live in a table of its own, `e_<name>` (see `storage`)."""

from __future__ import annotations

import sqlalchemy as sa

from webapp.extensions import BigId, Json, UtcDateTime, metadata
from webapp.vault.journal import JsonAtRest

entity = sa.Table(
    "entity",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("version", sa.Integer, nullable=False, comment="the version in force"),
    sa.Column("state", sa.String(16), nullable=False, server_default="active"),
    sa.Column("last_id", BigId, nullable=False, server_default="0", comment="the highest id given out (SQLite)"),
    sa.Column("records", BigId, nullable=False, server_default="0", comment="how many records there are (SQLite)"),
)

entity_version = sa.Table(
    "entity_version",
    metadata,
    sa.Column("name", sa.String(40), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True),
    sa.Column("definition", Json, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
)

entity_history = sa.Table(
    "entity_history",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("entity", sa.String(40), nullable=False),
    sa.Column("record_id", BigId, nullable=False),
    sa.Column("version", sa.Integer, nullable=False, comment="the record's version after the change"),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor_kind", sa.String(16), nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("run_id", BigId),
    sa.Column("before", Json, comment="the changed fields' old values; null: created"),
    sa.Column("after", Json, comment="the changed fields' new values; null: deleted"),
    sa.Index("ix_entity_history_record", "entity", "record_id", "version"),
    sa.Index("ix_entity_history_run", "run_id"),
    sa.Index(
        "ix_entity_history_gone",
        "entity",
        "at",
        sqlite_where=sa.text("after IS NULL"),
        postgresql_where=sa.text("after IS NULL"),
    ),
)

entity_sealing = sa.Table(
    "entity_sealing",
    metadata,
    sa.Column("entity", sa.String(40), primary_key=True, comment="whose values are encrypted, decrypted, or both"),
    sa.Column("record_id", BigId, nullable=False, comment="the last record that is done"),
    sa.Column("history_id", BigId, nullable=False, comment="the last entry of the history that is done"),
    sa.Column("done", BigId, nullable=False),
    sa.Column("total", BigId, nullable=False, comment="about so many there were"),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
)

entity_view = sa.Table(
    "entity_view",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("entity", sa.String(40), nullable=False, index=True),
    sa.Column("name", sa.String(100), nullable=False),
    sa.Column("owner", sa.String(128), nullable=False),
    sa.Column("shared", sa.Boolean, nullable=False),
    sa.Column("query", JsonAtRest("entity_view.query"), nullable=False, comment="filters, search, sort and columns"),
    sa.UniqueConstraint("entity", "owner", "name"),
)

entity_file = sa.Table(
    "entity_file",
    metadata,
    sa.Column("digest", sa.String(64), primary_key=True, comment="SHA-256 of the content"),
    sa.Column("size", BigId, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
)

entity_import = sa.Table(
    "entity_import",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("entity", sa.String(40), nullable=False, index=True),
    sa.Column("state", sa.String(16), nullable=False, comment="uploaded running done cancelled"),
    sa.Column("file_name", sa.String(255), nullable=False),
    sa.Column("options", Json, nullable=False, comment="mapping, unique field, dry run, delimiter"),
    sa.Column("total", sa.Integer, nullable=False),
    sa.Column("position", sa.Integer, nullable=False, comment="rows done; the next chunk starts behind them"),
    sa.Column("counts", Json, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
)

entity_import_error = sa.Table(
    "entity_import_error",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("import_id", BigId, nullable=False, index=True),
    sa.Column("line", sa.Integer, nullable=False),
    sa.Column("severity", sa.String(16), nullable=False, comment="reject | quarantine: refused; warn: imported"),
    sa.Column("field", sa.String(64)),
    sa.Column("message", JsonAtRest("entity_import_error.message"), nullable=False),
    sa.Column("row", JsonAtRest("entity_import_error.row"), nullable=False),
)

entity_quality = sa.Table(
    "entity_quality",
    metadata,
    sa.Column("id", BigId, primary_key=True, autoincrement=True),
    sa.Column("entity", sa.String(40), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False, comment="of the entity's definition"),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(128), nullable=False),
    sa.Column("seconds", sa.Float, nullable=False),
    sa.Column("records", BigId, nullable=False),
    sa.Column("score", sa.Float, comment="0 to 100; null: nothing can be said"),
    sa.Column(
        "result",
        JsonAtRest("entity_quality.result"),
        nullable=False,
        comment="fields, validations, and the first records that fail",
    ),
)

entity_fence = sa.Table(
    "entity_fence",
    metadata,
    sa.Column("scope", sa.String(255), primary_key=True),
    sa.Column("token", BigId, nullable=False),
    sa.Column("run", BigId, nullable=False),
    sa.Column("chunk", BigId, nullable=False),
)
