"""Fixtures that several rooms share: real servers, started when first needed and stopped with the session."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from werkzeug.routing import Rule
from werkzeug.security import generate_password_hash

from tests import choosing, houses, servers
from webapp.access import passwords

# how long an example takes says more about the machine than about the code
# what is submitted is judged by the same examples each time; everyone else, and the soak, tries new ones
settings.register_profile("syncline", deadline=None, derandomize=os.environ.get("CI") == "true")
settings.load_profile("syncline")
SOAK = 4 * 3600
"""So many seconds a test of the soak may take, on a busy machine too."""
GARBAGE = 20_000
"""So many new objects make Python look for garbage: a console is many objects, of which none is garbage yet."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the suite run on either metadata database."""
    kinds = ("sqlite", "postgresql")
    parser.addoption("--database", choices=kinds, default="sqlite", help="metadata database of the tests that need one")
    parser.addoption("--pooler", action="store_true", help="reach the PostgreSQL of such tests through PgBouncer")
    parser.addoption(
        "--cases", choices=("some", "all"), default="all", help="of what is tried with many cases or examples"
    )
    parser.addoption("--database-tests", choices=("some", "all"), default="some", help="which tests on PostgreSQL")


def pytest_configure() -> None:
    """Look for no garbage while tests are found."""
    gc.disable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose what the options ask for, and the order. `make soak` runs what `make test` leaves out."""
    for item in items:
        if item.get_closest_marker("soak") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SOAK))
    wanted, some = choosing.in_order(items), config.getoption("--cases") == "some"
    if some:
        choosing.some_examples(wanted)
    if config.getoption("--database") == "postgresql":
        wanted = choosing.stored(wanted)
        wanted = wanted if config.getoption("--database-tests") == "all" else choosing.drawn(wanted)
    elif some:
        wanted = choosing.some_cases(wanted)
    kept = {id(item) for item in wanted}
    config.hook.pytest_deselected(items=[item for item in items if id(item) not in kept])
    items[:] = wanted


def pytest_collection_finish() -> None:
    """Look for garbage among what tests make, and not again and again among thousands of tests and what they import."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hash passwords with little work; the hash says how much, so signing in is quick too."""

    def quickly(password: str, method: str) -> str:
        return generate_password_hash(password, f"{method.partition(':')[0]}:256:8:1")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "generate_password_hash", quickly)
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_routes() -> Iterator[None]:
    """Compile what builds the URLs of a route once: nearly all that making a console costs, and many tests make one."""
    made: dict[tuple[Any, ...], Callable[..., tuple[str, str]]] = {}
    compiled = Rule._compile_builder

    def quickly(rule: Rule, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        key = (rule.rule, tuple(rule._trace), repr(rule.defaults), append_unknown)
        if key not in made:
            made[key] = compiled(rule, append_unknown)
        return made[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", quickly)
        yield


@pytest.fixture
def empty_metadata_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty metadata database of the kind that `--database` asks for."""
    if request.config.getoption("--database") == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path / 'metadata.db'}"


@pytest.fixture
def metadata_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of a fresh metadata database with its tables and roles, of the kind that `--database` asks for."""
    if request.config.getoption("--database") == "postgresql":
        server = request.getfixturevalue("postgres_server")
        door = request.getfixturevalue("pgbouncer_server") if request.config.getoption("--pooler") else server
        with servers.postgres_database(server, request.getfixturevalue("postgres_template")) as name:
            yield _url("postgresql+psycopg", door, name)
        return
    (tmp_path / "metadata.db").write_bytes(houses.prepared_file())
    yield f"sqlite:///{tmp_path / 'metadata.db'}"


@pytest.fixture(scope="session")
def postgres_template(postgres_server: servers.Server) -> Iterator[str]:
    """Return the name of the prepared PostgreSQL database that others are copied from."""
    with servers.postgres_database(postgres_server) as name:
        houses.prepare(_url("postgresql", postgres_server, name))
        yield name


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Server]:
    """Return the session's PostgreSQL."""
    with servers.postgres() as server:
        yield server


@pytest.fixture(scope="session")
def pgbouncer_server(postgres_server: servers.Server) -> Iterator[servers.Server]:
    """Return a PgBouncer in transaction mode before the session's PostgreSQL; skips where it is missing, not in CI."""
    try:
        with servers.pgbouncer(postgres_server) as server:
            yield server
    except servers.NotInstalledError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture
def postgres_url(postgres_server: servers.Server) -> Iterator[str]:
    """Return the SQLAlchemy URL of a fresh PostgreSQL database."""
    with servers.postgres_database(postgres_server) as name:
        yield _url("postgresql+psycopg", postgres_server, name)


@pytest.fixture(scope="module")
def module_postgres_url(postgres_server: servers.Server) -> Iterator[str]:
    """Return the SQLAlchemy URL of a PostgreSQL database that one module shares."""
    with servers.postgres_database(postgres_server) as name:
        yield _url("postgresql+psycopg", postgres_server, name)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[servers.Server]:
    """Return the session's MariaDB; skips where it is not installed, except in CI."""
    try:
        with servers.mariadb() as server:
            yield server
    except servers.NotInstalledError as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture
def mariadb_url(mariadb_server: servers.Server) -> Iterator[str]:
    """Return the SQLAlchemy URL of a fresh MariaDB database."""
    with servers.mariadb_database(mariadb_server) as name:
        yield _url("mysql+pymysql", mariadb_server, name)


@pytest.fixture(scope="module")
def module_mariadb_url(mariadb_server: servers.Server) -> Iterator[str]:
    """Return the SQLAlchemy URL of a MariaDB database that one module shares."""
    with servers.mariadb_database(mariadb_server) as name:
        yield _url("mysql+pymysql", mariadb_server, name)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[servers.Server]:
    """Return the session's Valkey, reachable over TCP and a unix socket."""
    with servers.valkey() as server:
        yield server


def _url(scheme: str, server: servers.Server, database: str) -> str:
    return f"{scheme}://{server.user}:{server.password}@{server.host}:{server.port}/{database}"
