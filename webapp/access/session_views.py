"""Sign in and out, and the language of the console."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import abort, flash, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user, logout_user
from werkzeug.wrappers import Response

from webapp.access import (
    ceremonies,
    challenges,
    company,
    factors,
    models,
    oidc,
    passkeys,
    recovery,
    security,
    services,
    sessions,
    throttle,
    viewing,
)
from webapp.access.ceremonies import WrongAnswer
from webapp.access.errors import Refused
from webapp.access.identities import NotAdmitted
from webapp.access.sessions import Entry
from webapp.web.language import translated
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
        row, by = self._found(username, password)
        if row is None:
            throttle.failed(self.house, username, request.remote_addr or "")
            return sign_in_page(self, 401, username, by)
        if factors.asked_of(row):
            session[_WAITING] = [row.id, row.username, self.house.clock().timestamp(), by, username]
            return redirect(url_for("SessionView.second", next=request.args.get("next")))
        return self._admit(row.id, username, (by, by))

    def _found(self, username: str, password: str) -> tuple[Any, str]:
        """Return the row of who has entered the right password, and whose password it is; or None, and why."""
        row = services.known(self.house, username, password)
        if row is not None:
            return row, "password"
        try:
            row = company.by_directory(self.house, username, password) if self.house.settings.ldap_url else None
        except NotAdmitted as error:
            services.not_admitted(self.house, str(error.message), self.actor)
            return None, translated(error.message)
        if row is None:
            services.refused(self.house, username, self.actor)
        return row, "directory" if row else _("The user name or the password is wrong.")

    @expose("/login/second", methods=["GET", "POST"])
    def second(self) -> Response:
        """Ask for the code of the second factor, behind the right password."""
        user_id, username, since, by, typed, *begun = session.get(_WAITING) or (0, "", 0.0, "", "")
        if self.house.clock().timestamp() - since > _PATIENCE:
            session.pop(_WAITING, None)
            return redirect(url_for("SessionView.login", next=request.args.get("next")))
        if request.method == "GET":
            return self._second(user_id, "", 200)
        # counted by the user alone, too: who comes here has the password, and may come from many addresses
        places = (request.remote_addr or "", "")
        wait = max(throttle.seconds_to_wait(self.house, username, place) for place in places)
        if wait:
            text = _("Too many failed attempts. Try again in %(seconds)s seconds.", seconds=wait)
            return self._second(user_id, text, 429)
        shown = self._shown(user_id, by)
        if not shown:
            for place in places:
                throttle.failed(self.house, username, place)
            what = "wrong passkey" if request.form.get("answer") else "wrong code"
            services.wrong(self.house, user_id, self.actor, what)
            text = _("The code is wrong, or has been used. Wait for the next one.")
            return self._second(user_id, _("The passkey does not let you in.") if "pass" in what else text, 401)
        throttle.succeeded(self.house, username, "")
        return self._admit(user_id, typed, (shown, by), *begun)

    def _shown(self, user_id: int, by: str) -> str:
        """Return what somebody has shown beside the password; an empty text where it was wrong."""
        answer = request.form.get("answer")
        if not answer:
            return factors.passes(self.house, user_id, request.form.get("code", ""))
        try:
            passkeys.answered(self.house, user_id, challenges.kept("second"), answer)
        except WrongAnswer:
            return ""
        return f"{by} and passkey"

    def _second(self, user_id: int, error: str, status: int) -> Response:
        with self.house.db.read() as tx:
            app, left = factors.is_set(tx, user_id), recovery.left(tx, user_id)
            keys = bool(passkeys.of_user(tx, user_id))
        return self.page("access/second.html", status, error=error, app=app, codes=app or left > 0, passkey=keys)

    @expose("/login/second/begin", methods=["POST"])
    def begin(self) -> Response:
        """Tell the browser what to ask the passkey for that is the second factor."""
        user_id, _username, since, *_more = session.get(_WAITING) or (0, "", 0.0)
        if self.house.clock().timestamp() - since > _PATIENCE:
            user_id = 0
        try:
            return challenges.asked("second", passkeys.begin_answer(self.house, user_id))
        except Refused as error:
            return challenges.refused(error)

    def _admit(self, user_id: int, typed: str, by: tuple[str, str], session_id: int = 0) -> Response:
        """Let a user in, who has entered a name; `by` is what was shown last, and whose password it was."""
        throttle.succeeded(self.house, typed, request.remote_addr or "")
        services.admitted(self.house, user_id, self.actor, by[0])
        if session_id:  # which a provider has begun
            with self.house.db.begin() as tx:
                token = sessions.renewed(tx, self.house, session_id)
            security.take(token)
        else:
            security.enter(user_id, Entry(by[1]))
        session[security.TYPED] = typed
        return redirect(safe_target(request.args.get("next")))

    @expose("/logout/", methods=["POST"])
    def logout(self) -> Response:
        """Sign out."""
        if current_user.is_authenticated:
            viewing.end(self.house, current_user, self.actor)
            onwards = self._provider_end()
            services.sign_out(self.house, current_user.id, current_user.session_id, self.actor)
            language = session.get("language")
            logout_user()
            session.clear()
            session["language"] = language
            flash(_("You are signed out."), "success")
            if onwards:  # no redirect: the policy of pages lets no form lead elsewhere
                page = self.page("access/leaving.html", url=onwards)
                page.headers["Refresh"] = f"0; url={onwards}"
                return _cleared(page)
            return _cleared(redirect(url_for("SessionView.login")))
        return redirect(url_for("SessionView.login"))

    def _provider_end(self) -> str:
        """Return where the identity provider's own session is ended, or an empty text."""
        token = sessions.id_token(self.house, current_user.session_id)
        if not token or not self.house.settings.oidc_issuer:
            return ""
        return oidc.leave(self.house, token, f"{self.house.settings.console_url}/login/")

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


def _cleared(response: Response) -> Response:
    """Have the browser throw away what it has kept of our pages; its choice of colours stays."""
    response.headers["Clear-Site-Data"] = '"cache"'
    return response


def sign_in_page(view: RoomView, status: int = 200, username: str = "", error: str = "") -> Response:
    """Return the page that asks for name and password, or leads to the company's identity provider."""
    settings = view.house.settings
    ways: dict[str, Any] = {"company": settings.oidc_name if settings.oidc_issuer else ""}
    ways["saml"] = settings.saml_name if settings.saml_metadata else ""
    where = ceremonies.place(settings)
    with view.house.db.read() as tx:  # the button is there where it is of use
        ways["passkey"] = where is not None and request.host_url.rstrip("/") == where.origin and passkeys.exist(tx)
    return view.page("access/login.html", status, username=username, error=error, **ways)


def let_in(view: RoomView, user_id: int, entry: Entry, onwards: str) -> Response:
    """Let in whom a provider lets in; ask for the second factor where that does not tell that it has."""
    house = view.house
    with house.db.read() as tx:
        row = tx.execute(models.users().where(models.user.c.id == user_id)).one()
    if entry.vouched or not factors.asked_of(row):
        services.admitted(house, user_id, view.actor, entry.by)
        security.enter(user_id, entry)
        return redirect(onwards)
    begun = security.prepared(user_id, entry)
    session[_WAITING] = [user_id, row.username, house.clock().timestamp(), entry.by, row.username, begun]
    return redirect(url_for("SessionView.second", next=onwards))


def safe_target(target: str | None) -> str:
    """Return a path of this console to go on to; never another host."""
    if not target or not target.startswith("/") or target.startswith(("//", "/\\")) or "\n" in target:
        return "/"
    parts = urlsplit(target)
    return "/" if parts.scheme or parts.netloc else target
