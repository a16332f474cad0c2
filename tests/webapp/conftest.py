"""The console on a database of its own, and a client that is signed in as the administrator.

Other rooms' tests of pages import these fixtures.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache

import config
from webapp.access.services import ensure_admin
from webapp.access.users import NewUser, insert_user
from webapp.app import create_app
from webapp.audit import personal, queries
from webapp.extensions import SYSTEM, House

PASSWORD = "correct-horse-battery-staple"


class Compiled(BytecodeCache):
    """Templates that were compiled for one test's console serve the next one's, as long as their text is the same."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.kept:
            bucket.bytecode_from_string(self.kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED = Compiled()


@pytest.fixture
def settings(tmp_path: Path, metadata_url: str) -> config.Settings:
    environ = {
        "SYNCLINE_DATA": str(tmp_path / "data"),
        "SYNCLINE_DATABASE_URL": metadata_url,
        "SYNCLINE_REDIS_URL": f"unix://{tmp_path}/no-redis.sock",
    }
    (tmp_path / "data").mkdir(exist_ok=True)
    return config.from_environment(environ)


@pytest.fixture
def app(settings: config.Settings) -> Iterator[Flask]:
    app = create_app(settings)
    house: House = app.extensions["syncline"]
    app.jinja_env.bytecode_cache = _COMPILED
    ensure_admin(house, PASSWORD)
    app.config["WTF_CSRF_ENABLED"] = False
    yield app
    house.db.engine.dispose()


@pytest.fixture
def house(app: Flask) -> House:
    return app.extensions["syncline"]


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def admin_client(client: FlaskClient) -> FlaskClient:
    return sign_in(client)


def sign_in(client: FlaskClient, username: str = "admin", password: str = PASSWORD) -> FlaskClient:
    """Return the client, signed in."""
    answer = client.post("/login/", data={"username": username, "password": password})
    assert answer.status_code == 302, answer.text
    return client


def text(client: FlaskClient, path: str) -> str:
    """Return the page at the path, which has to open."""
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == 200, answer.get_data(as_text=True)[:500]
    return answer.get_data(as_text=True)


def add_user(house: House, username: str, *names: str) -> int:
    """Add a user with roles and the usual password; returns the id."""
    new = NewUser(username, username.title(), "Test", f"{username}@example.com", names)
    with house.db.begin() as tx:
        return insert_user(tx, new, PASSWORD, SYSTEM, house.clock())


def client_of(app: Flask, username: str, *names: str) -> FlaskClient:
    """Return a client that is signed in as a new user with these roles."""
    add_user(app.extensions["syncline"], username, *names)
    return sign_in(app.test_client(), username)


def events(house: House, tag: str = "") -> list:
    """Return the audit events with the tag, the oldest first."""
    with house.db.read() as connection:
        return [*personal.shown(connection, queries.page(connection, queries.Filter(tag=tag), 1000)[::-1])]
