"""The base of all pages. A room's `views.py` lists its classes in `VIEWS`; create_app registers them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from flask import abort, current_app, has_request_context, make_response, redirect, request, url_for
from flask_appbuilder import BaseView, expose
from flask_appbuilder.security.decorators import permission_name
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.extensions import Actor, House
from webapp.web.request import actor, house

__all__ = ["RoomView", "can", "expose", "has_access", "permission_name", "sign_in_first", "signed_in"]


def can(action: str, room: str) -> bool:
    """Tell whether who asks may do `action` ("read") in `room` ("Connections")."""
    return bool(current_app.extensions["appbuilder"].sm.has_access(f"can_{action}", room))


def has_access(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let only those in who hold the page's permission; the others are asked to sign in, or refused."""

    @functools.wraps(view)
    def guarded(self: BaseView, *args: Any, **kwargs: Any) -> Any:
        if can(view._permission_name, self.class_permission_name):  # type: ignore[attr-defined]  # noqa: SLF001
            return view(self, *args, **kwargs)
        if current_user.is_authenticated:
            abort(403)
        return sign_in_first()

    return guarded


def signed_in(view: Callable[..., Any]) -> Callable[..., Any]:
    """Let everybody in who is signed in."""

    @functools.wraps(view)
    def guarded(self: BaseView, *args: Any, **kwargs: Any) -> Any:
        return view(self, *args, **kwargs) if current_user.is_authenticated else sign_in_first()

    guarded.for_everybody = True  # type: ignore[attr-defined]
    return guarded


def sign_in_first() -> Response:
    """Send the browser to the sign-in page, and back here after it."""
    here = request.full_path.rstrip("?") if request.method == "GET" else "/"
    target = url_for("SessionView.login", next=None if here == "/" else here)
    if request.headers.get("HX-Request") == "true":
        return Response(status=204, headers={"HX-Redirect": url_for("SessionView.login")})
    return redirect(target)


class RoomView(BaseView):  # type: ignore[misc]
    """A room's pages.

    A page is a method with `@expose(path)`, `@has_access` and `@permission_name("read")` (from the outside in).
    """

    @property
    def house(self) -> House:
        """Return the house."""
        return house()

    @property
    def actor(self) -> Actor:
        """Return who asks."""
        return actor()

    @property
    def is_htmx(self) -> bool:
        """Tell whether htmx asks for a part of a page."""
        return has_request_context() and request.headers.get("HX-Request") == "true"

    def page(self, template: str, status: int = 200, **context: Any) -> Response:
        """Render a template as an answer."""
        return make_response(self.render_template(template, **context), status)
