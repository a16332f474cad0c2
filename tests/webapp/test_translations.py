"""The texts of the console in its languages."""

from __future__ import annotations

import functools
from datetime import UTC, datetime

import pytest
from babel.messages.catalog import Catalog
from flask import Flask
from flask.testing import FlaskClient

from rules.text import msg
from webapp.translations import catalogs
from webapp.web import language

texts = functools.cache(catalogs.extract)
"""What code and templates say: looking takes seconds, and one look is enough."""


@pytest.mark.parametrize("code", catalogs.LANGUAGES)
def test_every_text_is_translated(code: str, monkeypatch: pytest.MonkeyPatch):
    """Each language has every text, with the same places for values."""
    monkeypatch.setattr(catalogs, "extract", texts)
    found = list(catalogs.problems(code))
    assert not found, "\n".join(found[:20])


def test_extraction_finds_templates_and_messages():
    """Texts are found in templates, views and messages."""
    found = {str(message.id) for message in texts()}
    assert {
        "Skip to the content",
        "You are signed out.",
        "The current password is wrong.",
        "{actor} signed in",
    } <= found


def test_wrong_places_are_told(monkeypatch: pytest.MonkeyPatch):
    """A translation that loses or invents a place for a value is told."""
    source, mine = Catalog(), Catalog(locale="zh")
    for text, translated in (("{a} of {b}", "{a}"), ("Hello {name}", "你好 {name}"), ("Page", "页 {x}")):
        source.add(text)
        mine.add(text, translated)
    monkeypatch.setattr(catalogs, "extract", lambda: source)
    monkeypatch.setattr(catalogs, "read", lambda _code: mine)
    found = list(catalogs.problems("zh"))
    assert len(found) == 2
    assert "of {b}" in found[0]


def test_language_is_chosen_and_kept(admin_client: FlaskClient):
    """The reader's choice sets the page's language and outlives the session."""
    assert '<html lang="en"' in admin_client.get("/").text
    assert admin_client.post("/language/zh", data={"next": "/account/"}).location == "/account/"
    assert '<html lang="zh-CN"' in admin_client.get("/account/").text
    admin_client.post("/logout/")
    assert '<html lang="zh-CN"' in admin_client.get("/login/").text


def test_browser_language_is_used_before_a_choice(client: FlaskClient):
    """A stranger sees the language that the browser asks for."""
    assert '<html lang="zh-CN"' in client.get("/login/", headers={"Accept-Language": "zh-CN,zh;q=0.9"}).text
    assert '<html lang="en"' in client.get("/login/", headers={"Accept-Language": "fr"}).text


def test_language_change_leads_to_no_other_host(admin_client: FlaskClient):
    """The page to go back to is one of ours."""
    for target in ("https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"):
        assert admin_client.post("/language/en", data={"next": target}).location == "/"


def test_messages_within_messages_are_translated(app: Flask):
    """A message is shown with its values, also where a value is a message or a stored one."""
    with app.test_request_context():
        inner = msg("field {name}", name="phone")
        assert language.translated(msg("{what}: 5% too long", what=inner)) == "field phone: 5% too long"
        assert language.translated(msg("{what}", what=inner).to_json()) == "field phone"
        assert language.translated("100% {x}") == "100% {x}"


def test_times_and_numbers_follow_reader_and_installation(app: Flask):
    """Times are shown in the installation's zone, numbers as the language writes them."""
    with app.test_request_context():
        assert language.short_time(datetime(2026, 1, 31, 23, 59, 58, tzinfo=UTC)) == "2026-01-31 23:59:58"
        assert language.number(1234567) == "1,234,567"
        assert language.number(None) == "–"
