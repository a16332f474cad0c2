"""Passwords: how they are generated, judged and stored."""

from __future__ import annotations

import hashlib
import secrets
import threading

from werkzeug.security import check_password_hash, generate_password_hash

from rules.text import msg
from webapp.access import breached
from webapp.access.errors import Refused

SHORTEST = 10
LONGEST = 256
_WORDS = """
amber anchor apple autumn bamboo beacon birch bridge bronze canal cedar cherry cloud copper coral cotton
delta dune ember falcon fern forest garden ginger granite harbor hazel island ivory jasmine juniper
lagoon lantern lemon linen lotus maple marble meadow mint mosaic olive opal orchid oyster palm pebble
pepper pine plum poppy prairie quartz raven reef river saffron sage sierra silver spruce summit sunset
teal thistle timber topaz tulip valley velvet violet walnut willow winter zephyr
""".split()  # noqa: SIM905 - a list of words is read as text
_JUDGED = 72
"""Characters that are judged; of a longer password its beginning has to be good enough."""
_SAFE = 3
"""Of the grades 0 to 4: more than a hundred million guesses."""
METHOD = "scrypt:131072:8:1"
"""How passwords are hashed: with 128 megabytes each, as OWASP advises."""
NOBODY = f"{METHOD}${'x' * 16}${'0' * 128}"
"""What no password fits, and is as much work to try as what is stored: for names that nobody has."""
_few = threading.Semaphore(2)
"""So many are hashed at a time in a process: guesses from many places must not fill the memory."""


def generate_password() -> str:
    """Return a password of more than 50 bits that is easy to read aloud."""
    return "-".join([*(secrets.choice(_WORDS) for _ in range(4)), f"{secrets.randbelow(1_000_000_000):09d}"])


def hashed(password: str) -> str:
    """Return what is stored of a password."""
    with _few:
        return generate_password_hash(password, method=METHOD)


def fits(stored: str, password: str) -> bool:
    """Tell whether a password is the one of which this is stored."""
    with _few:
        return check_password_hash(stored, password)


def digest(token: str) -> str:
    """Return what is stored of a key, a session's token or a recovery code; it is random, so a fast hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def seems_safe(password: str) -> bool:
    """Tell whether a password takes many guesses, as far as can be told from its looks."""
    from zxcvbn import zxcvbn  # noqa: PLC0415 - its lists of words take 12 MB, and workers never judge one

    return bool(zxcvbn(password[:_JUDGED])["score"] >= _SAFE)


def check_new(password: str, username: str, field: str = "password") -> None:
    """Refuse a password that is easily guessed."""
    if len(password) < SHORTEST:
        raise Refused(
            field,
            msg(
                "The password is too short. Use at least {count} characters; a few words are easy to remember.",
                count=SHORTEST,
            ),
        )
    if len(password) > LONGEST:
        raise Refused(field, msg("The password is longer than {count} characters.", count=LONGEST))
    named = any(name in password.lower() for name in (username.lower(), "syncline"))
    if named or breached.is_known(password) or not seems_safe(password):
        raise Refused(
            field,
            msg(
                "The password is easy to guess. Do not use the user name, repeated characters or a well-known password."
            ),
        )
