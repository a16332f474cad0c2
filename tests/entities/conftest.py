"""A house with the tables of entities, on the database that `--database` asks for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.houses import fresh_house
from webapp.entities import services
from webapp.entities.model import Entity
from webapp.extensions import Actor, House

ANN = Actor("user", "ann", "1")


@pytest.fixture
def house(metadata_url: str, tmp_path: Path) -> Iterator[House]:
    with fresh_house(tmp_path, metadata_url) as house:
        yield house


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
