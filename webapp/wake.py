"""Redis, a disposable door bell: the database is the truth, and whoever misses a ring looks there."""

from __future__ import annotations

import logging
from functools import lru_cache

import redis

from config import Settings
from webapp.redis_client import open_redis

LIST = "syncline:wake"
KEEP = 100
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


def announce(settings: Settings) -> bool:
    """Tell the dispatcher that the database holds new work."""
    return wake(settings, "run")
