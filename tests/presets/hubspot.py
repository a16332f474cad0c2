"""HubSpot's CRM objects, as its documentation describes them."""

from __future__ import annotations

import datetime as dt
from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

OBJECTS = ("contacts", "companies", "deals")
CHANGED = {"contacts": "lastmodifieddate", "companies": "hs_lastmodifieddate", "deals": "hs_lastmodifieddate"}
T0 = dt.datetime(2025, 3, 1, 8, 0, 0, 250000, tzinfo=dt.UTC)


def _iso(moment: dt.datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _record(key: int, properties: Row, moment: dt.datetime) -> Row:
    stamps = {"hs_object_id": str(key), "createdate": _iso(T0)}
    return {
        "id": str(key),
        "properties": {**stamps, **properties},
        "createdAt": _iso(T0),
        "updatedAt": _iso(moment),
        "archived": False,
    }


class HubSpot(Vendor):
    preset = "hubspot"
    answers = {"token": "pat-na1-secret"}
    hosts = {"api.hubapi.com"}
    static = True
    samples = {
        "contacts": ({"email": "new@example.com", "firstname": "Ann", "city": "苏州"}, {"firstname": "Anna"}),
        "companies": ({"name": "New Ltd", "numberofemployees": 12}, {"name": "Newer Ltd"}),
        "deals": ({"dealname": "Big", "amount": "1234.50"}, {"dealname": "Bigger"}),
    }
    bad = {"contacts": {"email": "nobody"}}
    words = "Email address nobody is invalid"
    truth = {
        "contacts": {"id": 9, "email": "p9@example.com", "associatedcompanyid": 1, "lifecyclestage": None},
        "deals": {"id": 9, "amount": "90.50"},
    }
    since = {name: T0 + dt.timedelta(minutes=200) for name in OBJECTS}

    def records(self) -> dict[str, dict[str, Row]]:
        made: dict[str, dict[str, Row]] = {name: {} for name in OBJECTS}
        for key in range(1, 251):
            moment = T0 + dt.timedelta(minutes=key)
            own = {
                "contacts": {"email": f"p{key}@example.com", "firstname": f"P{key}", "associatedcompanyid": "1"},
                "companies": {"name": f"C{key}", "numberofemployees": str(key)},
                "deals": {"dealname": f"D{key}", "amount": f"{key}0.50", "closedate": "2025-06-01T00:00:00Z"},
            }
            for name in OBJECTS:
                made[name][str(key)] = _record(key, own[name], moment)
        return made

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == "Bearer pat-na1-secret" and self.token != "revoked"

    def expire(self) -> None:
        self.token = "revoked"

    def _error(self, status: int, message: str, category: str, **more: Any) -> Reply:
        body = {"status": "error", "message": message, "correlationId": "aeb5f871", "category": category, **more}
        return Reply(body, status)

    def unauthorized(self) -> Reply:
        return self._error(401, "Authentication credentials not found.", "INVALID_AUTHENTICATION")

    def too_many(self) -> Reply:
        limit = {"errorType": "RATE_LIMIT", "policyName": "SECONDLY"}
        return self._error(429, "You have reached your secondly limit.", "RATE_LIMITS", **limit)

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, message, "VALIDATION_ERROR"))

    @route("POST", "/crm/objects/2026-03/{kind}/search")
    def search(self, asked: Asked, kind: str) -> Reply:
        body = asked.json()
        self.only(asked.query)
        self.only(body, "filterGroups", "sorts", "properties", "limit", "after", "query")
        limit = body.get("limit", 10)
        if not isinstance(limit, int) or not 1 <= limit <= 200:
            raise self.wrong("limit must be at most 200")
        found = [r for r in self.rows[kind].values() if any(self._meets(kind, r, g) for g in body["filterGroups"])]
        for sort in body.get("sorts", []):
            assert sort == {"propertyName": "hs_object_id", "direction": "ASCENDING"}
            found.sort(key=lambda r: int(r["id"]))
        page = [self._shown(r, body.get("properties") or []) for r in found[:limit]]
        answer: Row = {"total": len(found), "results": page}
        if len(found) > limit:
            answer["paging"] = {"next": {"after": str(limit)}}
        return Reply(answer)

    def _meets(self, kind: str, record: Row, group: Row) -> bool:
        return all(self._met(kind, record, f) for f in group["filters"])

    def _met(self, kind: str, record: Row, wanted: Row) -> bool:
        name, operator, value = wanted["propertyName"], wanted["operator"], wanted["value"]
        if not isinstance(value, str):
            raise self.wrong("filter values are texts")
        if name == "hs_object_id":
            assert operator == "GT"
            return int(record["id"]) > int(value)
        if name == CHANGED[kind]:
            assert operator == "GTE"
            self.filtered += int(value) > 0
            moment = dt.datetime.fromisoformat(record["updatedAt"])
            return int(moment.timestamp() * 1000) >= int(value)
        if name == "email" and operator == "EQ":
            return bool(record["properties"].get("email") == value)
        raise self.wrong(f"There was a problem with the request: {name} {operator}")

    def _shown(self, record: Row, properties: list[str]) -> Row:
        inner = {
            name: record["properties"].get(name) for name in properties if name not in ("id", "createdAt", "updatedAt")
        }
        return {**record, "properties": {"hs_object_id": record["id"], **inner}}

    @route("GET", "/crm/objects/2026-03/{kind}/{key}")
    def show(self, asked: Asked, kind: str, key: str) -> Reply:
        self.only(asked.query, "properties", "associations", "archived", "idProperty")
        return Reply(self._shown(self.there(kind, key), asked.query["properties"].split(",")))

    @route("POST", "/crm/objects/2026-03/{kind}")
    def create(self, asked: Asked, kind: str) -> Reply:
        properties = self._properties(asked)
        if any(r["properties"].get("email") == properties.get("email", "-") for r in self.rows[kind].values()):
            raise Refused(self._error(409, "Contact already exists. Existing ID: 1", "CONFLICT"))
        key = max(map(int, self.rows[kind])) + 1
        self.rows[kind][str(key)] = _record(key, properties, T0 + dt.timedelta(days=1))
        return Reply(self.rows[kind][str(key)], 201)

    @route("PATCH", "/crm/objects/2026-03/{kind}/{key}")
    def update(self, asked: Asked, kind: str, key: str) -> Reply:
        record = self.there(kind, key)
        record["properties"].update(self._properties(asked))
        return Reply(record)

    @route("DELETE", "/crm/objects/2026-03/{kind}/{key}")
    def archive(self, asked: Asked, kind: str, key: str) -> Reply:
        del asked
        self.rows[kind].pop(key, None)
        return Reply(None, 204)

    def _properties(self, asked: Asked) -> Row:
        body = asked.json()
        self.only(body, "properties", "associations")
        properties: Row = body["properties"]
        for name in ("hs_object_id", "id", "createdAt", "updatedAt", "associatedcompanyid"):
            if name in properties:
                raise self.wrong(f'"{name}" is a read only property; its value cannot be set.')
        if "@" not in properties.get("email", "@"):
            raise self.wrong(f"Property values were not valid: Email address {properties['email']} is invalid")
        return properties

    def no_such(self, kind: str, key: str) -> Refused:
        return Refused(Reply({"status": "error", "message": "resource not found", "correlationId": "x"}, 404))
