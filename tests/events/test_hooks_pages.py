"""Web hooks in the console, the API, the command line and configuration files."""

from __future__ import annotations

import html
import json
import re
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from tests.cli.conftest import syncline  # noqa: F401 - the fixture
from tests.events.conftest import ADMIN
from tests.events.test_hooks import KEY, SHOP
from tests.events.test_hooks_door import post
from tests.installation import CommandLine
from tests.webapp.conftest import admin_client, app, client, client_of, events, settings, text  # noqa: F401 - fixtures
from webapp.audit.tags import Tag
from webapp.events import hooks, reading
from webapp.events.hook_example import example
from webapp.events.hook_schemes import SCHEMES
from webapp.events.hooks import Wanted
from webapp.extensions import House
from webapp.vault import services as vault
from webapp.vault.sealing import Owner


@pytest.fixture
def shown(app: Flask) -> House:  # noqa: F811
    house: House = app.extensions["syncline"]
    hooks.create(house, SHOP, KEY, ADMIN)
    return house


@pytest.fixture
def address(app: Flask) -> Iterator[str]:  # noqa: F811
    """Return the address of a console that a terminal can reach."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_lines_for_a_terminal_work(shown: House, address: str, scheme: str) -> None:
    """What a hook's page shows, with the key put in, sends a delivery that is taken."""
    hook = Wanted("tried", "order.tried", scheme=scheme, signature_header="X-Mine" if scheme == "github" else "")
    hooks.create(shown, hook, KEY, ADMIN)
    lines = example(hook, f"{address}/hooks/tried").replace("KEY='...'", f"KEY='{KEY}'")
    done = subprocess.run(["sh", "-c", lines], capture_output=True, check=True, timeout=30)
    with shown.db.read() as tx:
        [row] = reading.events(tx, type_="order.tried")
    assert json.loads(done.stdout) == {"event": row.uid}
    assert row.data == {"order_no": "A-1", "amount": 120}


def test_a_hook_is_made_and_shows_its_key_once(app: Flask, admin_client: FlaskClient) -> None:  # noqa: F811
    """A new hook has an address and a key that signs at once; no page shows the key again."""
    assert "No web hook yet" in text(admin_client, "/events/hooks")
    wrong = admin_client.post("/events/hooks/new", data={"name": "Shop", "type": "run.ended", "scheme": "syncline"})
    assert wrong.status_code == 422
    made = admin_client.post(
        "/events/hooks/new",
        data={"name": "shop", "type": "order.created", "label": "The shop", "scheme": "syncline", "seconds": "300"},
    )
    assert made.status_code == 201, made.text
    [key] = re.findall(r"whk_[\w-]{43}", made.text)
    assert post(app.test_client(), key=key).status_code == 202
    assert post(app.test_client(), key="x" * 20).status_code == 401
    page = text(admin_client, "/events/hooks/shop")
    assert "/hooks/shop</code>" in page
    assert "The signature fits no live key" in page
    assert "openssl dgst" in html.unescape(page)
    assert key not in page + text(admin_client, "/events/hooks") + text(admin_client, "/events/hooks/shop/edit")
    house: House = app.extensions["syncline"]
    assert key not in json.dumps([[one.after, one.before] for one in events(house)], default=str)


def test_keys_are_added_switched_and_removed(shown: House, admin_client: FlaskClient) -> None:  # noqa: F811
    """The page adds a key that the sender gave, switches to it and removes it; each is in the audit log."""
    short = admin_client.post("/events/hooks/shop/keys/new", data={"key": "short"})
    assert short.status_code == 422
    given = admin_client.post("/events/hooks/shop/keys/new", data={"key": "whsec_from_the_sender"})
    assert given.status_code == 302
    assert "never" in text(admin_client, "/events/hooks/shop")
    assert admin_client.post("/events/hooks/shop/keys/switch").status_code == 302
    with shown.db.read() as tx:
        assert vault.names(tx, Owner("hook", "shop")) == ("current",)
        assert vault.get(tx, vault.keyring(shown), Owner("hook", "shop"), "current") == "whsec_from_the_sender"
    admin_client.post("/events/hooks/shop/keys/current/remove")
    assert "Without a key nothing is taken" in text(admin_client, "/events/hooks/shop")
    admin_client.post("/events/hooks/shop/disable")
    answer = admin_client.post(
        "/events/hooks/shop/edit", data={"type": "order.made", "scheme": "stripe", "seconds": "60"}
    )
    assert answer.status_code == 302
    with shown.db.read() as tx:
        assert hooks.get(tx, "shop").settings == Wanted(
            "shop", "order.made", scheme="stripe", seconds=60, enabled=False
        )
    admin_client.post("/events/hooks/shop/delete")
    assert admin_client.get("/events/hooks/shop").status_code == 404
    tags = [one.tag for one in events(shown) if one.tag.startswith("events:hook")]
    deeds = ("KEY_ADDED", "KEY_SWITCHED", "KEY_REMOVED", "DISABLED", "UPDATED", "DELETED")
    assert tags[2:] == [Tag[f"HOOK_{deed}"] for deed in deeds]


def test_a_viewer_sees_and_changes_nothing(shown: House, app: Flask) -> None:  # noqa: F811
    """Who may only read events sees the hooks, and none of the buttons."""
    viewer = client_of(app, "viola", "Viewer")
    page = text(viewer, "/events/hooks/shop")
    assert "Delete" not in page
    assert viewer.post("/events/hooks/shop/keys/new").status_code == 403


def test_the_api_does_the_same(shown: House, admin_client: FlaskClient) -> None:  # noqa: F811
    """Hooks are made, read, changed and given keys by programs too."""
    made = admin_client.post("/api/v1/hooks/", json={"name": "code", "type": "code.pushed", "scheme": "github"})
    assert (made.status_code, made.json["keys"]) == (201, {})
    assert admin_client.post("/api/v1/hooks/", json={"name": "code", "type": "code.pushed"}).status_code == 422
    key = admin_client.post("/api/v1/hooks/code/keys", json={}).json["key"]
    assert key.startswith("whk_")
    assert admin_client.post("/api/v1/hooks/code/keys/switch").status_code == 422
    changed = admin_client.put("/api/v1/hooks/code", json={"type": "code.merged", "enabled": False})
    assert (changed.json["type"], changed.json["enabled"], changed.json["scheme"]) == ("code.merged", False, "syncline")
    found = admin_client.get("/api/v1/hooks/").json["items"]
    assert [one["name"] for one in found] == ["code", "shop"]
    assert set(admin_client.get("/api/v1/hooks/shop").json) >= {"received", "refused", "keys", "type"}
    assert admin_client.delete("/api/v1/hooks/code/keys/current").status_code == 204
    assert admin_client.delete("/api/v1/hooks/code").status_code == 204
    assert admin_client.get("/api/v1/hooks/code").status_code == 404


def test_the_command_line_and_files_do_the_same(syncline: CommandLine, tmp_path: Path) -> None:  # noqa: F811
    """`syncline hook` makes hooks and keys; a file states one, and stating it again changes nothing."""
    assert "There are no web hooks" in syncline("hook", "list").out
    assert "Key: whk_" in syncline("hook", "add", "shop", "order.created").out
    assert "Key: whk_" in syncline("hook", "key", "add", "shop").out
    syncline("hook", "key", "switch", "shop")
    assert "current" in syncline("hook", "list").out
    syncline("hook", "key", "remove", "shop", "current")
    assert syncline("hook", "key", "switch", "shop").code == 1
    file = tmp_path / "hooks.yaml"
    file.write_text("kind: web_hook\nname: shop\ntype: order.made\nscheme: stripe\n")
    assert syncline("apply", str(file)).code == 0
    [found] = json.loads(syncline("hook", "list", "--json").out)
    assert found == {"kind": "web_hook", "name": "shop", "type": "order.made", "scheme": "stripe"}
    assert json.loads(syncline("apply", str(file), "--json").out)["changes"] == 0
    file.write_text("kind: web_hook\nname: shop\ntype: run.ended\n")
    assert "Syncline's own" in syncline("apply", str(file)).err
