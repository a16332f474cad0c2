"""Writing with any dialect: one prepared statement for many rows, as the driver runs it best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_rows import RowLoader


class DialectLoader(RowLoader):
    """Writes rows."""

    def create_one(self, record: dict[str, Any], key: str) -> Any:
        """Insert a record and return its key."""
        statement = sa.insert(self.source).values({name: bound(value) for name, value in record.items()})
        if self.connection.dialect.insert_returning:
            return self.connection.execute(statement.returning(sa.column(key))).scalar_one()
        return self.connection.execute(statement).lastrowid

    def _many(self, statement: Any, values: dict[str, Sequence[Any]]) -> None:
        compiled = statement.compile(dialect=self.connection.dialect)
        names = compiled.positiontup or list(compiled.params)
        rows: list[Any] = list(zip(*(values[name] for name in names), strict=True))
        if rows and compiled.positiontup is None:
            rows = [dict(zip(names, row, strict=True)) for row in rows]
        if rows:
            self.connection.exec_driver_sql(str(compiled), rows)


def bound(value: Any) -> sa.BindParameter[Any]:
    """Return a value as a parameter that the driver gets as it is."""
    return sa.bindparam(None, value, type_=sa.types.NullType())
