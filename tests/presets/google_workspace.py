"""Google's Directory API and its token service, as their documentation describes them."""

from __future__ import annotations

from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

BASE = "/admin/directory/v1"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
PEM = (
    KEY.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    .decode()
    .strip()
)
WRITABLE = {
    "users": {"primaryEmail", "name", "password", "suspended", "orgUnitPath", "phones", "organizations", "externalIds"},
    "groups": {"email", "name", "description"},
}
SCOPE = "https://www.googleapis.com/auth/admin.directory."


class GoogleWorkspace(Vendor):
    preset = "google_workspace"
    answers = {"client_email": "sync@p.iam.gserviceaccount.com", "private_key": PEM, "admin": "admin@example.com"}
    hosts = {"admin.googleapis.com", "oauth2.googleapis.com", "www.googleapis.com"}
    samples = {
        "users": (
            {"primaryEmail": "ann@example.com", "givenName": "Ann", "familyName": "李", "password": "s3cret-pass"},
            {"suspended": True},
        ),
        "groups": ({"email": "sales@example.com", "name": "Sales"}, {"description": "All of sales"}),
    }
    bad = {"users": {"primaryEmail": "u7@example.com", "givenName": "A", "familyName": "B", "password": "s3cret-pass"}}
    words = "Entity already exists."
    unseen = ("password",)
    truth = {"users": {"id": "1007", "primaryEmail": "u7@example.com", "givenName": "U7", "suspended": False}}

    def records(self) -> dict[str, dict[str, Row]]:
        return {
            "users": {str(1000 + n): self._user(n) for n in range(1, 531)},
            "groups": {f"g{n}": {"id": f"g{n}", "email": f"g{n}@example.com", "name": f"G{n}",
                                 "directMembersCount": "3", "kind": "g"} for n in range(1, 211)},
        }  # fmt: skip

    def _user(self, n: int) -> Row:
        return {"kind": "admin#directory#user", "id": str(1000 + n), "primaryEmail": f"u{n}@example.com",
                "name": {"givenName": f"U{n}", "familyName": "L", "fullName": f"U{n} L"}, "suspended": False,
                "orgUnitPath": "/", "isAdmin": False, "creationTime": "2024-02-01T08:00:00.000Z",
                "lastLoginTime": "1970-01-01T00:00:00.000Z"}  # fmt: skip

    def _error(self, status: int, reason: str, message: str) -> Reply:
        each = [{"domain": "global", "reason": reason, "message": message}]
        return Reply({"error": {"code": status, "message": message, "errors": each}}, status)

    def unauthorized(self) -> Reply:
        return self._error(401, "authError", "Request had invalid authentication credentials.")

    def too_many(self) -> Reply:
        return self._error(403, "quotaExceeded", "Quota exceeded for quota metric 'Queries'")

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, "notFound" if status == 404 else "invalid", message))

    @route("POST", "/token", public=True, kind="application/x-www-form-urlencoded")
    def sign_in(self, asked: Asked) -> Reply:
        form = asked.form()
        assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
        options: Any = {"verify_aud": False}
        try:
            claims = jwt.decode(form["assertion"], KEY.public_key(), algorithms=["RS256"], options=options)
        except jwt.PyJWTError as error:
            return Reply({"error": "invalid_grant", "error_description": str(error)}, 400)
        assert claims["aud"].endswith("/token")
        assert claims["scope"].split() == [f"{SCOPE}user", f"{SCOPE}group"] or SCOPE not in claims["scope"]
        assert (claims["iss"], claims["sub"]) == ("sync@p.iam.gserviceaccount.com", "admin@example.com")
        assert claims["exp"] - claims["iat"] <= 3600
        return Reply({"access_token": self.issue(), "expires_in": 3599, "token_type": "Bearer"})

    @route("GET", f"{BASE}/{{name}}")
    def list(self, asked: Asked, name: str) -> Reply:
        self.only(asked.query, "customer", "maxResults", "pageToken", "orderBy", "projection")
        assert asked.query["customer"] == "my_customer"
        size, at = int(asked.query.get("maxResults", 100)), int(asked.query.get("pageToken", "0"))
        if size > {"users": 500, "groups": 200}[name]:
            raise self.wrong("Invalid value for: maxResults")
        rows = list(self.rows[name].values())
        answer: Row = {"kind": f"admin#directory#{name}", name: rows[at : at + size]}
        if at + size < len(rows):
            answer["nextPageToken"] = str(at + size)
        return Reply(answer)

    @route("GET", f"{BASE}/{{name}}/{{key}}")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query, "projection")
        return Reply(self.there(name, key))

    @route("POST", f"{BASE}/{{name}}")
    def create(self, asked: Asked, name: str) -> Reply:
        values = self._values(asked, name)
        mail = "primaryEmail" if name == "users" else "email"
        if any(r[mail] == values[mail] for r in self.rows[name].values()):
            raise Refused(self._error(409, "duplicate", "Entity already exists."))
        if name == "users" and not (values.get("password") and values["name"]["givenName"]):
            raise self.wrong("Invalid Input: password")
        first = self._user(999) if name == "users" else {"id": "g999"}
        self.rows[name][first["id"]] = {**first, **values}
        return Reply(self.rows[name][first["id"]])

    @route("PUT", f"{BASE}/{{name}}/{{key}}")
    def update(self, asked: Asked, name: str, key: str) -> Reply:
        record = self.there(name, key)
        record.update(self._values(asked, name))
        return Reply(record)

    @route("DELETE", f"{BASE}/{{name}}/{{key}}")
    def remove(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query)
        self.removed(name, key)
        return Reply(None, 204)

    def _values(self, asked: Asked, name: str) -> Row:
        values: Row = asked.json()
        self.only(values, *WRITABLE[name])
        return values

    def no_such(self, name: str, key: str) -> Refused:
        return Refused(self._error(404, "notFound", f"Resource Not Found: {name[:-1]}Key"))
