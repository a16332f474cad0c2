"""A house for cases, and the console's fixtures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import webapp.cases.models  # noqa: F401 - the tables have to be known
from tests.houses import fresh_house
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - the console's fixtures
from webapp.extensions import House


@pytest.fixture
def house(tmp_path: Path, metadata_url: str) -> Iterator[House]:
    with fresh_house(tmp_path / "house", metadata_url) as house:
        yield house
