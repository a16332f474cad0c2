"""A rebuilt OData service that checks every request against the standard, in version 2 or 4.

It knows what SAP Gateway and Dynamics do and CAP does not: tokens against forged requests, versions that have to be
named, lists that shift or end early, links that name another host. It is neither of them.
"""

from __future__ import annotations

import base64
import datetime as dt
import email
import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import msgspec

from tests.delta_links import DeltaLinks, GoneError

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MS = dt.timedelta(milliseconds=1)
OLD = {
    "integer": "Edm.Int64", "text": "Edm.String", "decimal": "Edm.Decimal", "float": "Edm.Double",
    "boolean": "Edm.Boolean", "date": "Edm.DateTime", "time": "Edm.Time", "datetime": "Edm.DateTimeOffset",
    "local_datetime": "Edm.DateTime", "binary": "Edm.Binary",
}  # fmt: skip
NEW = {**OLD, "date": "Edm.Date", "time": "Edm.TimeOfDay"}
Row = dict[str, Any]


class Refused(Exception):
    """A request that breaks the standard, or a record that is not taken."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Entities:
    """A set: the properties by name with their kinds, the key, the rows."""

    kinds: Mapping[str, str]
    key: tuple[str, ...]
    required: tuple[str, ...] = ()
    rows: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    versions: dict[tuple[Any, ...], int] = field(default_factory=dict)


@dataclass
class Leads:
    """A navigation: its name, the set of what it leads to, whether to many, and what it gives for a row."""

    name: str
    target: str
    many: bool
    give: Callable[[Row], Any]


@dataclass
class ODataService:
    """The service; its members say how it behaves."""

    old: bool
    reply: Callable[..., Any]
    sets: dict[str, Entities]
    extra: str = ""
    token: str = ""
    guarded: bool = False
    counts: bool = True
    page: int = 0
    cap: int = 0
    skips: bool = True
    hosts: str = ""
    before: Callable[[Any], Any] | None = None
    tracks: bool = False
    named: str = "id"
    """How it names what is gone: by id, as in 4.0, or by @removed, as in 4.01."""
    deltas: dict[str, DeltaLinks] = field(default_factory=lambda: defaultdict(DeltaLinks))
    leads: dict[str, list[Leads]] = field(default_factory=dict)
    """What the entities of a set lead to."""

    def __call__(self, request: Any) -> Any:
        if self.before is not None and (found := self.before(request)) is not None:
            return found
        path = unquote(request.path).removeprefix("/svc").lstrip("/")
        try:
            return self._answer(request, path)
        except Refused as error:
            return self._error(error.status, str(error))

    def _error(self, status: int, text: str) -> Any:
        message = {"lang": "en", "value": text} if self.old else text
        return self.reply(status, {"error": {"code": "E", "message": message}})

    def _answer(self, request: Any, path: str) -> Any:
        if path == "$metadata":
            return self.reply(body=self._metadata(), headers={"Content-Type": "application/xml"})
        self._check_headers(request)
        if not path:
            return self.reply(headers={"X-CSRF-Token": self.token, "Set-Cookie": "session=7; path=/"})
        if request.method != "GET" and self.token and request.headers.get("x-csrf-token") != self.token:
            return self.reply(403, {"error": {"message": "forged"}}, {"X-CSRF-Token": "Required"})
        assert request.method == "GET" or not self.token or "session=7" in request.headers["cookie"]
        return self._batch(request) if path == "$batch" else self._one(request.method, path, request)

    def _check_headers(self, request: Any) -> None:
        wanted = "2.0" if self.old else "4.0"
        if request.headers.get("dataserviceversion" if self.old else "odata-version") != wanted:
            raise Refused(400, "no version of the protocol")

    def _metadata(self) -> str:
        kinds = OLD if self.old else NEW
        types, sets = "", ""
        for name, entities in self.sets.items():
            keys = "".join(f'<PropertyRef Name="{k}"/>' for k in entities.key)
            own = "".join(
                f'<Property Name="{n}" Type="{kinds[k]}"'
                + (' Nullable="false"' if n in (*entities.key, *entities.required) else "")
                + (' Precision="20" Scale="4"' if k == "decimal" else "")
                + (' sap:display-format="Date"' if k == "date" and self.old else "")
                + (' ConcurrencyMode="Fixed"' if self.guarded and self.old and n == "title" else "") + "/>"
                for n, k in entities.kinds.items()
            )  # fmt: skip
            own += "".join(self._navigation(name, lead) for lead in self.leads.get(name, ()))
            types += f'<EntityType Name="{name}Type"><Key>{keys}</Key>{own}</EntityType>'
            note = (
                '<Annotation Term="Org.OData.Core.V1.OptimisticConcurrency"/>' if self.guarded and not self.old else ""
            )
            sets += f'<EntitySet Name="{name}" EntityType="own.{name}Type">{note}</EntitySet>'
        space = (
            "http://schemas.microsoft.com/ado/2008/09/edm" if self.old else "http://docs.oasis-open.org/odata/ns/edm"
        )
        edmx = (
            "http://schemas.microsoft.com/ado/2007/06/edmx" if self.old else "http://docs.oasis-open.org/odata/ns/edmx"
        )
        return (
            f'<edmx:Edmx Version="{"1.0" if self.old else "4.0"}" xmlns:edmx="{edmx}" xmlns:sap="http://www.sap.com/Protocols/SAPData">'
            f'<edmx:DataServices><Schema Namespace="own" xmlns="{space}">{types}{self.extra}'
            f'<EntityContainer Name="C">{sets}</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>'
        )

    def _navigation(self, name: str, lead: Leads) -> str:
        target = f"own.{lead.target}Type"
        if not self.old:
            kind = f"Collection({target})" if lead.many else target
            return f'<NavigationProperty Name="{lead.name}" Type="{kind}"/>'
        relation = f"{name}{lead.name}"
        self.extra += (
            f'<Association Name="{relation}"><End Role="from" Type="own.{name}Type" Multiplicity="*"/>'
            f'<End Role="to" Type="{target}" Multiplicity="{"*" if lead.many else "0..1"}"/></Association>'
        )
        return f'<NavigationProperty Name="{lead.name}" Relationship="own.{relation}" FromRole="from" ToRole="to"/>'

    def _one(self, method: str, path: str, request: Any) -> Any:
        found = re.fullmatch(r"(\w+)(?:\((.*)\))?", path)
        if found is None or found[1] not in self.sets:
            raise Refused(404, f"no {path}")
        entities = self.sets[found[1]]
        if found[2] is None:
            return {"GET": self._list, "POST": self._create}[method](found[1], entities, request)
        key = self._key(entities, found[2])
        upsert = {"PATCH", "MERGE"} & {method}
        if upsert and method != ("MERGE" if self.old else "PATCH"):
            raise Refused(405, "no such method")
        if key not in entities.rows:
            if upsert and not self.old and "if-match" not in request.headers:
                raise AssertionError("this update would have created a record")
            raise Refused(412 if request.headers.get("if-match") else 404, "no such record")
        return {"GET": self._show, "DELETE": self._delete}.get(method, self._update)(entities, key, request)

    def _list(self, name: str, entities: Entities, request: Any) -> Any:
        query = {k: v[0] for k, v in request.query.items()}
        prefer = request.headers.get("prefer", "")
        if "$deltatoken" in query:
            return self._delta(name, entities, query)
        tracked = self._checked(name, query, prefer)
        rows = [r for r in entities.rows.values() if self._meets(entities, r, query.get("$filter", ""))]
        total = len(rows)
        for part in reversed(query.get("$orderby", "").split(",")):
            if part:
                rows.sort(key=operator.itemgetter(part.removesuffix(" asc")))
        start = int(query.get("$skiptoken", 0)) or (int(query.get("$skip", 0)) if self.skips else 0)
        size = min(int(query.get("$top", 10**9)), self.cap or 10**9)
        wanted = re.search(r"odata.maxpagesize=(\d+)", prefer)
        page = self.page or (int(wanted[1]) if wanted and not self.old else 0)
        part = rows[start : start + min(size, page or size)]
        shown = [self._shown(entities, r, query.get("$select", "").split(",")) for r in part]
        if "$expand" in query:
            self._expand(name, query, part, shown)
        link = ""
        if page and start + len(part) < total and len(part) < size:
            link = f"{self.hosts or ''}{name}?$skiptoken={start + len(part)}" + "".join(
                f"&{k}={v}" for k, v in query.items() if k in ("$filter", "$select", "$expand", "$from"))  # fmt: skip
        delta = f"{self.hosts or ''}{name}?$deltatoken={query['$from']}" if "$from" in query and not link else ""
        counted = "$inlinecount" in query or query.get("$count") == "true"
        if self.old:
            return self._json({"d": {"results": shown, **({"__count": str(total)} if counted else {}),
                                     **({"__next": link} if link else {})}})  # fmt: skip
        return self._json({"value": shown, **({"@odata.count": total} if counted else {}),
                           **({"@odata.nextLink": link} if link else {}),
                           **({"@odata.deltaLink": delta} if delta else {})},
                          **({"Preference_Applied": "odata.track-changes"} if tracked else {}))  # fmt: skip

    def _checked(self, name: str, query: Row, prefer: str) -> bool:
        """Refuse what the service does not know; tell whether the list is tracked from now on."""
        tracked = self.tracks and not self.old and "odata.track-changes" in prefer
        if tracked:
            assert not {"$count", "$top", "$skip", "$orderby"} & set(query)
            query.setdefault("$from", self.deltas[name].latest)
        counted = {"$count", "$inlinecount"} & set(query)
        if ("$expand" in query and name not in self.leads) or (not self.counts and counted):
            raise Refused(400, "not supported")
        assert ("$inlinecount" not in query) if not self.old else ("$count" not in query)
        return tracked

    def _delta(self, name: str, entities: Entities, query: Row) -> Any:
        """Tell what was changed: only the keys, as services may; of what is gone since only the deletion."""
        try:
            told, behind, over = self.deltas[name].part(query["$deltatoken"], 3)
        except GoneError:
            return self._error(410, "start anew")
        entries: list[Row] = []
        for key, gone in told:
            if not gone:
                row = dict(zip(entities.key, key, strict=True))
                entries.append({n: encoded(v, entities.kinds[n], old=False) for n, v in row.items()})
            elif self.named == "id":
                kinds = [(n, v, entities.kinds[n]) for n, v in zip(entities.key, key, strict=True)]
                parts = [(n, f"'{v}'".replace("O'", "O''") if k == "text" else v) for n, v, k in kinds]
                text = ",".join(f"{n}={v}" for n, v in parts) if len(parts) > 1 else parts[0][1]
                context = f"$metadata#{name}/$deletedEntity"
                entries.append(
                    {"@odata.context": context, "id": f"http://here/svc/{name}({text})", "reason": "deleted"}
                )
            else:
                row = dict(zip(entities.key, key, strict=True))
                entries.append({"@removed": {"reason": "deleted"}, **row})
        entries.append({"@odata.context": f"$metadata#{name}/$link", "source": "a", "target": "b"})
        link = f"{name}?$deltatoken={behind}"
        return self._json({"value": entries, "@odata.deltaLink" if over else "@odata.nextLink": link})

    def _expand(self, name: str, query: Row, rows: list[Row], shown: list[Row]) -> None:
        for part in re.findall(r"\w+(?:\([^)]*\))?", query["$expand"]):
            navigation, _, inner = part.rstrip(")").partition("($select=")
            wanted = inner.split(",") if inner else [
                n.partition("/")[2] for n in query["$select"].split(",") if n.startswith(f"{navigation}/")
            ]  # fmt: skip
            lead = next((lead for lead in self.leads[name] if lead.name == navigation), None)
            if lead is None or bool(wanted) == lead.many:
                raise Refused(400, f"no navigation {navigation} with {wanted}")
            for row, one in zip(rows, shown, strict=True):
                found = lead.give(row)
                one[navigation] = {n: found[n] for n in wanted} if isinstance(found, dict) and wanted else found

    def _json(self, body: Any, status: int = 200, **headers: Any) -> Any:
        text = msgspec.json.Encoder(decimal_format="number").encode(body)
        return self.reply(status, text, {n.replace("_", "-"): v for n, v in headers.items()})

    def _meets(self, entities: Entities, row: Row, text: str) -> bool:
        plain = text.replace("((", "(").replace("))", ")")
        return not text or any(
            all(self._holds(entities, row, test) for test in part.split(" and ")) for part in plain.split(" or ")
        )

    def _holds(self, entities: Entities, row: Row, test: str) -> bool:
        found = re.fullmatch(r"\(?(\w+) (eq|ge) (.+?)\)?", test)
        if found is None or found[1] not in entities.kinds:
            raise Refused(400, f"cannot read {test}")
        value = row.get(found[1])
        if found[3] == "null":
            return value is None
        wanted = literal(found[3], entities.kinds[found[1]], old=self.old)
        return value is not None and (value == wanted if found[2] == "eq" else value >= wanted)

    def _key(self, entities: Entities, text: str) -> tuple[Any, ...]:
        if len(entities.key) == 1:
            return (literal(text, entities.kinds[entities.key[0]], old=self.old),)
        parts = dict(part.split("=", 1) for part in re.findall(r"\w+=(?:'(?:[^']|'')*'|[^,]+)", text))
        assert tuple(parts) == entities.key
        return tuple(literal(v, entities.kinds[n], old=self.old) for n, v in parts.items())

    def _etag(self, entities: Entities, key: tuple[Any, ...]) -> str:
        return f'W/"{entities.versions.get(key, 0)}"'

    def _shown(self, entities: Entities, row: Row, names: list[str]) -> Row:
        wanted = [n for n in entities.kinds if n in names] if names != [""] else list(entities.kinds)
        made = {n: encoded(row.get(n), entities.kinds[n], old=self.old) for n in wanted}
        etag = self._etag(entities, tuple(row[k] for k in entities.key))
        return {**made, "__metadata": {"etag": etag}} if self.old else {**made, "@odata.etag": etag}

    def _show(self, entities: Entities, key: tuple[Any, ...], request: Any) -> Any:
        shown = self._shown(entities, entities.rows[key], [""])
        return self._json({"d": shown} if self.old else shown)

    def _body(self, entities: Entities, request: Any) -> Row:
        row = {}
        for name, value in json.loads(request.body, parse_float=Decimal).items():
            if name not in entities.kinds:
                raise Refused(400, f"no property {name}")
            row[name] = None if value is None else decoded(value, entities.kinds[name], old=self.old)
            if row[name] is None and name in entities.required:
                raise Refused(400, f"{name} must have a value")
        return row

    def _create(self, name: str, entities: Entities, request: Any) -> Any:
        row = self._body(entities, request)
        key = tuple(row.get(k) for k in entities.key)
        if key in entities.rows:
            raise Refused(409, "it is there already")
        entities.rows[key] = row
        shown = self._shown(entities, row, [""])
        return self._json({"d": shown} if self.old else shown, 201)

    def _check_version(self, entities: Entities, key: tuple[Any, ...], request: Any) -> None:
        match = request.headers.get("if-match")
        if match is None and self.guarded:
            raise Refused(428, "name the version")
        if match not in (None, "*", self._etag(entities, key)):
            raise Refused(412, "another version")
        entities.versions[key] = entities.versions.get(key, 0) + 1

    def _update(self, entities: Entities, key: tuple[Any, ...], request: Any) -> Any:
        row = self._body(entities, request)
        self._check_version(entities, key, request)
        entities.rows[key].update(row)
        return self.reply(204)

    def _delete(self, entities: Entities, key: tuple[Any, ...], request: Any) -> Any:
        self._check_version(entities, key, request)
        del entities.rows[key]
        return self.reply(204)

    def _batch(self, request: Any) -> Any:
        head = f"Content-Type: {request.headers['content-type']}\r\n\r\n".encode()
        made = ""
        for change_set in email.message_from_bytes(head + request.body).get_payload():
            answers, kept = [], {n: dict(e.rows) for n, e in self.sets.items()}
            for part in change_set.get_payload():
                assert part["Content-ID"]
                assert part.get_content_type() == "application/http"
                answers.append(self._inner(part.get_payload(decode=True)))
            bad = next((a for a in answers if a.status >= 400), None)
            if bad is not None:
                for name, rows in kept.items():
                    self.sets[name].rows = rows
                made += "--b\r\n" + _wrapped(bad)
            else:
                made += "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n"
                made += "".join("--c\r\n" + _wrapped(a) for a in answers) + "--c--\r\n"
        return self.reply(202, made + "--b--\r\n", {"Content-Type": "multipart/mixed; boundary=b"})

    def _inner(self, text: bytes) -> Any:
        head, _, body = text.partition(b"\r\n\r\n")
        line, *lines = head.decode().split("\r\n")
        method, path, _ = line.split(" ")
        headers = {n.lower(): v.strip() for n, v in (each.split(":", 1) for each in lines)}
        inner = type("Inner", (), {"method": method, "headers": headers, "body": body.rstrip(b"\r\n"), "query": {}})
        try:
            return self._one(method, unquote(path), inner)
        except Refused as error:
            return self._error(error.status, str(error))


def _wrapped(answer: Any) -> str:
    return (
        f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n\r\nHTTP/1.1 {answer.status} X\r\n"
        f"Content-Type: application/json\r\n\r\n{answer.payload().decode()}\r\n"
    )


_OLD_LITERALS = {
    "integer": r"(-?\d+)L", "text": r"'((?:[^']|'')*)'", "decimal": r"(-?[\d.]+)M", "float": r"(-?[\d.e+-]+)d",
    "boolean": r"(true|false)", "date": r"datetime'(\d{4}-\d\d-\d\d)T00:00:00'", "time": r"time'PT(.*)'",
    "datetime": r"datetimeoffset'(.*)'", "local_datetime": r"datetime'(.*)'", "binary": r"X'([0-9A-F]*)'",
}  # fmt: skip
_NEW_LITERALS = {
    **_OLD_LITERALS, "integer": r"(-?\d+)", "decimal": r"(-?[\d.]+)", "float": r"(-?[\d.e+-]+)",
    "date": r"(\d{4}-\d\d-\d\d)", "datetime": r"(\d{4}-\d\d-\d\dT.*Z)",
}  # fmt: skip
_READ: dict[str, Callable[[str], Any]] = {
    "integer": int, "text": lambda t: t.replace("''", "'"), "decimal": Decimal, "float": float,
    "boolean": lambda t: t == "true", "date": dt.date.fromisoformat, "datetime": dt.datetime.fromisoformat,
    "local_datetime": dt.datetime.fromisoformat,
}  # fmt: skip


def literal(text: str, kind: str, *, old: bool) -> Any:
    """Return what a literal in an address means; refuses one of the wrong form."""
    found = re.fullmatch((_OLD_LITERALS if old else _NEW_LITERALS)[kind], text)
    if found is None:
        raise Refused(400, f"{text} is no {kind}")
    return _READ[kind](found[1])


def encoded(value: Any, kind: str, *, old: bool) -> Any:
    """Return a value as the service sends it."""
    if value is None or kind in ("boolean", "text"):
        return value
    if kind == "binary":
        plain = base64.b64encode(value) if old else base64.urlsafe_b64encode(value).rstrip(b"=")
        return plain.decode()
    if not old:
        return str(value) if kind in ("integer", "decimal") else value if kind == "float" else _iso(value)
    if kind in ("date", "datetime", "local_datetime"):
        moment = value if isinstance(value, dt.datetime) else dt.datetime(value.year, value.month, value.day)
        return f"/Date({(moment.replace(tzinfo=dt.UTC) - _EPOCH) // _MS}{'+0000' if kind == 'datetime' else ''})/"
    if kind == "time":
        return f"PT{value:%H}H{value:%M}M{value:%S}.{value.microsecond:06}S"
    return str(value)


def _iso(value: Any) -> str:
    return value.isoformat().replace("+00:00", "Z")


def decoded(value: Any, kind: str, *, old: bool) -> Any:
    """Return what a value in a body means; refuses one of the wrong form."""
    if kind == "binary":
        return (base64.b64decode if old else base64.urlsafe_b64decode)(value)
    if kind in ("boolean", "text"):
        return value
    if kind == "float":
        return float(value)
    assert isinstance(value, str), (kind, value)
    if old and kind in ("date", "datetime", "local_datetime"):
        found = re.fullmatch(r"/Date\((-?\d+)\)/", value)
        assert found is not None
        moment = _EPOCH + int(found[1]) * _MS
        return moment.date() if kind == "date" else moment if kind == "datetime" else moment.replace(tzinfo=None)
    if old and kind == "time":
        hours, minutes, seconds = re.fullmatch(r"PT(\d\d)H(\d\d)M([\d.]+)S", value).groups()  # type: ignore[union-attr]
        return dt.time.fromisoformat(
            f"{hours}:{minutes}:{Decimal(seconds):09.6f}" if "." in seconds else f"{hours}:{minutes}:{seconds}"
        )
    return dt.time.fromisoformat(value) if kind == "time" else _READ[kind](value)
