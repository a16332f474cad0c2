"""Clients of Redis: a single server, plain or encrypted, or the one that Sentinels call the master for now.

`redis+sentinel://user:password@host1:26379,host2:26379,host3:26379/NAME/0` names Sentinels, the name under which they
know the servers, and the database; with `rediss+sentinel://` all of these are encrypted. What stands before the `@` is
for the servers; the Sentinels' own sign-in is `?sentinel_username=` and `?sentinel_password=`. All other options are
those of redis-py, such as `?ssl_ca_certs=/etc/ssl/ours.pem`.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry
from redis.sentinel import Sentinel

SENTINEL = "+sentinel"
PORT = 26379
CONNECT = 2.0
"""Seconds in which a server or a Sentinel has to take a connection."""
ONCE = Retry(NoBackoff(), 0)
"""A Sentinel that does not answer is not asked again: the next one is."""
OWN = ("sentinel_username", "sentinel_password")
_LINUX = {"TCP_KEEPIDLE": 2, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}
ALIVE = {getattr(socket, name): value for name, value in _LINUX.items() if hasattr(socket, name)}
"""How a connection that waits finds out within five seconds that the machine at the other end is gone."""


@dataclass(frozen=True)
class Sentinels:
    """Where Sentinels are, and what they are asked for."""

    hosts: tuple[tuple[str, int], ...]
    name: str
    server: str
    """The URL of a server, without its host: sign-in, database and options."""
    sign_in: dict[str, str]


def open_redis(url: str, **options: Any) -> redis.Redis:
    """Return a client for the address; it connects at first use.

    Args:
        url: As in SYNCLINE_REDIS_URL.
        options: Of redis-py, such as `socket_timeout`.

    Raises:
        ValueError: The address cannot be read.
    """
    kept = {"socket_connect_timeout": CONNECT, **options}
    scheme = urlsplit(url).scheme
    if scheme != "unix":
        kept |= {"socket_keepalive": True, "socket_keepalive_options": ALIVE}
    if not scheme.endswith(SENTINEL):
        return redis.Redis.from_url(url, **kept)
    found = sentinels(url)
    server = dict(parse_url(found.server))  # type: ignore[no-untyped-call]
    server.pop("host")
    encrypted = {name: value for name, value in server.items() if name.startswith("ssl_")}
    if server.pop("connection_class", None):
        server["ssl"] = encrypted["ssl"] = True
    asking = {"socket_timeout": CONNECT, "socket_connect_timeout": CONNECT, "retry": ONCE, **encrypted, **found.sign_in}
    asked = Sentinel(found.hosts, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    client: redis.Redis = asked.master_for(found.name, **server, **kept)  # type: ignore[no-untyped-call]
    return client


def sentinels(url: str) -> Sentinels:
    """Return what an address with Sentinels says.

    Raises:
        ValueError: It names no Sentinel or no master.
    """
    parts = urlsplit(url)
    before, _, places = parts.netloc.rpartition("@")
    hosts = tuple(_place(place) for place in places.split(",") if place)
    name, _, database = parts.path.strip("/").partition("/")
    if not hosts or not name:
        example = f"{parts.scheme}://host1:26379,host2:26379,host3:26379/NAME"
        raise ValueError(f"the address names no Sentinel or no master; it looks like {example}")
    given = dict(parse_qsl(parts.query))
    own = {key.removeprefix("sentinel_"): given.pop(key) for key in OWN if key in given}
    rest = urlencode(given)
    server = f"{parts.scheme.removesuffix(SENTINEL)}://{before}{'@' if before else ''}localhost/{database or 0}"
    return Sentinels(hosts, unquote(name), f"{server}{'?' if rest else ''}{rest}", own)


def _place(place: str) -> tuple[str, int]:
    parts = urlsplit(f"//{place}")
    return parts.hostname or "", parts.port or PORT
