"""NetSuite's SuiteTalk (SOAP), as its documentation describes it, with the part of its WSDL that is asked for."""

from __future__ import annotations

import base64
import datetime as dt
import hmac
from pathlib import Path
from typing import Any, ClassVar

from lxml import etree

from tests.presets.server import Asked, Refused, Reply, Row, Vendor, route

V = "2025_2.platform.webservices.netsuite.com"
MSGS, CORE, FAULTS = f"urn:messages_{V}", f"urn:core_{V}", f"urn:faults_{V}"
LISTS = "urn:relationships_2025_2.lists.webservices.netsuite.com"
ENV, XSI = "http://schemas.xmlsoap.org/soap/envelope/", "http://www.w3.org/2001/XMLSchema-instance"
T0 = dt.datetime(2025, 3, 1, 8, tzinfo=dt.UTC)
FIELDS = {
    "customer": "entityId companyName email phone url isInactive:boolean subsidiary:ref lastModifiedDate:dateTime",
    "vendor": "entityId companyName email phone isInactive:boolean subsidiary:ref lastModifiedDate:dateTime",
    "contact": "entityId firstName lastName email phone company:ref lastModifiedDate:dateTime",
    "employee": "entityId firstName lastName email phone isInactive:boolean supervisor:ref lastModifiedDate:dateTime",
}
WSDL = Path(__file__).with_name("netsuite.wsdl").read_text("utf-8")


def _fields(kind: str) -> dict[str, str]:
    return {name: t or "string" for name, _, t in (part.partition(":") for part in FIELDS[kind].split())}


class NetSuite(Vendor):
    preset = "netsuite"
    answers = {
        "account": "1234567",
        "realm": "1234567",
        "consumer_key": "ck",
        "token_id": "tk",
        "secrets": "consumer-secret&token-secret",
    }
    hosts = {"webservices.netsuite.com", "1234567.suitetalk.api.netsuite.com"}
    static = True
    delay = 0.5
    samples = {
        "customers": ({"companyName": "新客户", "subsidiary": "1"}, {"email": "a@example.com"}),
        "vendors": ({"companyName": "New", "isInactive": False}, {"phone": "1"}),
        "contacts": ({"firstName": "Ann", "lastName": "Li", "company": "7"}, {"email": "a@example.com"}),
        "employees": ({"firstName": "Ann", "lastName": "Li"}, {"supervisor": "3"}),
    }
    bad = {"customers": {"email": "x@example.com"}}
    words = "Please enter value(s) for: Company Name"
    truth = {
        "customers": {"internalId": "7", "companyName": "N7", "subsidiary": "1", "isInactive": False, "phone": None}
    }
    since = {f"{kind}s": T0 + dt.timedelta(minutes=200) for kind in FIELDS}
    kinds: ClassVar[dict[str, str]] = {f"{kind}s": kind for kind in FIELDS}

    def records(self) -> dict[str, dict[str, Row]]:
        self._searches: dict[str, list[Row]] = {}
        return {f"{kind}s": {str(n): self._record(kind, n) for n in range(1, 241)} for kind in FIELDS}

    def _record(self, kind: str, n: int) -> Row:
        moment = (T0 + dt.timedelta(minutes=n)).isoformat(timespec="milliseconds")
        known = {"entityId": f"E{n}", "companyName": f"N{n}", "lastName": f"L{n}", "isInactive": "false",
                 "subsidiary": "1", "lastModifiedDate": moment, "email": f"e{n}@example.com"}  # fmt: skip
        return {"internalId": str(n), **{name: known[name] for name in _fields(kind) if name in known}}

    def authorized(self, asked: Asked) -> bool:
        if self.token == "revoked":
            return False
        passport: Any = etree.fromstring(asked.body).find(f"{{{ENV}}}Header/{{{MSGS}}}tokenPassport")
        if passport is None:
            return False
        told = {etree.QName(part).localname: part.text or "" for part in passport}
        assert passport.find(f"{{{CORE}}}signature").get("algorithm") == "HMAC-SHA256"
        text = "&".join(told[name] for name in ("account", "consumerKey", "token", "nonce", "timestamp"))
        wanted = base64.b64encode(hmac.digest(b"consumer-secret&token-secret", text.encode(), "sha256")).decode()
        fresh = told["nonce"] not in self._nonces
        self._nonces.add(told["nonce"])
        return fresh and told["signature"] == wanted and told["account"] == "1234567"

    def __init__(self, url: str) -> None:
        self._nonces: set[str] = set()
        super().__init__(url)

    def expire(self) -> None:
        self.token = "revoked"

    def _fault(self, name: str, code: str, message: str) -> Reply:
        detail = f'<f:{name} xmlns:f="{FAULTS}"><f:code>{code}</f:code><f:message>{message}</f:message></f:{name}>'
        fault = f"<faultcode>soapenv:Server.userException</faultcode><faultstring>{message}</faultstring>"
        fault += f"<detail>{detail}</detail>"
        return self._envelope(f"<soapenv:Fault>{fault}</soapenv:Fault>", 500)

    def _envelope(self, body: str, status: int = 200) -> Reply:
        text = f'<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope xmlns:soapenv="{ENV}" xmlns:m="{MSGS}"'
        text += f' xmlns:xsi="{XSI}" xmlns:c="{CORE}" xmlns:l="{LISTS}"><soapenv:Body>{body}</soapenv:Body>'
        text += "</soapenv:Envelope>"
        return Reply(text, status, kind="text/xml; charset=utf-8")

    def unauthorized(self) -> Reply:
        return self._fault("invalidCredentialsFault", "INVALID_LOGIN_ATTEMPT", "Invalid login attempt.")

    def too_many(self) -> Reply:
        said = "The maximum number of concurrent requests has been exceeded"
        return self._fault("exceededConcurrentRequestLimitFault", "WS_CONCUR_SESSION_DISALLWD", said)

    def wrong(self, message: str, status: int = 400) -> Refused:
        return Refused(
            self._fault("unexpectedErrorFault", "USER_ERROR", message.replace("<", ""))
            if status < 404
            else Reply(message, status)
        )

    @route("GET", "/wsdl/v2025_2_0/netsuite.wsdl", public=True)
    def wsdl(self, asked: Asked) -> Reply:
        self.only(asked.query)
        return Reply(WSDL.replace("ADDRESS", f"{self.url}/services/NetSuitePort_2025_2"), kind="text/xml")

    @route("POST", "/services/NetSuitePort_2025_2", kind="text/xml")
    def call(self, asked: Asked) -> Reply:
        whole: Any = etree.fromstring(asked.body).find(f"{{{ENV}}}Body")
        body = whole[0]
        name = etree.QName(body)
        assert name.namespace == MSGS
        assert asked.headers["soapaction"].strip('"') == name.localname
        deeds = {"get": self._get, "add": self._add, "update": self._update, "delete": self._delete,
                 "search": self._search, "searchMoreWithId": self._more}  # fmt: skip
        return self._envelope(f"<m:{name.localname}Response>{deeds[name.localname](body)}</m:{name.localname}Response>")

    def _search(self, body: Any) -> str:
        record = body.find(f"{{{MSGS}}}searchRecord")
        kind = record.get(f"{{{XSI}}}type").rpartition(":")[2].removesuffix("SearchBasic").lower()
        moment = record[0]
        assert (etree.QName(moment).localname, moment.get("operator")) == ("lastModifiedDate", "onOrAfter")
        since = dt.datetime.fromisoformat(moment[0].text)
        self.filtered += since.year > 1970
        rows = [r for r in self.rows[f"{kind}s"].values() if dt.datetime.fromisoformat(r["lastModifiedDate"]) >= since]
        key = f"WEBSERVICES_{len(self._searches)}"
        self._searches[key] = [{"": kind, **row} for row in rows]
        return self._page(key, 1)

    def _more(self, body: Any) -> str:
        return self._page(body.find(f"{{{MSGS}}}searchId").text, int(body.find(f"{{{MSGS}}}pageIndex").text))

    def _page(self, key: str, index: int) -> str:
        rows = self._searches[key]
        found = "".join(map(self._xml, rows[(index - 1) * 100 : index * 100]))
        return (
            f'<c:searchResult><c:status isSuccess="true"/><c:totalRecords>{len(rows)}</c:totalRecords>'
            f"<c:pageSize>100</c:pageSize><c:totalPages>{-(-len(rows) // 100)}</c:totalPages>"
            f"<c:pageIndex>{index}</c:pageIndex><c:searchId>{key}</c:searchId>"
            f"<c:recordList>{found}</c:recordList></c:searchResult>"
        )

    def _xml(self, row: Row, tag: str = "c:record") -> str:
        kind = row[""]
        members = "".join(
            f'<l:{n} internalId="{row[n]}"><c:name>X</c:name></l:{n}>' if t == "ref" else f"<l:{n}>{row[n]}</l:{n}>"
            for n, t in _fields(kind).items() if row.get(n)
        )  # fmt: skip
        return f'<{tag} xsi:type="l:{kind.title()}" internalId="{row["internalId"]}">{members}</{tag}>'

    def _ref(self, body: Any) -> tuple[str, str]:
        ref = body.find(f"{{{MSGS}}}baseRef")
        assert ref.get(f"{{{XSI}}}type").endswith("RecordRef")
        return f"{ref.get('type')}s", ref.get("internalId")

    def _get(self, body: Any) -> str:
        name, key = self._ref(body)
        if key not in self.rows[name]:
            return f"<m:readResponse>{self._failed('RCRD_DSNT_EXIST', 'That record does not exist.')}</m:readResponse>"
        row = {"": self.kinds[name], **self.rows[name][key]}
        return f'<m:readResponse><c:status isSuccess="true"/>{self._xml(row, "m:record")}</m:readResponse>'

    def _failed(self, code: str, message: str) -> str:
        detail = f"<c:statusDetail><c:code>{code}</c:code><c:message>{message}</c:message></c:statusDetail>"
        return f'<c:status isSuccess="false">{detail}</c:status>'

    def _written(self, key: str) -> str:
        ref = f'<m:baseRef xsi:type="c:RecordRef" internalId="{key}"/>'
        return f'<m:writeResponse><c:status isSuccess="true"/>{ref}</m:writeResponse>'

    def _sent(self, body: Any) -> tuple[str, Row]:
        record = body.find(f"{{{MSGS}}}record")
        kind = record.get(f"{{{XSI}}}type").rpartition(":")[2].lower()
        values: Row = {"internalId": record.get("internalId")}
        for part in record:
            assert etree.QName(part).namespace == LISTS
            name = etree.QName(part).localname
            values[name] = part.get("internalId") if _fields(kind)[name] == "ref" else part.text
        assert "lastModifiedDate" not in values
        return kind, values

    def _add(self, body: Any) -> str:
        kind, values = self._sent(body)
        needed = "companyName" if "companyName" in _fields(kind) else "lastName"
        if not values.get(needed):
            failed = self._failed("USER_ERROR", "Please enter value(s) for: Company Name")
            return f"<m:writeResponse>{failed}</m:writeResponse>"
        key = str(len(self.rows[f"{kind}s"]) + 1)
        self.rows[f"{kind}s"][key] = {**self._record(kind, int(key)), **values, "internalId": key}
        return self._written(key)

    def _update(self, body: Any) -> str:
        kind, values = self._sent(body)
        self.rows[f"{kind}s"][values["internalId"]].update(values)
        return self._written(values["internalId"])

    def _delete(self, body: Any) -> str:
        name, key = self._ref(body)
        del self.rows[name][key]
        return self._written(key)
