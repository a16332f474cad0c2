"""What is checked before anything starts. Each failure is one line that names the setting and says what to do."""

from __future__ import annotations

import errno
import os
import socket
import tempfile
from pathlib import Path

import redis
import sqlalchemy as sa

from config import Settings
from webapp.extensions import open_database
from webapp.redis_client import open_redis
from webapp.supervisor.errors import CannotStart

ROOT = Path(__file__).resolve().parents[2]
ASSETS = ROOT / "webapp" / "static" / "dist" / "manifest.json"
REVISIONS = ROOT / "webapp" / "migrations" / "versions"


def check(settings: Settings) -> None:
    """Check all that `syncline up` needs; raises `CannotStart` for the first problem."""
    data_folder(settings)
    port(settings)
    assets()
    database(settings)
    configured_redis(settings)


def data_folder(settings: Settings) -> None:
    """Check that the data folder can be made and written to."""
    try:
        settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=settings.data):
            pass
    except OSError as error:
        raise CannotStart(
            f"SYNCLINE_DATA: cannot write to the data folder {settings.data} ({_reason(error)}). "
            "Give this user write access to it, or set SYNCLINE_DATA to another folder."
        ) from None


def port(settings: Settings) -> None:
    """Check that the console can listen on its address."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise CannotStart(_port_problem(settings, error)) from None


def _port_problem(settings: Settings, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"SYNCLINE_PORT: port {settings.port} on {settings.host} is in use. "
            "Stop the program that uses it, or set SYNCLINE_PORT to a free port."
        )
    if error.errno == errno.EACCES:
        return (
            f"SYNCLINE_PORT: this user may not listen on port {settings.port}. Set SYNCLINE_PORT to a port above 1023."
        )
    return (
        f"SYNCLINE_HOST: cannot listen on '{settings.host}' ({_reason(error)}). "
        "Set it to an address of this machine, such as 127.0.0.1 or 0.0.0.0."
    )


def assets() -> None:
    """Check that the front end has been built."""
    if not ASSETS.exists():
        raise CannotStart(f"The front end has not been built: {ASSETS} is missing. Run 'make assets'.")


def database(settings: Settings) -> None:
    """Check that the metadata database answers."""
    try:
        url = sa.make_url(settings.database_url)
        if url.get_backend_name() == "postgresql":
            url = url.update_query_dict({"connect_timeout": "5"})
        db = open_database(url.render_as_string(hide_password=False))
    except sa.exc.ArgumentError:
        raise CannotStart(
            "SYNCLINE_DATABASE_URL: this is not a database URL. "
            "Set it to postgresql://user:password@host/name, or leave it out."
        ) from None
    try:
        with db.read() as connection:
            connection.execute(sa.text("SELECT 1"))
    except sa.exc.SQLAlchemyError as error:
        raise CannotStart(_database_problem(settings, error)) from None
    finally:
        db.engine.dispose()


def _database_problem(settings: Settings, error: sa.exc.SQLAlchemyError) -> str:
    shown = sa.make_url(settings.database_url).render_as_string(hide_password=True)
    reason = str(getattr(error, "orig", None) or error).strip().splitlines()
    why = reason[-1].strip().rstrip(".") if reason else "no reason given"
    return (
        f"SYNCLINE_DATABASE_URL: cannot use the database {shown} ({why}). "
        "Start it or correct the setting; leave it out to use SQLite in the data folder."
    )


def is_prepared(settings: Settings) -> bool:
    """Tell whether the database has the newest revision already."""
    newest = max(path.name.partition("_")[0] for path in REVISIONS.glob("[0-9]*.py"))
    db = open_database(settings.database_url)
    try:
        with db.read() as connection:
            return bool(connection.scalar(sa.text("SELECT version_num FROM alembic_version")) == newest)
    except sa.exc.SQLAlchemyError:
        return False
    finally:
        db.engine.dispose()


def configured_redis(settings: Settings) -> None:
    """Check that a configured Redis answers; the embedded one is started later."""
    if not settings.embedded_redis:
        redis_answers(settings)


def redis_answers(settings: Settings) -> None:
    """Check that the Redis in use answers."""
    try:
        client = open_redis(settings.redis, socket_connect_timeout=5, socket_timeout=5)
        try:
            client.ping()
        finally:
            client.close()
    except (redis.RedisError, ValueError) as error:
        raise CannotStart(_redis_problem(settings, _first_line(error))) from None


def _redis_problem(settings: Settings, reason: str) -> str:
    if settings.embedded_redis:
        return (
            "SYNCLINE_REDIS_URL: the embedded Redis does not run. "
            "Start everything with 'syncline up', or set SYNCLINE_REDIS_URL to the address of a Redis."
        )
    return (
        f"SYNCLINE_REDIS_URL: the Redis at {without_password(settings.redis_url)} does not answer ({reason}). "
        "Start it or correct the setting; leave it out to use the embedded one."
    )


def without_password(url: str) -> str:
    """Return a URL without its users, passwords and options."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rpartition('@')[2].partition('?')[0]}"


def _reason(error: OSError) -> str:
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else _first_line(error)


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n", 1)[0].rstrip(".") or type(error).__name__
