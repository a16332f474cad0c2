"""Workday's REST API and its token service, as their documentation describes them."""

from __future__ import annotations

from base64 import b64encode

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

BASE = "/ccx/api/v1/acme"


class Workday(Vendor):
    preset = "workday"
    answers = {
        "host": "wd2-impl-services1.workday.com",
        "tenant": "acme",
        "client_id": "client",
        "client_secret": "shh",
        "refresh_token": "refresh",
    }
    hosts = {"wd2-impl-services1.workday.com"}
    truth = {
        "workers": {
            "id": "w7",
            "descriptor": "Worker 7",
            "organization": "o1",
            "isManager": False,
        },
        "supervisoryOrganizations": {"id": "o7", "descriptor": "Org 7 (Worker 1)", "name": "Org 7", "code": "O7"},
    }

    def records(self) -> dict[str, dict[str, Row]]:
        organizations = {f"o{n}": {"id": f"o{n}", "descriptor": f"Org {n} (Worker 1)", "name": f"Org {n}",
                                    "code": f"O{n}", "manager": {"id": "w1"}, "workers": f"https://x/{n}/workers"}
                         for n in range(1, 8)}  # fmt: skip
        workers: dict[str, Row] = {
            f"w{n}": {"id": f"w{n}", "descriptor": f"Worker {n}", "primaryWorkEmail": f"w{n}@example.com",
                      "businessTitle": "Engineer", "isManager": n == 1, "href": f"https://x/{n}",
                      "primarySupervisoryOrganization": {"id": "o1", "descriptor": "Org 1", "href": "https://x"}}
            for n in range(1, 231)}  # fmt: skip
        return {"workers": workers, "supervisoryOrganizations": organizations}

    def unauthorized(self) -> Reply:
        return Reply({"error": "invalid_token", "error_description": "The access token expired"}, 401)

    def too_many(self) -> Reply:
        return Reply({"error": "Too many requests"}, 429, {"Retry-After": "2"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(Reply({"error": message, "code": "A21"}, status))

    @route("POST", "/ccx/oauth2/acme/token", public=True, kind="application/x-www-form-urlencoded")
    def sign_in(self, asked: Asked) -> Reply:
        basic = "Basic " + b64encode(b"client:shh").decode()
        if asked.headers.get("authorization") != basic or asked.form() != {
            "grant_type": "refresh_token",
            "refresh_token": "refresh",
        }:
            return Reply({"error": "invalid_client"}, 401)
        return Reply({"access_token": self.issue(), "refresh_token": "refresh", "token_type": "Bearer"})

    @route("GET", f"{BASE}/{{name}}")
    def list(self, asked: Asked, name: str) -> Reply:
        self.only(asked.query, "limit", "offset", "search")
        limit, at = int(asked.query.get("limit", 20)), int(asked.query.get("offset", 0))
        if not 1 <= limit <= 100:
            raise self.wrong("limit is at most 100")
        rows = list(self.rows[name].values())
        return Reply({"total": len(rows), "data": rows[at : at + limit]})

    @route("GET", f"{BASE}/{{name}}/{{key}}")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query)
        if key not in self.rows[name]:
            raise Refused(Reply({"error": f"invalid ID: {key}", "code": "S22"}, 404))
        location = {"location": {"id": "l1", "descriptor": "Suzhou"}} if name == "workers" else {}
        return Reply({**self.rows[name][key], **location})
