"""The console: `create_app` builds it from settings."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from sqlalchemy.orm import scoped_session, sessionmaker
from werkzeug.middleware.proxy_fix import ProxyFix

from config import Settings
from webapp.access import approving, gate, proving, roles, scim_views
from webapp.access import views as access
from webapp.access.security import Builder, Security
from webapp.access.session_key import session_key
from webapp.approvals import api as approvals_api
from webapp.approvals import console as approvals_console
from webapp.approvals import views as approvals
from webapp.audit import api as audit_api
from webapp.audit import looks
from webapp.audit import views as audit
from webapp.cases import api as cases_api
from webapp.cases import views as cases
from webapp.connections import api as connections_api
from webapp.connections import in_policies as connections_in_policies
from webapp.connections import views as connections
from webapp.dashboard import views as dashboard
from webapp.entities import api as entities_api
from webapp.entities import console as entities_console
from webapp.entities import in_policies as entities_in_policies
from webapp.entities import views as entities
from webapp.events import api as events_api
from webapp.events import hook_door, sources
from webapp.events import views as events
from webapp.evidence import api as evidence_api
from webapp.evidence import views as evidence
from webapp.extensions import House, open_house
from webapp.policies import viewing as policies_viewing
from webapp.policies import views as policies
from webapp.rulebook import api as rulebook_api
from webapp.rulebook import titles
from webapp.rulebook import views as rulebook
from webapp.runs import api as runs_api
from webapp.runs import views as runs
from webapp.tables import views as tables
from webapp.vault import people
from webapp.web import assets, language, menu, openapi, problems, protection, traces

PAGES = (
    access,
    policies,
    approvals,
    audit,
    connections,
    entities,
    rulebook,
    tables,
    runs,
    cases,
    events,
    evidence,
    dashboard,
)
RESOURCES = (
    approvals_api,
    audit_api,
    evidence_api,
    connections_api,
    entities_api,
    rulebook_api,
    runs_api,
    cases_api,
    events_api,
)
TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
TOLD, TOLD_AT_ONCE = 300, 3
"""Characters of a sentence that the next page shows, and how many sentences it shows."""
MAX_UPLOAD = 512 * 1024 * 1024


class Sessions(SecureCookieSessionInterface):
    """Sessions in signed cookies; never on the answer for a built file, which any cache may keep."""

    digest_method = staticmethod(hashlib.sha256)

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Tell whether the answer carries the cookie."""
        return request.endpoint != "static" and super().should_set_cookie(app, session)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Store the session; what the next page tells is cut to what fits into a cookie that browsers keep."""
        if told := session.get("_flashes"):
            cut = [(kind, text if len(text) <= TOLD else f"{text[:TOLD]}…") for kind, text in told[-TOLD_AT_ONCE:]]
            if cut != told:
                session["_flashes"] = cut
        super().save_session(app, session, response)


def create_app(settings: Settings, *, update_permissions: bool = False) -> Flask:
    """Return the console.

    Args:
        settings: of this process.
        update_permissions: bring the permissions and roles in the database to what this version knows; done once, by
            `syncline init`.
    """
    app = Flask(__name__, template_folder=str(TEMPLATES), static_folder=str(assets.DIST), static_url_path="/static")
    house = open_house(settings)
    app.extensions["syncline"] = house
    app.config.update(_configuration(settings))
    app.session_interface = Sessions()
    if hops := settings.trusted_proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    traces.register(app)
    protection.register(app, gate.keep_the_pace)
    menu.register(app)
    openapi.register(app)
    app.url_map.strict_slashes = False  # /rules and /rules/ are the same page
    with app.app_context():
        builder = Builder(app, _fab_session(app, house), security_manager_class=Security)
        for view in (*(view for room in PAGES for view in room.VIEWS), openapi.ApiView):
            builder.add_view_no_menu(view)
        for resource in (resource for room in RESOURCES for resource in room.API):
            builder.add_api(resource)
    entities_console.register(app)
    entities_in_policies.register()
    connections_in_policies.register()
    sources.register()
    people.register(house)
    approving.prepare(house)
    cases.register(app)
    approvals_console.register(app)
    titles.register(app)
    assets.register(app)
    language.register(app)
    problems.register(app)
    gate.register(app)
    looks.register(app)
    policies_viewing.register(app)
    proving.register(app)
    scim_views.register(app)
    hook_door.register(app)
    if update_permissions:
        with house.db.begin() as tx:
            roles.sync(tx)
    return app


def _configuration(settings: Settings) -> dict[str, Any]:
    return {
        "APP_NAME": "Syncline",
        "SECRET_KEY": session_key(settings),
        "SESSION_COOKIE_NAME": "__Host-syncline" if settings.secure_cookies else "syncline",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": settings.secure_cookies,
        "SESSION_REFRESH_EACH_REQUEST": False,  # an answer that comes late brings no old token back
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=settings.session_hours),
        "MAX_CONTENT_LENGTH": MAX_UPLOAD,
        "MAX_FORM_MEMORY_SIZE": 16 * 1024 * 1024,
        "MAX_FORM_PARTS": 20_000,
        "FAB_UPDATE_PERMS": False,
        "FAB_CREATE_DB": False,
        "BABEL_DEFAULT_LOCALE": settings.language,
        "BABEL_DEFAULT_TIMEZONE": settings.timezone,
        "BABEL_TRANSLATION_DIRECTORIES": str(language.TRANSLATIONS),
        "LANGUAGES": {code: {"name": name} for code, name in language.LANGUAGES.items()},
    }


def _fab_session(app: Flask, house: House) -> Any:
    """Return the ORM session for Flask-AppBuilder's own reading; every request gives it back unused."""
    session = scoped_session(sessionmaker(bind=house.db.engine))

    @app.teardown_appcontext
    def _give_back(_error: BaseException | None) -> None:
        session.remove()

    return session
