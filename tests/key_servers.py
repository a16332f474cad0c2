"""Key services: AWS KMS by moto; HashiCorp Vault, Google Cloud KMS and Azure Key Vault rebuilt from their documents.

The rebuilt ones do what the product asks of them and really encrypt; none of the three can be had as a package.
"""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

Answer = tuple[int, Any]
Deed = Callable[[Any], Answer]
OAEP = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@dataclass
class KeyServer:
    """A running service: what to set SYNCLINE_KEY_* to, and whether it lets anybody in."""

    url: str
    key: str
    login: str
    open: bool = True


class Cipher:
    """Versions of a symmetric key."""

    def __init__(self) -> None:
        self.keys = [AESGCM.generate_key(256)]

    def encrypt(self, text: str, more: str) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + AESGCM(self.keys[-1]).encrypt(nonce, base64.b64decode(text), base64.b64decode(more))

    def rotate(self, _: Any) -> Answer:
        self.keys.append(AESGCM.generate_key(256))
        return 204, None

    def decrypt(self, version: int, data: bytes, more: str) -> str | None:
        try:
            found = AESGCM(self.keys[version - 1]).decrypt(data[:12], data[12:], base64.b64decode(more))
        except (InvalidTag, ValueError):
            return None
        return base64.b64encode(found).decode()


@contextlib.contextmanager
def hashicorp() -> Iterator[KeyServer]:
    """Run the transit engine of a Vault with a role that may use one key."""
    cipher, tokens, least = Cipher(), {"root-token"}, [1]

    def sign_in(body: Any) -> Answer:
        good = (body["role_id"], body["secret_id"]) == ("the-role", "the-secret")
        tokens.add(token := secrets.token_hex(8))
        told = {"auth": {"client_token": token, "lease_duration": 3600}}
        return (200, told) if good else (400, {"errors": ["invalid role or secret ID"]})

    def tell(_: Any) -> Answer:
        return 200, {"data": {"latest_version": len(cipher.keys), "min_decryption_version": least[0]}}

    def configure(body: Any) -> Answer:
        least[0] = body["min_decryption_version"]
        return 204, None

    def encrypt(body: Any) -> Answer:
        made = base64.b64encode(cipher.encrypt(body["plaintext"], body["associated_data"])).decode()
        return 200, {"data": {"ciphertext": f"vault:v{len(cipher.keys)}:{made}"}}

    def decrypt(body: Any) -> Answer:
        _, version, text = body["ciphertext"].split(":")
        if int(version[1:]) < least[0]:
            return 400, {"errors": ["ciphertext or signature version is disallowed by policy (too old)"]}
        found = cipher.decrypt(int(version[1:]), base64.b64decode(text), body["associated_data"])
        failed = 400, {"errors": ["cipher: message authentication failed"]}
        return (200, {"data": {"plaintext": found}}) if found else failed

    deeds = {
        "POST /v1/auth/approle/login": sign_in,
        "GET /v1/transit/keys/syncline": tell,
        "POST /v1/transit/keys/syncline/rotate": cipher.rotate,
        "POST /v1/transit/keys/syncline/config": configure,
        "POST /v1/transit/encrypt/syncline": encrypt,
        "POST /v1/transit/decrypt/syncline": decrypt,
    }
    server = KeyServer("", "transit/syncline", "the-role:the-secret")
    with _served(server, deeds, lambda headers: headers.get("X-Vault-Token") in tokens):
        yield server


@contextlib.contextmanager
def google() -> Iterator[KeyServer]:
    """Run Google's key service, and where its service accounts get their tokens."""
    cipher, primary = Cipher(), [1]
    own = rsa.generate_private_key(65537, 2048)
    name = "projects/p/locations/europe/keyRings/r/cryptoKeys/syncline"
    server = KeyServer("", name, "")

    def sign_in(body: Any) -> Answer:
        claims = jwt.decode(body["assertion"], own.public_key(), ["RS256"], audience=f"{server.url}/token")
        good = claims["iss"] == "syncline@p" and claims["scope"].endswith("/auth/cloudkms")
        return (200, {"access_token": "ya29", "expires_in": 3599}) if good else (400, {"error": "invalid_grant"})

    def tell(_: Any) -> Answer:
        return 200, {"name": name, "primary": {"name": f"{name}/cryptoKeyVersions/{primary[0]}"}}

    def encrypt(body: Any) -> Answer:
        made = bytes([primary[0]]) + cipher.encrypt(body["plaintext"], body["additionalAuthenticatedData"])
        version = f"{name}/cryptoKeyVersions/{primary[0]}"
        return 200, {"name": version, "ciphertext": base64.b64encode(made).decode()}

    def decrypt(body: Any) -> Answer:
        data = base64.b64decode(body["ciphertext"])
        found = cipher.decrypt(data[0], data[1:], body["additionalAuthenticatedData"])
        if found is None:
            return 400, {"error": {"status": "INVALID_ARGUMENT", "message": "Decryption failed"}}
        return 200, {"plaintext": found}

    def make(body: Any) -> Answer:
        cipher.rotate(body)
        return 200, {"name": f"{name}/cryptoKeyVersions/{len(cipher.keys)}"}

    def lead(body: Any) -> Answer:
        primary[0] = int(body["cryptoKeyVersionId"])
        return 200, {}

    deeds = {
        "POST /token": sign_in,
        f"GET /v1/{name}": tell,
        f"POST /v1/{name}:encrypt": encrypt,
        f"POST /v1/{name}:decrypt": decrypt,
        f"POST /v1/{name}/cryptoKeyVersions": make,
        f"POST /v1/{name}:updatePrimaryVersion": lead,
    }
    pem = own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    with _served(server, deeds, lambda headers: headers.get("Authorization") == "Bearer ya29"):
        account = {"client_email": "syncline@p", "private_key": pem, "token_uri": f"{server.url}/token"}
        server.login = json.dumps(account)
        yield server


@contextlib.contextmanager
def azure() -> Iterator[KeyServer]:
    """Run a vault of Azure, and where applications get their tokens."""
    pairs: list[rsa.RSAPrivateKey] = []
    server = KeyServer("", "syncline", "tenant:the-app:se:cret")

    def sign_in(body: Any) -> Answer:
        good = (body["client_id"], body["client_secret"]) == ("the-app", "se:cret")
        return (200, {"access_token": "eyJ", "expires_in": 3599}) if good else (401, {"error": "invalid_client"})

    def tell(_: Any) -> Answer:
        return 200, {"key": {"kid": f"{server.url}/keys/syncline/{len(pairs)}"}}

    def rotate(body: Any) -> Answer:
        pairs.append(pair := rsa.generate_private_key(65537, 3072))
        deeds[f"POST /keys/syncline/{len(pairs)}/unwrapkey"] = lambda body: unwrap(pair, body)
        return tell(body)

    def wrap(body: Any) -> Answer:
        made = pairs[-1].public_key().encrypt(_url(body["value"]), OAEP)
        told = base64.urlsafe_b64encode(made).decode().rstrip("=")
        return 200, {"kid": f"{server.url}/keys/syncline/{len(pairs)}", "value": told}

    def unwrap(pair: rsa.RSAPrivateKey, body: Any) -> Answer:
        try:
            found = pair.decrypt(_url(body["value"]), OAEP)
        except ValueError:
            return 400, {"error": {"code": "BadParameter"}}
        return 200, {"value": base64.urlsafe_b64encode(found).decode().rstrip("=")}

    deeds: dict[str, Deed] = {
        "POST /tenant/oauth2/v2.0/token": sign_in,
        "GET /keys/syncline": tell,
        "POST /keys/syncline/rotate": rotate,
        "POST /keys/syncline/wrapkey": wrap,
    }
    rotate(None)
    with _served(server, deeds, lambda headers: headers.get("Authorization") == "Bearer eyJ"):
        yield server


@contextlib.contextmanager
def amazon() -> Iterator[KeyServer]:
    """Run moto's KMS with a key that an alias leads to."""
    import boto3  # noqa: PLC0415 - takes a while
    from moto.server import ThreadedMotoServer  # noqa: PLC0415

    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        url = f"http://{host}:{port}"
        kms = boto3.client(
            "kms", "eu-west-1", endpoint_url=url, aws_access_key_id="AKIA", aws_secret_access_key="se/cret"
        )
        made = kms.create_key()["KeyMetadata"]
        kms.create_alias(AliasName="alias/syncline", TargetKeyId=made["KeyId"])
        account = made["Arn"].rsplit(":", 1)[0]
        yield KeyServer(url, f"{account}:alias/syncline", "AKIA:se/cret")
    finally:
        moto.stop()


@contextlib.contextmanager
def _served(server: KeyServer, deeds: dict[str, Deed], known: Callable[[Any], bool]) -> Iterator[None]:
    """Answer calls by "METHOD /path"; all but the one for tokens want what such a call has given."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            form = "urlencoded" in self.headers.get("Content-Type", "")
            given = {k: v[0] for k, v in parse_qs(body).items()} if form else json.loads(body or "null")
            asked = f"{self.command} {urlsplit(self.path).path}"
            if asked.endswith(("/token", "/login")) or (known(self.headers) and server.open):
                status, told = deeds[asked](given) if asked in deeds else (404, {"error": "not found"})
            else:
                status, told = 403, {"errors": ["permission denied"]}
            data = b"" if told is None else json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_GET  # noqa: N815 - the name that the library wants

        def log_message(self, *args: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{http.server_address[1]}"
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        http.shutdown()
        http.server_close()


def _url(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
