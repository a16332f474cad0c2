"""SAP S/4HANA's business partner service (OData 2), as its documentation describes it."""

from __future__ import annotations

import datetime as dt
from base64 import b64encode
from typing import Any

from tests.presets.server import Asked, Refused, Reply, Row, route
from tests.presets.server_odata import ODataVendor

BASE = "/sap/opu/odata/sap/API_BUSINESS_PARTNER"
SETS = {
    "A_BusinessPartner": "BusinessPartner BusinessPartnerCategory BusinessPartnerFullName OrganizationBPName1 "
    "FirstName LastName SearchTerm1 BusinessPartnerIsBlocked:Boolean CreationDate:DateTime LastChangeDate:DateTime",
    "A_Customer": "Customer CustomerName CustomerAccountGroup OrderIsBlockedForCustomer TaxNumber1",
    "A_Supplier": "Supplier SupplierName SupplierAccountGroup PurchasingIsBlocked:Boolean",
}
READ_ONLY = {"BusinessPartnerFullName", "CreationDate", "LastChangeDate", "CustomerName", "CustomerAccountGroup",
             "TaxNumber1", "SupplierName", "SupplierAccountGroup"}  # fmt: skip
_FORMATS = {"DateTime": "Date"}
MS = "http://schemas.microsoft.com/ado"
SAP = "http://www.sap.com/Protocols/SAPData"
T0 = dt.datetime(2025, 3, 1, tzinfo=dt.UTC)


def _properties(name: str) -> dict[str, str]:
    return {p: t or "String" for p, _, t in (part.partition(":") for part in SETS[name].split())}


def _metadata() -> str:
    def one(name: str) -> str:
        properties = "".join(
            f'<Property Name="{p}" Type="Edm.{t}" sap:label="{p}" sap:display-format="{_FORMATS.get(t, "UpperCase")}" '
            f'sap:creatable="{_flag(p not in READ_ONLY)}" sap:updatable="{_flag(p not in READ_ONLY)}"/>'
            for p, t in _properties(name).items()
        )
        key = next(iter(_properties(name)))
        return f'<EntityType Name="{name}Type"><Key><PropertyRef Name="{key}"/></Key>{properties}</EntityType>'

    sets = "".join(
        f'<EntitySet Name="{name}" EntityType="API.{name}Type" sap:creatable="{_flag(name == "A_BusinessPartner")}" '
        'sap:deletable="false" sap:content-version="1"/>'
        for name in SETS
    )
    schema = f'Namespace="API" xmlns="{MS}/2008/09/edm" xmlns:sap="{SAP}"'
    return (
        f'<?xml version="1.0" encoding="utf-8"?><edmx:Edmx Version="1.0" xmlns:edmx="{MS}/2007/06/edmx" '
        f'xmlns:m="{MS}/2007/08/dataservices/metadata"><edmx:DataServices m:DataServiceVersion="2.0"><Schema {schema}>'
        f'{"".join(map(one, SETS))}<EntityContainer Name="C" m:IsDefaultEntityContainer="true">{sets}'
        "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"
    )


def _flag(yes: bool) -> str:
    return "true" if yes else "false"


def _date(moment: dt.datetime) -> str:
    return f"/Date({int(moment.timestamp() * 1000)})/"


class SapS4Hana(ODataVendor):
    preset = "sap_s4hana"
    answers = {"url": "https://my300000-api.s4hana.ondemand.com", "user": "SYNC", "password": "shh", "client": "200"}
    hosts = {"my300000-api.s4hana.ondemand.com"}
    static = True
    samples = {
        "A_BusinessPartner": (
            {"BusinessPartner": "17000001", "BusinessPartnerCategory": "2", "OrganizationBPName1": "新公司"},
            {"SearchTerm1": "NEU"},
        ),
        "A_Customer": ({"Customer": "10000001"}, {"OrderIsBlockedForCustomer": "01"}),
        "A_Supplier": ({"Supplier": "10000001"}, {"PurchasingIsBlocked": True}),
    }
    bad = {"A_BusinessPartner": {"BusinessPartner": "17000002", "FirstName": "A"}}
    words = "Enter a category"
    truth = {"A_BusinessPartner": {"BusinessPartner": "10000007", "BusinessPartnerIsBlocked": False}}
    since = {"A_BusinessPartner": T0.date() + dt.timedelta(days=100)}

    def records(self) -> dict[str, dict[str, Row]]:
        return {name: {str(10000000 + n): self._record(name, n) for n in range(1, 211)} for name in SETS}

    def _record(self, name: str, n: int) -> Row:
        own: Row = dict.fromkeys(_properties(name), "")
        own |= {p: False for p, t in _properties(name).items() if t == "Boolean"}
        if name == "A_BusinessPartner":
            own |= {"CreationDate": _date(T0), "LastChangeDate": _date(T0 + dt.timedelta(days=n)), "FirstName": f"F{n}"}
        return {**own, next(iter(own)): str(10000000 + n)}

    def authorized(self, asked: Asked) -> bool:
        wanted = "Basic " + b64encode(b"SYNC:shh").decode()
        return asked.headers.get("authorization") == wanted and self.token != "revoked"

    def expire(self) -> None:
        self.token = "revoked"

    def unauthorized(self) -> Reply:
        return Reply("<html><body>Logon failed</body></html>", 401, {"WWW-Authenticate": "Basic"}, "text/html")

    def too_many(self) -> Reply:
        return Reply("Too many requests", 429, {"Retry-After": "2"}, "text/plain")

    def _error(self, status: int, code: str, message: str) -> Reply:
        return Reply({"error": {"code": code, "message": {"lang": "en", "value": message}, "innererror": {}}}, status)

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, "/IWBEP/CX_MGW_BUSI_EXCEPTION", message))

    def _client(self, asked: Asked) -> None:
        if asked.query.pop("sap-client", "") != "200":
            raise self.wrong("sap-client")

    @route("GET", f"{BASE}/$metadata")
    def metadata(self, asked: Asked) -> Reply:
        self._client(asked)
        return Reply(_metadata(), kind="application/xml")

    @route("GET", BASE)
    @route("GET", f"{BASE}/")
    def root(self, asked: Asked) -> Reply:
        self._client(asked)
        headers = {}
        if asked.headers.get("x-csrf-token", "").lower() == "fetch":
            headers = {"X-CSRF-Token": "csrf-1", "Set-Cookie": "SAP_SESSIONID_S4_200=abc; path=/"}
        return Reply({"d": {"EntitySets": list(SETS)}}, headers=headers)

    @route("GET", f"{BASE}/{{name}}")
    def listed(self, asked: Asked, name: str) -> Reply:
        self._client(asked)
        if name not in SETS:
            raise self.wrong(f"Resource not found for segment '{name}'", 404)
        rows = self.chosen(asked, name, "$inlinecount", "$format")
        at, top = int(asked.query.get("$skip", 0)), int(asked.query.get("$top", len(rows) or 1))
        page = self.selected(asked, rows[at : at + top], list(_properties(name)))
        answer: Row = {"results": [{**self._meta(name, row), **row} for row in page]}
        if asked.query.get("$inlinecount") == "allpages":
            answer["__count"] = str(len(rows))
        return Reply({"d": answer}, headers={"DataServiceVersion": "2.0"})

    def _meta(self, name: str, row: Row) -> dict[str, Any]:
        return {"__metadata": {"id": f"{self.url}{BASE}/{name}", "type": f"API.{name}Type"}}

    @route("GET", f"{BASE}/{{name}}({{key}})")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        self._client(asked)
        return Reply({"d": {**self._meta(name, {}), **self._there(name, key)}})

    @route("POST", f"{BASE}/{{name}}")
    def create(self, asked: Asked, name: str) -> Reply:
        values = self._values(asked, name)
        if name != "A_BusinessPartner":
            raise self.wrong("not creatable", 405)
        if not values.get("BusinessPartnerCategory"):
            raise self.wrong("Enter a category for the business partner")
        key = values.get("BusinessPartner") or "17999999"
        self.rows[name][key] = {**self._record(name, 999), **values, "BusinessPartner": key}
        return Reply({"d": {**self._meta(name, {}), **self.rows[name][key]}}, 201)

    @route("PATCH", f"{BASE}/{{name}}({{key}})")
    @route("MERGE", f"{BASE}/{{name}}({{key}})")
    def update(self, asked: Asked, name: str, key: str) -> Reply:
        values = self._values(asked, name)
        self._there(name, key).update(values)
        return Reply(None, 204)

    def _values(self, asked: Asked, name: str) -> Row:
        self._client(asked)
        if asked.headers.get("x-csrf-token") != "csrf-1" or "SAP_SESSIONID_S4_200=abc" not in asked.headers.get(
            "cookie", ""
        ):
            raise Refused(Reply("CSRF token validation failed", 403, {"X-CSRF-Token": "Required"}, "text/plain"))
        values: Row = asked.json()
        self.only(values, *(p for p in _properties(name) if p not in READ_ONLY))
        return values

    def _there(self, name: str, key: str) -> Row:
        key = key.strip("'")
        if key not in self.rows[name]:
            raise Refused(self._error(404, "/IWBEP/CM_MGW_RT/020", "Resource not found for the given key"))
        return self.rows[name][key]
