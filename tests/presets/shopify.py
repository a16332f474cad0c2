"""Shopify's REST Admin API, as its documentation describes it."""

from __future__ import annotations

import datetime as dt

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

BASE = "/admin/api/2026-07"
ONE = {"customers": "customer", "products": "product", "orders": "order"}
T0 = dt.datetime(2025, 3, 1, 8, tzinfo=dt.timezone(dt.timedelta(hours=-5)))
READ_ONLY = {"id", "created_at", "updated_at", "state", "currency"}


class Shopify(Vendor):
    preset = "shopify"
    answers = {"shop": "acme", "app_id": "f00", "app_secret": "shpss_shh"}
    hosts = {"acme.myshopify.com"}
    delay = 2.0
    samples = {
        "customers": ({"email": "new@example.com", "first_name": "Ann", "tax_exempt": True}, {"first_name": "Anna"}),
        "products": ({"title": "Lamp", "vendor": "Acme"}, {"title": "Desk lamp"}),
    }
    bad = {"customers": {"email": "c7@example.com"}}
    words = "has already been taken"
    truth = {"customers": {"id": 9007, "email": "c7@example.com", "tax_exempt": False},
             "orders": {"id": 9007, "total_price": "7.90", "customer": '{"id":9001}'}}  # fmt: skip
    since = {name: T0 + dt.timedelta(minutes=400) for name in ONE}

    def records(self) -> dict[str, dict[str, Row]]:
        made: dict[str, dict[str, Row]] = {name: {} for name in ONE}
        for n in range(1, 521):
            stamps = {
                "id": 9000 + n,
                "created_at": T0.isoformat(),
                "updated_at": (T0 + dt.timedelta(minutes=n)).isoformat(),
            }
            own: dict[str, Row] = {
                "customers": {"email": f"c{n}@example.com", "first_name": f"C{n}", "last_name": "L", "phone": None,
                              "note": None, "tags": "", "tax_exempt": False, "verified_email": True,
                              "state": "enabled", "currency": "EUR"},
                "products": {"title": f"P{n}", "body_html": "<b>x</b>", "vendor": "V", "product_type": "",
                             "status": "active", "handle": f"p{n}", "tags": "",
                             "variants": [{"id": n, "price": "1.00"}]},
                "orders": {"name": f"#{n}", "email": None, "currency": "EUR", "total_price": f"{n}.90",
                           "line_items": [], "financial_status": "paid", "fulfillment_status": None,
                           "customer": {"id": 9001}},
            }  # fmt: skip
            for name, rows in made.items():
                rows[str(9000 + n)] = {**stamps, **own[name]}
        return made

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("x-shopify-access-token") == self.token and bool(self.token)

    @route("POST", "/admin/oauth/access_token", public=True)
    def sign_in(self, asked: Asked) -> Reply:
        wanted = {"grant_type": "client_credentials", "client_id": "f00", "client_secret": "shpss_shh"}
        if asked.json() != wanted:
            return Reply({"error": "invalid_client"}, 401)
        return Reply({"access_token": self.issue(), "scope": "read_customers", "expires_in": 86399})

    def unauthorized(self) -> Reply:
        said = "[API] Invalid API key or access token (unrecognized login or wrong password)"
        return Reply({"errors": said}, 401)

    def too_many(self) -> Reply:
        said = "Exceeded 2 calls per second for api client. Reduce request rates to resume uninterrupted service."
        return Reply({"errors": said}, 429, {"Retry-After": "2.0"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(Reply({"errors": "Not Found" if status == 404 else message}, status))

    @route("GET", f"{BASE}/{{name}}.json")
    def list(self, asked: Asked, name: str) -> Reply:
        query = asked.query
        if "page_info" in query:
            self.only(query, "page_info", "limit", "fields")
            at, since = query["page_info"].split("~")
        else:
            self.only(query, "limit", "fields", "updated_at_min", *(("status",) if name == "orders" else ()))
            at, since = "0", query.get("updated_at_min", "")
        if name == "orders" and "page_info" not in query and query.get("status") != "any":
            raise self.wrong("closed orders would be missing")
        limit = int(query.get("limit", "50"))
        assert 1 <= limit <= 250
        rows = list(self.rows[name].values())
        if since:
            self.filtered += 1
            rows = [r for r in rows if dt.datetime.fromisoformat(r["updated_at"]) >= dt.datetime.fromisoformat(since)]
        page = rows[int(at) : int(at) + limit]
        fields = query["fields"].split(",")
        headers = {}
        if int(at) + limit < len(rows):
            target = f"{self.url}{BASE}/{name}.json?page_info={int(at) + limit}~{since.replace('+', '%2B')}"
            headers["Link"] = f'<{target}&limit={limit}&fields={",".join(fields)}>; rel="next"'
        return Reply({name: [{field: row[field] for field in fields} for row in page]}, headers=headers)

    @route("GET", f"{BASE}/{{name}}/{{key}}.json")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query, "fields")
        return Reply({ONE[name]: self.there(name, key)})

    @route("POST", f"{BASE}/{{name}}.json")
    def create(self, asked: Asked, name: str) -> Reply:
        values = self._values(asked, name)
        if name == "customers" and any(r["email"] == values.get("email") for r in self.rows[name].values()):
            return Reply({"errors": {"email": ["has already been taken"]}}, 422)
        first = next(iter(self.rows[name].values()))
        key = 9001 + len(self.rows[name])
        self.rows[name][str(key)] = {**dict.fromkeys(first), **values, "id": key}
        return Reply({ONE[name]: self.rows[name][str(key)]}, 201)

    @route("PUT", f"{BASE}/{{name}}/{{key}}.json")
    def update(self, asked: Asked, name: str, key: str) -> Reply:
        self.there(name, key).update(self._values(asked, name, key))
        return Reply({ONE[name]: self.rows[name][key]})

    @route("DELETE", f"{BASE}/{{name}}/{{key}}.json")
    def remove(self, asked: Asked, name: str, key: str) -> Reply:
        del asked
        self.removed(name, key)
        return Reply({})

    def _values(self, asked: Asked, name: str, key: str = "") -> Row:
        body = asked.json()
        self.only(body, ONE[name])
        values: Row = dict(body[ONE[name]])
        if str(values.pop("id", key)) != key:
            raise self.wrong("id cannot be set")
        if READ_ONLY & set(values) and not key:
            raise self.wrong(f"unpermitted: {READ_ONLY & set(values)}")
        return {field: value for field, value in values.items() if field not in READ_ONLY}
