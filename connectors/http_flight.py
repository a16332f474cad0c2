"""Many HTTP exchanges at a time from one thread, by the same rules as `http_client`, several times as fast.

It is for connectors that make thousands of calls: `libcurl` does the work. The rules: connections go only to checked
addresses (`connectors.egress`), and each socket is checked once more when it is opened; proxies, cookies and password
files of the machine are not used; a response has a largest size, unpacked, and an exchange a longest duration;
credentials stay with their host. A request that must not be sent twice is never sent again by libcurl itself.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

import httpx
import pycurl

from connectors.calls import HEADERS, Call
from connectors.egress import addresses
from connectors.errors import ConnectorError, Fatal, Forbidden, Misconfigured, Unavailable
from connectors.http_client import SAFE_METHODS, Limits, same_origin, shown, trust_store, unsendable, web_address
from connectors.http_reply import Reply, TooLarge
from connectors.spi import Context
from rules.text import msg

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+: ?[\t\x20-\x7e]*")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RESOLVED_FOR = 30.0
_BUFFER = 256 * 1024
_LONGEST_WAIT = 0.5
_AT_ONCE = 8
"""Exchanges that are begun before they are sent: each sending looks at all that are under way."""

_TIMES_OUT = {pycurl.E_OPERATION_TIMEDOUT}
_UNTRUSTED = {pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT}


@dataclass(frozen=True)
class Sent:
    """A request to a whole address; `once` says that it must not be sent twice."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    once: bool = False

    @property
    def read(self) -> bool:
        """Tell whether the body is read from a function: it cannot be rewound, so libcurl never sends it again."""
        return self.once and bool(self.body)


class _Flight:
    """One exchange under way."""

    def __init__(self, sent: Sent, job: int, redirects: int) -> None:
        self.sent = sent
        self.job = job
        self.redirects = redirects
        self.body: list[bytes] = []
        self.size = 0
        self.head: list[bytes] = []
        self.problem: ConnectorError | None = None
        self.call: Call | None = None
        self._seen = (0, 0)
        self._still = time.monotonic()

    def ended(self, status: int | None) -> None:
        """Tell that it has ended, where somebody wants to know."""
        if self.call is not None:
            self.call.end(status)

    def still_since(self, now: float) -> float:
        """Return since when nothing has come, as far as it was asked before."""
        if self._seen != (len(self.head), self.size):
            self._seen, self._still = (len(self.head), self.size), now
        return self._still


class Flights:
    """Makes exchanges for one connector, in one thread."""

    def __init__(
        self, context: Context, *, certificate: str = "", verify: bool = True, limits: Limits | None = None
    ) -> None:
        self._context = context
        self._limits = limits or Limits()
        self._trust = _bundle(certificate) if verify else None
        self._multi = pycurl.CurlMulti()
        self._idle: dict[bool, list[Any]] = {False: [], True: []}  # those that read bodies from a function stay so
        self._resolved: dict[tuple[str, int], tuple[float, str, frozenset[str]]] = {}
        self._under_way: dict[Any, _Flight] = {}
        self._pointed: dict[Any, str] = {}
        self._modes: dict[Any, tuple[str, bool, bool]] = {}
        self._begun = 0
        self._look = 0.0

    def close(self) -> None:
        """Close the connections."""
        for easy in [*self._under_way, *self._idle[False], *self._idle[True]]:
            self._end(easy)
        self._under_way.clear()
        self._multi.close()

    def start(self, sent: Sent, job: int, redirects: int = 0) -> None:
        """Begin an exchange; raises `ConnectorError` for what cannot be sent."""
        flight = self._flight(sent, job, redirects)
        idle = self._idle[sent.read]
        easy = idle.pop() if idle else self._new()
        try:
            self._set(easy, flight)
            self._multi.add_handle(easy)
        except BaseException:
            self._end(easy)
            flight.ended(None)
            raise
        self._under_way[easy] = flight
        self._begun += 1
        if self._begun == _AT_ONCE:
            self.push()

    def _flight(self, sent: Sent, job: int, redirects: int) -> _Flight:
        if self._context.calls is None:
            return _Flight(sent, job, redirects)
        call = self._context.calls.begin(sent.method, *_host(sent.url))
        flight = _Flight(replace(sent, headers={**sent.headers, **call.headers}), job, redirects)
        flight.call = call
        return flight

    def landed(self, wait: float) -> Iterator[tuple[int, Reply | ConnectorError]]:
        """Wait for exchanges to end and yield their jobs' numbers and replies; redirected ones go on."""
        self.push()
        ended = self._all_ended()
        if not ended:
            self._rest(wait)
            ended = self._all_ended()
        for easy, failure in ended:
            yield from self._ended(easy, failure)
        if time.monotonic() >= self._look:
            yield from self._silent()

    def push(self) -> None:
        """Send and receive what can be without waiting."""
        self._begun = 0
        while self._multi.perform()[0] == pycurl.E_CALL_MULTI_PERFORM:  # pragma: no cover - of old versions
            pass

    def _rest(self, wait: float) -> None:
        """Wait until something moves."""
        self._multi.select(max(min(wait, self._look - time.monotonic()), 0.0))
        self.push()

    def _all_ended(self) -> list[tuple[Any, tuple[int, str] | None]]:
        ended: list[tuple[Any, tuple[int, str] | None]] = []
        more: int = 1
        while more:
            more, good, bad = self._multi.info_read()
            ended += [(easy, None) for easy in good]
            ended += [(easy, (code, text)) for easy, code, text in bad]
        return ended

    def _silent(self) -> Iterator[tuple[int, ConnectorError]]:
        """Give up the exchanges in which nothing has come for too long; what has come is looked at now and then."""
        now = time.monotonic()
        self._look = now + min(self._context.timeout / 10, _LONGEST_WAIT)
        for easy, flight in list(self._under_way.items()):
            if flight.still_since(now) + self._context.timeout < now:
                del self._under_way[easy]
                self._multi.remove_handle(easy)
                self._end(easy)
                flight.ended(None)
                yield flight.job, self._problem(flight.sent, pycurl.E_OPERATION_TIMEDOUT, "")

    def drop(self) -> None:
        """Give up what is under way."""
        for easy, flight in list(self._under_way.items()):
            self._multi.remove_handle(easy)
            self._end(easy)
            flight.ended(None)
        self._under_way.clear()

    def _ended(self, easy: Any, failure: tuple[int, str] | None) -> Iterator[tuple[int, Reply | ConnectorError]]:
        flight = self._under_way.pop(easy)
        self._multi.remove_handle(easy)
        status = easy.getinfo(pycurl.RESPONSE_CODE)
        self._idle[flight.sent.read].append(easy)
        flight.ended(None if failure else status)
        try:
            if failure is not None:
                raise flight.problem or self._problem(flight.sent, *failure)
            reply = Reply(status, b"".join(flight.body), flight.sent.url, b"".join(flight.head))
            if status in _REDIRECTS and flight.sent.method in SAFE_METHODS and "location" in reply.headers:
                self.start(self._onward(flight, reply), flight.job, flight.redirects + 1)
                return
        except ConnectorError as error:
            yield flight.job, error
        else:
            yield flight.job, reply

    def _onward(self, flight: _Flight, reply: Reply) -> Sent:
        """Return the request that a redirect leads to; other hosts get no header of ours."""
        here, sent = httpx.URL(flight.sent.url), flight.sent
        target = here.join(reply.headers["location"])
        if flight.redirects >= self._limits.redirects:
            raise Fatal(
                msg("{url} redirects again and again.", url=shown(here)), msg("Check the address of the connection.")
            )
        if here.scheme == "https" and target.scheme != "https":
            raise Forbidden(
                msg("{url} redirects to {target}, which is not encrypted.", url=shown(here), target=shown(target)),
                msg("Check the address of the connection."),
            )
        mine = same_origin(here, target)
        kept = {
            name: value for name, value in sent.headers.items() if (mine or name == "Accept") and name not in HEADERS
        }
        return replace(sent, url=str(target), headers=kept)

    def _new(self) -> Any:
        easy = pycurl.Curl()
        limits = self._limits
        easy.setopt(pycurl.NOSIGNAL, 1)
        easy.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
        easy.setopt(pycurl.PROXY, "")
        easy.setopt(pycurl.NETRC, 0)
        easy.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
        easy.setopt(pycurl.ACCEPT_ENCODING, "gzip, deflate")
        easy.setopt(pycurl.BUFFERSIZE, _BUFFER)
        easy.setopt(pycurl.TCP_NODELAY, 1)
        easy.setopt(pycurl.CONNECTTIMEOUT_MS, round(self._context.timeout * 1000))
        easy.setopt(pycurl.TIMEOUT_MS, round(limits.seconds * 1000))
        if self._trust is None:
            easy.setopt(pycurl.SSL_VERIFYPEER, 0)
            easy.setopt(pycurl.SSL_VERIFYHOST, 0)
        else:
            easy.setopt(pycurl.CAINFO_BLOB, self._trust)
        return easy

    def _set(self, easy: Any, flight: _Flight) -> None:
        sent = flight.sent
        self._point(easy, sent.url)
        easy.setopt(pycurl.URL, sent.url)
        easy.setopt(pycurl.HTTPHEADER, _lines(sent))
        easy.setopt(pycurl.HEADERFUNCTION, flight.head.append)
        easy.setopt(pycurl.WRITEFUNCTION, lambda part: self._take(flight, part))
        self._set_body(easy, sent)

    def _set_body(self, easy: Any, sent: Sent) -> None:
        """Give a body to libcurl in a way that lets it send a request twice only if that does no harm."""
        mode = (sent.method, sent.body is not None or sent.once, sent.once)
        if self._modes.get(easy) != mode or not sent.body:
            easy.setopt(pycurl.FRESH_CONNECT, int(sent.once and not sent.body))
            easy.setopt(pycurl.NOBODY, int(sent.method == "HEAD"))
            easy.setopt(pycurl.POST if mode[1] else pycurl.HTTPGET, 1)
            easy.setopt(pycurl.CUSTOMREQUEST, sent.method)
            self._modes[easy] = mode
        if sent.read and sent.body:
            easy.setopt(pycurl.POSTFIELDSIZE_LARGE, len(sent.body))
            easy.setopt(pycurl.READFUNCTION, _reader(sent.body))
        elif mode[1]:
            easy.setopt(pycurl.POSTFIELDS, sent.body or b"")

    def _end(self, easy: Any) -> None:
        self._pointed.pop(easy, None)
        self._modes.pop(easy, None)
        easy.close()

    def _take(self, flight: _Flight, part: bytes) -> int | None:
        flight.size += len(part)
        if flight.size > self._limits.size:
            flight.problem = TooLarge(
                msg("The response of {url} is larger than {size} MB.",
                    url=shown(httpx.URL(flight.sent.url)), size=self._limits.size // 1024**2),
                msg("Ask for smaller pages."),
            )  # fmt: skip
            return 0
        flight.body.append(part)
        return None

    def _point(self, easy: Any, url: str) -> None:
        """Let a host's name stand for its checked addresses."""
        host, port = _host(url)
        until, line, found = self._resolved.get((host, port), (0.0, "", frozenset()))
        if until < time.monotonic():
            checked = addresses(host, port, self._context.egress_allow)
            line = f"{host}:{port}:" + ",".join(f"[{a}]" if ":" in a else a for a in checked)
            found = frozenset(checked)
            self._resolved[host, port] = (time.monotonic() + _RESOLVED_FOR, line, found)
        if self._pointed.get(easy) != line:
            easy.setopt(pycurl.RESOLVE, [line])
            easy.setopt(pycurl.OPENSOCKETFUNCTION, lambda _purpose, address: _socket(address, found))
            self._pointed[easy] = line

    def _problem(self, sent: Sent, code: int, text: str) -> ConnectorError:
        url = httpx.URL(sent.url)
        if code in _TIMES_OUT:
            return Unavailable(
                msg("{url} did not answer in time.", url=shown(url)),
                msg("Try again later, or allow more time in the connection's settings."),
            )
        if code in _UNTRUSTED:
            return Misconfigured(
                msg("The certificate of {host} is not trusted: {problem}.", host=url.host, problem=text.rstrip(".")),
                msg("Add the certificate of your authority to the connection's settings."),
            )
        return Unavailable(
            msg("No answer from {url}: {problem}.", url=shown(url), problem=text.rstrip(".") or str(code)),
            msg("Check that the address is right and that the system runs."),
        )


def _bundle_of(certificates: str) -> bytes:
    trust = trust_store(certificates)
    return "".join(map(ssl.DER_cert_to_PEM_cert, trust.get_ca_certs(binary_form=True))).encode()


_bundle = lru_cache(8)(_bundle_of)


def _reader(body: bytes) -> Callable[[int], bytes]:
    place = 0

    def read(size: int) -> bytes:
        nonlocal place
        part = body[place : place + size]
        place += len(part)
        return part

    return read


def _lines(sent: Sent) -> list[str]:
    lines = [_line(name, value) for name, value in sent.headers.items()]
    if "" in lines:
        raise unsendable(shown(httpx.URL(sent.url)))
    lines.append("Expect:")
    return lines


@lru_cache(256)
def _line(name: str, value: str) -> str:
    """Return a header as libcurl wants it, nothing for one that cannot be sent."""
    if not _HEADER.fullmatch(f"{name}: {value}" if value else f"{name}:"):
        return ""
    return f"{name}: {value}" if value else f"{name};"


@lru_cache(256)
def _place(origin: str) -> tuple[str, int]:
    url = web_address(origin)
    if url is None:
        raise Misconfigured(msg("'{url}' is not a web address.", url=origin), msg("Begin it with https:// or http://."))
    return url.raw_host.decode("ascii").strip("[]"), url.port or {"http": 80, "https": 443}[url.scheme]


def _host(url: str) -> tuple[str, int]:
    """Return host and port of an address."""
    scheme, mark, rest = url.partition("://")
    return _place(scheme + mark + re.split(r"[/?#\\]", rest, maxsplit=1)[0])


def _socket(address: Any, permitted: frozenset[str]) -> Any:
    """Return a socket to an address that was checked; nothing else is connected to, whatever libcurl makes of a URL."""
    family, kind, protocol, target = address
    if str(ip_address(str(target[0]).partition("%")[0])) not in permitted:
        return pycurl.SOCKET_BAD
    return _Lent(family, kind, protocol)


class _Lent(socket.socket):
    """A socket that libcurl makes a copy of; ours is closed when it is given back."""

    def __del__(self) -> None:
        self.close()
