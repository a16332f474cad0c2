"""ERPNext's REST interface (Frappe), as its documentation describes it."""

from __future__ import annotations

import datetime as dt
import json
from base64 import b64encode
from urllib.parse import unquote

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

T0 = dt.datetime(2025, 3, 1, 8)
OWN: dict[str, Row] = {
    "Customer": {"customer_name": "K", "customer_type": "Company", "customer_group": "All", "territory": "China",
                 "tax_id": None, "default_currency": None, "website": None, "disabled": 0},
    "Supplier": {"supplier_name": "S", "supplier_group": "All", "country": "China", "tax_id": None, "disabled": 0},
    "Item": {"item_code": "I", "item_name": "I", "item_group": "All", "stock_uom": "Nos", "standard_rate": 1.5,
             "description": None, "disabled": 0},
    "Employee": {"first_name": "E", "last_name": None, "company": "A", "department": None, "designation": None,
                 "reports_to": None, "company_email": None, "cell_number": None, "date_of_birth": "1990-01-02",
                 "date_of_joining": "2020-01-02", "gender": "Male", "status": "Active"},
    "Sales Order": {"customer": "Customer-0001", "transaction_date": "2025-03-01", "delivery_date": "2025-04-01",
                    "currency": "CNY", "grand_total": 12.5, "status": "Draft", "docstatus": 0},
}  # fmt: skip
NAMING = {"Customer": "customer_name", "Supplier": "supplier_name", "Item": "item_code"}


class ERPNext(Vendor):
    preset = "erpnext"
    answers = {"url": "https://erp.example.com", "api_key": "key", "api_secret": "secret"}
    hosts = {"erp.example.com"}
    static = True
    samples = {
        "Customer": ({"customer_name": "新客户", "customer_type": "Company"}, {"territory": "Suzhou"}),
        "Supplier": ({"supplier_name": "New S"}, {"country": "Germany"}),
        "Item": ({"item_code": "LAMP/1", "item_group": "All", "standard_rate": "2.500000"}, {"item_name": "Lamp"}),
        "Employee": ({"first_name": "Ann", "date_of_birth": dt.date(1991, 2, 3)}, {"last_name": "Li"}),
    }
    bad = {"Customer": {"customer_name": "Customer-0007"}}
    words = "DuplicateEntryError"
    truth = {
        "Item": {"name": "Item-0007", "standard_rate": "1.500000", "disabled": 0},
        "Employee": {"name": "Employee-0007", "date_of_birth": dt.date(1990, 1, 2), "last_name": None},
    }
    since = {name: T0 + dt.timedelta(minutes=500) for name in OWN}

    def records(self) -> dict[str, dict[str, Row]]:
        return {
            doctype: {f"{doctype}-{n:04d}": self._record(doctype, f"{doctype}-{n:04d}", n) for n in range(1, 611)}
            for doctype in OWN
        }

    def _record(self, doctype: str, name: str, n: int) -> Row:
        stamp = str(T0 + dt.timedelta(minutes=n, microseconds=123456))
        return {"name": name, "creation": stamp, "modified": stamp, "doctype": doctype, **OWN[doctype]}

    def authorized(self, asked: Asked) -> bool:
        wanted = "Basic " + b64encode(b"key:secret").decode()
        return asked.headers.get("authorization") == wanted and self.token != "revoked"

    def expire(self) -> None:
        self.token = "revoked"

    def _error(self, status: int, kind: str, message: str) -> Reply:
        told = json.dumps([json.dumps({"message": message})])
        return Reply(
            {"exception": f"{kind}: {message}", "exc_type": kind.rpartition(".")[2], "_server_messages": told}, status
        )

    def unauthorized(self) -> Reply:
        return self._error(401, "frappe.exceptions.AuthenticationError", "")

    def too_many(self) -> Reply:
        return Reply({"exc_type": "RateLimitExceededError"}, 429, {"Retry-After": "3"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, "frappe.exceptions.ValidationError", message))

    @route("GET", "/api/resource/{doctype}")
    def list(self, asked: Asked, doctype: str) -> Reply:
        self.only(asked.query, "fields", "filters", "order_by", "limit_start", "limit_page_length")
        doctype = unquote(doctype)
        fields, filters = json.loads(asked.query["fields"]), json.loads(asked.query.get("filters", "[]"))
        assert asked.query["order_by"] == "name asc"
        rows = sorted(self.rows[doctype].values(), key=lambda r: r["name"])
        for name, operator, value in filters:
            assert (name, operator) == ("modified", ">=")
            self.filtered += 1
            since = dt.datetime.fromisoformat(value)
            rows = [r for r in rows if dt.datetime.fromisoformat(r["modified"]) >= since]
        at, size = int(asked.query.get("limit_start", 0)), int(asked.query.get("limit_page_length", 20))
        unknown = [
            field for field in fields if field not in OWN[doctype] and field not in ("name", "creation", "modified")
        ]
        if unknown:
            raise Refused(
                self._error(417, "frappe.exceptions.DataError", f"Field not permitted in query: {unknown[0]}")
            )
        return Reply({"data": [{field: row.get(field) for field in fields} for row in rows[at : at + size]]})

    @route("GET", "/api/resource/{doctype}/{name}")
    def show(self, asked: Asked, doctype: str, name: str) -> Reply:
        self.only(asked.query)
        return Reply({"data": self._there(doctype, name)})

    @route("POST", "/api/resource/{doctype}")
    def create(self, asked: Asked, doctype: str) -> Reply:
        values = self._values(asked, doctype)
        name = values.get(NAMING.get(doctype, ""), f"HR-EMP-{len(self.rows[doctype])}")
        if name in self.rows[doctype]:
            raise Refused(self._error(409, "frappe.exceptions.DuplicateEntryError", f"('{doctype}', '{name}')"))
        self.rows[doctype][name] = {**self._record(doctype, name, 999), **values}
        return Reply({"data": self.rows[doctype][name]})

    @route("PUT", "/api/resource/{doctype}/{name}")
    def update(self, asked: Asked, doctype: str, name: str) -> Reply:
        record = self._there(doctype, name)
        record.update(self._values(asked, doctype))
        return Reply({"data": record})

    @route("DELETE", "/api/resource/{doctype}/{name}")
    def remove(self, asked: Asked, doctype: str, name: str) -> Reply:
        self.only(asked.query)
        del self.rows[unquote(doctype)][self._there(doctype, name)["name"]]
        return Reply({"message": "ok"}, 202)

    def _values(self, asked: Asked, doctype: str) -> Row:
        values: Row = asked.json()
        self.only(values, *OWN[unquote(doctype)])
        return values

    def _there(self, doctype: str, name: str) -> Row:
        name = unquote(name)
        if name not in self.rows[unquote(doctype)]:
            raise Refused(self._error(404, "frappe.exceptions.DoesNotExistError", f"{doctype} {name} not found"))
        return self.rows[unquote(doctype)][name]
