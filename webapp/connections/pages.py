"""What the pages of connections share."""

from __future__ import annotations

from flask import abort, request

from webapp.connections import services
from webapp.connections.errors import ConnectionMissing
from webapp.connections.store import ConnectionRow
from webapp.web.storable import natural
from webapp.web.views import RoomView


class ConnectionRoom(RoomView):
    """A page below `/connections/`."""

    route_base = "/connections"
    class_permission_name = "Connections"

    def row(self, name: str) -> ConnectionRow:
        """Return the connection of the address, or show that there is none."""
        with self.house.db.read() as tx:
            try:
                return services.get_connection(tx, name)
            except ConnectionMissing:
                abort(404)

    def taken_names(self) -> set[str]:
        """Return the names that a new connection cannot have."""
        with self.house.db.read() as tx:
            return {row.name for row in services.list_connections(tx)}


def seen_version(row: ConnectionRow) -> int:
    """Return the version of a connection that a sent form was made from."""
    version = natural(request.form.get("version", ""))
    return row.version if version is None else version
