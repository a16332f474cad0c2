"""Which tables the revisions look after: all rooms' models."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import webapp
from webapp.extensions import metadata

FOREIGN = ("ab_", "e_", "alembic_version", "sqlite_")
"""Beginnings of the names of tables that others look after."""


def all_tables() -> sa.MetaData:
    """Return the metadata with every room's tables; a room has them in its `models` module."""
    house = Path(webapp.__file__).parent
    for path in sorted(house.glob("**/models.py")):
        importlib.import_module(".".join(("webapp", *path.relative_to(house).with_suffix("").parts)))
    return metadata


def ours(_item: Any, name: str | None, kind: str, reflected: bool, compare_to: Any) -> bool:
    """Tell Alembic whether to compare an item: not the tables of others that it finds in the database."""
    return not (kind == "table" and reflected and compare_to is None and (name or "").startswith(FOREIGN))
