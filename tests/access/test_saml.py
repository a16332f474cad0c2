"""Signing in by the company's identity provider with SAML 2.0."""

from __future__ import annotations

import base64
import copy
import dataclasses
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
import sqlalchemy as sa
import xmlsec
from flask import Flask
from flask.testing import FlaskClient
from lxml import etree

from tests.access.saml_provider import Q, SamlProvider, packed
from tests.webapp.conftest import add_user, events, sign_in
from webapp.access import assurance, factors, models, saml, throttle, users
from webapp.access.users import User
from webapp.extensions import SYSTEM, House

BACK = "/login/saml/back"
PAIR = SamlProvider().pair


@pytest.fixture(autouse=True)
def _unhurried() -> None:
    throttle._local.clear()
    saml._known.clear()


@pytest.fixture
def idp() -> SamlProvider:
    return SamlProvider(pair=PAIR)


@pytest.fixture
def house(app: Flask, idp: SamlProvider, tmp_path: Path) -> House:
    """Let the console know the provider."""
    (tmp_path / "idp.xml").write_text(idp.metadata)
    roles = (("crm-admins", "Designer"), ("auditors", "Auditor"))
    return change(app, saml_metadata=str(tmp_path / "idp.xml"), saml_roles=roles, console_url="http://localhost")


def change(app: Flask, **settings: Any) -> House:
    house: House = app.extensions["syncline"]
    changed = dataclasses.replace(house, settings=dataclasses.replace(house.settings, **settings))
    app.extensions["syncline"] = changed
    return changed


def begun(app: Flask, idp: SamlProvider) -> FlaskClient:
    """Return a client whose browser stands at the provider."""
    client = app.test_client()
    idp.asked(str(client.get("/login/saml/?next=/rules/").location))
    return client


def post(client: FlaskClient, answer: str) -> Any:
    return client.post(BACK, data={"SAMLResponse": answer, "again": "1"})


def known(house: House, name: str) -> User | None:
    with house.db.read() as tx:
        return next((user for user in users.list_users(tx, name) if user.username == name), None)


@pytest.mark.parametrize("signs", ["assertion", "response", "both"])
def test_first_sign_in_makes_the_user(app: Flask, house: House, idp: SamlProvider, signs: str):
    """Whoever the provider names is let in with names, address and roles of its groups, and it is in the log."""
    app.config["WTF_CSRF_ENABLED"] = True  # which the provider's page cannot know
    idp.signs = signs
    client = app.test_client()
    assert "Sign in with your company account" in client.get("/login/").text
    away = client.get("/login/saml/?next=/rules/").location
    assert away.startswith("https://idp.example.com/sso?tenant=1&SAMLRequest=")
    asked = idp.asked(away)
    assert asked.get("AssertionConsumerServiceURL") == "http://localhost" + BACK
    assert asked.get("ForceAuthn") is None
    answer = idp.answer()
    cookieless = app.test_client()  # a browser sends no cookie along with what another site posts
    between = cookieless.post(BACK, data={"SAMLResponse": answer})
    assert "Set-Cookie" not in between.headers, "the cookie that the browser keeps back must not be lost"
    assert 'data-controller="onwards"' in between.text
    sent = dict(re.findall(r'name="(SAMLResponse|again)" value="([^"]*)"', between.text))
    assert sent == {"SAMLResponse": answer, "again": "1"}
    assert client.post(BACK, data=sent).location == "/rules/"
    assert client.get("/rules/").status_code == 200
    user = known(house, "li.na")
    assert user is not None
    assert (user.name, user.email, user.roles) == ("李娜", "li.na@example.com", ("Designer",))
    assert events(house, "access:session:signed_in")[-1].after == {"by": "saml"}
    idp.values["groups"] = ["auditors"]
    client = begun(app, idp)
    assert post(client, idp.answer()).location == "/rules/"
    assert known(house, "li.na").roles == ("Auditor",)


def test_who_asks_for_the_second_factor(app: Flask, house: House, idp: SamlProvider):
    """Who has one here is asked for it, unless the provider tells that it has asked, by class or by attribute."""
    post(begun(app, idp), idp.answer())
    user = known(house, "li.na")
    assert user is not None
    key = factors.new_key()
    factors.set_up(house, user.id, (None, key, pyotp.TOTP(key).at(house.clock())), SYSTEM)
    client = begun(app, idp)
    assert post(client, idp.answer()).location == "/login/second?next=/rules/"
    assert client.get("/rules/").status_code == 302, "nobody is in yet"
    app.extensions["syncline"] = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(seconds=60))
    code = pyotp.TOTP(key).at(house.clock() + timedelta(seconds=60))
    assert client.post("/login/second?next=/rules/", data={"code": code}).location == "/rules/"
    assert client.get("/rules/").status_code == 200
    app.extensions["syncline"] = house
    idp.context = "https://refeds.org/profile/mfa"
    assert post(begun(app, idp), idp.answer()).location == "/rules/"
    idp.context = ""
    idp.values[assurance.ENTRA] = ["http://schemas.microsoft.com/claims/multipleauthn"]
    assert post(begun(app, idp), idp.answer()).location == "/rules/"


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ({"audience": "https://other.example.com"}, "meant for another application"),
        ({"recipient": "https://other.example.com/acs"}, "not for this sign-in"),
        ({"destination": "https://other.example.com/acs"}, "sent to another address"),
        ({"number": "_0123456789"}, "another sign-in"),
        ({"number": ""}, "another sign-in"),
        ({"minutes": -2}, "counts no more"),
        ({"begins": 3, "minutes": 9}, "does not count yet"),
        ({"name": "https://evil.example.com"}, "another provider"),
        ({"status": "urn:oasis:names:tc:SAML:2.0:status:Responder"}, "has not let you in"),
        ({"form": "urn:oasis:names:tc:SAML:2.0:nameid-format:transient"}, "no lasting name"),
        ({"subject": ""}, "does not say who"),
        ({"signs": "nothing"}, "not signed"),
        ({"method": xmlsec.Transform.RSA_SHA1}, "signature is wrong"),
        ({"pair": SamlProvider().pair}, "signature is wrong"),
        ({"values": {"groups": ["others"]}}, "no role here"),
        ({"values": {"groups": ["crm-admins"], "mail": ["admin@localhost"]}}, "Another user has this e-mail"),
    ],
)
def test_answers_that_do_not_count(app: Flask, house: House, idp: SamlProvider, lie: dict[str, Any], said: str):
    """What is for others, too late or too early, not signed by the provider's key, or for somebody else, is refused."""
    client = begun(app, idp)
    refused = post(client, dataclasses.replace(idp, **lie).answer())
    assert refused.status_code == 401
    assert said in refused.text
    assert said.split(";", maxsplit=1)[0] in events(house, "access:session:sign_in_failed")[-1].reason
    assert client.get("/account/").status_code == 302


def test_an_answer_counts_once(app: Flask, house: House, idp: SamlProvider):
    """Neither the same browser nor who has copied its cookie gets in by an answer twice; nor without a request."""
    client = begun(app, idp)
    cookie = client.get_cookie("syncline")
    assert cookie is not None
    answer = idp.answer()
    assert post(client, answer).status_code == 302
    thief = app.test_client()
    thief.set_cookie("syncline", cookie.value)
    assert "has been used before" in post(thief, answer).text
    assert post(app.test_client(), answer).status_code == 401, "nothing was asked from here"
    client = begun(app, idp)
    app.extensions["syncline"] = dataclasses.replace(house, clock=lambda: house.clock() + timedelta(minutes=11))
    assert post(client, idp.answer()).status_code == 401


def _evil(idp: SamlProvider) -> etree._Element:
    """Return an assertion about the administrator that nobody signed."""
    forged = dataclasses.replace(idp, subject="admin", signs="nothing", values={"groups": ["crm-admins"]}).response()
    found = forged.find("a:Assertion", Q)
    assert found is not None
    return found


def _parts(root: etree._Element) -> tuple[etree._Element, etree._Element]:
    assertion = root.find("a:Assertion", Q)
    assert assertion is not None
    signature = assertion.find("s:Signature", Q)
    assert signature is not None
    return assertion, signature


def _beside(root: etree._Element, evil: etree._Element) -> None:
    """Put the forged one before the signed one (XSW3)."""
    root.insert(list(root).index(_parts(root)[0]), evil)


def _around(root: etree._Element, evil: etree._Element) -> None:
    """Put the signed one into the forged one (XSW4)."""
    good, _ = _parts(root)
    root.replace(good, evil)
    evil.append(good)


def _moved(root: etree._Element, evil: etree._Element) -> None:
    """Take the signature into the forged one, and the signed one behind (XSW5)."""
    good, signature = _parts(root)
    good.remove(signature)
    root.replace(good, evil)
    evil.insert(1, signature)
    root.append(good)


def _in_the_signature(root: etree._Element, evil: etree._Element) -> None:
    """Take the signature into the forged one, and the signed one into an object of it (XSW6, XSW8)."""
    good, signature = _parts(root)
    good.remove(signature)
    root.replace(good, evil)
    evil.insert(1, signature)
    etree.SubElement(signature, f"{{{Q['s']}}}Object").append(good)


def _in_extensions(root: etree._Element, evil: etree._Element) -> None:
    """Hide the forged one in an extension before the signed one (XSW7)."""
    extensions = etree.Element(f"{{{Q['p']}}}Extensions")
    extensions.append(evil)
    root.insert(1, extensions)


def _same_number(root: etree._Element, evil: etree._Element) -> None:
    """Give the forged one the number of the signed one, which is hidden in it."""
    good, signature = _parts(root)
    evil.set("ID", str(good.get("ID")))
    copied = copy.deepcopy(signature)
    root.replace(good, evil)
    evil.insert(1, copied)
    good.remove(signature)
    etree.SubElement(evil, f"{{{Q['p']}}}Extensions").append(good)


def _changed(root: etree._Element, evil: etree._Element) -> None:
    """Change the name in the signed one."""
    name = root.find("a:Assertion/a:Subject/a:NameID", Q)
    assert name is not None
    name.text = "admin"


def _response_around(root: etree._Element, evil: etree._Element) -> None:
    """Put the forged one into the response, beside the signature of another (XSW1, XSW2)."""
    good, signature = _parts(root)
    root.replace(good, evil)
    root.insert(1, signature)
    etree.SubElement(signature, f"{{{Q['s']}}}Object").append(good)


WRAPPINGS = (
    _beside, _around, _moved, _in_the_signature, _in_extensions, _same_number, _changed, _response_around,
)  # fmt: skip


@pytest.mark.parametrize("wrap", WRAPPINGS)
def test_signature_wrapping(
    app: Flask, house: House, idp: SamlProvider, wrap: Callable[[etree._Element, etree._Element], None]
):
    """A forged assertion gets nobody in, wherever it is put around a signed one."""
    with house.db.begin() as tx:
        tx.execute(
            sa.insert(models.access_identity).values(
                issuer=idp.name, subject="admin", user_id=1, confirmed_at=house.clock()
            )
        )
    client = begun(app, idp)
    root = idp.response()
    wrap(root, _evil(idp))
    assert post(client, packed(root)).status_code == 401
    assert client.get("/account/").status_code == 302


def test_a_comment_does_not_cut_a_name(app: Flask, house: House, idp: SamlProvider):
    """A comment within the signed name, which signatures do not cover, makes nobody of `adminx` an `admin`."""
    with house.db.begin() as tx:
        tx.execute(
            sa.insert(models.access_identity).values(
                issuer=idp.name, subject="admin", user_id=1, confirmed_at=house.clock()
            )
        )
    idp.subject = "adminx"
    client = begun(app, idp)
    text = base64.b64decode(idp.answer()).replace(b">adminx<", b">admin<!-- -->x<")
    assert post(client, base64.b64encode(text).decode()).status_code == 302
    assert events(house, "access:session:signed_in")[-1].subject == "li.na"


@pytest.mark.parametrize(
    "garbage",
    ["", "%%%", base64.b64encode(b"<a/>").decode(), base64.b64encode(b"<a").decode(), base64.b64encode(
        b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>').decode()],
)  # fmt: skip
def test_garbage(app: Flask, house: House, idp: SamlProvider, garbage: str):
    """What is no answer is refused as politely as the others."""
    client = begun(app, idp)
    refused = post(client, garbage)
    assert refused.status_code == 401
    assert "root:" not in refused.text


def test_encrypted_answers_are_told_of(app: Flask, house: House, idp: SamlProvider):
    """Who has switched encryption on at the provider is told to switch it off."""
    client, root = begun(app, idp), idp.response()
    root.append(etree.Element(f"{{{Q['a']}}}EncryptedAssertion"))
    assert "is encrypted" in post(client, packed(root)).text


def test_a_fresh_proof_of_the_provider(app: Flask, house: House, idp: SamlProvider):
    """Who was let in by the provider shows there anew who they are; the provider says when, and who it was."""
    client = begun(app, idp)
    post(client, idp.answer())
    with house.db.begin() as tx:
        tx.execute(sa.update(models.access_session).values(proven_at=house.clock() - timedelta(hours=1)))
    assert "/login/saml/again" in client.post("/account/second-factor/recovery").text
    for lie, said in (
        ({"subject": "u-2"}, "as somebody else"),
        ({"shown": datetime.now(UTC) - timedelta(hours=1)}, "does not say that it has just asked"),
    ):
        assert idp.asked(str(client.get("/login/saml/again").location)).get("ForceAuthn") == "true"
        assert said in post(client, dataclasses.replace(idp, **lie).answer()).text
    idp.asked(str(client.get("/login/saml/again").location))
    assert post(client, idp.answer()).location == "/account/proof/done"
    assert client.post("/account/second-factor/recovery").status_code == 422


def test_a_sign_in_that_asks_nothing_is_no_proof(app: Flask, house: House, idp: SamlProvider):
    """Whom the provider lets in by a session of its own shows there anew who they are before a dangerous deed."""
    client = begun(app, idp)
    assert (
        post(client, dataclasses.replace(idp, shown=datetime.now(UTC) - timedelta(hours=1)).answer()).status_code == 302
    )
    assert "/login/saml/again" in client.post("/account/second-factor/recovery").text
    client = begun(app, idp)
    post(client, idp.answer())
    assert client.post("/account/second-factor/recovery").status_code == 422, "it has just asked"


def test_what_the_provider_is_told(app: Flask, house: House, tmp_path: Path):
    """The metadata of this installation name its address; without a provider there is nothing here."""
    told = etree.fromstring(app.test_client().get("/login/saml/metadata").data)
    assert told.get("entityID") == "http://localhost/login/saml/metadata"
    assert BACK in etree.tostring(told).decode()
    change(app, saml_metadata="")
    for method, path in (("GET", "/login/saml/"), ("GET", "/login/saml/metadata"), ("POST", BACK)):
        assert app.test_client().open(path, method=method).status_code == 404


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (None, "SYNCLINE_SAML_METADATA"),
        ("<a", "cannot be read"),
        ("<a/>", "do not describe one identity provider"),
        ("https", "no encrypted address"),
        ("X509Certificate", "no certificate"),
    ],
)
def test_metadata_that_do_not_serve(
    app: Flask, house: House, idp: SamlProvider, tmp_path: Path, metadata: str | None, said: str
):
    """What is wrong with the provider's metadata is told."""
    path = tmp_path / "idp.xml"
    if metadata is None:
        path.unlink()
    else:
        changed = idp.metadata.replace(metadata, "http" if metadata.startswith("http") else "Other")
        path.write_text(changed if metadata in idp.metadata else metadata)
    assert said in app.test_client().get("/login/saml/").text


def test_users_that_were_there(app: Flask, house: House, idp: SamlProvider):
    """A name that is taken gets a number; who is disabled here stays out."""
    add_user(house, "li.na", "Viewer")
    idp.values["mail"] = ["na@example.com"]
    post(begun(app, idp), idp.answer())
    user = known(house, "li.na-2")
    assert user is not None
    sign_in(app.test_client()).post(f"/users/{user.id}/disable")
    assert "is disabled" in post(begun(app, idp), idp.answer()).text
