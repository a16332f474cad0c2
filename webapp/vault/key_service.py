"""What key services have in common: they are asked over HTTPS, and never give a key out.

A data key that has been unwrapped is remembered for a minute, in this process only: an audit log that encrypts what it
tells of a person would else ask the service for each event.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable, Set
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, TypeVar

import httpx

from connectors.errors import ConnectorError
from connectors.http_client import Limits, client
from connectors.spi import Context
from rules.text import Message, msg
from webapp.vault.errors import KeyUnavailable
from webapp.vault.providers import KEY_BYTES, KeyProvider

T = TypeVar("T")
LOGIN = "SYNCLINE_KEY_LOGIN"
_KEPT = 60.0
_MOST = 1000
_LIMITS = Limits(size=2**20, seconds=20.0, redirects=0)
_AHEAD = 60.0
"""Seconds before its end in which a token is fetched anew."""


@dataclass(frozen=True)
class Place:
    """Which key of which service, how it is reached, and what Syncline signs in with there."""

    address: str
    key: str
    login: str = field(repr=False)
    networks: tuple[str, ...] = ()


class Refused(Exception):
    """The service has refused a call: its status, and what it says."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status} {text}")
        self.status, self.text = status, text


class KeyService(KeyProvider):
    """One key in a key service; its versions are what `current` and key ids name."""

    name: str
    own_address = False
    """Whether the service has an address of its own where none is given."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._known: OrderedDict[tuple[str, bytes, bytes], tuple[bytes, float]] = OrderedDict()
        self._token, self._until = "", 0.0
        self._lock = Lock()

    @abstractmethod
    def encrypted(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Return the id of the key's version and the data key encrypted by it."""

    @abstractmethod
    def decrypted(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Return the data key, None where it does not fit; raises `Refused`."""

    @abstractmethod
    def newest(self) -> str:
        """Return the id of the version that encrypts; raises `Refused`."""

    @property
    def current(self) -> str:
        """Return the id of the version that encrypts."""
        return self._asked(self.newest)

    def wrap(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Let the service encrypt."""
        return self._asked(lambda: self.encrypted(data_key, owner))

    def unwrap(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Let the service decrypt, unless it has just done so."""
        asked = (key_id, wrapped, owner)
        with self._lock:
            found, until = self._known.get(asked, (b"", 0.0))
        if time.monotonic() < until:
            return found
        data_key = self._asked(lambda: self.decrypted(key_id, wrapped, owner))
        if data_key is not None:
            if len(data_key) != KEY_BYTES:
                raise self._broken(msg("What it has decrypted is no data key."))
            with self._lock:
                self._known[asked] = (data_key, time.monotonic() + _KEPT)
                while len(self._known) > _MOST:
                    self._known.popitem(last=False)
        return data_key

    def _asked(self, call: Callable[[], T]) -> T:
        """Return what a call gives; raises `KeyUnavailable` where it is refused, or gives something else."""
        try:
            return call()
        except Refused as error:
            raise self.unavailable(error) from None
        except (KeyError, IndexError, TypeError, ValueError):  # the answer is not told: it may hold a key
            raise self._broken(msg("Its answer does not hold what it should.")) from None

    def renew(self) -> str:
        """Refuse: the service, or whoever looks after it, makes new keys."""
        raise KeyUnavailable(
            msg("All secrets are under the current key of {place} already.", place=self.name),
            msg("Make a new version of the key there, let the name lead to it, and rotate again."),
        )

    def retire(self, keep: Set[str]) -> tuple[str, ...]:  # noqa: ARG002 - the service keeps what it has
        """Return nothing: old versions are the service's to keep."""
        return ()

    def exists(self) -> bool:
        """Tell that the key is there: it is never made here."""
        return True

    def ask(self, method: str, url: str, *, auth: httpx.Auth | None = None, **more: Any) -> dict[str, Any]:
        """Return the answer to a call; raises `Refused`, or `KeyUnavailable` where the service cannot be reached."""
        context = Context(egress_allow=self.place.networks, timeout=10.0)
        try:
            with client(context, limits=_LIMITS, auth=auth) as http:
                answer = http.request(method, url, **more)
        except ConnectorError as error:
            raise self._broken(error.message) from None
        if answer.status_code >= 400:
            raise Refused(answer.status_code, answer.text[:300])
        try:
            found = answer.json() if answer.content else {}
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self._broken(msg("It does not answer in JSON."))
        return found

    def token(self) -> str:
        """Return what the service knows us by; `signed_in` fetches it when it is over."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._token, seconds = self.signed_in()
                self._until = time.monotonic() + max(seconds - _AHEAD, 0)
            return self._token

    def signed_in(self) -> tuple[str, float]:
        """Return a token, and for how many seconds it counts; raises `Refused`."""
        return self.place.login, float("inf")

    def login(self, count: int, form: str) -> list[str]:
        """Return the parts of what Syncline signs in with; raises `KeyUnavailable` where it has another form."""
        parts = self.place.login.split(":", count - 1)
        if len(parts) < count or not all(parts):
            raise KeyUnavailable(
                msg("{setting} is not set as {place} needs it.", setting=LOGIN, place=self.name),
                msg("Set it to {form}.", form=form),
            )
        return parts

    def unavailable(self, error: Refused) -> KeyUnavailable:
        """Return the error of a refused call."""
        self._until = 0.0  # a token may have been taken back
        return KeyUnavailable(
            msg("{place} refuses the key '{key}' with status {status}: {text}", place=self.name, key=self.place.key,
                status=error.status, text=error.text),
            msg("Look at the key's name, and at what the account of Syncline may do with it."),
        )  # fmt: skip

    def _broken(self, problem: Message) -> KeyUnavailable:
        return KeyUnavailable(
            msg("{place} does not answer as it should. {problem}", place=self.name, problem=problem),
            msg("Look at {setting} and at the service. Nothing is lost: what waits goes on when it answers.",
                setting="SYNCLINE_KEY_SERVICE"),
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.place.address}, {self.place.key})"


def text_of(data: bytes) -> str:
    """Return bytes as services take them."""
    return b64encode(data).decode()


def bytes_of(text: Any) -> bytes:
    """Return bytes as services give them."""
    return b64decode(str(text))
