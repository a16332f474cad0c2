"""The rules of one-way histories and the systems between which they flow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.connectors.databases import settings_of
from tests.runs.conftest import ADMIN, World
from tests.runs.one_way_model import BAD, OFF, REFUSED
from webapp.connections import services as connections

Ask = Callable[..., list[tuple[Any, ...]]]
PEOPLE = "id INTEGER PRIMARY KEY, name TEXT, phone TEXT, status TEXT, owner INTEGER, changed TIMESTAMP"
CLIENTS = f"no INTEGER{{}}, title TEXT CHECK (title <> '{REFUSED}'), tel TEXT, boss INTEGER, memo TEXT"


def create(source: Ask, target: Ask, *, unique: bool) -> None:
    """Create the tables of both systems; the one that counts has a unique key or none."""
    source(f"CREATE TABLE people ({PEOPLE})")
    source("CREATE TABLE head (id INTEGER PRIMARY KEY, rev INTEGER)")
    target(f"CREATE TABLE clients ({CLIENTS.format(' PRIMARY KEY' if unique else '')})")
    target("CREATE TABLE chief (no INTEGER PRIMARY KEY, rev INTEGER)")


def owners(asked: dict[str, Any], connection: str) -> dict[str, Any]:
    """Return the rule that links owners; one that is made anew gets another key in the target."""
    number = {"left": "id", "right": "no", "to_right": "id * 10 + rev", "on": ["create"]}
    fields = [number, {"left": "rev", "right": "rev"}]
    said = {"deletes": {"detect": "full_scan"}, "situations": {"deleted_left": "delete"}}
    return _written("owners", asked, (connection, "head", "chief"), {"fields": fields, **said})


def customers(asked: dict[str, Any], connection: str) -> dict[str, Any]:
    """Return the rule that a history is about."""
    fields: list[dict[str, Any]] = [
        {"left": "id", "right": "no"},
        {"left": "name", "right": "title"},
        {"left": asked["told"], "right": "tel", "strength": "weak" if asked["weak"] else "normal"},
    ]
    if asked["owned"]:
        fields.append({"left": "owner", "right": "boss", "reference": "owners"})
    said = {
        "fields": fields,
        "detect": {"left": {"by": asked["by"], **({"field": "changed"} if asked["by"] == "cursor" else {})}},
        "deletes": {
            "detect": "full_scan" if asked["scan"] else "none",
            "deactivate": {"left" if asked["reverse"] else "right": {"field": "memo", "value": OFF}},
        },
        "situations": {
            "deleted_left": asked["gone"],
            "deleted_right": asked["lost"],
            "out_of_scope": asked["leaving"],
        },
        "validations": [{"name": "good", "check": f"name != '{BAD}'"}] if asked["checked"] else [],
    }
    said |= {"split": {"over": 2, "every": asked["split"]}} if asked.get("split") else {}
    where = {"where": "status != 'off'"} if asked["scoped"] else {}
    return _written("customers", asked, (connection, "people", "clients"), said, where)


def _written(
    name: str,
    asked: dict[str, Any],
    ends: tuple[str, str, str],
    said: dict[str, Any],
    where: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return a rule; where it is to flow to the left, all of it is written the other way round."""
    connection, source, target = ends
    document = {
        "kind": "sync",
        "name": name,
        "direction": "left_to_right",
        "left": {"connection": connection, "object": source, **(where or {})},
        "right": {"connection": "erp", "object": target},
        "key": {"left": "id", "right": "no"},
        **said,
    }
    if not asked["reverse"]:
        return document
    turned = {**_turned(document), "direction": "right_to_left"}
    parts = {part: _turned(document[part]) for part in ("key", "detect", "situations") if part in document}
    return {**turned, **parts, "fields": [_turned(pair) for pair in document["fields"]]}


def _turned(values: dict[str, Any]) -> dict[str, Any]:
    """Return what is said of one side under the name of the other one."""
    names = {"left": "right", "right": "left", "to_right": "to_left"}
    names |= {"deleted_left": "deleted_right", "deleted_right": "deleted_left"}
    return {names.get(name, name): value for name, value in values.items()}


@contextmanager
def postgresql_source(world: World, url: str) -> Iterator[tuple[str, Ask]]:
    """Give the source that a history changes: a database of PostgreSQL, whose log can be followed."""
    settings = settings_of(url)
    document = {"kind": "connection", "name": "shop", "connector": "postgresql", "settings": settings}
    connections.create(world.house, document, ADMIN)
    names = {"database": "dbname"}
    with psycopg.connect(**{names.get(name, name): value for name, value in settings.items()}, autocommit=True) as sql:

        def ask(statement: str, *row: Any) -> list[tuple[Any, ...]]:
            done = sql.execute(statement.replace("?", "%s").encode(), row or None)
            return done.fetchall() if done.description else []

        ask("DROP TABLE IF EXISTS people, head")
        try:
            yield "shop", ask
        finally:
            here = "database = current_database()"
            ask(f"SELECT pg_terminate_backend(active_pid, 10000) FROM pg_replication_slots WHERE active AND {here}")
            ask(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE {here}")


@contextmanager
def sqlite_source(world: World) -> Iterator[tuple[str, Ask]]:
    """Give the source that a history changes: a file of SQLite."""
    yield "crm", lambda statement, *row: world.crm(statement, row) if row else world.crm(statement)
