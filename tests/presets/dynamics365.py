"""Dynamics 365's Web API (OData 4) and Entra's token service, as their documentation describes them."""

from __future__ import annotations

import datetime as dt
import re

from tests.delta_links import GoneError
from tests.presets.server import Asked, Refused, Reply, Row, route
from tests.presets.server_entra import Entra
from tests.presets.server_odata import ODataVendor

BASE = "/api/data/v9.2"
TYPES = {
    "account": "accountid:Guid name accountnumber telephone1 emailaddress1 websiteurl address1_line1 address1_city "
    "address1_postalcode address1_country revenue:Decimal numberofemployees:Int32 _parentaccountid_value:Guid "
    "_ownerid_value:Guid statecode:Int32 createdon:DateTimeOffset modifiedon:DateTimeOffset",
    "contact": "contactid:Guid firstname lastname emailaddress1 telephone1 mobilephone jobtitle "
    "_parentcustomerid_value:Guid _ownerid_value:Guid modifiedon:DateTimeOffset",
    "lead": "leadid:Guid subject firstname lastname companyname emailaddress1 statuscode:Int32 "
    "modifiedon:DateTimeOffset",
    "opportunity": "opportunityid:Guid name estimatedvalue:Decimal estimatedclosedate:Date closeprobability:Int32 "
    "_parentaccountid_value:Guid _ownerid_value:Guid statecode:Int32 modifiedon:DateTimeOffset",
    "systemuser": "systemuserid:Guid fullname internalemailaddress isdisabled:Boolean modifiedon:DateTimeOffset",
}
SETS = {"accounts": "account", "contacts": "contact", "leads": "lead", "opportunities": "opportunity",
        "systemusers": "systemuser"}  # fmt: skip
COMPUTED = {"createdon", "modifiedon", "_parentaccountid_value", "_ownerid_value", "_parentcustomerid_value"}
T0 = dt.datetime(2025, 3, 1, 8, tzinfo=dt.UTC)


def _properties(kind: str) -> dict[str, str]:
    return {name: t or "String" for name, _, t in (part.partition(":") for part in TYPES[kind].split())}


def _metadata() -> str:
    def one(kind: str) -> str:
        properties = "".join(
            f'<Property Name="{name}" Type="Edm.{t}"{" Scale=" + chr(34) + "2" + chr(34) if t == "Decimal" else ""}'
            + ('><Annotation Term="Org.OData.Core.V1.Computed" Bool="true"/></Property>' if name in COMPUTED else "/>")
            for name, t in _properties(kind).items()
        )
        return f'<EntityType Name="{kind}"><Key><PropertyRef Name="{kind}id"/></Key>{properties}</EntityType>'

    sets = "".join(f'<EntitySet Name="{name}" EntityType="mscrm.{kind}"/>' for name, kind in SETS.items())
    types = "".join(map(one, TYPES))
    space = 'xmlns="http://docs.oasis-open.org/odata/ns/edm"'
    schema = f'<Schema Namespace="Microsoft.Dynamics.CRM" Alias="mscrm" {space}>{types}'
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
        f'<edmx:DataServices>{schema}<EntityContainer Name="System">{sets}</EntityContainer></Schema>'
        "</edmx:DataServices></edmx:Edmx>"
    )


class Dynamics365(Entra, ODataVendor):
    preset = "dynamics365"
    answers = {
        "url": "https://acme.crm4.dynamics.com",
        "tenant": "acme.onmicrosoft.com",
        "client_id": "app",
        "client_secret": "shh",
    }
    hosts = {"acme.crm4.dynamics.com", "login.microsoftonline.com"}
    delay = 3.0
    samples = {
        "accounts": ({"name": "新客户", "revenue": "12.50", "numberofemployees": 3}, {"telephone1": "1"}),
        "contacts": ({"lastname": "Li", "firstname": "雷"}, {"jobtitle": "CTO"}),
        "leads": ({"subject": "S", "lastname": "L"}, {"companyname": "C"}),
        "opportunities": ({"name": "Big", "estimatedclosedate": dt.date(2025, 9, 1)}, {"estimatedvalue": "9.90"}),
    }
    bad = {"accounts": {"telephone1": "x", "name": "y" * 161}}
    words = "exceeded the maximum allowed length"
    truth = {"accounts": {"accountid": "00000000-0000-0000-0000-000000000007", "name": "N7", "revenue": "7.50"}}
    since = {name: T0 + dt.timedelta(minutes=600) for name in SETS}

    def records(self) -> dict[str, dict[str, Row]]:
        made: dict[str, dict[str, Row]] = {}
        for name, kind in SETS.items():
            rows = (self._record(kind, n) for n in range(1, 1211 if name == "accounts" else 701))
            made[name] = {row[f"{kind}id"]: row for row in rows}
        return made

    def _record(self, kind: str, n: int) -> Row:
        moment = (T0 + dt.timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")
        own: Row = dict.fromkeys(_properties(kind))
        known = {"name": f"N{n}", "revenue": n + 0.5, "modifiedon": moment, "createdon": moment, "isdisabled": False}
        own |= {name: value for name, value in known.items() if name in own}
        return {**own, f"{kind}id": f"00000000-0000-0000-0000-{n:012d}"}

    def _error(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Reply:
        return Reply({"error": {"code": code, "message": message}}, status, headers or {})

    def unauthorized(self) -> Reply:
        return Reply("HTTP Error 401 - Unauthorized: Access is denied", 401, kind="text/html")

    def too_many(self) -> Reply:
        said = "Number of requests exceeded the limit of 6000 over the time window of 300 seconds."
        return self._error(429, "0x80072322", said, {"Retry-After": "3"})

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(self._error(status, "0x0", message))

    @route("GET", f"{BASE}/$metadata")
    def metadata(self, asked: Asked) -> Reply:
        self.only(asked.query)
        return Reply(_metadata(), kind="application/xml")

    @route("GET", f"{BASE}/{{name}}")
    def listed(self, asked: Asked, name: str) -> Reply:
        if name not in SETS:
            raise self.wrong(f"Resource not found for the segment '{name}'.", 404)
        if "$deltatoken" in asked.query:
            return self._delta(asked, name)
        tracked = "odata.track-changes" in asked.headers.get("prefer", "")
        if tracked:  # with nothing else that chooses
            self.only(asked.query, "$select", "$skiptoken", "$from")
        begun = asked.query.pop("$from", self.deltas[name].latest)
        rows = self.chosen(asked, name, "$count")
        size = int((re.search(r"odata\.maxpagesize=(\d+)", asked.headers.get("prefer", "")) or ["", "5000"])[1])
        at = int(asked.query.get("$skiptoken", "0"))
        if "$top" in asked.query:
            size = min(size, int(asked.query["$top"]))
        page = self.selected(asked, rows[at : at + size], list(_properties(SETS[name])))
        answer: Row = {"@odata.context": f"https://acme.crm4.dynamics.com{BASE}/$metadata#{name}"}
        if asked.query.get("$count") == "true":
            answer["@odata.count"] = len(rows)
        if at + size < len(rows) and "$top" not in asked.query:
            kept = "&".join(f"{n}={asked.query[n]}" for n in ("$select", "$filter") if n in asked.query)
            answer["@odata.nextLink"] = f"{self.url}{BASE}/{name}?{kept}&$skiptoken={at + size}".replace(" ", "%20")
            answer["@odata.nextLink"] += f"&$from={begun}" if tracked else ""
        elif tracked:
            answer["@odata.deltaLink"] = self._later(asked, name, begun)
        return Reply(
            {**answer, "value": page}, headers={"Preference-Applied": "odata.track-changes"} if tracked else {}
        )

    def _delta(self, asked: Asked, name: str) -> Reply:
        self.only(asked.query, "$select", "$deltatoken")
        try:
            told, behind, over = self.deltas[name].part(asked.query["$deltatoken"], 2)
        except GoneError:
            raise Refused(self._error(410, "0x80060891", "The delta token has expired.")) from None
        context = f"https://acme.crm4.dynamics.com{BASE}/$metadata#{name}"
        entries: list[Row] = []
        for key, gone in told:
            if gone:
                entries.append({"@odata.context": f"{context}/$deletedEntity", "id": key, "reason": "deleted"})
            elif key in self.rows[name]:
                entries += self.selected(asked, [self.rows[name][key]], list(_properties(SETS[name])))
        link = {"@odata.deltaLink" if over else "@odata.nextLink": self._later(asked, name, behind)}
        return Reply({"@odata.context": f"{context}/$delta", "value": entries, **link})

    def _later(self, asked: Asked, name: str, token: str) -> str:
        return f"{self.url}{BASE}/{name}?$select={asked.query['$select']}&$deltatoken={token}"

    @route("POST", f"{BASE}/{{name}}")
    def create(self, asked: Asked, name: str) -> Reply:
        values = self._values(asked, name)
        row = {**self._record(SETS[name], len(self.rows[name]) + 1), **values}
        key = row[f"{SETS[name]}id"]
        self.rows[name][key] = row
        self.deltas[name].changed([key])
        if "return=representation" in asked.headers.get("prefer", ""):
            return Reply(row, 201)
        return Reply(None, 204, {"OData-EntityId": f"{self.url}{BASE}/{name}({key})"})

    @route("GET", f"{BASE}/{{name}}({{key}})")
    def show(self, asked: Asked, name: str, key: str) -> Reply:
        return Reply(self.selected(asked, [self.there(name, key)], list(_properties(SETS[name])))[0])

    @route("PATCH", f"{BASE}/{{name}}({{key}})")
    def update(self, asked: Asked, name: str, key: str) -> Reply:
        self.there(name, key).update(self._values(asked, name))
        self.deltas[name].changed([key])
        return Reply(None, 204)

    @route("DELETE", f"{BASE}/{{name}}({{key}})")
    def remove(self, asked: Asked, name: str, key: str) -> Reply:
        self.only(asked.query)
        self.removed(name, key)
        self.deltas[name].removed([key])
        return Reply(None, 204)

    def _values(self, asked: Asked, name: str) -> Row:
        values: Row = asked.json()
        self.only(values, *(n for n in _properties(SETS[name]) if n not in COMPUTED))
        if len(values.get("name") or "") > 160:
            raise self.wrong("The length of the 'name' attribute exceeded the maximum allowed length of '160'.")
        return values

    def no_such(self, name: str, key: str) -> Refused:
        return Refused(self._error(404, "0x80040217", f"{SETS[name]} With Id = {key} Does Not Exist"))
