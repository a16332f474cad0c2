"""What databases that are read through a SQLAlchemy dialect have in common: keys by setting, and a plain fence."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property

from connectors.builtin.database import Database
from connectors.builtin.database_fence import FenceTable
from connectors.builtin.database_queries import QUERIES_SETTING, QUERY, key_of
from connectors.builtin.database_settings import CA_SETTING, OWN_TABLE_SETTING
from connectors.builtin.database_types import Table
from connectors.errors import Misconfigured
from connectors.spi import Setting, SettingKind
from rules.text import N_, msg

KEYS_SETTING = Setting(
    "keys",
    N_("Keys"),
    SettingKind.JSON,
    N_("For views and tables without a key: the fields that tell their records apart."),
    advanced=True,
    placeholder='{"open_orders": ["order_no", "line"]}',
)
SERVER_SETTINGS = (CA_SETTING, KEYS_SETTING, QUERIES_SETTING, OWN_TABLE_SETTING)
"""The last settings of a server."""


class DialectDatabase(Database):
    """A database whose catalogue SQLAlchemy reads."""

    @property
    def namespace(self) -> str | None:
        """Return the schema in which the objects are."""
        return str(self.settings.get("schema") or "").strip() or None

    def _table(self, name: str) -> Table:
        table = super()._table(name)
        told = None if table.kind == QUERY else (self.settings.get("keys") or {}).get(name)
        if not told:
            return table
        key = key_of(told)
        if absent := [field for field in key if field not in table.by_name]:
            raise Misconfigured(
                msg("'{object}' has no field '{field}', which the setting 'Keys' names.", object=name, field=absent[0])
            )
        return replace(table, key=key)

    @cached_property
    def _fences(self) -> FenceTable:
        return FenceTable(self.namespace, allowed=bool(self.settings.get("own_table", True)), portable=True)
