"""Who is signed in and what they may do: Flask-AppBuilder's security manager over our own, leaner questions.

A request asks the database once for the user and once for all permissions. Nothing here writes through
Flask-AppBuilder's session: on SQLite that would fail whenever somebody else writes at the same time.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask import Flask, g, request, session
from flask_appbuilder import AppBuilder
from flask_appbuilder.security.sqla.manager import SecurityManager
from flask_login import LoginManager, UserMixin, current_user, login_user

from webapp.access import factors, services, sessions, viewing
from webapp.access.sessions import Entry
from webapp.access.users import full_name
from webapp.web.request import house

POLL = "X-Poll"
"""Header of requests that a page makes by itself: they keep no session alive."""
TYPED = "typed"
"""Where the cookie keeps the name that somebody has signed in with, which a directory may know them by alone."""
PROVIDERS = ("company", "saml")
"""By what people have signed in whom the company's identity provider has let in."""


class SignedIn(UserMixin):  # type: ignore[misc]
    """The user of a session, whose token only this and the cookie know."""

    def __init__(self, row: Any, token: str) -> None:
        self.id: int = row.id
        self.username: str = row.username
        self.name: str = full_name(row.first_name, row.last_name) or row.username
        self.language: str | None = row.language
        self.session_id: int | None = row.session_id
        self.signed_in_by: str = row.signed_in_by
        # whose provider knows who it is
        self.must_change_password = bool(row.must_change_password) and row.signed_in_by not in (*PROVIDERS, "directory")
        self.vouched = bool(row.vouched)
        self.second_factor = factors.asked_of(row) or self.vouched
        self.has_password = not row.linked
        self.proven_at: datetime = row.proven_at
        self.seen_as: str | None = row.seen_as
        self._token = token

    def renew(self, token: str) -> None:
        """Take the session's new token."""
        self._token = token

    def get_id(self) -> str:
        """Return what the cookie holds."""
        return self._token


class Security(SecurityManager):  # type: ignore[misc]
    """Users, roles and permissions as Flask-AppBuilder stores them, without its pages."""

    def create_login_manager(self, app: Flask) -> LoginManager:
        """Return the login manager."""
        manager = LoginManager(app)
        manager.login_view = "SessionView.login"
        manager.session_protection = None
        manager.user_loader(self.load_user)
        return manager

    def create_jwt_manager(self, app: Flask) -> None:
        """Create none: programs use API keys."""

    def create_limiter(self, app: Flask) -> None:
        """Create none: `webapp.access.throttle` counts failures."""

    def create_db(self) -> None:
        """Create nothing: migrations make the tables, `roles.sync` fills them."""

    def register_views(self) -> None:
        """Register the sign-in page; all others are ours."""
        from webapp.access.session_views import SessionView  # noqa: PLC0415 - the page needs this class

        self.auth_view = SessionView()
        self.appbuilder.add_view_no_menu(self.auth_view)

    def load_user(self, pk: str) -> SignedIn | None:
        """Return the user of a session, unless it is over."""
        row = sessions.user_of(house(), str(pk), in_use=POLL not in request.headers)
        return SignedIn(row, str(pk)) if row else None

    def has_access(self, permission_name: str, view_name: str) -> bool:
        """Tell whether who asks holds the permission."""
        return (permission_name, view_name) in granted()


def enter(user_id: int, entry: Entry) -> None:
    """Begin a session for who has just shown who they are.

    Whom a provider lets in without asking, by a session of its own, has shown it there at another time.
    """
    take(sessions.begin(house(), user_id, _origin(), entry))


def prepared(user_id: int, entry: Entry) -> int:
    """Begin a session that nobody holds before `sessions.renewed` gives out its token; return its number."""
    row = sessions.user_of(house(), sessions.begin(house(), user_id, _origin(), entry))
    return int(row.session_id) if row else 0


def take(token: str) -> None:
    """Let the browser hold a session; of what lay in the cookie before, only a language stays."""
    chosen = session.get("language")
    row = sessions.user_of(house(), token)
    session.clear()
    if row is None:  # disabled at this very moment
        return
    user = SignedIn(row, token)
    if language := user.language or chosen:
        session["language"] = language
    session.permanent = True
    login_user(user)


def hold(token: str) -> None:
    """Let the browser of who is signed in hold the new token of the session."""
    current_user.renew(token)
    login_user(current_user._get_current_object())  # noqa: SLF001 - the user behind the proxy


def _origin() -> tuple[str, str]:
    return request.remote_addr or "", request.user_agent.string


class Builder(AppBuilder):  # type: ignore[misc]
    """Flask-AppBuilder without its stock pages and assets."""

    def _add_admin_views(self) -> None:
        self.sm.register_views()

    def _add_global_static(self) -> None:
        """Serve none of Flask-AppBuilder's own assets."""


def granted() -> frozenset[tuple[str, str]]:
    """Return all (permission, room) pairs of who asks; read once a request."""
    if "granted" not in g:
        g.granted = _granted()
    return g.granted  # type: ignore[no-any-return]


def _granted() -> frozenset[tuple[str, str]]:
    user_id = g.get("api_user_id")
    if user_id is None:
        user_id = current_user.id if current_user.is_authenticated else None
    if user_id is None:
        return frozenset()
    target = viewing.seen_as()
    with house().db.read() as connection:
        own = services.permissions_of(connection, user_id)
        return viewing.permissions(connection, target, own) if target else own
