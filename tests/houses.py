"""Houses without Flask, on databases that are copies of one that the revisions made.

Making all tables takes longer than most tests, so each process makes them once. What makes them is tested in
tests/migrations, on empty databases.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import config
from webapp.access import approving, roles
from webapp.access.models import FAB_METADATA
from webapp.extensions import House, open_database, open_house
from webapp.migrations import services as migrations
from webapp.vault import people


@dataclass
class Clock:
    """A clock that a test moves on."""

    now: datetime = field(default_factory=lambda: datetime(2026, 3, 1, 12, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        self.now += timedelta(**by)


def prepare(url: str) -> None:
    """Make all tables, permissions and roles in an empty database."""
    db = open_database(url)
    with db.begin() as tx:
        FAB_METADATA.create_all(tx)
        migrations.upgrade(tx)
        roles.sync(tx)
    db.engine.dispose()


@functools.cache
def prepared_file() -> bytes:
    """Return what a prepared SQLite database holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "prepared.db"
        prepare(f"sqlite:///{path}")  # closing it moves its write-ahead log into the file
        return path.read_bytes()


def settings_in(folder: Path, url: str = "", **environ: str) -> config.Settings:
    """Return settings with this data folder; without a URL the database is a prepared SQLite file in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = config.from_environment({"SYNCLINE_DATA": str(folder), "SYNCLINE_DATABASE_URL": url, **environ})
    file = Path(settings.database_url.removeprefix("sqlite:///"))
    if not url and not file.exists():
        file.write_bytes(prepared_file())
    return settings


@contextmanager
def fresh_house(folder: Path, url: str = "", **environ: str) -> Iterator[House]:
    """Open a house whose data folder is `folder`, on the prepared database behind the URL."""
    house = open_house(settings_in(folder, url, **environ))
    people.register(house)
    approving.prepare(house)
    try:
        yield house
    finally:
        house.db.engine.dispose()
