"""The console: `create_app` builds it from settings."""

from __future__ import annotations

import importlib
import importlib.util
import os
import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from flask import Flask, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin
from sqlalchemy.orm import scoped_session, sessionmaker

from config import Settings
from webapp.access import gate, roles
from webapp.access.security import Builder, Security
from webapp.entities import console as entities
from webapp.extensions import House, open_house
from webapp.web import assets, language, menu, openapi, problems, protection

ROOMS = ("access", "audit", "connections", "entities", "rulebook", "runs", "cases", "dashboard")
TEMPLATES = Path(__file__).resolve().parents[1] / "templates"
MAX_UPLOAD = 512 * 1024 * 1024


class Sessions(SecureCookieSessionInterface):
    """Sessions in signed cookies; never on the answer for a built file, which any cache may keep."""

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Tell whether the answer carries the cookie."""
        return request.endpoint != "static" and super().should_set_cookie(app, session)


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
    protection.register(app)
    menu.register(app)
    openapi.register(app)
    app.url_map.strict_slashes = False  # /rules and /rules/ are the same page
    with app.app_context():
        builder = Builder(app, _fab_session(app, house), security_manager_class=Security)
        for room in ROOMS:
            _register_room(builder, room)
        builder.add_view_no_menu(openapi.ApiView)
    entities.register(app)
    assets.register(app)
    language.register(app)
    problems.register(app)
    gate.register(app)
    if update_permissions:
        with house.db.begin() as tx:
            roles.sync(tx)
    return app


def _configuration(settings: Settings) -> dict[str, Any]:
    return {
        "APP_NAME": "Syncline",
        "SECRET_KEY": session_key(settings),
        "SESSION_COOKIE_NAME": "syncline",
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "SESSION_COOKIE_SECURE": settings.secure_cookies,
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=12),
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


def session_key(settings: Settings) -> str:
    """Return the key that signs sessions; made at the first start, readable by its owner only."""
    path = settings.data / "keys" / "session.key"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(descriptor, "w") as file:
        key = secrets.token_hex(32)
        file.write(key)
    return key


def _fab_session(app: Flask, house: House) -> Any:
    """Return the ORM session for Flask-AppBuilder's own reading; every request gives it back unused."""
    session = scoped_session(sessionmaker(bind=house.db.engine))

    @app.teardown_appcontext
    def _give_back(_error: BaseException | None) -> None:
        session.remove()

    return session


def _register_room(builder: Builder, room: str) -> None:
    for view in _classes(f"webapp.{room}.views", "VIEWS"):
        builder.add_view_no_menu(view)
    for resource in _classes(f"webapp.{room}.api", "API"):
        builder.add_api(resource)


def _classes(module: str, name: str) -> Iterator[Any]:
    if importlib.util.find_spec(module) is not None:
        yield from getattr(importlib.import_module(module), name, ())
