"""The HTTP client for everything outside: an `httpx.Client` that obeys the egress rules and cannot be flooded.

It connects only to checked addresses (`connectors.egress`), also behind a redirect; it sends credentials to the host
they are meant for and no other; a response has a largest size, unpacked, and a whole exchange a longest duration. Its
errors are those of `connectors.errors`. Proxies of the environment are not used.
"""

from __future__ import annotations

import io
import re
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import httpcore
import httpx

from connectors.calls import HEADERS, Calls
from connectors.egress import addresses
from connectors.errors import ConnectorError, Fatal, Forbidden, Misconfigured, Unavailable
from connectors.spi import Context
from rules.text import msg

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Limits:
    """What one exchange may cost: bytes of an unpacked response, seconds in all, redirects followed."""

    size: int = 64 * 1024 * 1024
    seconds: float = 300.0
    redirects: int = 5


def client(
    context: Context,
    *,
    headers: Mapping[str, str] | None = None,
    private: Iterable[str] = (),
    auth: httpx.Auth | None = None,
    limits: Limits | None = None,
    trust: ssl.SSLContext | None = None,
) -> Client:
    """Return a client for one connection.

    Args:
        context: Says which networks may be reached and how long one step may take.
        headers: Sent with every request.
        private: Names of headers, besides Authorization and Cookie, that no other host may see.
        auth: Signs the requests to the host they are meant for.
        limits: Largest response, longest exchange, most redirects.
        trust: Which certificates are trusted; `trust_store` makes one.
    """
    wire = Wire(context.egress_allow)
    return Client(
        wire,
        Transport(wire, trust or trust_store()),
        limits or Limits(),
        frozenset(n.lower() for n in private),
        context.calls,
        headers=headers,
        auth=auth,
        timeout=context.timeout,
        trust_env=False,
    )


def trust_store(certificates: str = "", *, verify: bool = True) -> ssl.SSLContext:
    """Return the trusted certificates: this machine's, the public ones, and those given in PEM form."""
    context = httpx.create_ssl_context(trust_env=False)
    context.load_default_certs()
    if certificates.strip():
        try:
            context.load_verify_locations(cadata=certificates)
        except (ssl.SSLError, ValueError) as error:
            raise Misconfigured(
                msg("The trusted certificate cannot be read."),
                msg("Paste it in PEM form, with its BEGIN and END lines."),
            ) from error
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Wire(httpcore.SyncBackend):
    """Makes connections, to checked addresses only, and ends them at the deadline of the exchange."""

    def __init__(self, allow: tuple[str, ...]) -> None:
        self.allow = allow
        self.deadline = float("inf")

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first checked address of the host that answers."""
        refused: Exception | None = None
        for address in addresses(host, port, self.allow):
            try:
                stream = super().connect_tcp(address, port, self.left(timeout), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                refused = error
            else:
                return TimedStream(stream, self)
        raise refused or httpcore.ConnectError(host)

    def left(self, timeout: float | None) -> float:
        """Return the seconds that the next step may take; raises when none are left."""
        rest = self.deadline - time.monotonic()
        if rest <= 0:
            raise httpcore.ReadTimeout("the exchange took too long")
        return rest if timeout is None else min(timeout, rest)


class TimedStream(httpcore.NetworkStream):
    """A connection whose every step ends at the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, wire: Wire) -> None:
        self._stream = stream
        self._wire = wire

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there."""
        return self._stream.read(max_bytes, self._wire.left(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        self._stream.write(buffer, self._wire.left(timeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the encrypted connection, verified against the host's name."""
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, self._wire.left(timeout)), self._wire)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection below knows."""
        return self._stream.get_extra_info(info)


class Transport(httpx.HTTPTransport):
    """httpx's transport over a `Wire`; URL, Host and TLS server name stay those of the host, not of its address."""

    def __init__(self, wire: Wire, trust: ssl.SSLContext) -> None:
        super().__init__(verify=trust, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=trust, max_connections=10, keepalive_expiry=5.0, network_backend=wire
        )


class Client(httpx.Client):
    """A client whose `send` follows the egress rules; see the module."""

    def __init__(
        self,
        wire: Wire,
        transport: Transport,
        limits: Limits,
        private: frozenset[str],
        calls: Calls | None = None,
        **options: Any,
    ) -> None:
        super().__init__(transport=transport, **options)
        self._wire = wire
        self._limits = limits
        self._calls = calls
        self._target: tuple[BinaryIO, int] | None = None
        self._private = private | {"authorization", "cookie", "proxy-authorization"}

    def build_request(self, method: str, url: httpx.URL | str, **options: Any) -> httpx.Request:
        """Return a request; raises `Misconfigured` for text that is no address."""
        try:
            return super().build_request(method, url, **options)
        except UnicodeError:  # its text repeats the header
            raise unsendable(str(url)) from None
        except (httpx.InvalidURL, ValueError) as error:
            raise Misconfigured(
                msg("'{url}' is not a web address.", url=str(url).partition("?")[0]),
                msg("Begin it with https:// or http://."),
            ) from error

    def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """Send a request and return the whole response, read within the limits.

        Redirects of GET and HEAD are followed by the same rules; those of other methods are returned, because
        following them can turn a write into a read or carry it to another host.

        Raises:
            ConnectorError: `Forbidden`, `Misconfigured`, `Unavailable` or `Fatal`; an HTTP error status is no error.
        """
        del stream, follow_redirects  # a response is always read whole here, and redirects have one rule
        self._wire.deadline = time.monotonic() + self._limits.seconds
        origin = request.url
        for _ in range(self._limits.redirects + 1):
            response = self._told(request, auth) if self._calls else self._exchange(request, auth)
            onward = response.next_request
            if onward is None or request.method not in SAFE_METHODS:
                return response
            if not same_origin(origin, onward.url):
                auth = None
            request = self._onward(origin, request, onward)
        raise Fatal(
            msg("{url} redirects again and again.", url=shown(origin)), msg("Check the address of the connection.")
        )

    def download(self, request: httpx.Request, target: BinaryIO, most: int) -> httpx.Response:
        """Send a request and write the body of a good answer to `target`, at most `most` bytes; else as `send`."""
        self._target = target, most
        try:
            return self.send(request)
        finally:
            self._target = None

    def _told(self, request: httpx.Request, auth: Any) -> httpx.Response:
        """Make an exchange of which somebody is told."""
        assert self._calls is not None  # noqa: S101 - whoever calls this has looked
        url, status = request.url, None
        call = self._calls.begin(request.method, url.host, url.port or {"http": 80}.get(url.scheme, 443))
        for name in HEADERS:
            request.headers.pop(name, None)  # of the address before a redirect
        request.headers.update(call.headers)
        try:
            response = self._exchange(request, auth)
            status = response.status_code
            return response
        finally:
            call.end(status)

    def _exchange(self, request: httpx.Request, auth: Any) -> httpx.Response:
        try:
            response = super().send(request, stream=True, auth=auth, follow_redirects=False)
            try:
                return self._whole(response)
            finally:
                response.close()
        except (httpx.HTTPError, httpx.StreamError) as error:
            if isinstance(error, httpx.LocalProtocolError):  # its text repeats the header
                raise unsendable(shown(request.url)) from None
            raise problem(error, request.url) from error

    def _whole(self, response: httpx.Response) -> httpx.Response:
        kept = io.BytesIO()
        target, most = self._target if self._target and response.is_success else (kept, self._limits.size)
        size = 0
        for part in response.iter_bytes(65536):
            size += len(part)
            if size > most:
                raise Fatal(
                    msg(
                        "The response of {url} is larger than {size} MB.",
                        url=shown(response.url),
                        size=most // 1024**2,
                    ),
                    msg("Ask for smaller pages."),
                )
            target.write(part)
        unpacked = {b"content-encoding", b"content-length", b"transfer-encoding"}
        if response.request.method == "HEAD":  # there they tell of what a GET would give
            unpacked = set()
        whole = httpx.Response(
            response.status_code,
            headers=[(k, v) for k, v in response.headers.raw if k.lower() not in unpacked],
            content=kept.getvalue(),
            request=response.request,
            extensions=response.extensions,
        )
        whole.next_request = response.next_request
        return whole

    def _onward(self, origin: httpx.URL, sent: httpx.Request, onward: httpx.Request) -> httpx.Request:
        if sent.url.scheme == "https" and onward.url.scheme != "https":
            raise Forbidden(
                msg(
                    "{url} redirects to {target}, which is not encrypted.",
                    url=shown(sent.url),
                    target=shown(onward.url),
                ),
                msg("Check the address of the connection."),
            )
        if not same_origin(origin, onward.url):
            for name in self._private & {n.lower() for n in onward.headers}:
                del onward.headers[name]
        return onward


def web_address(text: str) -> httpx.URL | None:
    """Return the web address that a text is, None if it is none."""
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError):
        return None
    return url if url.scheme in ("http", "https") and url.host else None


def same_origin(left: httpx.URL, right: httpx.URL) -> bool:
    """Tell whether two URLs lead to the same scheme, host and port."""
    default = {"http": 80, "https": 443}
    return (left.scheme, left.host, left.port or default.get(left.scheme)) == (
        right.scheme,
        right.host,
        right.port or default.get(right.scheme),
    )


def shown(url: httpx.URL) -> str:
    """Return a URL as it may be shown: without user, password and query, which can hold secrets."""
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def unsendable(url: str) -> Misconfigured:
    """Return the error for a request with a header that cannot be sent, which can be a secret and is not shown."""
    return Misconfigured(
        msg("The request to {url} cannot be sent: a header has a character that is not allowed.",
            url=url.partition("?")[0]),
        msg("Look for line breaks and special characters in the keys and headers of the connection."),
    )  # fmt: skip


def problem(error: Exception, url: httpx.URL) -> ConnectorError:
    """Return our error for one of httpx's."""
    if isinstance(error, httpx.TimeoutException):
        return Unavailable(
            msg("{url} did not answer in time.", url=shown(url)),
            msg("Try again later, or allow more time in the connection's settings."),
        )
    if isinstance(error, httpx.UnsupportedProtocol):
        return Misconfigured(
            msg("'{url}' is not a web address.", url=shown(url)), msg("Begin it with https:// or http://.")
        )
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Misconfigured(
            msg("The certificate of {host} is not trusted: {problem}.", host=url.host, problem=_reason(error)),
            msg("Add the certificate of your authority to the connection's settings."),
        )
    return Unavailable(
        msg("No answer from {url}: {problem}.", url=shown(url), problem=_reason(error)),
        msg("Check that the address is right and that the system runs."),
    )


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return re.sub(r"\[Errno -?\d+\] | \(_ssl\.c:\d+\)", "", text).rstrip(".")
