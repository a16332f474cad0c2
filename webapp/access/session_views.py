"""Sign in and out, and the language of the console."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import abort, flash, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, logout_user
from werkzeug.wrappers import Response

from webapp.access import factors, security, services, throttle, viewing
from webapp.web.views import RoomView, expose

_WAITING, _PATIENCE = "second", 300
"""Who has shown a password and owes a code, and for how many seconds that counts."""


class SessionView(RoomView):
    """The way in and out."""

    route_base = ""
    class_permission_name = "Session"

    @expose("/login/", methods=["GET", "POST"])
    def login(self) -> Response:
        """Ask for name and password."""
        if current_user.is_authenticated:
            return redirect(safe_target(request.args.get("next")))
        if request.method == "GET":
            return sign_in_page(self)
        username, password = request.form.get("username", "").strip(), request.form.get("password", "")
        wait = throttle.seconds_to_wait(self.house, username, request.remote_addr or "")
        if wait:
            text = _("Too many failed attempts. Try again in %(seconds)s seconds.", seconds=wait)
            return sign_in_page(self, 429, username, text)
        row = services.sign_in(self.house, username, password, self.actor)
        if row is None:
            throttle.failed(self.house, username, request.remote_addr or "")
            text = _("The user name or the password is wrong.")
            return sign_in_page(self, 401, username, text)
        if row.second_factor_at is not None:
            session[_WAITING] = [row.id, row.username, self.house.clock().timestamp()]
            return redirect(url_for("SessionView.second", next=request.args.get("next")))
        return self._admit(row.id, username, "password")

    @expose("/login/second", methods=["GET", "POST"])
    def second(self) -> Response:
        """Ask for the code of the second factor, behind the right password."""
        user_id, username, since = session.get(_WAITING) or (0, "", 0.0)
        if self.house.clock().timestamp() - since > _PATIENCE:
            session.pop(_WAITING, None)
            return redirect(url_for("SessionView.login", next=request.args.get("next")))
        if request.method == "GET":
            return self.page("access/second.html", error="")
        # counted by the user alone, too: who comes here has the password, and may come from many addresses
        places = (request.remote_addr or "", "")
        wait = max(throttle.seconds_to_wait(self.house, username, place) for place in places)
        if wait:
            text = _("Too many failed attempts. Try again in %(seconds)s seconds.", seconds=wait)
            return self.page("access/second.html", 429, error=text)
        by = factors.passes(self.house, user_id, request.form.get("code", ""))
        if not by:
            for place in places:
                throttle.failed(self.house, username, place)
            services.wrong(self.house, user_id, self.actor, "wrong code")
            text = _("The code is wrong, or has been used. Wait for the next one.")
            return self.page("access/second.html", 401, error=text)
        throttle.succeeded(self.house, username, "")
        return self._admit(user_id, username, by)

    def _admit(self, user_id: int, username: str, by: str) -> Response:
        throttle.succeeded(self.house, username, request.remote_addr or "")
        services.admitted(self.house, user_id, self.actor, by)
        security.enter(user_id)
        return redirect(safe_target(request.args.get("next")))

    @expose("/logout/", methods=["POST"])
    def logout(self) -> Response:
        """Sign out."""
        if current_user.is_authenticated:
            viewing.end(self.house, current_user, self.actor)
            services.sign_out(self.house, current_user.id, current_user.session_id, self.actor)
            language = session.get("language")
            logout_user()
            session.clear()
            session["language"] = language
            flash(_("You are signed out."), "success")
        return redirect(url_for("SessionView.login"))

    @expose("/language/<code>", methods=["POST"])
    def language(self, code: str) -> Response:
        """Change the language of the console."""
        from webapp.web.language import LANGUAGES  # noqa: PLC0415

        if code not in LANGUAGES:
            abort(404)
        session["language"] = code
        if current_user.is_authenticated:
            services.set_language(self.house, current_user.id, code)
        return redirect(safe_target(request.form.get("next")))


def sign_in_page(view: RoomView, status: int = 200, username: str = "", error: str = "") -> Response:
    """Return the page that asks for name and password, or leads to the company's identity provider."""
    settings = view.house.settings
    company = settings.oidc_name if settings.oidc_issuer else ""
    return view.page("access/login.html", status, username=username, error=error, company=company)


def safe_target(target: str | None) -> str:
    """Return a path of this console to go on to; never another host."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\n" in target:
        return "/"
    parts = urlsplit(target)
    return "/" if parts.scheme or parts.netloc else target
