"""Signing in by the company's identity provider (OpenID Connect)."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
import pyotp
import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import rsa
from flask import Flask
from flask.testing import FlaskClient

from tests.servers import free_port
from tests.webapp.conftest import PASSWORD, add_user, events, sign_in
from webapp.access import assurance, attributes, factors, keys, models, oidc, removal, services, throttle, users
from webapp.access.company import admit
from webapp.access.identities import NotAdmitted
from webapp.access.keys import NewKey
from webapp.access.oidc import Provider
from webapp.access.users import NewUser
from webapp.extensions import SYSTEM, Actor, House

ROLES = (("crm-admins", "Designer"), ("auditors", "Auditor"))
CLAIMS = {"preferred_username": "li.na", "given_name": "娜", "family_name": "李", "email": "li.na@example.com"}


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    """Run an identity provider."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    argv = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port)]
    provider = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            time.sleep(0.05)
            try:
                httpx.get(url)
                break
            except httpx.ConnectError:
                continue
        yield url
    finally:
        provider.terminate()
        provider.wait()


@pytest.fixture(autouse=True)
def _unhurried() -> None:
    """Let the failures of one test not slow the next one down."""
    throttle._local.clear()


@pytest.fixture
def company(app: Flask, house: House, issuer: str, monkeypatch: pytest.MonkeyPatch) -> House:
    """Let the console ask the identity provider."""
    monkeypatch.setenv("SYNCLINE_OIDC_CLIENT_SECRET", "a secret: with + and /")
    more = {"oidc_issuer": issuer, "oidc_client_id": "syncline", "oidc_roles": ROLES, "console_url": "http://localhost"}
    found = dataclasses.replace(house, settings=dataclasses.replace(house.settings, **more))
    app.extensions["syncline"] = found
    return found


def claims_of(issuer: str, subject: str, **claims: Any) -> None:
    """Tell the identity provider what it knows of somebody."""
    assert httpx.put(f"{issuer}/users/{subject}", json={**CLAIMS, **claims}).status_code in {200, 204}


def come_back(client: FlaskClient, subject: str, onwards: str = "/rules/") -> Any:
    """Sign in at the identity provider as a browser does, and return the console's answer."""
    away = client.get("/login/company/", query_string={"next": onwards}).location
    assert away is not None
    back = httpx.post(away, data={"sub": subject}).headers["location"]
    return client.get(back.removeprefix("http://localhost"))


def known(house: House, name: str) -> users.User | None:
    with house.db.read() as tx:
        return next((user for user in users.list_users(tx, name) if user.username == name), None)


def test_first_sign_in_makes_the_user(client: FlaskClient, company: House, issuer: str):
    """Who has a group with a role is let in, with the names and the roles that the provider tells; it is in the log."""
    claims_of(issuer, "u-1", groups=["crm-admins", "others"])
    assert "Sign in with your company account" in client.get("/login/").text
    assert come_back(client, "u-1").location == "/rules/"
    assert client.get("/rules/").status_code == 200
    with client.session_transaction() as kept:
        assert "eyJ" not in str(dict(kept)), "no token of the provider is in the browser"
    user = known(company, "li.na")
    assert user is not None
    assert (user.name, user.email, user.roles) == ("李娜", "li.na@example.com", ("Designer",))
    tags = [event.tag.rpartition(":")[2] for event in events(company, "access")]
    assert tags[-3:] == ["created", "identity_linked", "signed_in"]


def test_roles_follow_the_groups(app: Flask, company: House, issuer: str):
    """At each sign-in the roles are those of the groups; without any, nobody is let in, and nothing is changed."""
    for groups, roles in ((["crm-admins"], ("Designer",)), (["auditors", "crm-admins"], ("Auditor", "Designer"))):
        claims_of(issuer, "u-2", preferred_username="bo", email="bo@example.com", groups=groups)
        come_back(app.test_client(), "u-2")
        user = known(company, "bo")
        assert user is not None
        assert user.roles == roles
    claims_of(issuer, "u-2", preferred_username="bo", email="bo@example.com", groups=[])
    answer = come_back(app.test_client(), "u-2")
    assert answer.status_code == 401
    assert "Your groups give you no role here." in answer.text
    assert events(company, "access:session:sign_in_failed")[-1].reason.startswith("Your groups")


def test_attributes_follow_the_provider(app: Flask, company: House, issuer: str):
    """At each sign-in the chosen claims become the user's attributes, or take them away; others stay."""
    wanted = (("country", "co"), ("regions", "areas"))
    more = dataclasses.replace(company.settings, user_attributes=wanted)
    app.extensions["syncline"] = dataclasses.replace(company, settings=more)
    claims_of(
        issuer, "u-9", preferred_username="mo", email="mo@example.com", groups=["auditors"], co="CN", areas=["a", "b"]
    )
    come_back(app.test_client(), "u-9")
    user = known(company, "mo")
    assert user is not None
    with company.db.read() as tx:
        assert attributes.attributes_of(tx, user.id) == {"country": "CN", "regions": "a, b"}
    attributes.set_attributes(company, user.id, {"country": "CN", "regions": "a", "own": "x"}, SYSTEM)
    claims_of(issuer, "u-9", preferred_username="mo", email="mo@example.com", groups=["auditors"], co="DE")
    come_back(app.test_client(), "u-9")
    with company.db.read() as tx:
        assert attributes.attributes_of(tx, user.id) == {"country": "DE", "own": "x"}


def test_users_that_were_there(app: Flask, company: House, issuer: str):
    """A user is linked by an e-mail address that the provider has proven only; names are not taken twice."""
    add_user(company, "ann", "Viewer")
    mail = known(company, "ann").email
    claims_of(issuer, "u-3", preferred_username="ann", email=mail, groups=["auditors"])
    assert come_back(app.test_client(), "u-3").status_code == 401
    claims_of(issuer, "u-3", preferred_username="ann", email=mail, email_verified=True, groups=["auditors"])
    assert come_back(app.test_client(), "u-3").status_code == 302
    assert known(company, "ann").roles == ("Auditor",)
    claims_of(issuer, "u-4", preferred_username="Ann", email="ann@other.example", groups=["auditors"])
    assert come_back(app.test_client(), "u-4").status_code == 302
    assert known(company, "Ann-2") is not None
    claims_of(issuer, "u-5", preferred_username="x", email=mail, email_verified=True, groups=["auditors"])
    assert come_back(app.test_client(), "u-5").status_code == 401, "the address belongs to another identity"


def test_linking_takes_away_what_others_may_know(app: Flask, company: House, issuer: str):
    """Who had set a user up with somebody's e-mail address cannot get in as that somebody by anything of before."""
    ann = add_user(company, "ann", "Admin")
    client = sign_in(app.test_client(), "ann")
    token = keys.create_key(company, NewKey("program", ("rules:read",), 1), Actor("user", "ann", str(ann)))
    given = (PASSWORD, key := factors.new_key(), pyotp.TOTP(key).at(company.clock()))
    factors.set_up(company, ann, given, SYSTEM)
    claims_of(issuer, "u-10", email=known(company, "ann").email, email_verified=True, groups=["auditors"])
    assert come_back(app.test_client(), "u-10").status_code == 302
    assert client.get("/account/").status_code == 302
    assert app.test_client().get("/api/v1/rules/", headers={"Authorization": f"Bearer {token}"}).status_code == 401
    assert app.test_client().post("/login/", data={"username": "ann", "password": PASSWORD}).status_code == 401
    with company.db.read() as tx:
        assert not factors.is_set(tx, ann)


def test_users_that_the_directory_has_brought(app: Flask, company: House, issuer: str):
    """A user whom the directory has provisioned is known by its name there, and is asked for no password of ours."""
    provisioned(company, "fei", "u-11")
    claims_of(issuer, "u-11", preferred_username="other", email="fei@example.com", groups=["auditors"])
    client = app.test_client()
    assert come_back(client, "u-11").location == "/rules/"
    assert client.get("/rules/").status_code == 200
    assert known(company, "fei").roles == ("Auditor",)


@pytest.mark.parametrize(
    ("case", "asked"),
    [
        (({}, {}), True),
        (({"amr": ["pwd"]}, {}), True),
        (({"amr": ["mfa", "pwd"]}, {}), False),
        (({"amr": ["pwd", "otp"]}, {}), False),
        (({"amr": ["otp", "sms"]}, {}), True),  # both are something that one holds
        (({"acr": "phr"}, {}), False),
        (({"acr": "gold"}, {}), True),
        (({"acr": "gold"}, {"company_factor_classes": ("gold",)}), False),
        (({"amr": {"mfa": 1}, "acr": 7}, {}), True),
        (({}, {"company_second_factor": "trusted"}), False),
        (({"amr": ["mfa"]}, {"company_second_factor": "asked"}), True),
    ],
)
def test_who_asks_for_the_second_factor(app: Flask, company: House, issuer: str, case: Any, asked: bool):
    """Who has a second factor here is asked for it, unless the signed answer of the provider says that it has asked."""
    told, settings = case
    claims_of(issuer, "u-16", preferred_username="eve", email="eve@example.com", groups=["auditors"], **told)
    assert come_back(app.test_client(), "u-16").location == "/rules/", "there is none to ask for"
    key = factors.new_key()
    factors.set_up(company, known(company, "eve").id, (None, key, pyotp.TOTP(key).at(company.clock())), SYSTEM)
    app.extensions["syncline"] = dataclasses.replace(
        company, settings=dataclasses.replace(company.settings, **settings)
    )
    client = app.test_client()
    assert come_back(client, "u-16").location == ("/login/second?next=/rules/" if asked else "/rules/")
    assert client.get("/rules/").status_code == (302 if asked else 200)


def test_a_session_begins_behind_the_second_factor(app: Flask, company: House, issuer: str):
    """Behind the code the session is that of the provider's sign-in, so that signing out leads there as well."""
    claims_of(issuer, "u-17", preferred_username="joe", email="joe@example.com", groups=["auditors"])
    come_back(app.test_client(), "u-17")
    key, user_id = factors.new_key(), known(company, "joe").id
    factors.set_up(company, user_id, (None, key, pyotp.TOTP(key).at(company.clock())), SYSTEM)
    client = app.test_client()
    come_back(client, "u-17")
    with client.session_transaction() as kept:
        assert "eyJ" not in str(dict(kept)), "no token of the provider is in the browser"
    assert client.post("/login/second", data={"code": "000000"}).status_code == 401
    assert client.get("/account/").status_code == 302
    app.extensions["syncline"] = dataclasses.replace(company, clock=lambda: company.clock() + timedelta(seconds=60))
    code = pyotp.TOTP(key).at(company.clock() + timedelta(seconds=60))
    assert client.post("/login/second?next=/rules/", data={"code": code}).location == "/rules/"
    assert client.get("/account/").status_code == 200
    assert f"{issuer}" in client.post("/logout/").text


def test_only_what_is_signed_tells_how_it_was_asked(
    app: Flask, company: House, issuer: str, monkeypatch: pytest.MonkeyPatch
):
    """What the provider tells of a user beside the signed token is no word about this sign-in."""
    monkeypatch.setattr(oidc, "_more", lambda *_given: {"amr": ["mfa"], "acr": "phr", "email": "x@example.com"})
    claims_of(issuer, "u-19", groups=["auditors"])
    client = app.test_client()
    away = client.get("/login/company/").location
    back = httpx.post(away, data={"sub": "u-19"}).headers["location"]
    with client.session_transaction() as kept:
        begun = kept["company"]
    claims = oidc.finish(
        company, begun, dict(parse_qsl(urlsplit(back).query)), "http://localhost/login/company/callback"
    )
    assert claims["email"]
    assert not assurance.vouched(company.settings, claims)


def test_where_one_is_required_the_provider_may_have_asked(app: Flask, company: House, issuer: str):
    """Where everybody needs a second factor, who has none sets one up, unless the provider has asked for one."""
    strict = dataclasses.replace(company, settings=dataclasses.replace(company.settings, require_second_factor=True))
    app.extensions["syncline"] = strict
    claims_of(issuer, "u-18", preferred_username="kim", email="kim@example.com", groups=["auditors"])
    client = app.test_client()
    come_back(client, "u-18")
    assert client.get("/rules/").location == "/account/second-factor/"
    assert client.get("/login/company/again").location.startswith(issuer), "the provider can be asked for a proof"
    claims_of(issuer, "u-18", preferred_username="kim", email="kim@example.com", groups=["auditors"], amr=["mfa"])
    client = app.test_client()
    come_back(client, "u-18")
    assert client.get("/rules/").status_code == 200


def provisioned(house: House, name: str, external: str) -> int:
    """Add a user as the directory does, with its name for the user."""
    with house.db.begin() as tx:
        new = NewUser(name, name.title(), "", f"{name}@example.com", ("Viewer",))
        user_id = users.insert_user(tx, new, PASSWORD, SYSTEM, house.clock(), must_change=True)
        profile = models.access_profile
        tx.execute(profile.update().where(profile.c.user_id == user_id).values(external_id=external))
    return user_id


@pytest.mark.parametrize(
    ("ways", "links"),
    [
        ({}, True),  # one way to sign in: the directory's names are its own
        ({"saml_metadata": "/saml.xml"}, False),  # two, and nothing says whose they are
        ({"saml_metadata": "/saml.xml", "scim_sign_in": "oidc"}, True),
        ({"saml_metadata": "/saml.xml", "scim_sign_in": "saml"}, False),
        ({"scim_sign_in": "none"}, False),
    ],
)
def test_a_directorys_names_are_those_of_one_provider(
    app: Flask, company: House, issuer: str, ways: dict[str, str], links: bool
):
    """Whom the directory has brought is let in by the one provider that shares its names, and by no other."""
    app.extensions["syncline"] = dataclasses.replace(company, settings=dataclasses.replace(company.settings, **ways))
    provisioned(company, "fei", "u-13")
    claims_of(issuer, "u-13", preferred_username="other", email="fei@example.com", groups=["auditors"])
    assert come_back(app.test_client(), "u-13").status_code == (302 if links else 401)
    assert known(company, "fei").roles == (("Auditor",) if links else ("Viewer",))


def test_whom_a_directory_has_brought_is_alone(company: House):
    """Who had a password, an app or a key of a provisioned user before that one came has no way in any more."""
    user_id = provisioned(company, "fei", "u-20")
    admin = Actor("user", "fei", str(user_id))
    app_key = factors.new_key()
    factors.set_up(company, user_id, (PASSWORD, app_key, pyotp.TOTP(app_key).at(company.clock())), admin)
    token = keys.create_key(company, NewKey("mine", ("rules:read",), 30), admin)
    assert keys.find(company, token) is not None
    admit(company, {**CLAIMS, "sub": "u-20"}, ("Viewer",), company.settings.oidc_issuer)
    assert services.known(company, "fei", PASSWORD) is None
    assert keys.find(company, token) is None
    with company.db.read() as tx:
        assert not factors.any_of(tx, user_id)


def test_a_directorys_name_brings_no_second_identity(company: House):
    """Who signs in by a provider already is not somebody else there, too, whatever the directory calls them since."""
    user_id = provisioned(company, "fei", "u-14")
    issuer = company.settings.oidc_issuer
    assert admit(company, {**CLAIMS, "sub": "u-14"}, ("Viewer",), issuer).id == user_id
    with company.db.begin() as tx:
        profile = models.access_profile
        tx.execute(profile.update().where(profile.c.user_id == user_id).values(external_id="u-15"))
    with pytest.raises(NotAdmitted):
        admit(company, {**CLAIMS, "sub": "u-15", "email": "fei@example.com"}, ("Viewer",), issuer)


def test_roles_that_do_not_exist(app: Flask, company: House, issuer: str):
    """A role that is named in the settings and is not there is told of, and gives and takes nothing."""
    claims_of(issuer, "u-12", preferred_username="gu", email="gu@example.com", groups=["auditors"])
    come_back(app.test_client(), "u-12")
    wrong = dataclasses.replace(company.settings, oidc_roles=(("auditors", "Audtor"),))
    app.extensions["syncline"] = dataclasses.replace(company, settings=wrong)
    answer = come_back(app.test_client(), "u-12")
    assert answer.status_code == 401
    assert "name the role Audtor, which does not exist" in answer.text
    assert known(company, "gu").roles == ("Auditor",)


def test_odd_answers(client: FlaskClient, company: House):
    """What a stranger makes up ends on the sign-in page, and nothing is written for it."""
    before = len(events(company))
    assert client.get("/login/company/callback?state=é").status_code == 401
    assert len(events(company)) == before
    client.get("/login/company/")
    assert client.get("/login/company/callback?state=é").status_code == 401


def test_disabled_user_stays_out(app: Flask, company: House, issuer: str):
    """Who is disabled here is not let in by the provider."""
    claims_of(issuer, "u-6", preferred_username="cy", email="cy@example.com", groups=["auditors"])
    come_back(app.test_client(), "u-6")
    users.set_active(company, known(company, "cy").id, False, SYSTEM)
    client = app.test_client()
    assert come_back(client, "u-6").status_code == 401
    assert client.get("/account/").status_code == 302


def test_last_administrator(app: Flask, company: House, issuer: str):
    """Groups cannot take the last administrator away."""
    admin = known(company, "admin")
    claims_of(issuer, "u-7", email=admin.email, email_verified=True, groups=["auditors"])
    answer = come_back(app.test_client(), "u-7")
    assert answer.status_code == 401
    assert "last active administrator" in answer.text
    assert known(company, "admin").roles == ("Admin",)


def test_only_the_browser_that_began(app: Flask, company: House, issuer: str):
    """The answer of a sign-in that another browser began lets nobody in, and neither does one that is sent twice."""
    claims_of(issuer, "u-8", preferred_username="di", email="di@example.com", groups=["auditors"])
    victim, attacker = app.test_client(), app.test_client()
    away = attacker.get("/login/company/").location
    back = httpx.post(away, data={"sub": "u-8"}).headers["location"].removeprefix("http://localhost")
    led = {"Sec-Fetch-Site": "cross-site"}
    assert victim.get("/login/company/", headers=led).location.startswith("/login/"), "another site begins nothing"
    victim.get("/login/company/")
    assert victim.get(back).status_code == 401
    assert attacker.get(back).status_code == 302
    attacker.post("/logout/")
    assert attacker.get(back).status_code == 401


@pytest.mark.parametrize("answer", [{"error": "access_denied"}, {"error_description": "Not you.", "error": "x"}, {}])
def test_refused_by_the_provider(client: FlaskClient, company: House, answer: dict[str, str]):
    """What the provider says is told on the sign-in page, escaped, and nobody is let in."""
    client.get("/login/company/")
    with client.session_transaction() as session:
        state = session["company"]["state"]
    told = client.get("/login/company/callback", query_string={"state": state, **answer, "x": "<script>"})
    assert told.status_code == 401
    assert client.get("/account/").status_code == 302


def test_provider_is_away(client: FlaskClient, company: House, app: Flask):
    """A provider that does not answer is told of; passwords go on."""
    gone = f"http://127.0.0.1:{free_port()}"
    app.extensions["syncline"] = dataclasses.replace(
        company, settings=dataclasses.replace(company.settings, oidc_issuer=gone)
    )
    answer = client.get("/login/company/")
    assert answer.status_code == 401
    assert "The identity provider cannot be reached." in answer.text


def test_off_by_default(client: FlaskClient):
    """Without an identity provider nothing of it is there."""
    assert "company account" not in client.get("/login/").text
    assert client.get("/login/company/").status_code == 404
    assert client.get("/login/company/callback").status_code == 404


KEY, OTHER = (rsa.generate_private_key(public_exponent=65537, key_size=2048) for _ in range(2))
GOOD: Mapping[str, Any] = {"iss": "https://idp.example", "aud": "syncline", "sub": "u", "nonce": "n"}


@pytest.fixture
def trusted(house: House) -> House:
    """Know the keys of a provider."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    keys = {"1": jwt.PyJWK({**public, "kid": "1", "alg": "RS256"})}
    oidc._known["https://idp.example"] = Provider({"issuer": "https://idp.example"}, keys, time.monotonic())
    more = {"oidc_issuer": "https://idp.example", "oidc_client_id": "syncline"}
    return dataclasses.replace(house, settings=dataclasses.replace(house.settings, **more))


def token(claims: Mapping[str, Any], key: Any = KEY, algorithm: str = "RS256", kid: str | None = "1") -> str:
    now = int(time.time())
    head = {"kid": kid} if kid else {}
    return jwt.encode({"iat": now, "exp": now + 300, **claims}, key, algorithm, headers=head)


def test_a_provider_that_calls_itself_otherwise(trusted: House, monkeypatch: pytest.MonkeyPatch):
    """A description that names another issuer than the settings is not believed, whatever keys it offers."""
    oidc._known.clear()
    monkeypatch.setattr(oidc, "_json", lambda *_: {"issuer": "https://idp.example.evil", "jwks_uri": "https://x"})
    with pytest.raises(NotAdmitted, match="calls itself"):
        oidc.begin(trusted, "https://crm.example/login/company/callback")


@pytest.mark.parametrize("more", [{}, {"aud": ["syncline"]}, {"aud": ["syncline", "x"], "azp": "syncline"}])
def test_tokens_that_count(trusted: House, more: dict[str, Any]):
    """A token that the provider has signed for us and for this sign-in counts."""
    assert oidc.checked(trusted, token({**GOOD, **more}), "n")["sub"] == "u"
    assert oidc.checked(trusted, token({**GOOD, **more}, kid=None), "n")["sub"] == "u"


@pytest.mark.parametrize(
    "bad",
    [
        {"iss": "https://other.example"}, {"aud": "other"}, {"aud": ["syncline", "x"]}, {"nonce": "m"}, {"nonce": None},
        {"exp": 1}, {"iat": int(time.time()) + 3600}, {"sub": ""}, {"nbf": int(time.time()) + 3600},
        {"aud": ["syncline", "x"], "azp": "x"},
    ],
)  # fmt: skip
def test_tokens_that_do_not(trusted: House, bad: dict[str, Any]):
    """A token of another issuer, for another application, of another sign-in, or of another time lets nobody in."""
    with pytest.raises(NotAdmitted):
        oidc.checked(trusted, token({**GOOD, **bad}), "n")


@pytest.mark.parametrize("forge", ["other key", "none", "hmac", "broken", "missing", "other kind"])
def test_forged_tokens(trusted: House, forge: str):
    """A token that the provider has not signed lets nobody in, however it says it is signed."""
    made = {
        "other key": lambda: token(GOOD, OTHER),
        "none": lambda: token(GOOD, None, "none"),
        "hmac": lambda: token(GOOD, b"k" * 32, "HS256"),
        "broken": lambda: token(GOOD)[:-4] + "AAAA",
        "missing": lambda: "",
        "other kind": lambda: jwt.encode(
            {**GOOD, "iat": 1, "exp": time.time() + 300}, KEY, "RS256", headers={"kid": "1", "typ": "at+jwt"}
        ),
    }
    with pytest.raises(NotAdmitted):
        oidc.checked(trusted, made[forge](), "n")


def test_deleted_with_the_user(app: Flask, company: House, issuer: str):
    """Deleting the user deletes the link; the same person gets a new user."""
    claims_of(issuer, "u-9", preferred_username="eve", email="eve@example.com", groups=["auditors"])
    come_back(app.test_client(), "u-9")
    before = known(company, "eve").id
    removal.delete_user(company, before, SYSTEM)
    with company.db.read() as tx:
        assert not tx.execute(models.access_identity.select()).all()
    come_back(app.test_client(), "u-9")
    assert known(company, "eve").id is not None


def again(client: FlaskClient, subject: str) -> Any:
    """Show anew at the identity provider who one is, and return the console's answer."""
    away = client.get("/login/company/again").location
    assert "prompt=login" in away
    assert "max_age=0" in away
    back = httpx.post(away, data={"sub": subject}).headers["location"]
    return client.get(back.removeprefix("http://localhost"))


def test_a_fresh_proof_of_the_provider(app: Flask, company: House, issuer: str):
    """Who was let in by the provider shows there anew who they are, where it says that it has asked, and asked them."""
    claims_of(issuer, "u-20", preferred_username="pia", email="pia@example.com", groups=["crm-admins"])
    client = app.test_client()
    come_back(client, "u-20")
    with company.db.begin() as tx:
        tx.execute(sa.update(models.access_session).values(proven_at=company.clock() - timedelta(hours=1)))
    page = client.post("/account/second-factor/recovery")
    assert page.status_code == 401
    assert "/login/company/again" in page.text
    assert "proof_password" not in page.text, "there is no password here"
    new = {"password": PASSWORD, "again": PASSWORD}
    assert client.post("/account/password", data=new).status_code == 404, "and none is made without a proof"
    claims_of(issuer, "u-21", preferred_username="eve", email="eve@example.com", groups=["crm-admins"])
    assert "as somebody else" in again(client, "u-21").text
    app.extensions["syncline"] = dataclasses.replace(company, clock=lambda: company.clock() + timedelta(minutes=5))
    assert "does not say that it has just asked" in again(client, "u-20").text, "it has asked before"
    assert not oidc.shown_since({}, 0.0)
    app.extensions["syncline"] = company
    assert client.post("/account/second-factor/recovery").status_code == 401
    assert again(client, "u-20").location == "/account/proof/done"
    assert "Close this tab" in client.get("/account/proof/done").text
    assert client.post("/account/second-factor/recovery").status_code == 422, "there is none, but nothing is asked"
    assert events(company, "access:session:proven")[-1].after == {"by": "company"}


def test_a_sign_in_that_asks_nothing_is_no_proof(app: Flask, company: House, issuer: str):
    """Whom the provider lets in by a session of its own shows there anew who they are before a dangerous deed."""
    claims_of(issuer, "u-23", preferred_username="zoe", email="zoe@example.com", groups=["crm-admins"])
    app.extensions["syncline"] = dataclasses.replace(company, clock=lambda: company.clock() + timedelta(minutes=30))
    client = app.test_client()
    assert come_back(client, "u-23").location == "/rules/"
    page = client.post("/account/second-factor/recovery")
    assert page.status_code == 401, "it has asked half an hour ago"
    assert "/login/company/again" in page.text
    assert oidc.shown_at({"auth_time": 1e300}) is None


def test_signing_out_there_too(app: Flask, company: House, issuer: str, monkeypatch: pytest.MonkeyPatch):
    """Signing out here leads to the provider's own end of the session; where it has none, it ends here."""
    claims_of(issuer, "u-22", preferred_username="kim", email="kim@example.com", groups=["crm-admins"])
    client = app.test_client()
    come_back(client, "u-22")
    answer = client.post("/logout/")
    assert client.get("/account/").status_code == 302
    target = answer.headers["Refresh"].removeprefix("0; url=")
    assert target.startswith(f"{issuer}/oauth2/end_session?id_token_hint=")
    assert "post_logout_redirect_uri=http%3A%2F%2Flocalhost%2Flogin%2F" in target
    assert httpx.get(target).status_code == 200
    come_back(client, "u-22")
    known_now = oidc._provider(company)
    told = {name: value for name, value in known_now.told.items() if name != "end_session_endpoint"}
    monkeypatch.setitem(oidc._known, issuer, dataclasses.replace(known_now, told=told))
    assert client.post("/logout/").location == "/login/"
    assert sign_in(app.test_client()).post("/logout/").location == "/login/", "who has a password stays here"
