"""A person's consent: from the button on the connection's page to the service and back, against a real provider."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from flask import Flask
from flask.testing import FlaskClient

from connectors.spi import ReadRequest
from tests.connections.test_services import ANN, events
from tests.connectors.conftest import Answer, Received, WebServer
from tests.webapp.conftest import admin_client, app, client, settings  # noqa: F401 - fixtures
from webapp.connections import services
from webapp.connections.kept import KeptSecrets
from webapp.extensions import House


class Provider:
    """An OAuth 2 server that wants PKCE and gives a refresh token that is good for one use."""

    def __init__(self) -> None:
        self.codes: dict[str, str] = {}
        self.refresh: str | None = None
        self.given = 0
        self.access: set[str] = set()

    def consent(self, address: str) -> str:
        """Do what the provider's page does when the person agrees; return the address of the way back."""
        asked = dict(parse_qsl(urlsplit(address).query))
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["access_type"] == "offline"
        self.codes["code-1"] = asked["code_challenge"]
        self.callback = asked["redirect_uri"]
        return f"{urlsplit(self.callback).path}?code=code-1&state={asked['state']}"

    def __call__(self, request: Received) -> Answer:
        if request.path == "/token":
            return self.token({name: values[0] for name, values in parse_qs(request.body.decode()).items()})
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.access:
            return Answer(401, {"error": "expired"})
        return Answer(200, [{"id": 1, "name": "Ann"}])

    def token(self, form: dict[str, str]) -> Answer:
        if form["grant_type"] == "authorization_code":
            proof = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode()
            if self.codes.pop(form["code"], None) != proof.rstrip("=") or form["redirect_uri"] != self.callback:
                return Answer(400, {"error": "invalid_grant", "error_description": "bad code"})
        elif form["refresh_token"] != self.refresh:
            return Answer(400, {"error": "invalid_grant", "error_description": "used already"})
        self.given += 1
        self.refresh = f"refresh-{self.given}"
        self.access.add(f"access-{self.given}")
        return Answer(200, {"access_token": f"access-{self.given}", "refresh_token": self.refresh, "expires_in": 3600})


@pytest.fixture
def provider() -> Iterator[tuple[Provider, str]]:
    server = WebServer()
    made = Provider()
    server.answer = made
    yield made, server.url
    server.close()


@pytest.fixture
def house(app: Flask) -> House:  # noqa: F811
    return app.extensions["syncline"]


def crm(url: str) -> dict[str, Any]:
    return {
        "kind": "connection",
        "name": "crm",
        "connector": "rest",
        "settings": {
            "base_url": url,
            "authentication": "oauth2_code",
            "authorize_url": f"{url}/authorize?access_type=offline",
            "token_url": f"{url}/token",
            "client_id": "syncline",
            "client_secret": "very-secret",
            "objects": [{"name": "people", "path": "/people", "key": "id"}],
        },
    }


def test_consent_there_and_back(
    admin_client: FlaskClient,  # noqa: F811
    house: House,
    provider: tuple[Provider, str],
) -> None:
    """The button leads to the service, the way back keeps a refresh token that stays valid though it changes."""
    service, url = provider
    services.create(house, crm(url), ANN)
    assert "Nobody has consented to this connection yet" in admin_client.get("/connections/crm/").text
    away = admin_client.get("/connections/crm/connect")
    assert away.location.startswith(f"{url}/authorize?")
    back = admin_client.get(service.consent(away.location), follow_redirects=True)
    assert "crm is connected" in back.text
    assert "Connect again" in back.text
    assert "refresh-1" not in back.text
    assert "connections:connection:consented" in [event.tag for event in events(house)]
    for number in (2, 3):  # each new process spends the token that was kept, and keeps the next one
        with services.open_connector(house, "crm") as rest:
            (page,) = rest.read(ReadRequest("people", rest.schema("people")))
            assert page.records["name"].to_list() == ["Ann"]
        assert KeptSecrets(house, "crm").get("refresh_token") == f"refresh-{number}"


def test_an_answer_that_was_not_asked_for(
    admin_client: FlaskClient,  # noqa: F811
    house: House,
    provider: tuple[Provider, str],
) -> None:
    """A way back with another state, a refusal or a code that is not taken changes nothing and says so."""
    service, url = provider
    services.create(house, crm(url), ANN)
    unasked = admin_client.get("/connections/oauth/callback?code=x&state=y", follow_redirects=True)
    assert "does not belong to a request of yours" in unasked.text
    away = admin_client.get("/connections/crm/connect").location
    forged = service.consent(away).replace("state=", "state=x")
    assert "does not belong to a request of yours" in admin_client.get(forged, follow_redirects=True).text
    state = service.consent(admin_client.get("/connections/crm/connect").location).partition("state=")[2]
    refused = admin_client.get(
        f"/connections/oauth/callback?error=access_denied&error_description=Not+today&state={state}",
        follow_redirects=True,
    )
    assert "Not today" in refused.text
    way = service.consent(admin_client.get("/connections/crm/connect").location)
    service.codes.clear()
    assert "bad code" in admin_client.get(way, follow_redirects=True).text
    assert KeptSecrets(house, "crm").get("refresh_token") is None
    assert admin_client.get("/connections/hub/connect").status_code == 404
    assert admin_client.get("/connections/nobody/connect").status_code == 404
    services.update(house, {**crm(url), "settings": {**crm(url)["settings"], "client_id": ""}}, ANN)
    assert "Client ID" in admin_client.get("/connections/crm/connect", follow_redirects=True).text


def test_a_reference_of_the_operator_is_not_replaced(
    house: House, provider: tuple[Provider, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh token in the environment is read and left as it is."""
    document = crm(provider[1])
    document["settings"]["refresh_token"] = "env:CRM_REFRESH"
    services.create(house, document, ANN)
    kept = KeptSecrets(house, "crm")
    assert kept.get("refresh_token") is None
    monkeypatch.setenv("CRM_REFRESH", "from-outside")
    kept.put("refresh_token", "new")
    assert kept.get("refresh_token") == "from-outside"
