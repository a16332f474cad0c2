"""The span of each request that the console answers; none where there are no traces."""

from __future__ import annotations

from contextlib import ExitStack

from flask import Flask, Response, g, request

from webapp import tracing
from webapp.web.protection import PROBES


def register(app: Flask) -> None:
    """Trace requests from now on; to be called before anything else looks at them."""
    if tracing.spans() is not None:
        app.before_request(_begin)
        app.after_request(_note)
        app.teardown_request(_end)


def _begin() -> None:
    """Begin the span under the trace that the request says it belongs to, if it does.

    Its name is that of the address, without what stands for a name or a number there.
    """
    if request.path in PROBES or request.endpoint == "static":
        return
    route = request.url_rule.rule if request.url_rule else ""
    about = {"http.request.method": request.method, **({"http.route": route} if route else {})}
    parent = request.headers.get("traceparent")
    g.trace = ExitStack()
    g.trace.enter_context(tracing.span(f"{request.method} {route}".strip(), about, kind="server", parent=parent))


def _note(response: Response) -> Response:
    if "trace" in g:
        about = {"http.response.status_code": response.status_code, "syncline.request.id": g.get("request_id", "")}
        tracing.tell(about)
    return response


def _end(_error: BaseException | None) -> None:
    if "trace" in g:
        g.pop("trace").close()
