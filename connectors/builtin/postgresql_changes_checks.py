"""What keeps PostgreSQL's log of changes from being read, in plain words, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.text import Message, msg

OLDEST = 130_000
_KEYS = {
    "smallint", "integer", "bigint", "oid", "numeric", "text", "character varying", "uuid", "date",
}  # fmt: skip
"""Types whose text in the log is that of a read."""

_SERVER = sa.text("""
SELECT current_setting('server_version_num')::int AS version, current_setting('server_version') AS shown,
       current_setting('wal_level') AS level, pg_is_in_recovery() AS replica, current_user AS me,
       r.rolsuper OR r.rolreplication OR EXISTS (
         SELECT FROM pg_catalog.pg_roles g WHERE g.rolname = 'rds_replication' AND pg_has_role(g.oid, 'MEMBER')
       ) AS allowed,
       (SELECT count(*) FROM pg_catalog.pg_replication_slots) AS used,
       current_setting('max_replication_slots')::int AS slots,
       EXISTS (SELECT FROM pg_catalog.pg_replication_slots WHERE slot_name = :slot) AS there
FROM pg_catalog.pg_roles r WHERE r.rolname = current_user
""")
_TABLE = sa.text("""
SELECT c.oid, c.relkind IN ('r', 'p') AS plain, c.relpersistence <> 'p' AS unlogged, c.relreplident::text AS identity,
       pg_has_role(c.relowner, 'USAGE') AS owned, has_database_privilege(current_database(), 'CREATE') AS may_create,
       coalesce((SELECT bool_or(t.schemaname = n.nspname AND t.tablename = c.relname)
                 FROM pg_catalog.pg_publication p
                 LEFT JOIN pg_catalog.pg_publication_tables t ON t.pubname = p.pubname
                 WHERE p.pubname = :publication), false) AS published
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = :schema AND c.relname = :table
""")
_KEY = sa.text("""
SELECT a.attnotnull AS filled, format_type(CASE WHEN t.typtype = 'd' THEN t.typbasetype ELSE t.oid END, -1) AS native,
       EXISTS (
         SELECT FROM pg_catalog.pg_index i
         WHERE i.indrelid = a.attrelid AND a.attnum = ANY (i.indkey::int2[])
           AND (i.indisprimary AND :identity = 'd' OR i.indisreplident AND :identity = 'i')
       ) AS identifies
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
WHERE a.attrelid = :oid AND a.attname = :key AND NOT a.attisdropped
""")


@dataclass(frozen=True)
class Place:
    """What is to be read: a table, by which key, and the publication that has to name it."""

    schema: str
    table: str
    key: str
    publication: str


def missing(connection: sa.Connection, place: Place, *, slot: str) -> list[Message]:
    """Return what keeps the log of a table from being read."""
    found = connection.execute(_SERVER, {"slot": slot}).one()
    return [*server(found), *_table(connection, place)]


def server(found: Any) -> Iterator[Message]:
    """Yield what a server, or the user there, lacks, by what `_SERVER` finds."""
    if found.version < OLDEST:
        yield msg("PostgreSQL {version} is too old for change capture; it takes version 13.", version=found.shown)
    if found.level != "logical":
        yield msg(
            "The server's log does not tell of single records: wal_level is '{level}'. Have an administrator run: ALTER"
            " SYSTEM SET wal_level = 'logical'; and restart the server.",
            level=found.level,
        )
    if found.replica:
        yield msg("This server is a replica. Connect to the primary server.")
    if not found.allowed:
        yield msg(
            "The user {user} may not read the log. Have an administrator run: ALTER ROLE {user} REPLICATION;",
            user=found.me,
        )
    if not found.there and found.used >= found.slots:
        yield msg(
            "All {count} replication slots of the server are in use. Take away those that nobody needs, or have an"
            " administrator raise max_replication_slots.",
            count=found.slots,
        )


def _table(connection: sa.Connection, place: Place) -> Iterator[Message]:
    values = {"schema": place.schema, "table": place.table, "publication": place.publication}
    found = connection.execute(_TABLE, values).one_or_none()
    if found is None or not found.plain:
        yield msg("'{object}' is no table, so the log does not tell of it. Choose its table.", object=place.table)
        return
    if found.unlogged:
        yield msg("Changes of '{object}' are not in the log, because the table is unlogged.", object=place.table)
    if not found.published and not (found.owned and found.may_create):
        yield msg(
            "The user may not publish the changes of '{object}'. Have its owner run: CREATE PUBLICATION"
            ' "{publication}" FOR TABLE "{schema}"."{object}" WITH (publish_via_partition_root = true);',
            object=place.table, schema=place.schema, publication=place.publication,
        )  # fmt: skip
    yield from _key(connection, place, found)


def _key(connection: sa.Connection, place: Place, table: Any) -> Iterator[Message]:
    values = {"oid": table.oid, "key": place.key, "identity": table.identity}
    found = connection.execute(_KEY, values).one_or_none()
    if found is None or found.native not in _KEYS or not found.filled:
        yield msg(
            "'{field}' cannot be the key for change capture: it has to be a number, a text, a date or a UUID that is"
            " never null.",
            field=place.key,
        )
    elif not found.identifies and table.identity != "f":
        yield msg(
            "The log does not name '{field}' when a record of '{object}' is deleted. Use the primary key as the key of"
            ' the rule, or have the owner run: ALTER TABLE "{schema}"."{object}" REPLICA IDENTITY FULL;',
            field=place.key, object=place.table, schema=place.schema,
        )  # fmt: skip
