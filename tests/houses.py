"""A house without Flask, on a fresh database."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import config
import webapp.audit.models
import webapp.connections.models
import webapp.vault.models  # noqa: F401 - the tables have to be known
from webapp.extensions import House, metadata, open_house


@contextmanager
def fresh_house(folder: Path, url: str = "", **environ: str) -> Iterator[House]:
    """Open a house whose data folder is `folder`; without a URL its database is SQLite in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = config.from_environment({"SYNCLINE_DATA": str(folder), "SYNCLINE_DATABASE_URL": url, **environ})
    house = open_house(settings)
    with house.db.begin() as tx:
        metadata.create_all(tx)
    try:
        yield house
    finally:
        house.db.engine.dispose()
