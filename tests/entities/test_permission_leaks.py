"""Nothing that one may not see comes out: two consoles that differ only in it give the same answers."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from tests import houses, servers
from tests.entities.permission_world import POLICY, Hidden, console, furnish, rita
from tests.webapp.conftest import sign_in
from webapp.entities.filters import Operator
from webapp.extensions import House

HERE = Hidden(
    "CN55QUETZAL7788", date(1977, 3, 14), Decimal("987654.32"), "zanzibar whispers", "kookaburra", Decimal("123123.45"),
    "Xanthippe", "Ottokar", 2,
)  # fmt: skip
THERE = Hidden(
    "DE88MARMOT007788", date(1977, 11, 29), Decimal("111.10"), "umbrella lore", "wombat", Decimal("7.00"),
    "Yggdrasil", "Feodora", 5,
)  # fmt: skip
FIELDS = {
    "person": ("name", "country", "grade", "iban", "born", "salary", "salary_currency", "total", "note", "photo",
               "team", "boss", "id", "updated_by", "created_at"),
    "pay": ("label", "amount", "secret", "copy", "updated_by", "updated_at"),
    "team": ("name", "open", "size"),
    "vault": ("label",),
}  # fmt: skip
CLOSED = frozenset({"iban", "born", "salary", "salary_currency", "total", "note", "photo", "amount", "secret", "copy"})
WORDS = (
    "zanzibar",
    "umbrella",
    "CN55QUETZAL7788",
    "7788",
    "Ottokar",
    "Xanthippe",
    "CN",
    "DE",
    "Ada",
)
TRICKS = (
    (Operator.IS, "1977-03-14"), (Operator.LESS, "500000"), (Operator.CONTAINS, "zanzibar"),
    (Operator.ANY_OF, "0CN55QUETZAL7788, 4"),
)  # fmt: skip
CHANGES: tuple[dict[str, Any], ...] = (
    {"boss": 4}, {"boss": 7}, {"team": 2}, {"iban": "x"}, {"salary": "1.00"}, {"note": None},
    {"salary_currency": "CNY"}, {"country": "DE"}, {"grade": "B"}, {"born": "1977-03-14"},
)  # fmt: skip
NOISE = re.compile(
    r'nonce="[^"]*"|name="csrf_token"[^>]*|"csrf[^"]*" content="[^"]*"|"request_id": "[^"]*"|<code>[0-9a-f]{16,}</code>'
    r"|[\w-]{40,}\.[\w-]{4,}\.[\w-]{20,}|took [\d.,]+ s|\"seconds\": ?[\d.]+|[0-9a-f]{32}"
)


@dataclass
class Asked:
    """One request."""

    method: str
    path: str
    data: Any = None
    json: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    def answer(self, client: FlaskClient) -> tuple[int, str, str]:
        """Return status, what matters of the headers, and the text."""
        data = {k: (io.BytesIO(v[0]), v[1]) if isinstance(v, tuple) else v for k, v in (self.data or {}).items()}
        given = {"json": self.json} if self.json is not None else {"data": data}
        got = client.open(self.path, method=self.method, headers=self.headers, **given)
        kept = {
            n: got.headers.get(n) for n in ("ETag", "Location", "Content-Disposition", "HX-Redirect", "Last-Modified")
        }
        if got.data[:2] != b"PK":
            kept["Content-Length"] = str(len(NOISE.sub("", got.text)))
        return got.status_code, str(kept), NOISE.sub("", _text(got.data))


def _text(data: bytes) -> str:
    if data[:2] != b"PK":
        return data.decode("utf-8", "replace")
    book = zipfile.ZipFile(io.BytesIO(data))
    return "".join(book.read(n).decode() for n in sorted(book.namelist()) if "sheet" in n.lower() or "Strings" in n)


def looks() -> Iterator[Asked]:
    """Yield the ways of asking that change nothing: each surface, and each trick on one of them."""
    yield from map(_get, ("/", "/entities/", "/api/v1/entities/", "/api/v1/openapi.json"))
    for name, fields in FIELDS.items():
        base, api = f"/records/{name}/", f"/api/v1/entities/{name}/records"
        yield from map(_get, (f"/entities/{name}/", f"/entities/{name}/quality", f"/entities/{name}/design"))
        yield from map(_get, (api, f"/api/v1/entities/{name}", f"/api/v1/entities/{name}/quality"))
        yield from map(_get, (base, f"{base}add", f"{base}import", f"{base}count", f"{base}choices"))
        yield from _lists(name, "&".join(f"c={f}" for f in fields))
        for item in fields:
            yield from _by_field(name, item)
    for number in range(1, 8):
        yield from _one("person", number)
    yield from (*_one("pay", 1), *_one("pay", 2), *_one("team", 1), *_one("team", 2), *_one("vault", 1))
    for word in WORDS:
        yield from map(_get, (f"/records/person/?q={word}", f"/records/person/count?q={word}"))
        yield from map(_get, (f"/records/team/choices?q={word}", f"/api/v1/entities/pay/records?q={word}"))


def _lists(name: str, every: str) -> Iterator[Asked]:
    base = f"/records/{name}/"
    yield from map(
        _get, (f"{base}?{every}", f"{base}?f=id:ge:2&sort=-updated_at", f"{base}?sort=-salary&after=WzEsMV0")
    )
    yield Asked("GET", base, headers={"HX-Request": "true"})
    for kind in ("csv", "xlsx", "jsonl"):
        yield from (Asked("POST", f"{base}export/{kind}{more}") for more in ("", f"?{every}"))


def _one(name: str, number: int) -> Iterator[Asked]:
    page, record = f"/records/{name}/{number}", f"/api/v1/entities/{name}/records/{number}"
    yield from map(_get, (page, f"{page}/edit", record, f"{page}/files/photo"))
    yield Asked("HEAD", record, headers={"If-None-Match": "*"})


def _by_field(name: str, item: str) -> Iterator[Asked]:
    api = f"/api/v1/entities/{name}/records"
    yield _get(f"{api}?sort=-{item}")
    for operator, word in TRICKS if item in CLOSED else TRICKS[:1]:
        asked = quote(json.dumps([[item, operator.value, word]]))
        yield _get(f"{api}?filter={asked}")
    if item in CLOSED:
        yield from map(_get, (f"/records/{name}/?sort={item}", f"/records/{name}/count?f={item}:lt:500000"))
        yield Asked("POST", f"/records/{name}/export/csv?f={item}:filled:")


def deeds() -> Iterator[Asked]:
    """Yield attempts to write, of which the answers might tell something; what is refused changes nothing."""
    api = "/api/v1/entities/person/records"
    for number in (1, 3, 4):
        for values in CHANGES:
            yield Asked("PATCH", f"{api}/{number}", json=values)
        yield Asked("POST", f"/records/person/{number}/edit", {"name": "Z", "salary": "5", "note": "", "iban": "q"})
    yield from (Asked("DELETE", f"{api}/{number}") for number in (2, 4, 6, 9))
    yield from (Asked("POST", f"/records/person/{number}/delete") for number in (2, 4, 6))
    yield Asked(
        "POST", f"{api}/bulk", json={"update": [{"id": n, "name": "Q"} for n in (4, 5, 6, 9)], "delete": [4, 7, 2]}
    )
    yield Asked("POST", f"{api}/bulk", json={"update": [{"id": 1, "salary": "1"}]})
    everything = {"all": "yes", "address": "", "field": "country", "country": "DE"}
    yield Asked("POST", "/records/person/bulk", everything)
    yield Asked("POST", "/records/person/bulk", {**everything, "address": "f=salary:gt:5"})
    yield Asked("POST", "/records/person/bulk/update", everything)
    yield Asked("POST", "/records/person/bulk/update", {**everything, "field": "salary", "salary": "1"})
    yield Asked("POST", "/records/person/bulk/delete", {"id": ["4", "6", "7"]})
    yield Asked("POST", "/records/person/views", {"title": "S", "address": "f=salary:gt:5&sort=-born", "shared": "1"})
    yield Asked("POST", "/entities/person/quality")
    yield Asked("POST", "/entities/pay/quality")
    yield Asked("POST", "/api/v1/entities/pay/quality")
    yield Asked("GET", "/entities/pay/quality")
    for name in ("person", "pay"):
        document = {"kind": "entity", "name": name, "fields": [{"name": "note", "type": "integer"}]}
        yield Asked("PUT", f"/api/v1/entities/{name}?dry_run=true", json=document)
        yield Asked("POST", "/entities/apply", {"document": json.dumps(document), "new": "no", "confirm": "yes"})
        yield Asked("DELETE", f"/api/v1/entities/{name}")
    yield from _imports()


def _imports() -> Iterator[Asked]:
    rows = b"id,iban,name,boss,team,salary\n1,0CN55QUETZAL7788,A,Ottokar0,XanthippeRed,1\n4,x,B,4,2,2\n7,y,C,7,1,3\n"
    chosen = {"mode": "update", "dry_run": "1"}
    for number, columns in enumerate(
        ({"key": "iban", "column-1": "iban", "column-2": "name"}, {"key": "id", "column-0": "id", "column-2": "name"},
         {"key": "id", "column-0": "id", "column-3": "boss"}, {"key": "id", "column-0": "id", "column-4": "team"},
         {"key": "id", "column-0": "id", "column-5": "salary"}), start=2,
    ):  # fmt: skip
        base = f"/records/person/import/{number}"
        yield Asked("POST", "/records/person/import", {"file": (rows, "people.csv")})
        yield Asked("GET", base)
        yield Asked("POST", f"{base}/run", {**chosen, **columns})
        yield Asked("POST", f"{base}/step")
        yield from map(_get, (base, f"{base}/errors.csv"))
    yield from map(_get, ("/records/person/import/1", "/records/person/import/1/errors.csv"))


def _get(path: str) -> Asked:
    return Asked("GET", path)


@pytest.fixture
def second_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Return the URL of another database of the same kind."""
    if request.config.getoption("--database") == "postgresql":
        server = request.getfixturevalue("postgres_server")
        with servers.postgres_database(server, request.getfixturevalue("postgres_template")) as name:
            first = sa.make_url(request.getfixturevalue("metadata_url"))
            yield first.set(database=name).render_as_string(hide_password=False)
        return
    (tmp_path / "second.db").write_bytes(houses.prepared_file())
    yield f"sqlite:///{tmp_path / 'second.db'}"


def test_what_is_hidden_changes_no_answer(metadata_url: str, second_url: str, tmp_path: Path) -> None:
    """List, record, form, search, sort, filter, export, import, API, quality, design: the same whatever is hidden.

    Values of hidden and masked fields, computed ones, histories, names of records pointed to, and hidden rows differ,
    also in number.
    """
    with ExitStack() as open_:
        worlds, admins = [], []
        for place, url, hidden in (("a", metadata_url, HERE), ("b", second_url, THERE)):
            app = open_.enter_context(console(tmp_path / place, url))
            house: House = app.extensions["syncline"]
            furnish(house, hidden)
            client = rita(app, POLICY)
            admins.append(_others(app, hidden))
            worlds.append(client)
        told: list[str] = []
        for asked in (*looks(), *deeds(), *_lists("person", "c=name"), *_one("person", 1)):
            here, there = (asked.answer(client) for client in worlds)
            assert here[0] < 500, (asked, here[2][:600])
            if here != there:
                told.append(f"{asked.method} {asked.path} {asked.data or asked.json or ''}\n{_difference(here, there)}")
        seen, other = (_get("/records/person/?c=name&c=salary").answer(admin) for admin in admins)
        assert seen != other  # what differs is there to be seen
        assert not told, "\n".join(told[:20]) + f"\n{len(told)} answers differ"


def _others(app: Flask, hidden: Hidden) -> FlaskClient:
    """Let the administrator have an import under way and a shared view, which hold what is hidden."""
    admin = sign_in(app.test_client())
    rows = f"name,iban,salary\n{hidden.name},{hidden.iban},{hidden.salary}\n".encode()
    assert admin.post("/records/person/import", data={"file": (io.BytesIO(rows), "all.csv")}).status_code == 302
    address = f"f=iban:is:{hidden.iban}&f=salary:gt:{hidden.salary}"
    admin.post("/records/person/views", data={"title": hidden.name, "address": address, "shared": "1"})
    admin.post("/entities/person/quality")
    admin.post("/entities/pay/quality")
    return admin


def _difference(here: tuple[int, str, str], there: tuple[int, str, str]) -> str:
    if here[:2] != there[:2] and here[2] == there[2]:
        return f"{here[:2]} {there[:2]}"
    at = next((n for n, (a, b) in enumerate(zip(here[2], there[2], strict=False)) if a != b), 0)
    return f"{here[0]} {there[0]} {here[2][max(at - 120, 0) : at + 120]!r}\n   {there[2][max(at - 20, 0) : at + 120]!r}"
