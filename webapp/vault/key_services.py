"""Key services: HashiCorp Vault (transit engine), AWS KMS, Google Cloud KMS, Azure Key Vault.

Each follows its service's published HTTP interface. The owner of a data key is bound to it as associated data, where
the service knows such, else by a digest before the key.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Set
from typing import Any

import jwt

from connectors.builtin.files_place_s3 import Signature
from rules.text import msg
from webapp.vault.errors import KeyUnavailable
from webapp.vault.key_service import LOGIN, KeyService, Refused, bytes_of, text_of
from webapp.vault.rsa_keys import bound, unbound

_GOOGLE = "https://cloudkms.googleapis.com"
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloudkms"
_MICROSOFT = "https://login.microsoftonline.com"
_AZURE_SCOPE = "https://vault.azure.net/.default"
_AZURE_VERSION = "7.4"
_VERSION = re.compile(r"v\d+")
"""How versions of Vault are called; other places of keys call theirs otherwise."""


class HashiCorpVault(KeyService):
    """A key of the transit engine: `transit/syncline`; signed in by a token, or by role id and secret id."""

    name = "HashiCorp Vault"

    def newest(self) -> str:
        """Return the latest version."""
        return f"v{int(self._call('GET', 'keys')['data']['latest_version'])}"

    def encrypted(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Encrypt; the ciphertext begins with its version: `vault:v3:...`."""
        asked = {"plaintext": text_of(data_key), "associated_data": text_of(owner)}
        found = str(self._call("POST", "encrypt", asked)["data"]["ciphertext"])
        return found.split(":", 2)[1], found.encode()

    def decrypted(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:  # noqa: ARG002 - it is in there
        """Decrypt."""
        asked = {"ciphertext": wrapped.decode("ascii", "replace"), "associated_data": text_of(owner)}
        try:
            return bytes_of(self._call("POST", "decrypt", asked)["data"]["plaintext"])
        except Refused as error:
            if error.status == 400 and "authentication failed" in error.text:
                return None
            raise

    def renew(self) -> str:
        """Let the engine make a new version."""
        self._asked(lambda: self._call("POST", "keys", {}, "/rotate"))
        return self.current

    def retire(self, keep: Set[str]) -> tuple[str, ...]:
        """Let the engine decrypt no more what versions before all that are needed have encrypted."""
        newest = int(self.current[1:])
        least = min([newest, *(int(one[1:]) for one in keep if _VERSION.fullmatch(one))])
        return self._asked(lambda: self._forgotten(least))

    def _forgotten(self, least: int) -> tuple[str, ...]:
        before = int(self._call("GET", "keys")["data"].get("min_decryption_version", 1))
        if least > before:
            self._call("POST", "keys", {"min_decryption_version": least}, "/config")
        return tuple(f"v{number}" for number in range(before, least))

    def signed_in(self) -> tuple[str, float]:
        """Return the token, or one that the role's ids get."""
        if ":" not in self.place.login:
            return self.login(1, "a token, or role id, a colon, and secret id")[0], float("inf")
        role, secret = self.login(2, "a token, or role id, a colon, and secret id")
        asked = {"role_id": role, "secret_id": secret}
        found = self.ask("POST", f"{self.place.address}/v1/auth/approle/login", json=asked)["auth"]
        return str(found["client_token"]), float(found["lease_duration"])

    def _call(self, method: str, deed: str, body: Any = None, behind: str = "") -> dict[str, Any]:
        mount, _, key = self.place.key.rpartition("/")
        url = f"{self.place.address}/v1/{mount or 'transit'}/{deed}/{key}{behind}"
        return self.ask(method, url, json=body, headers={"X-Vault-Token": self.token()})


class AwsKms(KeyService):
    """A symmetric key: its ARN, or that of an alias; signed in by access key and secret key."""

    name = "AWS KMS"
    own_address = True

    def newest(self) -> str:
        """Return the key that the name leads to; its own rotation is inside of AWS."""
        return str(self._call("DescribeKey", KeyId=self.place.key)["KeyMetadata"]["Arn"])

    def encrypted(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Encrypt."""
        found = self._call("Encrypt", KeyId=self.place.key, Plaintext=text_of(data_key), **_context(owner))
        return str(found["KeyId"]), bytes_of(found["CiphertextBlob"])

    def decrypted(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Decrypt."""
        try:
            found = self._call("Decrypt", KeyId=key_id, CiphertextBlob=text_of(wrapped), **_context(owner))
        except Refused as error:
            if "InvalidCiphertext" in error.text:
                return None
            raise
        return bytes_of(found["Plaintext"])

    def _call(self, deed: str, **asked: Any) -> dict[str, Any]:
        access, secret = self.login(2, "access key id, a colon, and secret access key")
        found = re.match(r"arn:aws[\w-]*:kms:([\w-]+):", self.place.key)
        if found is None:
            raise KeyUnavailable(
                msg("'{key}' is no ARN of a key or an alias of AWS KMS.", key=self.place.key),
                msg("Set {setting} to {form}.", setting="SYNCLINE_KEY_NAME",
                    form="arn:aws:kms:REGION:ACCOUNT:alias/NAME"),
            )  # fmt: skip
        body = json.dumps(asked).encode()
        headers = {
            "X-Amz-Target": f"TrentService.{deed}", "Content-Type": "application/x-amz-json-1.1",
            "X-Amz-Content-SHA256": hashlib.sha256(body).hexdigest(),
        }  # fmt: skip
        auth = Signature(access, secret, found[1], lambda: dt.datetime.now(dt.UTC), "kms")
        url = self.place.address or f"https://kms.{found[1]}.amazonaws.com"
        return self.ask("POST", f"{url}/", content=body, headers=headers, auth=auth)


class GoogleKms(KeyService):
    """A symmetric key: projects/P/locations/L/keyRings/R/cryptoKeys/K; signed in by the JSON of a service account."""

    name = "Google Cloud KMS"
    own_address = True

    def newest(self) -> str:
        """Return the primary version."""
        return _version(self._call("GET")["primary"]["name"])

    def encrypted(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Encrypt."""
        asked = {"plaintext": text_of(data_key), "additionalAuthenticatedData": text_of(owner)}
        found = self._call("POST", ":encrypt", asked)
        return _version(found["name"]), bytes_of(found["ciphertext"])

    def decrypted(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:  # noqa: ARG002 - it is in there
        """Decrypt."""
        asked = {"ciphertext": text_of(wrapped), "additionalAuthenticatedData": text_of(owner)}
        try:
            return bytes_of(self._call("POST", ":decrypt", asked)["plaintext"])
        except Refused as error:
            if error.status == 400 and "INVALID_ARGUMENT" in error.text:
                return None
            raise

    def renew(self) -> str:
        """Make a new version the primary one."""
        made = self._asked(lambda: _version(self._call("POST", "/cryptoKeyVersions", {})["name"]))
        self._asked(lambda: self._call("POST", ":updatePrimaryVersion", {"cryptoKeyVersionId": made}))
        return made

    def signed_in(self) -> tuple[str, float]:
        """Return a token for what the account has signed."""
        try:
            account = json.loads(self.place.login)
            issued = {"iss": account["client_email"], "scope": _GOOGLE_SCOPE, "aud": account["token_uri"]}
            now = int(time.time())
            signed = jwt.encode(issued | {"iat": now, "exp": now + 3600}, account["private_key"], "RS256")
        except (ValueError, TypeError, KeyError):
            raise KeyUnavailable(
                msg("{setting} is not set as {place} needs it.", setting=LOGIN, place=self.name),
                msg("Set it to {form}.", form="the JSON of a service account's key"),
            ) from None
        asked = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
        found = self.ask("POST", account["token_uri"], data=asked)
        return str(found["access_token"]), float(found["expires_in"])

    def _call(self, method: str, behind: str = "", body: Any = None) -> dict[str, Any]:
        url = f"{self.place.address or _GOOGLE}/v1/{self.place.key}{behind}"
        return self.ask(method, url, json=body, headers={"Authorization": f"Bearer {self.token()}"})


class AzureKeyVault(KeyService):
    """An RSA key of a vault; signed in by tenant, client id and client secret of an application."""

    name = "Azure Key Vault"
    authority = _MICROSOFT

    def newest(self) -> str:
        """Return the newest version."""
        return _version(self._call("GET", "")["key"]["kid"])

    def encrypted(self, data_key: bytes, owner: bytes) -> tuple[str, bytes]:
        """Wrap by RSA-OAEP with SHA-256, the owner's digest before the data key."""
        found = self._call("POST", "/wrapkey", {"alg": "RSA-OAEP-256", "value": _url_text(bound(owner) + data_key)})
        return _version(found["kid"]), _url_bytes(found["value"])

    def decrypted(self, key_id: str, wrapped: bytes, owner: bytes) -> bytes | None:
        """Unwrap."""
        try:
            asked = {"alg": "RSA-OAEP-256", "value": _url_text(wrapped)}
            found = self._call("POST", f"/{key_id}/unwrapkey", asked)
        except Refused as error:
            if error.status == 400:
                return None
            raise
        return unbound(_url_bytes(found["value"]), owner)

    def renew(self) -> str:
        """Let the vault make a new version."""
        return self._asked(lambda: _version(self._call("POST", "/rotate", {})["key"]["kid"]))

    def signed_in(self) -> tuple[str, float]:
        """Return a token for the application."""
        tenant, application, secret = self.login(3, "tenant id, application id and client secret, with colons between")
        asked = {
            "grant_type": "client_credentials", "client_id": application, "client_secret": secret,
            "scope": _AZURE_SCOPE,
        }  # fmt: skip
        found = self.ask("POST", f"{self.authority}/{tenant}/oauth2/v2.0/token", data=asked)
        return str(found["access_token"]), float(found["expires_in"])

    def _call(self, method: str, behind: str, body: Any = None) -> dict[str, Any]:
        url = f"{self.place.address}/keys/{self.place.key}{behind}?api-version={_AZURE_VERSION}"
        return self.ask(method, url, json=body, headers={"Authorization": f"Bearer {self.token()}"})


def _context(owner: bytes) -> dict[str, Any]:
    return {"EncryptionContext": {"owner": text_of(owner)}}


def _version(name: Any) -> str:
    return str(name).rpartition("/")[2]


def _url_text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _url_bytes(text: Any) -> bytes:
    return urlsafe_b64decode(str(text) + "=" * (-len(str(text)) % 4))
