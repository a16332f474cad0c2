"""The house of the vault's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.houses import database_url, fresh_house
from webapp.extensions import House


@pytest.fixture
def house(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[House]:
    with fresh_house(tmp_path / "data", database_url(request)) as house:
        yield house
