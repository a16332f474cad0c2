"""How many requests somebody may send a minute: counted in Redis for all processes; without Redis nobody is held up."""

from __future__ import annotations

import time

import redis

from webapp import wake
from webapp.extensions import House

WINDOW = 60


def seconds_to_wait(house: House, who: str) -> int:
    """Count a request and return how long its sender has to wait before the next; 0 if it may be answered.

    Args:
        house: The house.
        who: A user, a key, or the address of a stranger.
    """
    allowed = house.settings.requests_per_minute
    if not allowed:
        return 0
    now = time.time()
    window = int(now // WINDOW)
    try:
        pipe = wake.connect(house.settings.redis).pipeline()
        pipe.incr(f"syncline:pace:{who}:{window}")
        pipe.expire(f"syncline:pace:{who}:{window}", 2 * WINDOW, nx=True)
        pipe.get(f"syncline:pace:{who}:{window - 1}")
        count, _, before = pipe.execute()
    except (redis.RedisError, OSError):
        return 0
    passed = now / WINDOW - window
    # the minute before counts by the share of it that lies within the last sixty seconds
    return 0 if count + int(before or 0) * (1 - passed) <= allowed else max(1, round(WINDOW * (1 - passed)))
