"""How many requests somebody may send a minute: counted in Redis for all processes; without Redis nobody is held up."""

from __future__ import annotations

import math
import time

import redis

from webapp import wake
from webapp.extensions import House

WINDOW = 60


def seconds_to_wait(house: House, who: str) -> int:
    """Count a request and return how long its sender has to wait before the next; 0 if it may be answered.

    The minute before counts by the share of it that lies within the last sixty seconds. What is refused is not counted.

    Args:
        house: The house.
        who: A user, a key, or the address of a stranger.
    """
    allowed = house.settings.requests_per_minute
    if not allowed:
        return 0
    now = time.time()
    window, passed = int(now // WINDOW), now / WINDOW % 1
    key = f"syncline:pace:{who}:{window}"
    try:
        client = wake.connect(house.settings.redis)
        pipe = client.pipeline()
        pipe.incr(key)
        pipe.expire(key, 2 * WINDOW)
        pipe.get(f"syncline:pace:{who}:{window - 1}")
        counted, _, found = pipe.execute()
        count, before = int(counted), int(found or 0)
        if count + before * (1 - passed) <= allowed:
            return 0
        client.decr(key)
    except (redis.RedisError, OSError):
        return 0
    free, count = allowed - 1, count - 1
    # in this minute, once enough of the one before has passed, or in the next one, for which this one counts then
    until = 1 - (free - count) / before if count <= free else 2 - free / count
    return max(1, math.ceil((until - passed) * WINDOW))
