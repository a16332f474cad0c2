"""The house of the room's tests, the notebook connector, and the console from tests/webapp."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors import registry
from tests.connections.systems import Notebook
from tests.houses import fresh_house
from webapp.extensions import House


@pytest.fixture(autouse=True)
def notebook(monkeypatch: pytest.MonkeyPatch) -> type[Notebook]:
    monkeypatch.setitem(registry._registered, "notebook", Notebook)
    return Notebook


@pytest.fixture
def house(tmp_path: Path, metadata_url: str) -> Iterator[House]:
    with fresh_house(tmp_path / "data", metadata_url) as house:
        yield house
