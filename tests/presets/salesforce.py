"""Salesforce's REST API and its token service, as their documentation describes them."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any
from urllib.parse import unquote

from tests.presets.server import Asked, Refused, Reply, Row, route
from tests.presets.server_salesforce import BASE, Jobs, Stream

PREFIX = {"Account": "001", "Contact": "003", "Lead": "00Q", "Opportunity": "006", "User": "005"}
REQUIRED = {"Account": ["Name"], "Contact": ["LastName"], "Lead": ["LastName", "Company"],
            "Opportunity": ["Name", "StageName", "CloseDate"]}  # fmt: skip
READ_ONLY = {"Id", "SystemModstamp", "CreatedDate", "IsConverted", "IsClosed", "IsWon"}
FIELDS = {
    "Account": "Name AccountNumber Type Industry Phone Website BillingStreet BillingCity BillingPostalCode "
    "BillingCountry AnnualRevenue NumberOfEmployees ParentId OwnerId",
    "Contact": "AccountId FirstName LastName Email Phone MobilePhone Title Department Birthdate OwnerId",
    "Lead": "FirstName LastName Company Email Phone Status LeadSource IsConverted OwnerId",
    "Opportunity": "AccountId Name StageName Amount CloseDate Probability IsClosed IsWon OwnerId",
    "User": "Username Name Email IsActive",
}
T0 = dt.datetime(2025, 3, 1, 8, tzinfo=dt.UTC)
QUERY = re.compile(
    r"SELECT ([\w,]+|COUNT\(\)) FROM (\w+)(?: WHERE (?:(\w+) >= (\S+)|(\w+) IN \(([^)]*)\)))?( ORDER BY \w+)?"
)
BATCH = 100


class Salesforce(Jobs, Stream):
    preset = "salesforce"
    captured = True
    key = "Id"
    answers = {"domain": "acme", "client_id": "3MVG9.key", "client_secret": "shh"}
    hosts = {"acme.my.salesforce.com"}
    samples = {
        "Account": ({"Name": "New", "AnnualRevenue": "12.50"}, {"Name": "Newer"}),
        "Contact": ({"LastName": "Li", "FirstName": "雷", "Birthdate": dt.date(1990, 1, 2)}, {"Title": "CTO"}),
        "Lead": ({"LastName": "Wu", "Company": "W"}, {"Status": "Working"}),
        "Opportunity": (
            {"Name": "Deal", "StageName": "Prospecting", "CloseDate": dt.date(2025, 9, 1), "Amount": "10.00"},
            {"Amount": "99.90"},
        ),
    }
    bad = {"Account": {"Phone": "1"}}
    words = "Required fields are missing: [Name]"
    truth = {"Account": {"Id": "001000000000007AAA", "Name": "Account 7", "NumberOfEmployees": 7, "ParentId": None}}
    since = {name: T0 + dt.timedelta(minutes=200) for name in PREFIX}

    def records(self) -> dict[str, dict[str, Row]]:
        made: dict[str, dict[str, Row]] = {name: {} for name in PREFIX}
        for name, rows in made.items():
            for n in range(1, 231):
                rows[self._id(name, n)] = self._record(name, n)
        return made

    def _id(self, name: str, n: int) -> str:
        return f"{PREFIX[name]}{n:012d}AAA"

    def _record(self, name: str, n: int) -> Row:
        moment = (T0 + dt.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        record: Row = {"Id": self._id(name, n), "SystemModstamp": moment, "CreatedDate": moment}
        record |= dict.fromkeys(FIELDS[name].split())
        record |= {"Name": f"{name} {n}", "LastName": f"L{n}", "Company": "C", "StageName": "New",
                   "CloseDate": "2025-12-31", "IsActive": True, "IsConverted": False,
                   "NumberOfEmployees": n}  # fmt: skip
        known = {"Id", "SystemModstamp", "CreatedDate", *FIELDS[name].split()}
        return {field: value for field, value in record.items() if field in known}

    def _error(self, status: int, code: str, message: str) -> Reply:
        return Reply([{"message": message, "errorCode": code}], status)

    def unauthorized(self) -> Reply:
        return self._error(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def too_many(self) -> Reply:
        return self._error(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, "NOT_FOUND" if status == 404 else "MALFORMED_QUERY", message))

    @route("POST", "/services/oauth2/token", public=True, kind="application/x-www-form-urlencoded")
    def sign_in(self, asked: Asked) -> Reply:
        wanted = {"grant_type": "client_credentials", "client_id": "3MVG9.key", "client_secret": "shh"}
        if asked.form() != wanted:
            return Reply({"error": "invalid_client", "error_description": "invalid client credentials"}, 401)
        answer = {
            "access_token": self.issue(),
            "instance_url": "https://acme.my.salesforce.com",
            "token_type": "Bearer",
        }
        return Reply({**answer, "id": "https://login.salesforce.com/id/00D/005", "issued_at": "1741000000000"})

    @route("GET", f"{BASE}/query")
    def query(self, asked: Asked) -> Reply:
        self.only(asked.query, "q")
        fields, rows = self.asked_for(asked.query["q"])
        if fields == ["COUNT()"]:
            return Reply({"totalSize": len(rows), "done": True, "records": []})
        self._cursor = rows
        return self._batch(0)

    def asked_for(self, soql: str) -> tuple[list[str], list[Row]]:
        found = QUERY.fullmatch(soql)
        if not found or found[2] not in self.rows:
            raise self.wrong(f"unexpected token: {soql}")
        fields, name, since, value, among, wanted, _ = found.groups()
        rows = list(self.rows[name].values())
        if since:
            self.filtered += 1
            rows = [row for row in rows if self.later(row[since], value)]
        if among:
            rows = [row for row in rows if self.said(row[among]) in wanted.split(",")]
        shown = [row if fields == "COUNT()" else self._shown(name, row, fields) for row in rows]
        return fields.split(","), sorted(shown, key=lambda row: str(row.get("Id")))

    def later(self, value: Any, since: str) -> bool:
        """Tell whether a value of a row is one of those from another on."""
        moment = dt.datetime.fromisoformat(since)
        assert moment.tzinfo
        return dt.datetime.fromisoformat(value) >= moment

    def said(self, value: Any) -> str:
        """Return how a query names a value of a row."""
        return f"'{value}'"

    def written(self, name: str, operation: str, row: dict[str, str], external: str) -> tuple[str, bool]:
        """Write what a job holds, as a call of the REST API does."""
        plain = {n: None if v == "#N/A" else v for n, v in row.items() if v != ""}
        key = plain.pop(self.key, None) if operation in ("update", "delete") else None
        asked = Asked("POST", "", {}, {}, json.dumps(plain).encode())
        if operation == "delete":
            self.remove(asked, name, str(key))
        elif operation == "update":
            self.update(asked, name, str(key))
        else:
            there = [r[self.key] for r in self.rows[name].values() if external and r[external] == plain[external]]
            if there:
                self.update(asked, name, there[0])
                return str(there[0]), False
            return str(self.create(asked, name).body["id"]), True
        return str(key), False

    @route("GET", f"{BASE}/query/{{locator}}")
    def more(self, asked: Asked, locator: str) -> Reply:
        self.only(asked.query)
        name, _, at = locator.partition("-")
        assert name == "01gRM000001"
        return self._batch(int(at))

    def _batch(self, at: int) -> Reply:
        done = at + BATCH >= len(self._cursor)
        answer: Row = {"totalSize": len(self._cursor), "done": done, "records": self._cursor[at : at + BATCH]}
        if not done:
            answer["nextRecordsUrl"] = f"{BASE}/query/01gRM000001-{at + BATCH}"
        return Reply(answer)

    def _shown(self, name: str, row: Row, fields: str) -> Row:
        unknown = [field for field in fields.split(",") if field not in row]
        if unknown:
            raise Refused(self._error(400, "INVALID_FIELD", f"No such column '{unknown[0]}' on entity '{name}'"))
        own = {"attributes": {"type": name, "url": f"{BASE}/sobjects/{name}/{row.get('Id')}"}}
        return {**own, **{field: row[field] for field in fields.split(",")}}

    @route("GET", f"{BASE}/sobjects/{{name}}/{{key}}")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query, "fields")
        return Reply(self._shown(name, self._there(name, key), asked.query["fields"]))

    @route("POST", f"{BASE}/sobjects/{{name}}")
    def create(self, asked: Asked, name: str) -> Reply:
        values = self._values(name, asked)
        missing = [field for field in REQUIRED[name] if values.get(field) in (None, "")]
        if missing:
            said = f"Required fields are missing: [{', '.join(missing)}]"
            raise Refused(Reply([{"message": said, "errorCode": "REQUIRED_FIELD_MISSING", "fields": missing}], 400))
        record = {**self._record(name, len(self.rows[name]) + 1), **values}
        self.rows[name][record["Id"]] = record
        self.tell(name, "CREATE", record["Id"])
        return Reply({"id": record["Id"], "success": True, "errors": []}, 201)

    @route("PATCH", f"{BASE}/sobjects/{{name}}/{{key}}")
    def update(self, asked: Asked, name: str, key: str) -> Reply:
        self._there(name, key).update(self._values(name, asked))
        self.tell(name, "UPDATE", key)
        return Reply(None, 204)

    @route("DELETE", f"{BASE}/sobjects/{{name}}/{{key}}")
    def remove(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query)
        self._there(name, key)
        del self.rows[name][key]
        self.tell(name, "DELETE", key)
        return Reply(None, 204)

    def _values(self, name: str, asked: Asked) -> Row:
        values: Row = asked.json()
        for field in values:
            if field in READ_ONLY or field not in FIELDS[name].split():
                raise Refused(self._error(400, "INVALID_FIELD_FOR_INSERT_UPDATE", f"Unable to write: {field}"))
        return values

    def _there(self, name: str, key: str) -> Row:
        if unquote(key) not in self.rows[name]:
            raise Refused(self._error(404, "NOT_FOUND", "The requested resource does not exist"))
        return self.rows[name][unquote(key)]
