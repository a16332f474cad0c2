"""Error pages and, for the API, problem documents (RFC 9457). Neither shows what is inside."""

from __future__ import annotations

import json
import logging
import threading
import time
from http import HTTPStatus
from typing import Any

from flask import Flask, Response, g, make_response, render_template, request
from flask_babel import gettext as _
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MethodNotAllowed, SecurityError, TooManyRequests

from rules.text import Message
from webapp.web.api import ApiError
from webapp.web.language import translated

log = logging.getLogger(__name__)
NOTED = 20
"""So many refusals of a kind are told to the log in a minute."""
_noted: dict[str, tuple[int, int]] = {}
_lock = threading.Lock()


def register(app: Flask) -> None:
    """Install the handlers."""
    app.register_error_handler(ApiError, _api_error)
    app.register_error_handler(CSRFError, _csrf_error)
    app.register_error_handler(SecurityError, _unknown_host)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def problem(status: int, detail: str, **more: Any) -> Response:
    """Return a problem document."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": g.get("request_id"),
    }
    response = Response(json.dumps({**body, **more}, ensure_ascii=False), status, mimetype="application/problem+json")
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def scim_problem(status: int, detail: str, kind: str = "") -> Response:
    """Return an error in SCIM's form (RFC 7644, section 3.12)."""
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:Error"], "status": str(status), "detail": detail}
    text = json.dumps({**body, **({"scimType": kind} if kind else {})}, ensure_ascii=False)
    response = Response(text, status, content_type="application/scim+json")
    if status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = "Bearer"
    return response


def _speaks_scim() -> bool:
    return request.path.startswith("/scim/")


def _wants_json() -> bool:
    return request.path.startswith(("/api/v1", "/scim/"))


def _api_error(error: ApiError) -> Response:
    if _speaks_scim():
        return scim_problem(error.status, translated(error.detail))
    more = {"errors": error.errors} if error.errors else {}
    return problem(error.status, translated(error.detail), **more)


def _csrf_error(_error: CSRFError) -> Response | tuple[str, int]:
    _note("forged or expired")
    text = _("This page has expired or was opened by another site. Go back, reload the page and try again.")
    return shown(400, text)


def _unknown_host(_error: SecurityError) -> Response:
    """Say so without a page: no address can be made for a host that is not ours."""
    _note("for an unknown host")
    return Response("This console is not known by that name. See SYNCLINE_TRUSTED_HOSTS.", 400, mimetype="text/plain")


def _http_error(error: HTTPException) -> Any:
    if error.code is None or error.code < HTTPStatus.BAD_REQUEST:
        return error
    if error.code in (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.TOO_MANY_REQUESTS):
        _note(error.name.lower())
    said = getattr(error, "message", None)  # of a refusal that tells what and why
    text = translated(said) if isinstance(said, Message) else _text(error.code, error)
    answer = make_response(shown(error.code, text))
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        answer.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    if isinstance(error, TooManyRequests) and error.retry_after:
        answer.headers["Retry-After"] = str(error.retry_after)
    return answer


def _note(why: str) -> None:
    """Tell the log what was kept out, a few times a minute, so that nobody fills it."""
    minute = int(time.monotonic() // 60)
    with _lock:
        _noted[why] = (minute, _noted[why][1] + 1) if _noted.get(why, (-1, 0))[0] == minute else (minute, 1)
        often = _noted[why][1] > NOTED
    if not often:
        log.warning(
            "request %s %s %r from %s refused: %s", g.get("request_id"), request.method, request.path,
            request.remote_addr, why,
        )  # fmt: skip


def _unexpected(error: Exception) -> Response | tuple[str, int]:
    log.error("request %s %s %s failed", g.get("request_id"), request.method, request.path, exc_info=error)
    try:
        return shown(500, _("Something went wrong on our side. The log has the details under the number below."))
    except Exception:  # noqa: BLE001 - what broke the page may break the error page: the database, say
        return _plain()


def _text(code: int, error: HTTPException) -> str:
    texts = {
        401: _("Sign in to see this page."),
        403: _("You do not have the permission for this. Ask an administrator for a role that has it."),
        404: _("There is nothing at this address. It may have been renamed or deleted."),
        405: _("This address does not take that kind of request."),
        413: _("The file is larger than the console takes."),
        429: _("Too many requests. Wait a moment and try again."),
        500: _("Something went wrong on our side. The log has the details under the number below."),
    }
    return texts.get(code) or error.name


def _plain() -> Response:
    text = f"Something went wrong on our side. The log has the details under the number {g.get('request_id')}."
    return problem(500, text) if _wants_json() else Response(text, 500, mimetype="text/plain")


def shown(code: int, text: str) -> Response | tuple[str, int]:
    """Return why there is no answer, as who asks can read it: a page, a problem document, an error of SCIM."""
    if _speaks_scim():
        return scim_problem(code, text)
    if _wants_json():
        return problem(code, text)
    return render_template("shell/problem.html", code=code, text=text, request_id=g.get("request_id")), code
