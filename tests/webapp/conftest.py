"""The console on a database of its own, and a client that is signed in as the administrator."""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

import config
from webapp.access import roles
from webapp.access.models import FAB_METADATA
from webapp.access.services import ensure_admin
from webapp.app import create_app
from webapp.extensions import House, metadata

PASSWORD = "correct-horse-battery-staple"
ROOMS = ("access", "audit", "vault", "connections", "entities", "rulebook", "runs", "cases", "dashboard")


@pytest.fixture
def settings(tmp_path: Path) -> config.Settings:
    environ = {"SYNCLINE_DATA": str(tmp_path / "data"), "SYNCLINE_REDIS_URL": f"unix://{tmp_path}/no-redis.sock"}
    (tmp_path / "data").mkdir()
    return config.from_environment(environ)


@pytest.fixture
def app(settings: config.Settings):
    for room in ROOMS:
        if importlib.util.find_spec(f"webapp.{room}.models"):
            importlib.import_module(f"webapp.{room}.models")
    app = create_app(settings)
    house: House = app.extensions["syncline"]
    with house.db.begin() as tx:
        FAB_METADATA.create_all(tx)
        metadata.create_all(tx)
    with house.db.begin() as tx:
        roles.sync(tx)
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


def sign_in(client: FlaskClient, username: str = "admin", password: str = PASSWORD) -> FlaskClient:
    answer = client.post("/login/", data={"username": username, "password": password})
    assert answer.status_code == 302, answer.text
    return client


@pytest.fixture
def admin_client(client: FlaskClient) -> FlaskClient:
    return sign_in(client)
