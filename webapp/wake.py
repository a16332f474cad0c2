"""Redis, a disposable door bell: the database is the truth, and whoever misses a ring looks there."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import lru_cache

import redis

from config import Settings
from webapp.redis_client import open_redis

LIST = "syncline:wake"
KEEP = 100
ALIVE = "syncline:alive:"
FORGOTTEN = 300
"""Seconds after which a process that is not heard of is not told of any more."""
TIMEOUT = 1.0

log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def connect(url: str) -> redis.Redis:
    """Return the client of this process for `url`; connects at first use."""
    return open_redis(url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, decode_responses=True)


def ping(settings: Settings) -> bool:
    """Tell whether Redis answers."""
    try:
        return bool(connect(settings.redis).ping())
    except (redis.RedisError, OSError):
        return False


def wake(settings: Settings, channel: str) -> bool:
    """Ring `channel`; returns False, with a line in the log, when Redis cannot be reached."""
    try:
        pipe = connect(settings.redis).pipeline()
        pipe.lpush(LIST, channel)
        pipe.ltrim(LIST, 0, KEEP - 1)
        pipe.execute()
    except (redis.RedisError, OSError) as error:
        log.warning(
            "Redis did not take the wake-up '%s' (%s); the dispatcher finds the work by itself.", channel, error
        )
        return False
    return True


def beat(connection: redis.Redis, kind: str, name: str, now: datetime) -> None:
    """Leave a sign of life of a process, which is forgotten after some minutes."""
    connection.set(f"{ALIVE}{kind}:{name}", now.isoformat(), ex=FORGOTTEN)


def heard(settings: Settings, now: datetime) -> dict[tuple[str, str], float]:
    """Return processes by kind and name, and how many seconds ago they were heard of; raises `redis.RedisError`."""
    client = connect(settings.redis)
    found: dict[tuple[str, str], float] = {}
    for key in client.scan_iter(f"{ALIVE}*", count=500):
        if at := client.get(key):
            kind, _, name = str(key).removeprefix(ALIVE).partition(":")
            found[kind, name] = max((now - datetime.fromisoformat(str(at))).total_seconds(), 0.0)
    for key in client.smembers("rq:workers"):
        if at := client.hget(str(key), "last_heartbeat"):
            then = datetime.fromisoformat(str(at).replace("Z", "+00:00"))
            found["worker", str(key).rpartition(":")[2]] = max((now - then).total_seconds(), 0.0)
    return found


def announce(settings: Settings) -> bool:
    """Tell the dispatcher that the database holds new work."""
    return wake(settings, "run")
