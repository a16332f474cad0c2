"""Every address of the console and the API, as every default role: what it declares is what happens.

The table is computed from what each address declares and from what each role holds. An address that declares nothing
fails the test, unless it is named as one for strangers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from tests.webapp.conftest import client_of, events
from tests.webapp.test_app import FREE, VALUES
from webapp.access import roles, services, throttle
from webapp.web import problems
from webapp.web.views import RoomView

DESCRIPTION = {"ApiView.openapi"}
"""For everybody with a key or a session, whatever they may do."""
MORE = {
    "RestBuilderView.step": {("create", "Connections"), ("update", "Connections")},
    "DesignerView.apply": {("create", "Entities"), ("update", "Entities")},
    "DesignerView.work": {("create", "Entities"), ("update", "Entities")},
}
"""Addresses that need one of these besides what they declare: what is new is created, what is there is changed."""


@dataclass(frozen=True)
class Cell:
    """An address and what it declares: (action, room), or None for everybody who has signed in."""

    method: str
    path: str
    endpoint: str
    needs: tuple[str, str] | None

    def __str__(self) -> str:
        return f"{self.method} {self.path} ({self.endpoint})"


def _cells(app: Flask) -> Iterator[Cell]:
    for rule in app.url_map.iter_rules():
        if rule.endpoint in FREE:
            continue
        path = re.sub(r"<any\(([^,)]+)[^>]*>", r"\1", rule.rule)
        path = re.sub(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>", lambda m: VALUES.get(m[1] or "", "x"), path)
        path = path.replace("/1/", "/999999/") if not path.endswith("/1") else f"{path[:-2]}/999999"
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            view = app.view_functions[rule.endpoint]
            yield Cell(method, path, rule.endpoint, declared(rule.endpoint, method, path, view))


def declared(endpoint: str, method: str, path: str, view: Callable[..., Any]) -> tuple[str, str] | None:
    """Return what an address declares to need; fails for one that declares nothing."""
    operation = getattr(view, "operation", None)
    if operation is not None:
        return operation.action, operation.room
    if path.startswith("/scim/"):
        return ("read" if method == "GET" or path.endswith("/.search") else "update"), "Provisioning"
    if action := getattr(view, "_permission_name", None):
        return action, view.__self__.class_permission_name  # type: ignore[attr-defined]
    everybody = getattr(view, "for_everybody", False) or endpoint in DESCRIPTION
    assert everybody, f"{method} {path}: {endpoint} declares no permission"
    return None


def _holds(role: roles.SeedRole, cell: Cell) -> bool:
    held = {(action, room) for room, actions in role.grants.items() for action in actions}
    more = MORE.get(cell.endpoint)
    return (cell.needs is None or cell.needs in held) and (more is None or bool(more & held))


def _happens(client: FlaskClient, cell: Cell) -> str:
    answer = client.open(cell.path, method=cell.method)
    answer.close()
    if answer.status_code == 403:
        return "refused"
    # what is open to everybody may ask for a password beside
    asks_again = (answer.status_code == 401 and cell.needs is not None) or (answer.location or "").startswith("/login")
    return f"answered {answer.status_code}" if asks_again or answer.status_code >= 500 else "allowed"


def test_every_address_does_what_it_declares(app: Flask, monkeypatch: pytest.MonkeyPatch):
    """For each role and address: who holds the permission is let in, everybody else is refused."""
    monkeypatch.setattr(services, "denied", lambda *_: None)  # each refusal is audited, and has a page: others show it
    monkeypatch.setattr(throttle, "failed", lambda *_: None)  # forms that ask for a password are sent without one
    monkeypatch.setattr(problems, "render_template", lambda *_, **__: "")
    monkeypatch.setattr(RoomView, "page", lambda _self, _name, status=200, **_: Response(status=status))
    app.jinja_env.globals["menu"] = list
    cells = list(_cells(app))
    wrong = []
    for role in roles.ROLES:
        client = client_of(app, f"matrix-{role.name.lower()}", role.name)
        for cell in cells:
            wanted, found = ("allowed" if _holds(role, cell) else "refused"), _happens(client, cell)
            if wanted != found:
                wrong.append(f"{role.name}: {cell} needs {cell.needs}: {wanted}, but {found}")
    assert not wrong, "\n".join(wrong)
    assert len(cells) > 300


def test_looking_changes_nothing(app: Flask, monkeypatch: pytest.MonkeyPatch):
    """The log tells of nothing but downloads when each address is only looked at, with all permissions."""
    monkeypatch.setattr(problems, "render_template", lambda *_, **__: "")
    monkeypatch.setattr(RoomView, "page", lambda _self, _name, status=200, **_: Response(status=status))
    house = app.extensions["syncline"]
    client = client_of(app, "looker", "Admin")
    before = len(events(house))
    for cell in _cells(app):
        if cell.method == "GET":
            client.get(cell.path).close()
    assert {event.tag for event in events(house)[before:]} == {"runs:quarantine:exported"}
    assert client.get("/account/").status_code == 200, "it signs nobody out either"


def test_an_address_that_declares_nothing_fails(app: Flask):
    """What the matrix rests on: a new address without a permission is found."""
    app.add_url_rule("/new-page", "NewView.show", lambda: "secret")
    with pytest.raises(AssertionError, match=r"NewView\.show declares no permission"):
        list(_cells(app))
