"""Stripe's API, as its documentation describes it: keyset paging, form-encoded writes, idempotency keys."""

from __future__ import annotations

import re
from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

FORM = "application/x-www-form-urlencoded"
SINGLE = {"customers": "customer", "products": "product", "prices": "price", "invoices": "invoice",
          "subscriptions": "subscription"}  # fmt: skip
WRITABLE = {"customers": {"name", "email", "phone", "description", "address", "metadata", "balance"},
            "products": {"name", "description", "active", "metadata"}}  # fmt: skip


class Stripe(Vendor):
    preset = "stripe"
    answers = {"api_key": "sk_test_secret"}
    hosts = {"api.stripe.com"}
    static = True
    samples = {
        "customers": (
            {"name": "Ann Li", "email": "ann@example.com", "metadata": '{"erp":"17"}', "address": '{"city":"苏州"}'},
            {"name": "Ann Wu"},
        ),
        "products": ({"name": "Lamp", "active": True}, {"active": False}),
    }
    bad = {"customers": {"email": "nobody"}}
    words = "Invalid email address: nobody"
    truth = {
        "customers": {"id": "cus_0007", "email": "c7@example.com", "balance": 0, "metadata": '{"erp":"7"}'},
        "prices": {"id": "pri_0007", "product": "pro_0001", "unit_amount": 700},
    }

    def records(self) -> dict[str, dict[str, Row]]:
        self._repeated: dict[str, Reply] = {}
        self._gone: set[str] = set()
        made: dict[str, dict[str, Row]] = {}
        for name, single in SINGLE.items():
            keys = [f"{single[:3]}_{n:04d}" for n in range(230, 0, -1)]
            made[name] = {key: self._record(name, key, int(key[-4:])) for key in keys}
        return made

    def _record(self, name: str, key: str, n: int) -> Row:
        own: dict[str, Row] = {
            "customers": {"name": f"C{n}", "email": f"c{n}@example.com", "phone": None, "description": None,
                          "balance": 0, "address": None, "currency": "eur", "metadata": {"erp": str(n)}},
            "products": {"name": f"P{n}", "description": None, "active": True, "metadata": {}},
            "prices": {"product": "pro_0001", "currency": "eur", "unit_amount": n * 100, "active": True},
            "invoices": {"number": f"N{n}", "customer": "cus_0001", "status": "paid", "currency": "eur", "total": n},
            "subscriptions": {"customer": "cus_0001", "status": "canceled", "items": {"object": "list", "data": []}},
        }  # fmt: skip
        return {"id": key, "object": SINGLE[name], "created": 1741000000 + n, "livemode": False, **own[name]}

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == "Bearer sk_test_secret" and self.token != "revoked"

    def expire(self) -> None:
        self.token = "revoked"

    def _error(self, status: int, message: str, **more: Any) -> Reply:
        return Reply({"error": {"message": message, "type": "invalid_request_error", **more}}, status)

    def unauthorized(self) -> Reply:
        return self._error(401, "Invalid API Key provided: sk_test_****cret")

    def too_many(self) -> Reply:
        return self._error(429, "Request rate limit exceeded.", code="rate_limit")

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, f"Received {message}", code="parameter_unknown"))

    @route("GET", "/v1/{name}")
    def list(self, asked: Asked, name: str) -> Reply:
        self.only(
            asked.query, "limit", "starting_after", "ending_before", *(["status"] if name == "subscriptions" else [])
        )
        assert asked.headers["stripe-version"] == "2025-06-30.basil"
        if name == "subscriptions" and asked.query.get("status") != "all":
            raise self.wrong("no status: canceled ones would be missing")
        limit = int(asked.query.get("limit", "10"))
        if not 1 <= limit <= 100:
            raise self.wrong("a limit that is not between 1 and 100")
        rows = list(self.rows[name].values())
        after = asked.query.get("starting_after")
        if after:
            rows = rows[[r["id"] for r in rows].index(after) + 1 :]
        return Reply({"object": "list", "url": f"/v1/{name}", "has_more": len(rows) > limit, "data": rows[:limit]})

    @route("GET", "/v1/{name}/{key}")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query, "expand[]")
        if key in self._gone:
            return Reply({"id": key, "object": SINGLE[name], "deleted": True})
        return Reply(self.there(name, key))

    @route("POST", "/v1/{name}", kind=FORM)
    def create(self, asked: Asked, name: str) -> Reply:
        repeated = asked.headers["idempotency-key"]
        if repeated not in self._repeated:
            values = self._values(asked, name)
            key = f"{SINGLE[name][:3]}_{len(self.rows[name]) + 1:04d}"
            self.rows[name] = {key: {**self._record(name, key, 999), **values}, **self.rows[name]}
            self._repeated[repeated] = Reply(self.rows[name][key])
        return self._repeated[repeated]

    @route("POST", "/v1/{name}/{key}", kind=FORM)
    def update(self, asked: Asked, name: str, key: str) -> Reply:
        record = self.there(name, key)
        record.update(self._values(asked, name))
        return Reply(record)

    @route("DELETE", "/v1/{name}/{key}")
    def remove(self, asked: Asked, name: str, key: str) -> Reply:
        del asked
        record = self.there(name, key)
        del self.rows[name][key]
        self._gone.add(key)
        return Reply({"id": key, "object": record["object"], "deleted": True})

    def _values(self, asked: Asked, name: str) -> Row:
        values: Row = {}
        for field, text in asked.form().items():
            found = re.fullmatch(r"(\w+)(?:\[(\w+)\])?", field)
            if not found or found[1] not in WRITABLE[name]:
                raise self._unknown(field)
            if found[2]:
                values.setdefault(found[1], {})[found[2]] = text
            else:
                values[field] = {"true": True, "false": False}.get(text, text) if field == "active" else text
        if "@" not in values.get("email", "@"):
            raise Refused(
                self._error(400, f"Invalid email address: {values['email']}", param="email", code="email_invalid")
            )
        return values

    def _unknown(self, field: str) -> Refused:
        return Refused(self._error(400, f"Received unknown parameter: {field}", param=field, code="parameter_unknown"))

    def no_such(self, name: str, key: str) -> Refused:
        return Refused(self._error(404, f"No such {SINGLE[name]}: '{key}'", code="resource_missing", param="id"))
