"""Called in the cluster once: two systems, an entity, a rule between tables without a unique key; prints a key."""

from __future__ import annotations

import json
import sys

import config
from webapp.access.keys import NewKey, create_key
from webapp.connections import services as connections
from webapp.entities import services as entities
from webapp.extensions import Actor, open_house
from webapp.rulebook import services as rulebook
from webapp.vault import people

RULE = {
    "kind": "sync", "name": "orders", "direction": "left_to_right", "key": {"left": "id", "right": "no"},
    "left": {"connection": "crm", "object": "orders"}, "right": {"connection": "erp", "object": "orders"},
    "fields": [{"left": "id", "right": "no"}, {"left": "name", "right": "name"}],
}  # fmt: skip
NOTE = {
    "kind": "entity", "name": "note", "label": "Note",
    "fields": [{"name": "number", "type": "integer", "required": True}, {"name": "text", "type": "text"}],
}  # fmt: skip
SCOPES = ("runs:run", "runs:read", "rules:read", "records:create", "records:read", "entities:read")


def main(host: str) -> None:
    """Prepare the installation."""
    house = open_house(config.from_environment())
    people.register(house)
    admin = Actor("user", "admin", id="1")
    for name in ("crm", "erp"):
        settings = {"host": host, "database": name, "user": "sync", "password": "sync", "tls": "disable"}
        connections.create(
            house, {"kind": "connection", "name": name, "connector": "postgresql", "settings": settings}, admin
        )
    entities.define(house, NOTE, admin)
    rulebook.create(house, RULE, admin)
    rulebook.publish(house, "orders", admin)
    sys.stdout.write(json.dumps({"key": create_key(house, NewKey("load", SCOPES, 1), admin)}))


if __name__ == "__main__":
    main(sys.argv[1])
