"""A house on a fresh database, without Flask: SQLite, or PostgreSQL with `--database=postgresql`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import config
import webapp.audit.models
import webapp.connections.models
import webapp.vault.models  # noqa: F401 - the tables have to be known
from webapp.extensions import House, metadata, open_house


def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of a fresh metadata database; empty means SQLite in the data folder."""
    if request.config.getoption("--database", "sqlite") != "postgresql":
        return ""
    url: str = request.getfixturevalue("postgres_url")
    return url.replace("postgresql+psycopg", "postgresql")


@contextmanager
def fresh_house(folder: Path, url: str = "", **environ: str) -> Iterator[House]:
    """Open a house whose data folder is `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = config.from_environment({"SYNCLINE_DATA": str(folder), "SYNCLINE_DATABASE_URL": url, **environ})
    house = open_house(settings)
    with house.db.begin() as tx:
        metadata.create_all(tx)
    try:
        yield house
    finally:
        house.db.engine.dispose()
