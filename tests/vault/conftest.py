"""The house of the vault's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.houses import fresh_house
from webapp.extensions import House


@pytest.fixture
def house(tmp_path: Path, metadata_url: str) -> Iterator[House]:
    with fresh_house(tmp_path / "data", metadata_url) as house:
        yield house
