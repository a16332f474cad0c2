"""Signing in to web services: signatures that the server checks, tokens that expire, and none of them told."""

from __future__ import annotations

import base64
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from connectors.builtin import rest_tokens
from connectors.builtin.rest_oauth import consent, redeem
from connectors.errors import AuthFailed, ConnectorError, Misconfigured, RateLimited, Unavailable
from tests.connectors.rest_service import HERE, ids, people, service


@pytest.fixture(autouse=True)
def no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without tokens of other tests."""
    monkeypatch.setattr(rest_tokens.TOKENS, "_known", type(rest_tokens.TOKENS._known)())


class Guard:
    """A service that knows the tokens that it gave out; `life` says for how many calls one is good."""

    def __init__(self, reply: Any, life: int = 10**9) -> None:
        self.reply = reply
        self.life = life
        self.given = 0
        self.left: dict[str, int] = {}
        self.asked: list[Any] = []
        self.checks = lambda _request: None
        self.answer: dict[str, Any] = {}

    def __call__(self, request: Any) -> Any:
        if request.path == "/token":
            return self.token(request)
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.left.get(token):
            return self.reply(401, {"error": f"the token {token} has expired"})
        self.left[token] -= 1
        return self.reply(body=people(1))

    def token(self, request: Any) -> Any:
        self.asked.append(request)
        problem = self.checks(request)
        if problem is not None:
            return problem
        self.given += 1
        self.left[f"token-{self.given}"] = self.life
        return self.reply(body={"access_token": f"token-{self.given}", "expires_in": 3600, **self.answer})


CLIENT = {"authentication": "oauth2_client", "client_id": "app:1", "client_secret": "very secret", "scope": "read"}


def form(request: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(request.body.decode()).items()}


@pytest.mark.parametrize("place", ["header", "body"])
def test_client_credentials(web: Any, reply: Any, place: str) -> None:
    """A token is asked for once by any number of connectors and threads, as the RFC says the client is named."""
    web.answer = guard = Guard(reply)

    def read(_number: int) -> list[int]:
        with service(web.url, token_url=web.url + "/token", client_auth=place, audience="api", **CLIENT) as rest:
            return ids(rest)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(read, range(16))) == [[1]] * 16
    (asked,) = guard.asked
    sent = form(asked)
    assert (sent["grant_type"], sent["scope"], sent["audience"]) == ("client_credentials", "read", "api")
    basic = "Basic " + base64.b64encode(b"app%3A1:very%20secret").decode()
    assert asked.headers.get("authorization") == (basic if place == "header" else None)
    assert sent.get("client_secret") == (None if place == "header" else "very secret")


def test_an_expired_token_is_renewed_once(web: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A token that is refused is fetched anew and the call repeated; one near its end before it is used."""
    web.answer = guard = Guard(reply, life=2)
    with service(web.url, token_url=web.url + "/token", **CLIENT) as rest:
        for _ in range(5):
            assert ids(rest) == [1]
        assert guard.given == 3
        guard.life = 0
        guard.left.clear()
        with pytest.raises(AuthFailed) as caught:
            ids(rest)
        assert guard.given == 4
        assert "token-" not in str(caught.value)
    guard.life, guard.answer = 9, {"expires_in": 1}
    rest_tokens.TOKENS._known.clear()
    now = rest_tokens.time.monotonic
    with service(web.url, token_url=web.url + "/token", **CLIENT) as rest:
        assert ids(rest) == [1]
        monkeypatch.setattr(rest_tokens.time, "monotonic", lambda: now() + 2)
        assert ids(rest) == [1]
    assert guard.given == 6


@pytest.mark.parametrize(
    ("status", "body", "error", "told"),
    [
        (400, {"error": "invalid_client", "error_description": "no such client"}, AuthFailed, "no such client"),
        (401, "nope", AuthFailed, "Unauthorized"),
        (500, {"message": "down"}, Unavailable, "down"),
        (429, "", RateLimited, "wait"),
        (200, {"token": "x"}, AuthFailed, "access_token"),
        (200, "<html>", AuthFailed, "access_token"),
        (200, {"access_token": "a\nb"}, Misconfigured, "characters"),
    ],
)
def test_no_token(web: Any, reply: Any, status: int, body: Any, error: type[ConnectorError], told: str) -> None:
    """What keeps a token from being given is told without the secret."""
    web.answer = lambda _: reply(status, body)
    with service(web.url, token_url=web.url + "/token", **CLIENT) as rest, pytest.raises(error, match=told) as caught:
        ids(rest)
    assert "very secret" not in str(caught.value)


@dataclass
class Drawer:
    """Keeps a secret like the vault."""

    values: dict[str, str] = field(default_factory=dict)

    def get(self, name: str, /) -> str | None:
        return self.values.get(name)

    def put(self, name: str, value: str, /) -> None:
        self.values[name] = value


CODE = {"authentication": "oauth2_code", "client_id": "app", "authorize_url": "https://sign.in/a"}


def test_a_refresh_token_that_changes_is_kept(web: Any, reply: Any) -> None:
    """A new refresh token is stored at once; a process that is late finds the one that another has stored."""
    web.answer = guard = Guard(reply, life=1)
    valid = ["first"]

    def check(request: Any) -> Any:
        if form(request)["refresh_token"] != valid[-1]:
            return reply(400, {"error": "invalid_grant"})
        valid.append(f"refresh-{len(valid)}")
        guard.answer = {"refresh_token": valid[-1]}
        return None

    guard.checks = check
    drawer = Drawer({"refresh_token": "first"})
    given = {**CODE, "token_url": web.url + "/token", "refresh_token": "first"}
    with service(web.url, drawer, **given) as rest:
        assert [ids(rest) for _ in range(3)] == [[1]] * 3
    assert drawer.values == {"refresh_token": "refresh-3"}
    rest_tokens.TOKENS._known.clear()  # another process, which was begun with the old secret
    with service(web.url, drawer, **given) as rest:
        assert ids(rest) == [1]
    assert drawer.values == {"refresh_token": "refresh-4"}
    rest_tokens.TOKENS._known.clear()
    with service(web.url, **given) as rest, pytest.raises(AuthFailed, match="Choose Connect"):
        ids(rest)
    with service(web.url, **{**given, "refresh_token": ""}) as rest, pytest.raises(AuthFailed, match="Nobody"):
        ids(rest)


def test_consent_that_does_not_last(web: Any, reply: Any) -> None:
    """A service that gives no refresh token, or an address that is none, is told to who set the connection up."""
    settings = {**CODE, "token_url": web.url + "/token", "scope": "a b"}
    assert "scope=a+b" in consent(settings, "http://here/back").address
    web.answer = lambda _: reply(body={"access_token": "x"})
    with pytest.raises(AuthFailed, match="refresh token"):
        redeem(settings, HERE, "code", "http://here/back", "verifier")
    with pytest.raises(Misconfigured, match="not a web"):
        consent({**settings, "authorize_url": "ftp://x"}, "http://here/back")


@pytest.fixture(scope="module")
def key() -> tuple[str, Any]:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode(), made.public_key()


def test_signed_tokens(web: Any, reply: Any, key: tuple[str, Any]) -> None:
    """A signed token is sent itself, or exchanged for one; the service can check who signed it and for how long."""
    claims = {"iss": "app", "aud": "service"}
    settings = {"authentication": "jwt", "jwt_key": key[0], "jwt_claims": claims, "jwt_headers": '{"kid": "k1"}'}

    def own(request: Any) -> Any:
        token = request.headers["authorization"].removeprefix("Bearer ")
        read = jwt.decode(token, key[1], algorithms=["RS256"], audience="service")
        assert jwt.get_unverified_header(token)["kid"] == "k1"
        assert read["exp"] - read["iat"] == 300
        return reply(body=people(1))

    web.answer = own
    with service(web.url, **settings) as rest:
        assert ids(rest) == [1]
    web.answer = guard = Guard(reply)
    with service(web.url, token_url=web.url + "/token", **settings) as rest:
        assert ids(rest) == [1]
    sent = form(guard.asked[0])
    assert sent["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
    assert jwt.decode(sent["assertion"], key[1], algorithms=["RS256"], audience="service")["iss"] == "app"
    with service(web.url, **{**settings, "jwt_key": "no key"}) as rest, pytest.raises(Misconfigured, match="RS256"):
        ids(rest)


@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_signed_requests(web: Any, reply: Any, encoding: str) -> None:
    """Each request carries a signature of its method, path, query, time and body that the service can check."""

    def check(request: Any) -> Any:
        head = request.headers
        query = "&".join(f"{name}={value[0]}" for name, value in request.query.items())
        body = hashlib.sha256(request.body).hexdigest()
        text = f"{request.method}\n{request.path}\n{query}\n{head['x-time']}\n{body}"
        made = hmac.new(b"shared", text.encode(), hashlib.sha512).digest()
        expected = made.hex() if encoding == "hex" else base64.b64encode(made).decode()
        assert head["x-sign"] == f"me:{expected}"
        return reply(body=people(1))

    web.answer = check
    settings = {
        "authentication": "hmac", "hmac_key": "shared", "hmac_key_id": "me", "hmac_algorithm": "sha512",
        "hmac_text": r"{method}\n{path}\n{query}\n{timestamp}\n{body_sha256}", "hmac_header": "X-Sign",
        "hmac_headers": {"X-Sign": "{key_id}:{signature}", "X-Time": "{timestamp}"}, "hmac_encoding": encoding,
    }  # fmt: skip
    with service(web.url, query={"all": "1"}, **settings) as rest:
        assert ids(rest) == [1]


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"token_member": "data.token", "token_name": "X-Token"}, lambda r: r.headers.get("x-token")),
        ({"token_member": "data.token", "token_place": "query", "token_name": "access_token"},
         lambda r: r.query.get("access_token", [None])[0]),
        ({"token_member": "data.token", "token_place": "cookie", "token_name": "sid"},
         lambda r: r.headers.get("cookie", "").removeprefix("sid=")),
        ({}, lambda r: r.headers.get("cookie", "").removeprefix("sid=")),
    ],
)  # fmt: skip
def test_sessions(web: Any, reply: Any, settings: Any, place: Any) -> None:
    """A login is done when it is needed and again when the session has ended; its token goes where it belongs."""
    open_: set[str] = set()
    logins: list[Any] = []

    def answer(request: Any) -> Any:
        if request.path == "/login":
            logins.append(request)
            open_.add(f"session-{len(logins)}")
            body = {"data": {"token": f"session-{len(logins)}", "ends": 100}}
            return reply(body=body, headers={"Set-Cookie": f"sid=session-{len(logins)}; Path=/; HttpOnly"})
        if place(request) not in open_:
            return reply(200, {"errcode": 40014, "errmsg": "token"})
        return reply(body={"items": people(1)})

    web.answer = answer
    login = {
        "authentication": "session", "login_path": "/login", "user": "ann", "password": "pä",
        "login_body": {"who": {"name": "{user}"}, "pass": ["{password}"], "n": 1}, "expires_member": "data.ends",
        "errors": [{"member": "errcode", "equals": ["40014"], "then": "renew"}],
    }  # fmt: skip
    with service(web.url, records="items", **login, **settings) as rest:
        assert ids(rest) == [1]
        open_.clear()
        assert ids(rest) == [1]
    assert len(logins) == 2
    assert logins[0].json() == {"who": {"name": "ann"}, "pass": ["pä"], "n": 1}


def test_a_login_by_address(web: Any, reply: Any) -> None:
    """A login with GET sends its members in the address; one without a token or cookie is an error that says so."""

    def answer(request: Any) -> Any:
        if request.path == "/gettoken":
            assert request.query == {"corpid": ["c"], "secret": ["s"]}
            return reply(body={"errcode": 0, "access_token": "t1", "expires_in": 7200})
        return reply(body=people(1) if request.query["access_token"] == ["t1"] else [])

    web.answer = answer
    settings = {
        "authentication": "session", "login_path": "/gettoken", "login_method": "GET", "client_id": "c",
        "client_secret": "s", "login_body": {"corpid": "{client_id}", "secret": "{client_secret}"},
        "token_member": "access_token", "token_place": "query", "token_name": "access_token",
        "expires_member": "expires_in",
    }  # fmt: skip
    with service(web.url, **settings) as rest:
        assert ids(rest) == [1]
    with service(web.url, **{**settings, "token_member": ""}) as rest, pytest.raises(AuthFailed, match="no cookie"):
        ids(rest)


@pytest.mark.parametrize(
    "settings",
    [
        {"authentication": "magic"},
        {"authentication": "oauth2_client", "client_id": "x"},
        {"authentication": "session", "login_path": "/l", "token_member": "t", "token_place": "query"},
        {"authentication": "hmac", "hmac_key": "x", "hmac_headers": "["},
        {"authentication": "jwt", "jwt_key": "x", "jwt_claims": "[]"},
        {"errors": [{"then": "explode"}]},
    ],
)
def test_missing_settings(web: Any, settings: Any) -> None:
    """What is missing or wrong is told before anything is called."""
    with service(web.url, **settings) as rest, pytest.raises(Misconfigured):
        rest.objects()
    assert not web.received


def test_tokens_are_forgotten_some_time() -> None:
    """A process that meets very many connections does not keep all of their tokens; ends may be given as moments."""
    tokens = rest_tokens.Tokens()
    for number in range(1_005):
        tokens.get(str(number), lambda _: rest_tokens.Token("x"))
    assert len(tokens._known) == 1_000
    tokens.expire("nobody", "x")
    now = rest_tokens.time.time()
    for seconds in (600, str(600), now + 600, (now + 600) * 1000):
        assert 535 < rest_tokens.until(seconds) - rest_tokens.time.monotonic() < 545
    assert rest_tokens.until(None) == rest_tokens.FOR_EVER
