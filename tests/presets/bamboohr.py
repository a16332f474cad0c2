"""BambooHR's API, as its documentation describes it: a custom report is the list, errors are in a header."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

_OWN = "employeeNumber firstName lastName workEmail workPhone mobilePhone jobTitle department division location"
FIELDS = [*_OWN.split(), "supervisorEId", "hireDate", "terminationDate", "status", "lastChanged"]
T0 = dt.datetime(2025, 3, 1, 8, tzinfo=dt.UTC)


class BambooHR(Vendor):
    preset = "bamboohr"
    answers = {"subdomain": "acme", "api_key": "bamboo-key"}
    hosts = {"acme.bamboohr.com"}
    static = True
    delay = 9.0
    samples = {
        "employees": (
            {"firstName": "Ann", "lastName": "李", "hireDate": dt.date(2025, 1, 2), "workEmail": "ann@example.com"},
            {"jobTitle": "CTO"},
        )
    }
    bad = {"employees": {"firstName": "Ann", "lastName": "Li", "workEmail": "e7@example.com"}}
    words = "Duplicate"
    truth = {
        "employees": {
            "id": "7",
            "workEmail": "e7@example.com",
            "hireDate": dt.date(2020, 5, 7),
            "terminationDate": None,
        }
    }
    since = {"employees": T0 + dt.timedelta(minutes=30)}

    def records(self) -> dict[str, dict[str, Row]]:
        return {"employees": {str(n): self._employee(n) for n in range(1, 41)}}

    def _employee(self, n: int) -> Row:
        changed = (T0 + dt.timedelta(minutes=n)).isoformat()
        return {"id": str(n), **dict.fromkeys(FIELDS), "firstName": f"E{n}", "lastName": "L", "status": "Active",
                "workEmail": f"e{n}@example.com", "hireDate": f"2020-05-{n % 28:02d}" if n % 28 else "2020-05-28",
                "supervisorEId": "1", "lastChanged": changed}  # fmt: skip

    def authorized(self, asked: Asked) -> bool:
        given = asked.headers.get("authorization", "")
        return given == "Basic " + b64encode(b"bamboo-key:x").decode() and self.token != "revoked"

    def expire(self) -> None:
        self.token = "revoked"

    def unauthorized(self) -> Reply:
        return Reply(None, 401)

    def too_many(self) -> Reply:
        return Reply(None, 503, {"Retry-After": "9", "X-BambooHR-Error-Message": "Limit Exceeded"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(Reply(None, status, {"X-BambooHR-Error-Message": message}))

    @route("POST", "/api/v1/reports/custom")
    def report(self, asked: Asked) -> Reply:
        assert asked.query == {"format": "JSON", "onlyCurrent": "false"}
        assert asked.headers["content-type"] == "application/json"  # with anything more it is taken for XML
        body = asked.json()
        self.only(body, "title", "filters", "fields")
        self.only(body["filters"], "lastChanged")
        self.only(body["fields"], "id", *FIELDS)
        wanted = body["filters"]["lastChanged"]
        assert set(wanted) == {"includeNull", "value"}
        since = dt.datetime.fromisoformat(wanted["value"])
        self.filtered += since.year > 1970
        rows = [e for e in self.rows["employees"].values() if dt.datetime.fromisoformat(e["lastChanged"]) >= since]
        fields = [{"id": name, "type": "text", "name": name} for name in body["fields"]]
        found = [{name: row[name] for name in ("id", *body["fields"])} for row in rows]
        return Reply({"title": body["title"], "fields": fields, "employees": found})

    @route("GET", "/api/v1/employees/{key}")
    def show(self, asked: Asked, key: str) -> Reply:
        self.only(asked.query, "fields", "onlyCurrent")
        record = self._there(key)
        return Reply({name: record[name] for name in ("id", *asked.query["fields"].split(","))})

    @route("POST", "/api/v1/employees")
    def create(self, asked: Asked) -> Reply:
        values = self._values(asked)
        if any(e["workEmail"] == values.get("workEmail") for e in self.rows["employees"].values()):
            raise self.wrong("Duplicate workEmail", 409)
        key = str(len(self.rows["employees"]) + 1)
        self.rows["employees"][key] = {**self._employee(int(key)), **values}
        return Reply(None, 201, {"Location": f"{self.url}/api/v1/employees/{key}"})

    @route("POST", "/api/v1/employees/{key}")
    def update(self, asked: Asked, key: str) -> Reply:
        self._there(key).update(self._values(asked))
        return Reply(None, 200)

    def _values(self, asked: Asked) -> Row:
        values: Row = asked.json()
        self.only(values, *(name for name in FIELDS if name != "lastChanged"))
        return values

    def _there(self, key: str) -> Row:
        if key not in self.rows["employees"]:
            raise self.wrong("Employee not found", 404)
        return self.rows["employees"][key]
