"""Failed sign-ins are slowed down: counted in Redis for all processes, in this process where Redis is away."""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time

import redis

from webapp import wake
from webapp.extensions import House

WINDOW = 300
PER_USER = 5
PER_ADDRESS = 30

_local: dict[str, list[float]] = {}
_lock = threading.Lock()


def seconds_to_wait(house: House, username: str, address: str) -> int:
    """Return how long the next attempt has to wait; 0 if it may be made now.

    Without a user name only the address counts, and without an address only the user, from wherever.
    """
    return max((_wait(house, key, limit) for key, limit in _keys(username, address)), default=0)


def failed(house: House, username: str, address: str) -> None:
    """Count a failed attempt, by what `seconds_to_wait` is asked for."""
    for key, _limit in _keys(username, address):
        try:
            pipe = wake.connect(house.settings.redis).pipeline()
            pipe.incr(key)
            pipe.expire(key, WINDOW, nx=True)
            pipe.execute()
        except (redis.RedisError, OSError):
            with _lock:
                _recent(key).append(time.monotonic())


def succeeded(house: House, username: str, address: str) -> None:
    """Forget a user's failures; those of the address stay."""
    key = _keys(username, address)[0][0]
    with contextlib.suppress(redis.RedisError, OSError):
        wake.connect(house.settings.redis).delete(key)
    with _lock:
        _local.pop(key, None)


def _keys(username: str, address: str) -> list[tuple[str, int]]:
    # A user name is counted per address, so that a stranger cannot lock somebody out from elsewhere.
    name = hashlib.sha256(f"{username.lower()}\0{address}".encode()).hexdigest()[:32]
    by_user, by_address = (f"syncline:login:user:{name}", PER_USER), (f"syncline:login:address:{address}", PER_ADDRESS)
    return [*([by_user] if username else ()), *([by_address] if address else ())]


def _wait(house: House, key: str, limit: int) -> int:
    with contextlib.suppress(redis.RedisError, OSError):
        client = wake.connect(house.settings.redis)
        count = int(client.get(key) or 0)
        if count >= limit:
            return max(1, int(client.ttl(key)))
    with _lock:
        times = _recent(key)
        return max(1, int(times[0] + WINDOW - time.monotonic())) if len(times) >= limit else 0


def _recent(key: str) -> list[float]:
    """Return the attempts of the last minutes; the caller holds the lock."""
    if len(_local) > 10_000:
        _local.clear()
    start = time.monotonic() - WINDOW
    _local[key] = [at for at in _local.get(key, []) if at > start]
    return _local[key]
