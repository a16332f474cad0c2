"""Reading takes little memory, however many records there are: evidence for the quality scale."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import sqlalchemy as sa

from connectors.spi import Connector, Context
from tests import servers
from tests.connectors.memory import MOST, grown, made
from tests.connectors.test_singer_tap import TAP, install

COUNT, WIDE = 30_000, 2_000
"""Records, and characters of each: 60 MB."""

_INSERT = {
    "sqlite": "WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < {count})"
    " INSERT INTO wide SELECT id, hex(zeroblob({half})) FROM n",
    "postgresql": "INSERT INTO wide SELECT id, repeat('x', {wide}) FROM generate_series(1, {count}) id",
    "mysql": "INSERT INTO wide SELECT seq, repeat('x', {wide}) FROM seq_1_to_{count}",
}


def check(source: Connector, name: str) -> None:
    count, growth = grown(source, name)
    assert count == COUNT
    assert growth < MOST, f"{growth / 1e6:.0f} MB more"


def filled(engine: sa.Engine, name: str) -> None:
    with engine.begin() as tx:
        tx.execute(sa.text("CREATE TABLE wide (id INTEGER PRIMARY KEY, body TEXT)"))
        tx.execute(sa.text(_INSERT[name].format(count=COUNT, wide=WIDE, half=WIDE // 2)))
    engine.dispose()


def test_sqlite(tmp_path: Path) -> None:
    """A table of 60 MB is read page by page."""
    path = tmp_path / "wide.db"
    with contextlib.closing(sqlite3.connect(path)) as tx, tx:
        tx.execute("CREATE TABLE wide (id INTEGER PRIMARY KEY, body TEXT)")
        tx.execute(_INSERT["sqlite"].format(count=COUNT, half=WIDE // 2))
    check(made("sqlite", {"path": path.name}, Context(file_roots=(tmp_path,))), "wide")


def test_postgresql(postgres_url: str) -> None:
    """A table of 60 MB is read page by page."""
    url = sa.make_url(postgres_url)
    filled(sa.create_engine(url), "postgresql")
    check(made("postgresql", server(url), Context()), "wide")


def test_mysql(mariadb_url: str) -> None:
    """A table of 60 MB is read page by page."""
    url = sa.make_url(mariadb_url)
    filled(sa.create_engine(url), "mysql")
    check(made("mysql", server(url), Context()), "wide")


def server(url: sa.URL) -> dict[str, Any]:
    return {
        "host": url.host, "port": url.port, "database": url.database, "user": url.username, "password": url.password,
        "tls": "disable",
    }  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "jsonl", "xml"])
def test_files(tmp_path: Path, ending: str) -> None:
    """A file of 60 MB is read record by record."""
    body = "x" * WIDE
    lines: dict[str, Iterator[str]] = {
        "csv": (f"{n},{body}\n" for n in range(COUNT)),
        "jsonl": (f'{{"id":{n},"body":"{body}"}}\n' for n in range(COUNT)),
        "xml": (f"<r><id>{n}</id><body>{body}</body></r>\n" for n in range(COUNT)),
    }
    around = {"csv": ("id,body\n", ""), "jsonl": ("", ""), "xml": ("<all>", "</all>")}[ending]
    with (tmp_path / f"wide.{ending}").open("w") as file:
        file.write(around[0])
        file.writelines(lines[ending])
        file.write(around[1])
    check(made("files", {"path": ".", "settle": 0}, Context(file_roots=(tmp_path,))), f"wide.{ending}")


def test_rest(web: Any, reply: Any) -> None:
    """A list of 60 MB is read page by page."""
    body = "x" * WIDE

    def answer(request: Any) -> Any:
        start = int(request.query["offset"][0])
        return reply(body=[{"id": n, "body": body} for n in range(start, min(start + 1000, COUNT))])

    web.answer = answer
    described = {
        "name": "wide", "path": "/wide", "key": "id", "paging": {"by": "offset", "parameter": "offset", "size": 1000},
        "fields": [{"name": "id", "type": "integer"}, {"name": "body"}],
    }  # fmt: skip
    check(made("rest", {"base_url": web.url, "objects": [described]}, Context()), "wide")
    web.received.clear()


def test_singer_tap(tmp_path: Path) -> None:
    """A stream of 60 MB is read line by line."""
    schema = {"properties": {"id": {"type": "integer"}, "body": {"type": "string"}}}
    rows = [json.dumps({"id": n, "body": "x" * WIDE}) for n in range(COUNT)]
    store = {"wide": {"schema": schema, "key": ["id"], "grows": [], "rows": rows, "log": []}}
    files = tmp_path / "files"
    files.mkdir()
    (files / "store.json").write_text(json.dumps(store))
    del rows, store
    context = Context((files,), programs=install(tmp_path, "tap-sample", TAP))
    config = {"store": str(files / "store.json")}
    secret = '{"token": "good-token"}'
    check(made("singer_tap", {"program": "tap-sample", "config": config, "secret_config": secret}, context), "wide")


def test_redis_streams(valkey_server: servers.Server) -> None:
    """A stream of 60 MB is read part by part."""
    fields = [{"name": "id", "type": "integer"}, {"name": "body"}]
    where = {"host": valkey_server.host, "port": valkey_server.port}
    with redis.Redis(**where) as client:
        client.xgroup_create("wide", "syncline", "0", mkstream=True)
        for start in range(0, COUNT, 1000):
            with client.pipeline(transaction=False) as pipe:
                for number in range(start, start + 1000):
                    pipe.xadd("wide", {"payload": json.dumps({"id": number, "body": "x" * WIDE})})
                pipe.execute()
        try:
            objects = [{"name": "wide", "key": "id", "fields": fields}]
            check(made("redis_streams", {**where, "key": "id", "objects": objects}, Context()), "wide")
        finally:
            client.delete("wide")
