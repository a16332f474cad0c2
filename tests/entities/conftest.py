"""A house with the tables of entities, on the database that `--database` asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import config
import webapp.audit.models
import webapp.entities.models  # noqa: F401 - the tables
from webapp.entities import services
from webapp.entities.model import Entity
from webapp.extensions import Actor, House, metadata, open_house

ANN = Actor("user", "ann", "1")


@pytest.fixture
def house(metadata_url: str, tmp_path: Path) -> Iterator[House]:
    environ = {"SYNCLINE_DATA": str(tmp_path), "SYNCLINE_DATABASE_URL": metadata_url.replace("+psycopg", "")}
    opened = open_house(config.from_environment(environ))
    with opened.db.begin() as tx:
        metadata.create_all(tx)
    yield opened
    opened.db.engine.dispose()


@pytest.fixture
def define(house: House) -> Callable[..., Entity]:
    """Return a function that puts a definition in force and returns the entity."""

    def make(name: str, *fields: dict[str, Any], confirm: bool = False, **more: Any) -> Entity:
        document = {"kind": "entity", "name": name, "fields": list(fields), **more}
        services.define(house, document, ANN, confirm=confirm)
        with house.db.read() as tx:
            return services.entity(tx, name)

    return make


def field(name: str, kind: str = "text", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}
