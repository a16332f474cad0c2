"""Servers rebuilt from vendors' public documentation: strict about what they are asked, with the vendor's own errors.

A vendor is a class with routes. A path, a parameter, a content type or a credential that the documentation does not
know is refused in the vendor's own words, so a preset that asks wrongly fails its test.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

Row = dict[str, Any]


@dataclass
class Asked:
    """A request as the vendor sees it."""

    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes
    groups: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Return the content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True))


@dataclass
class Reply:
    """What the vendor answers."""

    body: Any = None
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "application/json; charset=utf-8"

    def payload(self) -> bytes:
        if isinstance(self.body, bytes):
            return self.body
        if self.body is None:
            return b""
        return self.body.encode() if isinstance(self.body, str) else json.dumps(self.body, ensure_ascii=False).encode()


class Refused(Exception):
    """The vendor refuses; the reply says so in its own shape."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply.body))
        self.reply = reply


def route(method: str, pattern: str, *, public: bool = False, kind: str = "application/json") -> Callable[[Any], Any]:
    """Mark a method as what answers a path; `{name}` is one part of it. `public` needs no credentials."""
    shape = re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(pattern)))

    def mark(function: Any) -> Any:
        function.routes = [*getattr(function, "routes", ()), (method, shape, public, kind)]
        return function

    return mark


class Vendor:
    """One rebuilt product; a subclass has its routes, its errors and its records."""

    preset: ClassVar[str]
    answers: ClassVar[dict[str, str]]
    """What an admin would enter."""
    hosts: ClassVar[set[str]]
    """The hosts that the settings must name, and no others."""
    static: ClassVar[bool] = False
    """The credential does not expire by itself, so nothing can renew it."""
    samples: ClassVar[dict[str, tuple[Row, Row]]] = {}
    """Object -> the fields of a record to be created, and those of a change."""
    bad: ClassVar[dict[str, Row]] = {}
    """Object -> a record that the vendor refuses."""
    truth: ClassVar[dict[str, Row]] = {}
    """Object -> typed values of one of its records, by field."""
    since: ClassVar[dict[str, Any]] = {}
    """Object -> a value of its cursor behind which there is a part of the records."""
    words: ClassVar[str] = ""
    """What the refusal of `bad` says."""
    unseen: ClassVar[tuple[str, ...]] = ()
    """Fields that are written and never shown."""
    captured: ClassVar[bool] = False
    """The vendor keeps a log of changes."""
    delay: ClassVar[float] = 1.0
    """Seconds that the refusal for too many calls asks to wait at least."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls: list[Asked] = []
        self.limited = 0
        self.issued = 0
        self.token = ""
        self.filtered = 0
        self.rows = self.records()
        self._routes = [
            (method, shape, public, kind, getattr(self, name))
            for name in dir(type(self))
            for method, shape, public, kind in getattr(getattr(type(self), name), "routes", ())
        ]
        self._routes.sort(key=lambda route: -len(re.sub(r"\(\?P.*?\)", "", route[1].pattern)))

    def records(self) -> dict[str, dict[str, Row]]:
        """Return what is there at first: object -> key -> the record as the vendor writes it."""
        raise NotImplementedError

    def keys(self, name: str) -> set[str]:
        """Return the keys of an object, as texts."""
        return set(self.rows[name])

    def unauthorized(self) -> Reply:
        """Return the refusal of a credential."""
        raise NotImplementedError

    def too_many(self) -> Reply:
        """Return the refusal of too many calls."""
        raise NotImplementedError

    def wrong(self, message: str, status: int = 400) -> Refused:
        """Return the refusal of a request that is no good."""
        raise NotImplementedError

    def authorized(self, asked: Asked) -> bool:
        """Tell whether the request carries a credential that holds."""
        return asked.headers.get("authorization") == f"Bearer {self.token}" and bool(self.token)

    def issue(self) -> str:
        """Return a fresh token; the one before holds no longer."""
        self.issued += 1
        self.token = f"token-{self.issued}"
        return self.token

    def expire(self) -> None:
        """Make what was issued expire."""
        self.token = ""

    def forget(self, name: str) -> None:
        """Forget what was changed in an object so far."""
        raise NotImplementedError

    def no_such(self, name: str, key: str) -> Refused:
        """Return the refusal of a record that is not there."""
        return self.wrong("Not Found", 404)

    def there(self, name: str, key: str) -> Row:
        """Return a record; refuses a key that there is not."""
        if key not in self.rows[name]:
            raise self.no_such(name, key)
        return self.rows[name][key]

    def removed(self, name: str, key: str) -> Row:
        """Return a record that is there no more."""
        found = self.there(name, key)
        del self.rows[name][key]
        return found

    def only(self, given: Iterable[str], *known: str) -> None:
        """Refuse parameters that are not known."""
        for name in given:
            if name not in known:
                raise self.wrong(f"unknown parameter {name}")

    def answer(self, asked: Asked) -> Reply:
        self.calls.append(asked)
        try:
            return self._answered(asked)
        except Refused as refusal:
            return refusal.reply
        except (KeyError, ValueError, AssertionError) as error:
            return self.wrong(f"malformed: {type(error).__name__} {error}").reply

    def _answered(self, asked: Asked) -> Reply:
        found = [
            (public, kind, function, match)
            for method, shape, public, kind, function in self._routes
            if method == asked.method and (match := shape.fullmatch(asked.path))
        ]
        if not found:
            raise self.wrong(f"no such path: {asked.method} {asked.path}", 404)
        public, kind, function, match = found[0]
        asked.groups = match.groupdict()
        if not public and not self.authorized(asked):
            return self.unauthorized()
        if not public and self.limited:
            self.limited -= 1
            return self.too_many()
        if asked.body and asked.kind != kind:
            raise self.wrong(f"wrong content type {asked.kind}", 415)
        return function(asked, **asked.groups)  # type: ignore[no-any-return]


class Site:
    """The web server, one for all vendors: whoever is `vendor` answers."""

    def __init__(self) -> None:
        self.vendor: Vendor | None = None
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.site = self
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    site: Site

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that hangs up


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    server: _Listener

    def _any(self) -> None:
        parts = urlsplit(self.path)
        pairs = parse_qsl(parts.query, keep_blank_values=True)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        vendor = self.server.site.vendor
        assert vendor is not None
        asked = Asked(self.command, parts.path, dict(pairs), headers, body)
        reply = vendor.wrong("a parameter twice").reply if len(asked.query) < len(pairs) else vendor.answer(asked)
        payload = reply.payload()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        if payload:
            self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(payload)))
        self.end_headers()
        self.wfile.write(payload)

    do_GET = do_POST = do_PUT = do_PATCH = do_MERGE = do_DELETE = do_HEAD = _any  # noqa: N815 - names of the standard library

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the standard library
        pass
