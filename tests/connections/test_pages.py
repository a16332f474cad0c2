"""The pages of connections: what a person sees, sends and never gets to see."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from lxml import html

from connectors import registry
from connectors.spi import Setting, SettingKind
from tests.connections.systems import Notebook
from tests.connections.test_services import ANN, CANARY, document, events
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - fixtures
from webapp.connections import services, uploads
from webapp.connections.catalogue import specs
from webapp.connections.forms import PREFIX
from webapp.connections.validation import with_defaults
from webapp.extensions import House


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def page(admin_client: FlaskClient) -> FlaskClient:  # noqa: F811
    return admin_client


def form(name: str = "erp", **values: Any) -> dict[str, Any]:
    return {"name": name, "label": "The ERP", PREFIX + "host": "h", **{PREFIX + k: v for k, v in values.items()}}


def row(house: House, name: str = "erp") -> services.ConnectionRow:
    with house.db.read() as tx:
        return services.get_connection(tx, name)


def test_an_empty_list_says_what_to_do(page: FlaskClient) -> None:
    """Without connections the list leads to the catalogue, and shows the hub."""
    text = page.get("/connections/").text
    assert "No system is connected yet" in text
    assert 'href="/connections/new/"' in text
    assert "Syncline's own entities" in text


def test_the_catalogue_shows_all_connectors(page: FlaskClient) -> None:
    """Each connector has a card that leads to its form; the hub has none."""
    text = page.get("/connections/new/").text
    for spec in specs():
        assert f'href="/connections/new/{spec.name}"' in text
    assert "/connections/new/hub" not in text
    assert page.get("/connections/new/hub").status_code == 404
    assert page.get("/connections/new/abacus").status_code == 404


def test_choices_are_in_the_readers_language(page: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a setting can be is translated like its label."""
    monkeypatch.setattr("babel.support.NullTranslations.ugettext", lambda _self, text: f"[{text}]")
    monkeypatch.setattr("babel.support.Translations.ugettext", lambda _self, text: f"[{text}]")
    assert ">[User and password]<" in page.get("/connections/new/rest").text


def test_creating_a_connection(page: FlaskClient, house: House) -> None:
    """The form stores the connection, leaves out what equals the defaults, and leads to its page."""
    assert 'name="setting.host"' in page.get("/connections/new/notebook").text
    sent = form(port="7", mood="good", strict="true", password=CANARY, notes="")
    answer = page.post("/connections/new/notebook", data=sent, follow_redirects=True)
    assert "The connection The ERP is saved." in answer.text
    assert row(house).settings == {"host": "h", "password": "vault:connection/erp/password"}
    assert events(house)[-1].actor_name == "admin"
    listed = page.get("/connections/").text
    assert "The ERP" in listed
    assert "Not tested" in listed


def test_mistakes_are_shown_at_their_fields(page: FlaskClient) -> None:
    """A form with mistakes comes back with each at its field, what was typed, and without the secret."""
    sent = form("Bad Name", host="", port="0", mood="slow", headers="{", password=CANARY)
    answer = page.post("/connections/new/notebook", data=sent)
    assert answer.status_code == 422
    for mark in (
        "Correct the marked fields",
        "Begin with a small letter",
        "This is needed.",
        "from 1 to 99",
        "not JSON",
        "Enter this again",
    ):
        assert mark in answer.text
    assert 'value="Bad Name"' in answer.text
    assert "<details" in answer.text
    assert re.search(r"<details[^>]* open", answer.text)
    assert CANARY not in answer.text


def test_editing_keeps_replaces_and_removes_secrets(page: FlaskClient, house: House) -> None:
    """An empty secret field keeps, a filled one replaces, the checkbox removes; a version that is old is refused."""
    services.create(house, document(password=CANARY, token="env:TOKEN"), ANN)
    text = page.get("/connections/erp/edit").text
    assert CANARY not in text
    assert "A value is stored." in text
    assert "env:TOKEN" in text
    sent = {**form(port="8", strict="true"), "version": "1"}
    assert page.post("/connections/erp/edit", data=sent).status_code == 302
    assert row(house).settings == {
        "host": "h",
        "port": 8,
        "password": "vault:connection/erp/password",
        "token": "env:TOKEN",
    }
    late = page.post("/connections/erp/edit", data=sent)
    assert late.status_code == 409
    assert "admin changed the connection" in late.text
    page.post("/connections/erp/edit", data={**form(password="new-one"), "version": "2", "remove.token": "true"})
    assert row(house).settings == {"host": "h", "strict": False, "password": "vault:connection/erp/password"}
    with services.open_connector(house, "erp") as connector:
        assert connector.settings["password"] == "new-one"


def test_testing_unsaved_values(page: FlaskClient, house: House) -> None:
    """The test button shows the steps of what is typed, as a part with scripts and as the whole form without."""
    services.create(house, document(password=CANARY), ANN)
    sent = {**form(mood="talks"), "action": "test"}
    part = page.post("/connections/erp/edit", data=sent, headers={"HX-Request": "true"}).text
    assert "<html" not in part
    assert "does not work yet" in part
    assert "user:•••@host" in part
    whole = page.post("/connections/new/notebook", data={**form("other"), "action": "test"}).text
    assert "The connection works" in whole
    assert 'value="other"' in whole
    assert row(house).settings.get("mood") is None


def test_a_connections_page(page: FlaskClient, house: House) -> None:
    """The page shows state, settings without secrets, and the objects with a search."""
    services.create(house, {**document(password=CANARY), "note": "Ask Ann"}, ANN)
    first = page.get("/connections/erp/").text
    assert 'hx-get="/connections/erp/objects"' in first
    assert "Ask Ann" in first
    assert "stored and hidden" in first
    assert CANARY not in first
    part = page.get("/connections/erp/objects", headers={"HX-Request": "true"}).text
    assert "a/b c?" in part
    assert "name=a%2Fb+c%3F" in part
    assert "notes" in page.get("/connections/erp/").text
    found = page.get("/connections/erp/objects?q=NOTE").text
    assert "name=notes" in found
    assert "a%2Fb" not in found
    assert "Nothing fits" in page.get("/connections/erp/objects?q=zzz").text


def test_the_test_button_of_a_page(page: FlaskClient, house: House) -> None:
    """Testing a stored connection shows and keeps the result."""
    services.create(house, document(mood="bad"), ANN)
    part = page.post("/connections/erp/check", headers={"HX-Request": "true"}).text
    assert "No answer. Try later." in part
    assert "No answer. Try later." in page.get("/connections/erp/").text
    assert "No answer. Try later." in page.post("/connections/erp/check", follow_redirects=True).text
    assert "Failed" in page.get("/connections/").text


def test_an_objects_page(page: FlaskClient, house: House) -> None:
    """Fields and first records are shown; null, bytes, long text and markup are told apart and harmless."""
    services.create(house, document(), ANN)
    text = page.get("/connections/erp/object?name=a/b%20c?").text
    assert "whole number" in text
    assert "always has a value" in text
    part = page.get("/connections/erp/preview?name=a/b%20c?").text
    assert "<b>伟</b>" not in part
    assert "&lt;b&gt;伟&lt;/b&gt;" in part
    assert "no value" in part
    assert "00 01" in part
    assert "x" * 80 + "…" in part
    assert "x" * 3000 not in part
    assert "page 2" in part
    assert "&#39;b&#39; is not a number." in part
    assert "no value" in page.get("/connections/erp/object?name=notes&preview=1").text
    assert "There is no page &#39;nope&#39;. Choose another page." in page.get("/connections/erp/object?name=nope").text
    assert "There is no page &#39;nope&#39;" in page.get("/connections/erp/preview?name=nope").text
    assert page.get("/connections/erp/object").location == "/connections/erp/"


def test_failures_are_sentences(page: FlaskClient, house: House) -> None:
    """A system that does not answer and a connector that breaks are told in a sentence, on every page."""
    services.create(house, document(mood="bad"), ANN)
    services.create(house, document("bug", mood="broken", password=CANARY), ANN)
    for path in ("objects", "object?name=notes", "preview?name=notes"):
        assert "No answer. Try later." in page.get(f"/connections/erp/{path}").text
        broken = page.get(f"/connections/bug/{path}")
        assert broken.status_code == 200
        assert "failed unexpectedly" in broken.text
        assert CANARY not in broken.text


def test_deleting(page: FlaskClient, house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A used connection stays, with the reason; an unused one goes."""
    services.create(house, document(), ANN)
    used = [services.User("orders", "/rules/orders/")]
    monkeypatch.setattr(services, "usage_checks", [lambda _tx: [("erp", user) for user in used]])
    assert "used by orders" in page.post("/connections/erp/delete", follow_redirects=True).text
    link = '<a class="chip" href="/rules/orders/">orders</a>'
    assert link in page.get("/connections/").text
    assert link in page.get("/connections/erp/").text
    used.clear()
    assert "is deleted" in page.post("/connections/erp/delete", follow_redirects=True).text
    assert page.get("/connections/erp/").status_code == 404
    assert page.post("/connections/hub/delete", follow_redirects=True).status_code == 200
    assert page.get("/connections/hub/edit").status_code == 404


def test_a_missing_connector_does_not_break_the_pages(
    page: FlaskClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection whose plugin is gone is still listed and shown, and can be deleted."""
    services.create(house, document(), ANN)
    monkeypatch.delitem(registry._registered, "notebook")
    assert "Connector missing" in page.get("/connections/").text
    assert "is not installed any more" in page.get("/connections/erp/").text
    assert page.post("/connections/erp/delete").status_code == 302


@pytest.mark.parametrize(
    ("method", "path"),
    [("get", ""), ("get", "new/"), ("get", "new/notebook"), ("get", "erp/"), ("get", "erp/edit"),
     ("post", "erp/delete"), ("post", "erp/check"), ("post", "erp/upload"), ("get", "erp/preview?name=notes")],
)  # fmt: skip
def test_strangers_see_nothing(client: FlaskClient, house: House, method: str, path: str) -> None:  # noqa: F811
    """Without signing in every page leads to the sign-in page."""
    answer = getattr(client, method)(f"/connections/{path}")
    assert answer.status_code == 302
    assert "/login/" in answer.location


def _sample(setting: Setting) -> Any:
    """Return a value that the form can send for a setting, other than its default."""
    if setting.kind is SettingKind.CHOICE:
        return next((v for v, _ in setting.choices if v != setting.default), setting.default)
    if setting.kind is SettingKind.INTEGER:
        low = setting.minimum or 0
        return str(low if low != setting.default else low + 1)
    samples = {
        SettingKind.URL: "https://example.com/x",
        SettingKind.JSON: '{"a": "b"}',
        SettingKind.SECRET: CANARY,
        SettingKind.BOOLEAN: "true",
    }
    return samples.get(setting.kind, "some text")


@pytest.mark.parametrize("connector", [spec.name for spec in specs()] + ["notebook"])
def test_forms_round_trip(page: FlaskClient, house: House, connector: str) -> None:
    """For every connector: what the generated form sends is stored, and its edit form sends the same again."""
    spec = Notebook.spec if connector == "notebook" else next(s for s in specs() if s.name == connector)
    sent = {"name": "sample", **{PREFIX + s.name: _sample(s) for s in spec.settings}}
    answer = page.post(f"/connections/new/{connector}", data=sent)
    assert answer.status_code == 302, answer.text
    stored = row(house, "sample")
    assert CANARY not in str(stored)
    text = page.get("/connections/sample/edit").text
    assert CANARY not in text
    again = {"version": "1", **_inputs(text)}
    assert page.post("/connections/sample/edit", data=again).status_code == 302
    assert row(house, "sample").settings == stored.settings
    assert row(house, "sample").version == 1
    assert set(with_defaults(spec, stored.settings)) == {s.name for s in spec.settings}


def _inputs(text: str) -> dict[str, str]:
    """Return what a browser would send from the settings of a form."""
    tree = html.fromstring(text)
    (found,) = [f for f in tree.forms if f.get("data-controller") == "settings"]
    return {name: value for name, value in found.form_values() if name.startswith(PREFIX)}


@pytest.fixture
def inbox(page: FlaskClient, house: House) -> Path:
    services.prepare(house)
    sent = {"name": "inbox", PREFIX + "path": "files/in", PREFIX + "format": "csv", "make_folder": "true"}
    assert page.post("/connections/new/files", data=sent).status_code == 302
    folder = house.settings.data / "files" / "in"
    assert folder.is_dir()
    return folder


def put(page: FlaskClient, name: str, content: bytes = b"id,name\n1,Ann\n", **more: str) -> str:
    data = {"file": (io.BytesIO(content), name), **more}
    return page.post("/connections/inbox/upload", data=data, follow_redirects=True).text


def test_bringing_a_file(page: FlaskClient, house: House, inbox: Path) -> None:
    """An uploaded file is in the folder, audited, and listed at once; replacing has to be chosen."""
    assert "customers.csv is in the folder" in put(page, "customers.csv")
    assert (inbox / "customers.csv").read_bytes() == b"id,name\n1,Ann\n"
    assert "customers.csv" in page.get("/connections/inbox/objects").text
    event = next(e for e in events(house) if e.tag == "connections:file:uploaded")
    assert (event.after["file"], event.after["bytes"], event.after["replaced"]) == ("customers.csv", 14, False)
    assert "already" in put(page, "customers.csv", b"other")
    assert (inbox / "customers.csv").read_bytes() == b"id,name\n1,Ann\n"
    put(page, "customers.csv", b"other", replace="true")
    assert (inbox / "customers.csv").read_bytes() == b"other"
    assert [p.name for p in inbox.iterdir()] == ["customers.csv"]
    assert "Ann" not in str(event.after)


@pytest.mark.parametrize(
    "name", ["evil.sh", "customers.xlsx", ".hidden.csv", "..csv", "a\x00b.csv", "x" * 300 + ".csv", "a<b>.csv", "csv"]
)
def test_names_that_are_refused(page: FlaskClient, inbox: Path, name: str) -> None:
    """Other endings, hidden, overlong and odd names are refused."""
    put(page, name)
    assert list(inbox.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["../../outside.csv", "/tmp/outside.csv", "..\\..\\outside.csv", "C:\\data\\outside.csv"]
)
def test_paths_are_cut_off(house: House, inbox: Path, name: str) -> None:
    """Whatever folder a browser names, the file lands in the connection's."""
    assert services.upload(house, "inbox", (name, io.BytesIO(b"x")), ANN) == "outside.csv"
    assert [p.name for p in inbox.iterdir()] == ["outside.csv"]


def test_files_too_large_leave_nothing(page: FlaskClient, inbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file beyond the limit is refused and nothing of it stays."""
    monkeypatch.setattr(uploads, "LARGEST", 10)
    put(page, "big.csv", b"x" * 11)
    assert list(inbox.iterdir()) == []


def test_folders_are_made_only_where_permitted(page: FlaskClient, house: House, tmp_path: Path) -> None:
    """The form makes no folder outside of the permitted ones, nor among Syncline's own files."""
    for number, path in enumerate([str(tmp_path / "elsewhere"), "../elsewhere", "keys/mine", "secrets/mine"]):
        sent = {"name": f"c{number}", PREFIX + "path": path, "make_folder": "true"}
        page.post("/connections/new/files", data=sent)
    assert not (tmp_path / "elsewhere").exists()
    assert not (house.settings.data / "keys" / "mine").exists()
    assert not (house.settings.data / "secrets").exists()


def test_other_connections_take_no_files(page: FlaskClient, house: House) -> None:
    """Only a connection to a folder takes files."""
    services.create(house, document("inbox"), ANN)
    assert "reads a folder" in put(page, "a.csv")
    assert "Choose a file first" in page.post("/connections/inbox/upload", follow_redirects=True).text


def test_a_folder_that_is_allowed_is_proposed_and_made(page: FlaskClient, house: House) -> None:
    """The form of files that arrive proposes a folder of its own below an allowed one, and a test makes it."""
    folder = house.settings.data / "files" / "inbox"
    form = page.get("/connections/new/file_drop").text
    assert f'value="{folder}"' in form
    assert "Create the folder if it does not exist" in form
    sent = {"name": "drop", "setting.path": str(folder), "setting.pattern": "*.csv", "action": "test"}
    page.post("/connections/new/file_drop", data={**sent, "make_folder": "true", "setting.place": "sftp"})
    assert not folder.exists(), "files on another server need no folder here"
    page.post("/connections/new/file_drop", data={**sent, "make_folder": "true", "setting.place": "local"})
    assert folder.is_dir()


def test_names_of_settings_are_translated(page: FlaskClient) -> None:
    """A problem names the setting as the form does, in the reader's language."""
    page.post("/language/zh")
    sent = {
        "name": "api",
        "setting.base_url": "https://x.example",
        "setting.authentication": "bearer",
        "setting.objects": '[{"name": "a", "path": "/a"}]',
        "action": "test",
    }
    shown = page.post("/connections/new/rest", data=sent, headers={"HX-Request": "true"}).text
    assert "令牌" in shown
    assert "Token" not in shown
    wrong = page.post("/connections/new/rest", data={**sent, "setting.rate": "x"}, headers={"HX-Request": "true"}).text
    assert "Calls per second" not in wrong
