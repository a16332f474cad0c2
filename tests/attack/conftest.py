"""The console that is attacked, on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import servers
from tests.attack.target import Target, running


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a console on SQLite that one module attacks."""
    with running(tmp_path_factory.mktemp("attack")) as found:
        yield found


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def either(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """Return a console on each of the two databases in turn."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "sqlite":
        with running(folder) as found:
            yield found
        return
    server = request.getfixturevalue("postgres_server")
    with servers.postgres_database(server) as name:
        url = f"postgresql+psycopg://{server.user}:{server.password}@{server.host}:{server.port}/{name}"
        with running(folder, url) as found:
            yield found
