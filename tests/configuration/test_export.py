"""Exporting, and applying what was exported to an empty installation."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rules.documents import dump_document
from tests.installation import CommandLine, installed
from webapp.access import roles
from webapp.configuration import files, services
from webapp.connections import services as connections
from webapp.extensions import Actor, House

ANN = Actor("cli", "ann")
names = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(lambda n: n not in {"hub", "new", "id"})
texts = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), max_size=12)
sentences = st.lists(texts.filter(bool), min_size=1, max_size=3).map(" ".join)


def without_empty(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value not in ("", None, {}, [], False)}


@st.composite
def connection(draw: st.DrawFn, name: str) -> dict[str, Any]:
    kind = draw(st.sampled_from(["sqlite", "files", "postgresql"]))
    plain: dict[str, Any] = {
        "sqlite": {"path": f"/srv/{name}.db"},
        "files": {"path": f"/srv/{name}", "format": draw(st.sampled_from(["csv", "json", "xlsx"]))},
        "postgresql": {
            "host": "db.example.com",
            "database": name,
            "user": "u",
            "password": f"env:{name.upper()}_PASSWORD",
        },
    }[kind]
    more = {"label": draw(st.just("") | sentences), "note": draw(st.just("") | sentences)}
    return without_empty({"kind": "connection", "name": name, "connector": kind, "settings": plain, **more})


@st.composite
def entity(draw: st.DrawFn, name: str, others: list[str]) -> dict[str, Any]:
    fields: list[dict[str, Any]] = []
    for field in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        kind = draw(st.sampled_from(["text", "integer", "date", "boolean", "choice", "money", "email"]))
        more: dict[str, Any] = {}
        if kind == "choice":
            more["choices"] = [{"value": "x"}, {"value": "y", "label": {"zh": "是"}}]
        if kind == "money":
            more["currency"] = "CNY"
        flags = {flag: draw(st.booleans()) for flag in ("required", "personal")}
        label = {"label": {"en": draw(sentences)}}
        fields.append(without_empty({"name": field, "type": kind, **label, **flags, **more}))
    if others and draw(st.booleans()):
        fields.append({"name": "points_to", "type": "reference", "entity": draw(st.sampled_from(others))})
    return {"kind": "entity", "name": name, "fields": fields}


@st.composite
def role(draw: st.DrawFn, name: str) -> dict[str, Any]:
    rooms = draw(st.lists(st.sampled_from(sorted(roles.PERMISSIONS)), min_size=1, max_size=4, unique=True))
    held = {room: [a for a in roles.PERMISSIONS[room] if draw(st.booleans())] or ["read"] for room in rooms}
    held = {room: [a for a in actions if a in roles.PERMISSIONS[room]] for room, actions in held.items()}
    named = f"Role {name}"
    return without_empty(
        {"kind": "role", "name": named, "description": draw(st.just("") | sentences), "permissions": held}
    )


@st.composite
def rule(draw: st.DrawFn, name: str, systems: list[str], entities: list[str]) -> dict[str, Any]:
    document = {
        "kind": "sync",
        "name": name,
        "left": {"connection": draw(st.sampled_from(systems)), "object": draw(sentences)},
        "right": {"connection": "hub", "object": draw(st.sampled_from(entities))},
        "direction": "left_to_right",
        "key": {"left": "id", "right": "id"},
        "fields": [{"left": "id", "right": "id"}, {"right": "name", "to_right": "'不' + name.trim()"}],
        "schedule": draw(st.none() | st.just({"cron": "*/5 * * * *", "timezone": "Asia/Shanghai"})),
        "paused": draw(st.booleans()),
    }
    if draw(st.booleans()):
        document["publish"] = False
    return {key: value for key, value in document.items() if value not in (None, False) or key == "publish"}


@st.composite
def configurations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Return a whole configuration that can be applied."""
    systems = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    records = draw(st.lists(names, min_size=1, max_size=3, unique=True))
    found = [draw(connection(name)) for name in systems]
    found += [draw(entity(name, records)) for name in records]
    found += [draw(role(name)) for name in draw(st.lists(names, max_size=2, unique=True))]
    found += [draw(rule(name, systems, records)) for name in draw(st.lists(names, max_size=2, unique=True))]
    return draw(st.permutations(found))


def apply(house: House, documents: list[dict[str, Any]]) -> services.Applied:
    text = "---\n".join(map(dump_document, documents))
    return services.apply(house, files.read_text(text, "all.yaml", Path("/srv")), ANN)


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(configurations())
def test_export_and_apply_give_the_same(documents: list[dict[str, Any]]) -> None:
    """What is exported states what was applied; applied to an empty installation it exports the same again."""
    with tempfile.TemporaryDirectory() as folder:
        with installed(Path(folder) / "one") as house:
            apply(house, documents)
            first = services.export(house, ANN)
            assert apply(house, first).changes == 0
        with installed(Path(folder) / "two") as house:
            apply(house, first)
            assert services.export(house, ANN) == first
    stated = {(d["kind"], d["name"]): d for d in documents}
    assert {(d["kind"], d["name"]): d for d in first} == stated


def test_export_writes_what_apply_reads(syncline: CommandLine, tmp_path: Path) -> None:
    """YAML and JSON, to the terminal and to a file, all or one kind; the second apply changes nothing."""
    source = tmp_path / "a.yaml"
    source.write_text(
        "{kind: connection, name: 'no', connector: sqlite, settings: {path: a.db}}\n---\n"
        "{kind: role, name: Buyer, permissions: {Runs: [read]}}\n"
    )
    syncline.ok("apply", source)
    (tmp_path / "b.yaml").write_text(syncline.ok("export").out)
    assert syncline.ok("apply", tmp_path / "b.yaml", "--json").json["changes"] == 0
    syncline.ok("export", "--output", tmp_path / "c.json")
    assert syncline.ok("apply", tmp_path / "c.json", "--prune", "--json").json["changes"] == 0
    assert [d["name"] for d in json.loads(syncline.ok("export", "--kind", "role", "--json").out)] == ["Buyer"]
    assert "configuration:files:exported" in {e["tag"] for e in syncline.ok("audit", "list", "--json").json}


def test_secrets_stay_behind(syncline: CommandLine) -> None:
    """A secret that was typed in the browser is exported as a reference, and the user is told to set it."""
    values = {"host": "h", "database": "d", "user": "u", "password": "hunter2"}
    document = {"kind": "connection", "name": "db", "connector": "postgresql", "settings": values}
    connections.create(syncline.house, document, ANN)
    answer = syncline.ok("export")
    assert "hunter2" not in answer.out + answer.err
    assert "vault:connection/db/password" in answer.out
    assert "vault:connection/db/password" in answer.err
