"""The page that proves the history of one record across systems and runs."""

from __future__ import annotations

from typing import Any

from flask import request
from werkzeug.wrappers import Response

from webapp.connections.store import known_objects, list_connections
from webapp.evidence import trail
from webapp.evidence.places import Place
from webapp.extensions import House
from webapp.web.views import RoomView, expose, has_access, permission_name

_ASKED = ("connection", "object", "field", "key", "entity", "record", "rule", "side")


class RecordHistoryView(RoomView):
    """Record histories, below the audit log."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/record")
    @has_access
    @permission_name("read")
    def record(self) -> Response:
        """Show the history of a record with its proof, and ask which record where none is named."""
        asked = read_asked(request.args)
        start = started(self.house, asked)
        found = trail.of_record(self.house, start) if start else None
        with self.house.db.read() as tx:
            connections = [(row.name, row.title) for row in list_connections(tx)]
            objects = known_objects(tx)
        shown: dict[str, Any] = {"asked": asked, "connections": connections, "objects": objects}
        if start and start[0].key:
            shown["asked"] = {**asked, **{name: getattr(start[0], name) for name in ("connection", "object", "key")}}
        return self.page("evidence/record.html", it=found, now=self.house.clock(), **shown)


def read_asked(values: Any) -> dict[str, str]:
    """Return what a request says of the record that it asks for."""
    return {name: str(values.get(name) or "").strip() for name in _ASKED}


def started(house: House, asked: dict[str, str]) -> list[Place]:
    """Return where the record is that was asked for; nothing where it is not named in full."""
    if asked["entity"] and asked["record"]:
        return [trail.place_of_record(asked["entity"], asked["record"])]
    if asked["rule"] and asked["key"]:
        return trail.start_of_pair(house, asked["rule"], asked["side"] or "left", asked["key"])
    if asked["connection"] and asked["object"] and asked["key"]:
        return [Place(asked["connection"], asked["object"], asked["field"], asked["key"])]
    return []
