"""A connection to a test's web server, with one object called people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.builtin.rest import Rest
from connectors.spi import Context, ReadRequest, Secrets
from rules.schema import Field, FieldType, Schema

HERE = Context(egress_allow=("127.0.0.0/8",), timeout=5)
PEOPLE = Schema((Field("id", FieldType.INTEGER, nullable=False), Field("name")), ("id",))


def service(url: str, secrets: Secrets | None = None, **more: Any) -> Rest:
    """Return a connector; `more` holds settings and members of the object."""
    names = {s.name for s in Rest.spec.settings}
    described = {"name": "people", "path": "/people", "key": "id"}
    settings = {k: more.pop(k) for k in list(more) if k in names - {"key"}}
    defaults = {s.name: s.default for s in Rest.spec.settings}
    given = {"base_url": url, "objects": [{**described, **more}], "concurrency": 1, **settings}
    return Rest({**defaults, **given}, Context(HERE.file_roots, HERE.egress_allow, HERE.timeout, secrets=secrets))


def ids(rest: Rest, size: int = 100, name: str = "people") -> list[int]:
    return [i for page in rest.read(ReadRequest(name, PEOPLE, page_size=size)) for i in page.records["id"]]


def people(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": n, "name": f"n{n}"} for n in numbers]


def objects(*described: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": "id", **one} for one in described]
