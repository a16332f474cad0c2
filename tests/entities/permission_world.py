"""A console with records of which one user, Rita, may see only a part; what she may not see is given by the test.

Rita's role shows of `person` only the rows of her country and neither salary nor notes nor files, of the number of the
account the last four characters, of the birthday the year; of `pay` all rows but only a mask of the amount; of `team`
only open ones and not their names.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient

import config
from tests.entities.conftest import ANN, field
from tests.webapp.conftest import Compiled, add_user, sign_in
from webapp.access import attributes, role_editing
from webapp.access.role_editing import Role
from webapp.access.services import ensure_admin
from webapp.app import create_app
from webapp.entities import files, services
from webapp.extensions import SYSTEM, House
from webapp.policies import services as policies

_COMPILED = Compiled()
PASSWORD = "correct-horse-battery-staple"
NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
DEEDS = ("read", "create", "update", "delete", "export", "import")
POLICY: dict[str, Any] = {
    "data": [
        {
            "on": "entity/person",
            "rows": "record.country == user.country",
            "fields": {
                "iban": "mask:last4", "born": "mask:year", "salary": "hide", "note": "deny", "photo": "hide",
                "country": "write", "grade": "read",
            },
        },
        {"on": "entity/pay", "fields": {"amount": "mask:all", "secret": "hide", "updated_by": "hide"}},
        {"on": "entity/team", "rows": "record.open", "fields": {"name": "hide"}},
        {"on": "entity/vault", "deny": ["read"]},
    ]
}  # fmt: skip


@dataclass(frozen=True)
class Hidden:
    """What Rita may not see."""

    iban: str
    born: date
    salary: Decimal
    note: str
    photo: str
    amount: Decimal
    team: str
    name: str
    rows: int

    @property
    def texts(self) -> tuple[str, ...]:
        """Return the words that may appear nowhere."""
        return (
            self.iban[:-4], self.born.isoformat()[4:], str(self.salary), self.note, self.photo,
            str(self.amount), self.team, self.name, str(self.salary + 1),
        )  # fmt: skip


def entity(house: House, name: str, *fields: dict[str, Any], **more: Any) -> None:
    """Define an entity."""
    services.define(house, {"kind": "entity", "name": name, "fields": list(fields), **more}, ANN)


@contextmanager
def console(folder: Path, url: str) -> Iterator[Flask]:
    """Open a console whose clock stands still."""
    (folder / "data").mkdir(parents=True)
    environ = {"SYNCLINE_DATA": str(folder / "data"), "SYNCLINE_DATABASE_URL": url}
    app = create_app(config.from_environment({**environ, "SYNCLINE_REDIS_URL": f"unix://{folder}/no-redis.sock"}))
    house: House = app.extensions["syncline"]
    object.__setattr__(house, "clock", lambda: NOW)
    app.jinja_env.bytecode_cache = _COMPILED
    ensure_admin(house, PASSWORD)
    app.config["WTF_CSRF_ENABLED"] = False
    yield app
    house.db.engine.dispose()


def rita(app: Flask, policy: dict[str, Any], *more: str, country: str = "CN") -> FlaskClient:
    """Return a client of a user with one role that has this policy, and further roles."""
    house: House = app.extensions["syncline"]
    grants = frozenset({*(("Records", deed) for deed in DEEDS), ("Entities", "read"), ("Entities", "update")})
    role_id = role_editing.save_role(house, Role(None, "Sales", grants=grants | {("Entities", "delete")}), SYSTEM)
    policies.set_policy(house, role_id, policy, SYSTEM)
    user_id = add_user(house, "rita", "Sales", *more)
    attributes.set_attributes(house, user_id, {"country": country}, SYSTEM)
    return sign_in(app.test_client(), "rita")


def furnish(house: House, hidden: Hidden) -> None:
    """Define the entities and fill in the records: what Rita sees is always the same, what she does not is `hidden`."""
    _define(house)
    for name, shown in (("Red", True), ("Blue", False)):
        services.create_record(house, "team", {"name": hidden.team + name, "open": shown, "size": 3}, ANN)
    photo = files.store(house, io.BytesIO(hidden.photo.encode()), f"{hidden.photo}.txt", ANN)
    secret = {"iban": hidden.iban, "born": hidden.born, "salary": hidden.salary, "salary_currency": "CNY"}
    secret |= {"note": hidden.note, "photo": photo}
    for number, (name, team) in enumerate((("Ada", 1), ("Bo", 2), ("Cy", None))):
        held = {**secret, "iban": f"{number}{hidden.iban}", "name": name, "country": "CN", "team": team, "grade": "A"}
        services.create_record(house, "person", held, ANN)
    for number in range(hidden.rows):
        held = {"name": f"{hidden.name}{number}", "country": "DE", "grade": "B", "iban": f"{number}9{hidden.iban}"}
        services.create_record(house, "person", held, ANN)
    services.update_record(house, "person", 3, {"boss": 4}, ANN)
    services.update_record(house, "person", 4, {"boss": 2}, ANN)
    services.update_record(house, "person", 1, {"note": f"{hidden.note} again"}, ANN)
    services.update_record(house, "person", 1, {"salary": hidden.salary * 2, "name": "Ada L"}, ANN)
    services.update_record(house, "person", 1, {"salary": hidden.salary}, ANN)
    services.delete_record(house, "person", 5, ANN)
    services.create_record(house, "pay", {"label": "May", "amount": hidden.amount, "secret": hidden.note}, ANN)
    services.create_record(house, "pay", {"label": "June", "amount": hidden.amount + 1, "secret": hidden.name}, ANN)
    services.delete_record(house, "pay", 2, ANN)
    services.create_record(house, "vault", {"label": hidden.name}, ANN)


def _define(house: House) -> None:
    entity(house, "team", field("name", searchable=True), field("open", "boolean"), field("size", "integer"))
    entity(
        house, "person",
        field("name", required=True, searchable=True, indexed=True),
        field("country", "text", searchable=True, indexed=True),
        field("grade"),
        field("iban", searchable=True, unique=True),
        field("born", "date", indexed=True, personal=True),
        field("salary", "money", indexed=True),
        field("total", "decimal", computed="salary + 1", indexed=True),
        field("note", "long_text", searchable=True),
        field("photo", "file"),
        field("team", "reference", entity="team"),
        field("boss", "reference", entity="person"),
    )  # fmt: skip
    entity(house, "pay", field("label", searchable=True, indexed=True), field("amount", "decimal", indexed=True),
           field("secret", searchable=True), field("copy", computed="secret"))  # fmt: skip
    entity(house, "vault", field("label", searchable=True))
