"""What guards every answer: request id, CSRF check, security headers."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

import structlog
from flask import Flask, Request, abort, current_app, g, json, request
from flask_babel import gettext as _
from flask_login import current_user
from flask_wtf.csrf import CSRFProtect
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import SecurityError
from werkzeug.wrappers import Response

from webapp.web.request import house
from webapp.web.storable import LARGEST, read_json, storable

csrf = CSRFProtect()
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
"""What machines ask for to see whether we are well."""
STRANGERS_BYTES = 64 * 1024
SENDING = {"POST", "PUT", "PATCH", "DELETE"}
_POLICY = (
    "default-src 'none'",
    "style-src 'self'",
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "object-src 'none'",
)
HOOK = "hooks.take"
"""Where other systems tell that something happened."""
_POSTED_BY_OTHERS = {"SamlView.back", HOOK}
"""What other sites have browsers send here, or systems; it proves by itself that it was asked for."""
_FOR_PROGRAMS = ("/api/v1/", "/scim/")
_LONGEST_ADDRESS = 3500
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


def register(app: Flask, pace: Callable[[], None]) -> None:
    """Install the guards; `pace` refuses who asks too often, before anything costly is done."""
    app.config.update(WTF_CSRF_ENABLED=True, WTF_CSRF_CHECK_DEFAULT=False, WTF_CSRF_TIME_LIMIT=None)
    csrf.init_app(app)
    app.request_class = _Request
    app.before_request(_identify)
    app.before_request(_only_known_names)
    app.before_request(_only_encrypted)
    app.before_request(pace)
    app.before_request(_only_storable)
    app.before_request(_limit_strangers)
    app.before_request(_check_csrf)
    app.before_request(_only_storable_forms)
    app.after_request(_headers)
    app.jinja_env.globals["nonce"] = nonce


class _Json:
    """Reads of the JSON that is sent here only what a database can keep; our own cookies may hold more."""

    loads = staticmethod(read_json)
    dumps = staticmethod(json.dumps)


class _Request(Request):
    """A request whose body is read in that way, whatever Flask sets for each request."""

    @property  # type: ignore[override]
    def json_module(self) -> type[_Json]:
        """Return what reads the body."""
        return _Json

    @json_module.setter
    def json_module(self, _: object) -> None:
        return


def nonce() -> str:
    """Return the page's one-time word that its script tags carry."""
    if "nonce" not in g:
        g.nonce = secrets.token_urlsafe(16)
    return g.nonce  # type: ignore[no-any-return]


def asked_by_another_site() -> bool:
    """Tell whether the page of another site leads the browser here, as far as the browser says."""
    return request.headers.get("Sec-Fetch-Site") == "cross-site"


def bearer() -> str | None:
    """Return the token of an `Authorization: Bearer` header, if there is one."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def _identify() -> None:
    given = request.headers.get("X-Request-ID", "")
    g.request_id = given if _REQUEST_ID.fullmatch(given) else secrets.token_hex(8)
    structlog.contextvars.clear_contextvars()  # of the request before, in the same thread
    structlog.contextvars.bind_contextvars(request=g.request_id)


def _only_known_names() -> None:
    """Refuse requests for a name that is not ours, so that no link of ours leads elsewhere; probes ask by address."""
    known = house().settings.trusted_hosts
    if known and request.path not in PROBES and (urlsplit(f"//{request.host}").hostname or "") not in known:
        raise SecurityError


def _only_encrypted() -> None:
    """Refuse what did not come by HTTPS, where the settings say so; probes ask from within."""
    if house().settings.require_https and not request.is_secure and request.path not in PROBES:
        abort(403, _("This console is reached by https only."))


def _only_storable() -> None:
    """Refuse addresses with what no database can look for: a NUL, a number that is too large."""
    if any(isinstance(part, int) and part > LARGEST for part in (request.view_args or {}).values()):
        abort(404)
    if not storable(request.path) or not _all_storable(request.args):
        abort(400)


def _only_storable_forms() -> None:
    """Refuse forms with what no database can keep; what a key or a system sends is no form."""
    if bearer() is None and request.endpoint != HOOK and request.method in SENDING and not _all_storable(request.form):
        abort(400)


def _all_storable(values: MultiDict[str, str]) -> bool:
    return all(storable(name) and storable(value) for name, value in values.items(multi=True))


def _limit_strangers() -> None:
    """Take no upload from somebody who has not signed in; what a web hook sends has a limit of its own."""
    if request.endpoint == HOOK:
        request.max_content_length = house().settings.hook_bytes + 1  # one more, to see what is longer
    elif request.method in SENDING and bearer() is None and not current_user.is_authenticated:
        request.max_content_length = STRANGERS_BYTES


def _check_csrf() -> None:
    # A request with a key is never taken for its cookie, so no other site can make a browser send it; and to the API a
    # stranger is nobody, whom it tells to send a key.
    told = request.path.startswith(_FOR_PROGRAMS) and not current_user.is_authenticated
    free = told or bearer() is not None or request.endpoint in _POSTED_BY_OTHERS
    if not free and current_app.config["WTF_CSRF_ENABLED"]:
        csrf.protect()


def _short(place: str) -> str:
    """Return where a browser is sent, without what makes an address of ours longer than servers take."""
    if len(place) <= _LONGEST_ADDRESS or not place.startswith("/"):
        return place
    path = place.partition("?")[0]
    return path if len(path) <= _LONGEST_ADDRESS else "/"


def _headers(response: Response) -> Response:
    policy = "; ".join((*_POLICY, f"script-src 'self' 'nonce-{nonce()}'"))
    response.headers["Content-Security-Policy"] = policy
    if "Location" in response.headers:
        response.headers["Location"] = _short(response.headers["Location"])
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Frame-Options"] = "DENY"
    response.headers["Referrer-Policy"] = "same-origin"
    response.headers["Cross-Origin-Opener-Policy"] = "same-origin"
    response.headers["Permissions-Policy"] = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
    response.headers["X-Request-ID"] = g.get("request_id", "")
    if house().settings.secure_cookies:
        response.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if request.endpoint != "static":
        response.headers.setdefault("Cache-Control", "no-store")
    return response
