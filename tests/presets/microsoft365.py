"""Microsoft Graph and Entra's token service, as their documentation describes them."""

from __future__ import annotations

from tests.delta_links import GoneError
from tests.presets.server import Asked, Refused, Reply, Row, route
from tests.presets.server_entra import Entra

FIELDS = {
    "users": "userPrincipalName displayName givenName surname mail mailNickname mobilePhone businessPhones jobTitle "
    "department officeLocation companyName employeeId accountEnabled passwordProfile createdDateTime",
    "groups": "displayName description mail mailEnabled mailNickname securityEnabled groupTypes createdDateTime",
}
READ_ONLY = {"createdDateTime", "id"}
NEEDED = {"users": {"accountEnabled", "displayName", "mailNickname", "userPrincipalName", "passwordProfile"},
          "groups": {"displayName", "mailEnabled", "mailNickname", "securityEnabled"}}  # fmt: skip
SECRET = '{"forceChangePasswordNextSignIn":true,"password":"s3cret-Pass"}'


class Microsoft365(Entra):
    preset = "microsoft365"
    answers = {"tenant": "acme.onmicrosoft.com", "client_id": "app", "client_secret": "shh"}
    hosts = {"graph.microsoft.com", "login.microsoftonline.com"}
    delay = 5.0
    samples = {
        "users": (
            {"userPrincipalName": "ann@acme.com", "displayName": "Ann", "mailNickname": "ann", "accountEnabled": True,
             "passwordProfile": SECRET},
            {"jobTitle": "CTO", "businessPhones": '["+49 1"]'},
        ),
        "groups": (
            {"displayName": "Sales", "mailEnabled": False, "mailNickname": "sales", "securityEnabled": True},
            {"description": "All of sales"},
        ),
    }  # fmt: skip
    bad = {"users": {"displayName": "Nobody"}}
    words = "A value is required"
    unseen = ("passwordProfile",)
    truth = {"users": {"id": "id-7", "displayName": "User 7", "accountEnabled": True, "businessPhones": "[]"}}

    def records(self) -> dict[str, dict[str, Row]]:
        made: dict[str, dict[str, Row]] = {"users": {}, "groups": {}}
        for name, count in (("users", 1210), ("groups", 30)):
            for n in range(1, count + 1):
                made[name][f"id-{n}"] = self._record(name, n)
        return made

    def _record(self, name: str, n: int) -> Row:
        own = {"displayName": f"User {n}", "userPrincipalName": f"u{n}@acme.com", "accountEnabled": True,
               "groupTypes": [], "mailEnabled": False, "securityEnabled": True, "businessPhones": [],
               "mailNickname": f"u{n}", "createdDateTime": "2024-02-01T08:00:00Z"}  # fmt: skip
        return {"id": f"id-{n}", **{field: own.get(field) for field in FIELDS[name].split()}}

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Reply:
        inner = {"date": "2025-03-01T08:00:00", "request-id": "1", "client-request-id": "1"}
        return Reply({"error": {"code": code, "message": message, "innerError": inner}}, status, headers or {})

    def unauthorized(self) -> Reply:
        return self._error(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")

    def too_many(self) -> Reply:
        return self._error(429, "TooManyRequests", "Please retry again later.", {"Retry-After": "5"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, "Request_BadRequest", message))

    @route("GET", "/v1.0/{name}")
    def listed(self, asked: Asked, name: str) -> Reply:
        self.only(asked.query, "$select", "$top", "$skiptoken")
        top, at = int(asked.query.get("$top", 100)), int(asked.query.get("$skiptoken", "0"))
        if not 1 <= top <= 999:
            raise self.wrong("Invalid page size specified: must be between 1 and 999 inclusive.")
        rows = list(self.rows[name].values())
        fields = asked.query["$select"].split(",")
        answer: Row = {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{name}"}
        if at + top < len(rows):
            chosen = ",".join(fields)
            answer["@odata.nextLink"] = f"{self.url}/v1.0/{name}?$select={chosen}&$top={top}&$skiptoken={at + top}"
        return Reply({**answer, "value": [self._shown(name, row, fields) for row in rows[at : at + top]]})

    @route("GET", "/v1.0/{name}/delta")
    def delta(self, asked: Asked, name: str) -> Reply:
        token = asked.query.get("$deltatoken") or asked.query["$skiptoken"]
        self.only(asked.query, *(("$select", "$deltatoken") if token == "latest" else ("$deltatoken", "$skiptoken")))
        self._shown(name, next(iter(self.rows[name].values())), asked.query.get("$select", "id").split(","))
        deltas = self.deltas[name]
        try:
            told, behind, over = deltas.part(deltas.latest if token == "latest" else token, 2)
        except GoneError:
            raise Refused(self._error(410, "syncStateNotFound", "The delta token is expired.")) from None
        entries: list[Row] = [
            {"id": key, "@removed": {"reason": "changed"}} if gone else {"id": key, "displayName": "only what changed"}
            for key, gone in told
        ]
        link = f"{self.url}/v1.0/{name}/delta?{'$deltatoken' if over else '$skiptoken'}={behind}"
        answer = {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{name}", "value": entries}
        return Reply({**answer, "@odata.deltaLink" if over else "@odata.nextLink": link})

    def _shown(self, name: str, row: Row, fields: list[str]) -> Row:
        unknown = [field for field in fields if field not in row]
        if unknown:
            raise self.wrong(f"Could not find a property named '{unknown[0]}' on type 'microsoft.graph.{name}'.")
        return {field: None if field == "passwordProfile" else row[field] for field in fields}

    @route("GET", "/v1.0/{name}/{key}")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query, "$select")
        return Reply(self._shown(name, self.there(name, key), asked.query["$select"].split(",")))

    @route("POST", "/v1.0/{name}")
    def create(self, asked: Asked, name: str) -> Reply:
        values = self._values(asked, name)
        missing = NEEDED[name] - {field for field, value in values.items() if value is not None}
        if missing:
            raise self.wrong(f"A value is required for property '{min(missing)}' of resource '{name[:-1].title()}'.")
        record = {**self._record(name, 9000), **values}
        self.rows[name][record["id"]] = record
        self.deltas[name].changed([record["id"]])
        return Reply(record, 201)

    @route("PATCH", "/v1.0/{name}/{key}")
    def update(self, asked: Asked, name: str, key: str) -> Reply:
        self.there(name, key).update(self._values(asked, name))
        self.deltas[name].changed([key])
        return Reply(None, 204)

    @route("DELETE", "/v1.0/{name}/{key}")
    def remove(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query)
        self.removed(name, key)
        self.deltas[name].removed([key])
        return Reply(None, 204)

    def _values(self, asked: Asked, name: str) -> Row:
        values: Row = asked.json()
        self.only(values, *(field for field in FIELDS[name].split() if field not in READ_ONLY))
        return values

    def no_such(self, name: str, key: str) -> Refused:
        said = f"Resource '{key}' does not exist or one of its queried reference-property objects are not present."
        return Refused(self._error(404, "Request_ResourceNotFound", said))
