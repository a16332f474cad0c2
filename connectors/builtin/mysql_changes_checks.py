"""What keeps the log of changes of MariaDB or MySQL from being read, in plain words, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg

_NEEDED = {"log_bin": "1", "binlog_format": "ROW", "binlog_row_metadata": "FULL"}
_OF_MYSQL = {
    "gtid_mode": "ON",
    "binlog_order_commits": "ON",
    "binlog_transaction_compression": "OFF",
    "binlog_row_value_options": "",
}
"""Transactions have names, become visible in the order of the log, and are told whole."""
_FIRST = 8
_KEYS = {"tinyint", "smallint", "mediumint", "int", "bigint", "varchar", "char", "date"}
"""Types whose text in the log is that of a read."""
_TEXTS = ("utf8", "ascii")

_TABLE = sa.text("""
SELECT t.TABLE_TYPE = 'BASE TABLE' AS plain FROM information_schema.TABLES t
WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME = :table
""")
_COLUMN = sa.text("""
SELECT c.DATA_TYPE AS kind, c.IS_NULLABLE = 'NO' AS filled, c.COLUMN_KEY = 'PRI' AS identifies,
       coalesce(c.CHARACTER_SET_NAME, 'utf8') AS letters
FROM information_schema.COLUMNS c
WHERE c.TABLE_SCHEMA = DATABASE() AND c.TABLE_NAME = :table AND c.COLUMN_NAME = :key
""")
_CASCADES = sa.text("""
SELECT count(*) FROM information_schema.REFERENTIAL_CONSTRAINTS r
WHERE r.CONSTRAINT_SCHEMA = DATABASE() AND r.TABLE_NAME = :table
  AND NOT (r.DELETE_RULE IN ('RESTRICT', 'NO ACTION') AND r.UPDATE_RULE IN ('RESTRICT', 'NO ACTION'))
""")


def missing(connection: sa.Connection, table: str, key: str) -> list[Message]:
    """Return what keeps the log of a table from being read."""
    wanted = (*_NEEDED, *_OF_MYSQL, "version", "binlog_row_image", "log_bin_compress")
    names = ", ".join(f"'{name}'" for name in wanted)
    rows = connection.exec_driver_sql(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})").fetchall()
    found = {str(name): str(value) for name, value in rows}
    told = list(server(found))
    if told:
        return told
    return [*_rights(connection), *_object(connection, table, key, whole=found["binlog_row_image"] == "FULL")]


def server(found: Mapping[str, str]) -> Iterator[Message]:
    """Yield what a server lacks, by its variables."""
    mariadb = "mariadb" in found["version"].lower()
    if not mariadb and int(found["version"].partition(".")[0]) < _FIRST:
        yield msg("Change capture takes MySQL from version 8.0 on. This is MySQL {version}.", version=found["version"])
        return
    if found["log_bin"] not in {"1", "ON"}:
        yield msg(
            "The server keeps no log of changes. Have an administrator set log_bin and server_id in its settings and"
            " restart it."
        )
    if found["binlog_format"] != "ROW":
        yield msg("The log does not name single records. Have an administrator set binlog_format = ROW.")
    if found.get("log_bin_compress", "OFF") != "OFF":
        yield msg("The log is compressed, which cannot be read. Have an administrator set log_bin_compress = OFF.")
    if found.get("binlog_row_metadata") != "FULL":
        yield msg("The log does not name fields. Have an administrator set binlog_row_metadata = FULL (MariaDB 10.5).")
    for name, value in () if mariadb else _OF_MYSQL.items():
        if found.get(name, value).upper() != value:
            yield msg(
                "The log cannot be read as it is. Have an administrator set {name} = {value}.",
                name=name, value=value or "''",
            )  # fmt: skip


def _rights(connection: sa.Connection) -> Iterator[Message]:
    me = str(connection.exec_driver_sql("SELECT CURRENT_USER()").scalar_one())
    grants = " ".join(str(row[0]) for row in connection.exec_driver_sql("SHOW GRANTS")).upper()
    everything = "ALL PRIVILEGES ON *.*" in grants
    for names in (("REPLICATION SLAVE", "REPLICATION REPLICA"), ("BINLOG MONITOR", "REPLICATION CLIENT")):
        if not everything and not any(name in grants for name in names):
            yield msg(
                "The user {user} may not read the log. Have an administrator run: GRANT {right} ON *.* TO {user};",
                user=me, right=names[0],
            )  # fmt: skip


def _object(connection: sa.Connection, table: str, key: str, *, whole: bool) -> Iterator[Message]:
    if not connection.execute(_TABLE, {"table": table}).scalar():
        yield msg("'{object}' is no table, so the log does not tell of it. Choose its table.", object=table)
        return
    if connection.execute(_CASCADES, {"table": table}).scalar_one():
        yield msg(
            "Records of '{object}' are changed by foreign keys (ON DELETE or ON UPDATE), which the log does not tell."
            " Let the rule read what is new by a field, or compare all records.",
            object=table,
        )
    found: Any = connection.execute(_COLUMN, {"table": table, "key": key}).one_or_none()
    if found is None or found.kind not in _KEYS or not found.filled or not found.letters.startswith(_TEXTS):
        yield msg(
            "'{field}' cannot be the key for change capture: it has to be a number, a text in UTF-8 or a date that is"
            " never null.",
            field=key,
        )
    elif not found.identifies and not whole:
        yield msg(
            "The log does not name '{field}' when a record of '{object}' is deleted. Use the primary key as the key of"
            " the rule, or have an administrator set binlog_row_image = FULL.",
            field=key, object=table,
        )  # fmt: skip
