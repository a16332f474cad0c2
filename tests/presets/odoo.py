"""Odoo's JSON-RPC interface behind a session, as its documentation describes it: status 200 also for errors."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

OWN: dict[str, Row] = {
    "res.partner": {"name": "P", "is_company": True, "parent_id": False, "email": False, "phone": False,
                    "street": False, "city": False, "zip": False, "vat": False, "ref": False, "active": True},
    "product.template": {"name": "T", "default_code": False, "list_price": 1.5, "standard_price": 1.0,
                         "barcode": False},
    "sale.order": {"name": "S", "partner_id": [1, "P1"], "date_order": "2025-03-01 08:00:00", "amount_total": 9.5,
                   "state": "draft"},
    "hr.employee": {"name": "E", "work_email": False, "work_phone": False, "job_title": False,
                    "department_id": [1, "D"], "parent_id": False},
    "hr.department": {"name": "D", "parent_id": False, "manager_id": False},
}  # fmt: skip
T0 = dt.datetime(2025, 3, 1, 8)
READ_ONLY = {"id", "create_date", "write_date", "active"}


class Odoo(Vendor):
    preset = "odoo"
    answers = {"url": "https://acme.odoo.com", "database": "acme", "login": "sync@example.com", "api_key": "shh"}
    hosts = {"acme.odoo.com"}
    samples = {
        "res.partner": ({"name": "新客户", "parent_id": 3, "is_company": False}, {"email": "a@example.com"}),
        "product.template": ({"name": "Lamp", "list_price": "9.500000"}, {"default_code": "L1"}),
        "hr.employee": ({"name": "Ann", "department_id": 2}, {"job_title": "CTO"}),
        "hr.department": ({"name": "R&D"}, {"parent_id": 1}),
    }
    bad = {"res.partner": {"name": "", "is_company": True}}
    words = "Contacts require a name"
    truth = {
        "res.partner": {"id": 7, "email": None, "is_company": True, "parent_id": None, "active": True},
        "sale.order": {"id": 7, "partner_id": 1, "amount_total": "9.500000", "state": "draft"},
    }
    since = {name: T0 + dt.timedelta(minutes=500) for name in OWN}

    def records(self) -> dict[str, dict[str, Row]]:
        return {model: {str(n): self._record(model, n) for n in range(1, 611)} for model in OWN}

    def _record(self, model: str, n: int) -> Row:
        stamp = str(T0 + dt.timedelta(minutes=n))
        return {"id": n, **OWN[model], "create_date": stamp, "write_date": stamp}

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("cookie") == f"session_id={self.token}" and bool(self.token)

    def _error(self, code: int, name: str, message: str) -> Reply:
        told = "Odoo Session Expired" if code == 100 else "Odoo Server Error"
        data = {"name": name, "message": message, "arguments": [message], "debug": "Traceback", "context": {}}
        return Reply({"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": told, "data": data}})

    def unauthorized(self) -> Reply:
        return self._error(100, "odoo.http.SessionExpiredException", "Session expired")

    def too_many(self) -> Reply:
        return Reply("<html>Too Many Requests</html>", 429, {"Retry-After": "2"}, "text/html")

    def wrong(self, message: str, status: int = 400) -> Refused:
        if status == 404:
            return Refused(Reply("<html>Not Found</html>", 404, kind="text/html"))
        return Refused(self._error(200, "odoo.exceptions.UserError", message))

    @route("POST", "/web/session/authenticate", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        body = asked.json()
        assert body["jsonrpc"] == "2.0"
        if body["params"] != {"db": "acme", "login": "sync@example.com", "password": "shh"}:
            return self._error(200, "odoo.exceptions.AccessDenied", "Access Denied")
        headers = {"Set-Cookie": f"session_id={self.issue()}; Path=/; HttpOnly"}
        return Reply({"jsonrpc": "2.0", "id": None, "result": {"uid": 2, "db": "acme"}}, headers=headers)

    @route("POST", "/web/dataset/call_kw/{model}/{method}")
    def call(self, asked: Asked, model: str, method: str) -> Reply:
        body = asked.json()
        self.only(body, "jsonrpc", "method", "params", "id")
        params = body["params"]
        assert (body["jsonrpc"], body["method"], params["model"], params["method"]) == ("2.0", "call", model, method)
        deeds: dict[str, Callable[..., Any]] = {
            "search_read": self._search,
            "create": self._create,
            "write": self._write,
            "unlink": self._unlink,
        }
        return Reply(
            {"jsonrpc": "2.0", "id": None, "result": deeds[method](model, *params["args"], **params["kwargs"])}
        )

    def _search(
        self, model: str, *, domain: list[Any], fields: list[str], limit: int = 0, order: str = "id"
    ) -> list[Row]:
        assert order == "id"
        found = [row for row in self.rows[model].values() if all(self._meets(row, *part) for part in domain)]
        unknown = [field for field in fields if field not in self._record(model, 0)]
        if unknown:
            raise self.wrong(f"Invalid field '{unknown[0]}' on model '{model}'")
        chosen = sorted(found, key=lambda row: int(row["id"]))[: limit or None]
        return [{"id": row["id"], **{field: row[field] for field in fields}} for row in chosen]

    def _meets(self, row: Row, field: str, operator: str, value: Any) -> bool:
        if field == "write_date":
            moment = dt.datetime.fromisoformat(value)
            assert len(value) == len("1970-01-01 00:00:00")
            self.filtered += moment.year > 1970
            assert operator == ">="
            return dt.datetime.fromisoformat(row["write_date"]) >= moment
        assert field == "id"
        assert isinstance(value, int)
        return bool(row["id"] > value if operator == ">" else row["id"] == value)

    def _create(self, model: str, values: Row) -> int:
        if model == "res.partner" and not values.get("name"):
            raise Refused(self._error(200, "odoo.exceptions.ValidationError", "Contacts require a name"))
        key = len(self.rows[model]) + 1
        self.rows[model][str(key)] = {**self._record(model, key), **self._checked(model, values)}
        return key

    def _write(self, model: str, ids: list[int], vals: Row) -> bool:
        for key in ids:
            self._there(model, key).update(self._checked(model, vals))
        return True

    def _unlink(self, model: str, ids: list[int]) -> bool:
        for key in ids:
            self._there(model, key)
            del self.rows[model][str(key)]
        return True

    def _checked(self, model: str, values: Row) -> Row:
        self.only(values, *(name for name in OWN[model] if name not in READ_ONLY))
        assert all(isinstance(v, int) for name, v in values.items() if name.endswith("_id") and v is not None)
        many = {name: [value, "X"] for name, value in values.items() if name.endswith("_id") and value}
        return {**{name: False if value is None else value for name, value in values.items()}, **many}

    def _there(self, model: str, key: int) -> Row:
        if str(key) not in self.rows[model]:
            said = f"Record does not exist or has been deleted.\n(Record: {model}({key},), User: 2)"
            raise Refused(self._error(200, "odoo.exceptions.MissingError", said))
        return self.rows[model][str(key)]
