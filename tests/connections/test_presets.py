"""Connections made from presets: by a form, by a document, and brought to a newer version."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import msgspec
import pytest
from flask import Flask
from flask.testing import FlaskClient

from connectors.presets import Preset, all_presets, filled, named, shelf
from connectors.spi import Step
from rules.text import msg
from tests.connections.test_services import ANN
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - fixtures
from webapp.connections import presets, schema, services
from webapp.connections.forms import PREFIX
from webapp.connections.preset_words import own_words
from webapp.extensions import House


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


@pytest.fixture
def newer_shop(monkeypatch: pytest.MonkeyPatch) -> Preset:
    """Shopify's preset as a later release may have it: another rate, and one field more."""
    old = named("shopify")
    data = msgspec.to_builtins(old)
    data["version"] = old.version + 1
    data["fixed"]["rate"] = 4
    data["objects"][0]["fields"].append({"name": "locale", "label": {"en": "Language", "zh": "语言"}})
    made = msgspec.convert(data, Preset)
    others = tuple(p for p in all_presets() if p.name != "shopify")
    monkeypatch.setattr(shelf, "all_presets", lambda: (*others, made))
    return made


ANSWERS = {"shop": "acme", "app_id": "f00", "app_secret": "env:SHOP"}
SHOP = {"kind": "connection", "name": "shop", "preset": "shopify", "settings": ANSWERS}


def row(house: House, name: str = "shop") -> services.ConnectionRow:
    with house.db.read() as tx:
        return services.get_connection(tx, name)


def test_a_document_with_a_preset_is_written_out_and_comes_back(house: House) -> None:
    """A document with a preset's answers makes an ordinary connection; what is exported applies unchanged."""
    assert services.problems(SHOP) == []
    services.create(house, SHOP, ANN)
    made = row(house)
    assert (made.connector, made.preset) == ("rest", named("shopify").reference)
    assert made.settings["base_url"].startswith("https://acme.myshopify.com/")
    assert made.settings["client_secret"] == "env:SHOP"
    with house.db.begin() as tx:
        exported = services.to_document(tx, made)
        assert exported["preset"] == made.preset
        assert services.problems(exported) == []
        assert services.canonical(exported) == exported == services.canonical(SHOP)
        assert services.save(tx, house, exported, ANN) == "unchanged"
        assert services.save(tx, house, SHOP, ANN) == "unchanged"


WRONG: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"preset": "shopyfi"}, ("preset",)),
    ({"preset": "shopify@99"}, ("preset",)),
    ({"preset": "shopify@x", "connector": "rest"}, ("preset",)),
    ({"preset": 7}, ("preset",)),
    ({"connector": "sqlite"}, ("connector",)),
    ({"settings": {"shop": "acme"}}, ("settings", "app_secret")),
    ({"settings": {**ANSWERS, "app_secret": "plain"}}, ("settings", "app_secret")),
    ({"settings": {**ANSWERS, "shop": "a b"}}, ("settings", "shop")),
    ({"settings": {**ANSWERS, "shpo": "x"}}, ("settings", "shpo")),
    ({"settings": ["acme"]}, ("settings",)),
]


@pytest.mark.parametrize(("part", "place"), WRONG)
def test_mistakes_are_told_at_their_place(part: dict[str, Any], place: tuple[str, ...]) -> None:
    """What is wrong with a document of a preset is told by the preset's own names."""
    assert place in [problem.path for problem in services.problems({**SHOP, **part})]


def test_the_schema_knows_presets() -> None:
    """The published schema takes answers and refuses what is missing, unknown or secret."""
    check = jsonschema.Draft202012Validator(schema.document_schema(schema.builtin_specs()))
    assert check.is_valid(SHOP)
    assert not check.is_valid({**SHOP, "settings": {"shop": "acme"}})
    assert not check.is_valid({**SHOP, "settings": {**ANSWERS, "app_secret": "plain"}})
    assert not check.is_valid({**SHOP, "settings": {**ANSWERS, "shpo": "x"}})
    assert not check.is_valid({**SHOP, "preset": "shopyfi"})
    assert not check.is_valid({"kind": "connection", "name": "shop"})


def test_every_form_asks_little_and_shows_the_objects(admin_client: FlaskClient) -> None:  # noqa: F811
    """Each preset has a form with its own settings only, its objects, and what it was tested against."""
    for preset in all_presets():
        text = admin_client.get(f"/connections/new/preset/{preset.name}").text
        for setting in preset.settings:
            assert f'name="{PREFIX}{setting.name}"' in text
        assert f'name="{PREFIX}objects"' not in text
        for described in preset.objects:
            assert described.label.en in text.replace("&amp;", "&").replace("&#39;", "'")
        assert "rebuilt from the vendor" in text or "against the product itself" in text
    assert admin_client.get("/connections/new/preset/shopyfi").status_code == 404
    assert admin_client.get("/connections/new/preset/shopify@1").status_code == 404


def test_a_form_makes_a_connection(admin_client: FlaskClient, house: House) -> None:  # noqa: F811
    """The form tests what it holds, tells mistakes at their field, and stores the secret in the vault."""
    url = "/connections/new/preset/shopify"
    sent = {
        "name": "shop",
        "label": "Our shop",
        PREFIX + "shop": "acme",
        PREFIX + "app_id": "f00",
        PREFIX + "app_secret": "",
        PREFIX + "language": "zh",
    }
    assert "Client secret: This is needed." in admin_client.post(url, data={**sent, "action": "test"}).text
    refused = admin_client.post(url, data=sent)
    assert refused.status_code == 422
    assert "This is needed." in refused.text
    answer = admin_client.post(url, data={**sent, PREFIX + "app_secret": "s3cret-token"})
    assert answer.headers["Location"].endswith("/connections/shop/")
    made = row(house)
    assert made.settings["client_secret"] == "vault:connection/shop/client_secret"
    assert made.settings["objects"][0]["label"] == "客户"
    assert "s3cret-token" not in str(made)


def test_a_test_asks_the_system(admin_client: FlaskClient) -> None:  # noqa: F811
    """Testing the form's values makes the calls that the connection would make."""
    url = "/connections/new/preset/erpnext"
    asked = {"url": "http://127.0.0.1:9", "api_key": "k", "api_secret": "s"}
    sent = {"name": "erp", "action": "test", **{PREFIX + name: value for name, value in asked.items()}}
    text = admin_client.post(url, data=sent, headers={"HX-Request": "true"}).text
    assert "The connection does not work yet" in text
    assert "127.0.0.1" in text


def test_a_test_speaks_the_words_of_the_preset(admin_client: FlaskClient, house: House) -> None:  # noqa: F811
    """Settings and objects are called as the preset calls them, before it is saved and afterwards."""
    preset = named("hubspot")
    sent = {"action": "test", PREFIX + "token": "a-Token"}
    shown = admin_client.post("/connections/new/preset/hubspot", data=sent).text
    assert f"What is connected: {', '.join(one.label.en for one in preset.objects)}" in shown
    assert "member" not in shown
    services.create(house, {**SHOP, "name": "crm", "preset": "hubspot", "settings": {"token": "pat-na1-token"}}, ANN)
    assert "What is connected" in admin_client.post("/connections/crm/check", headers={"HX-Request": "true"}).text
    steps = [
        Step("Find", ok=False, detail=msg("{label}: {p} of '{name}'", label=msg("Token"), p=msg("No"), name="deals"))
    ]
    said = own_words(preset, steps, "zh")[0].detail
    assert str(said) == f"{preset.settings[0].label.zh}: No of '{preset.object_named('deals').label.zh}'"
    assert own_words(None, steps, "en") == steps


def test_connections_are_listed_where_their_kind_is_described(
    admin_client: FlaskClient,  # noqa: F811
    house: House,
) -> None:
    """The pages about a connector and a preset lead to the connections made with them."""
    services.create(house, SHOP, ANN)
    for page, there in (("preset/shopify", True), ("preset/hubspot", False), ("rest", True), ("files", False)):
        shown = admin_client.get(f"/connections/new/{page}/about").text
        assert ('href="/connections/shop/"' in shown) == there


def test_a_newer_preset_is_offered(admin_client: FlaskClient, house: House, newer_shop: Preset) -> None:  # noqa: F811
    """A newer version shows what it would change, keeps what people added, and is taken with one button."""
    old = shelf_settings()
    old["objects"][0]["fields"].append({"name": "loyalty", "type": "text", "label": "Loyalty"})
    old["objects"].append({"name": "carts", "path": "/carts.json", "records": "carts", "key": "id"})
    document = {"kind": "connection", "name": "shop", "connector": "rest", "preset": "shopify@1", "settings": old}
    services.create(house, document, ANN)
    assert newer_shop.reference in admin_client.get("/connections/shop/").text
    text = admin_client.get("/connections/shop/preset").text
    assert "rate" in text
    assert "objects.customers.fields.locale" in text
    assert "loyalty" not in text
    stale = admin_client.post("/connections/shop/preset", data={"version": "99"}, follow_redirects=True)
    assert "changed" in stale.text
    assert admin_client.post("/connections/shop/preset", data={"version": "1"}).status_code == 302
    made = row(house)
    assert made.preset == newer_shop.reference
    assert made.settings["rate"] == 4
    assert [f["name"] for f in made.settings["objects"][0]["fields"]][-2:] == ["locale", "loyalty"]
    assert made.settings["objects"][-1]["name"] == "carts"
    assert presets.newer(made) is None
    assert admin_client.get("/connections/shop/preset").status_code == 302
    assert admin_client.get("/connections/nobody/preset").status_code == 404


def shelf_settings() -> dict[str, Any]:
    return filled(all_presets()[[p.name for p in all_presets()].index("shopify")], ANSWERS)


def test_an_edited_connection_keeps_its_preset(admin_client: FlaskClient, house: House) -> None:  # noqa: F811
    """Editing a connection as an ordinary one does not make it forget its preset."""
    services.create(house, SHOP, ANN)
    assert admin_client.get("/connections/shop/edit").status_code == 200
    kept = {n: v for n, v in row(house).settings.items() if n not in ("objects", "client_secret")}
    data = {PREFIX + n: json.dumps(v) if isinstance(v, dict) else str(v) for n, v in kept.items()}
    data |= {PREFIX + "objects": json.dumps(row(house).settings["objects"]), "version": "1", PREFIX + "rate": "9"}
    assert admin_client.post("/connections/shop/edit", data=data).status_code == 302
    assert (row(house).settings["rate"], row(house).preset) == (9, named("shopify").reference)
