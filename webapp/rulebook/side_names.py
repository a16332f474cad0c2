"""What people call the two sides of a rule: their connections, not "left" and "right"."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from webapp.connections.models import connection


@dataclass(frozen=True)
class SideNames:
    """What people call the two sides of a rule, and their objects."""

    left: str
    right: str
    objects: Mapping[str, str]

    def of(self, side: str) -> str:
        """Return the name of a side."""
        return self.left if side == "left" else self.right


def side_names(tx: sa.Connection, document: Mapping[str, Any]) -> SideNames:
    """Return what the sides of a rule are called: their connections, with the objects where both are in one."""
    parts = {side: document.get(side) or {} for side in ("left", "right")}
    names = {side: str(part.get("connection") or side) for side, part in parts.items()}
    objects = {side: str(part.get("object") or "") for side, part in parts.items()}
    table = connection.c
    query = sa.select(table.name, table.label).where(table.name.in_(names.values()))
    labels = {row.name: row.label for row in tx.execute(query) if row.label}
    if names["left"] == names["right"]:
        shown = {side: f"{labels.get(name, name)} › {objects[side]}" for side, name in names.items()}
    else:
        shown = {side: labels.get(name, name) for side, name in names.items()}
    return SideNames(shown["left"], shown["right"], objects)
