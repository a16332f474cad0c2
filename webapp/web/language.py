"""Language, time zone and the filters that show times, numbers and messages to a reader."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from babel.dates import get_timezone_name
from flask import Flask, has_request_context, request, session
from flask_babel import format_decimal, format_timedelta, get_locale, get_timezone, gettext
from flask_login import current_user
from markupsafe import Markup

from rules.text import Message
from webapp.extensions import to_json
from webapp.web.request import house

LANGUAGES = {"en": "English", "zh": "中文"}
TRANSLATIONS = Path(__file__).resolve().parents[1] / "translations"


def chosen_language() -> str:
    """Return the language of the reader: the user's, the session's, the browser's, the installation's."""
    default = house().settings.language
    if not has_request_context():
        return default
    mine = getattr(current_user, "language", None) if current_user else None
    for choice in (mine, session.get("language")):
        if choice in LANGUAGES:
            return str(choice)
    return request.accept_languages.best_match(list(LANGUAGES), default) or default


def chosen_timezone() -> str:
    """Return the time zone in which times are shown."""
    return house().settings.timezone


def translated(value: Any) -> str:
    """Return a message (or its stored form, or plain text) in the reader's language."""
    if isinstance(value, dict) and "template" in value:
        value = Message.from_json({"values": {}, **value})
    if isinstance(value, Message):
        values = {
            key: translated(item) if isinstance(item, (Message, dict)) else item for key, item in value.values.items()
        }
        template = str(gettext(value.template))
        return template.format(**values) if values else template
    return str(value)


def number(value: Any) -> str:
    """Return a number as the reader writes it; a dash where there is none."""
    if value is None:
        return "–"
    return str(format_decimal(value if isinstance(value, (int, Decimal)) else Decimal(str(value))))


def pretty(value: Any) -> str:
    """Return JSON, indented."""
    return json.dumps(json.loads(to_json(value)), ensure_ascii=False, indent=2, sort_keys=False)


def exact(value: datetime | None) -> str:
    """Return a time in full, for a tooltip."""
    if not value:
        return ""
    there = _there(value)
    zone = _zone_name(get_timezone(), str(get_locale()), "daylight" if there.dst() else "standard")
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1000:03} {zone}"


@lru_cache(maxsize=64)
def _zone_name(zone: tzinfo, locale: str, variant: Literal["daylight", "standard"]) -> str:
    """Return the name of a time zone, which takes Babel longer than the time in it."""
    return get_timezone_name(zone, locale=locale, zone_variant=variant)


def _there(value: datetime) -> datetime:
    return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(get_timezone())


def short_time(value: datetime | None) -> str:
    """Return a time as a list shows it: the same in all languages, so that nobody has to look up how to write it."""
    if not value:
        return "–"
    there = _there(value)
    return there.replace(tzinfo=None).isoformat(" ", "seconds")


def span(value: timedelta) -> str:
    """Return a length of time in the unit that a reader would choose: 90 seconds, 12 minutes, 3 hours."""
    return str(format_timedelta(value, threshold=2))


def html_language() -> str:
    """Return the page's `lang`."""
    return "zh-CN" if str(get_locale()).startswith("zh") else "en"


def register(app: Flask) -> None:
    """Give Babel our choices and the templates our filters."""
    babel = app.extensions["babel"]
    babel.locale_selector = chosen_language
    babel.timezone_selector = chosen_timezone
    app.jinja_env.filters.update(number=number, pretty=pretty, message=translated, exact=exact)
    app.jinja_env.filters.update(short_time=short_time, span=span)
    app.jinja_env.globals.update(html_language=html_language, languages=LANGUAGES, get_locale=get_locale, Markup=Markup)
