"""The SQL of Oracle. An empty text is nothing there, and a date has a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import oracledb
import sqlalchemy as sa

from connectors.builtin.database_check import NoDatabase
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.database_types import Column
from connectors.builtin.dialect_errors import BUSY, GONE, MISSING, NO_PERMISSION, NOT_LET_IN, refused, told
from connectors.builtin.dialect_flavor import DialectFlavor
from connectors.errors import AuthFailed, ConnectorError, Forbidden, ObjectMissing, Unavailable
from rules.schema import FieldType
from rules.text import Message, msg

_FAULTS: Mapping[int, tuple[type[ConnectorError], Message]] = {
    **dict.fromkeys((1017, 28000, 28001), (AuthFailed, NOT_LET_IN)),
    **dict.fromkeys((12505, 12514), (NoDatabase, msg("The server has no such service."))),
    **dict.fromkeys((904, 942), (ObjectMissing, MISSING)),
    **dict.fromkeys((1031, 1045), (Forbidden, NO_PERMISSION)),
    **dict.fromkeys((54, 60, 8177, 30006), (Unavailable, BUSY)),
    **dict.fromkeys((28, 1033, 1034, 1089, 3113, 3114, 12170, 12541), (Unavailable, GONE)),
    **dict.fromkeys((1536, 1653, 1654, 1691), (Unavailable, msg("There is no room left for the database."))),
}
_REFUSALS = frozenset((1, 1400, 1407, 1438, 1722, 1830, 1839, 1843, 1847, 1858, 1861, 2290, 2291, 2292, 12899))
"""Errors about a record: https://docs.oracle.com/error-help/db/."""
_UNREACHED, _UNKNOWN = ("DPY-6000", "DPY-6005", "DPY-4011"), ("DPY-6001", "DPY-6003")
"""What the driver says by itself: https://python-oracledb.readthedocs.io/en/latest/user_guide/exception_handling.html."""


class OracleFlavor(DialectFlavor):
    """How Oracle is read and written."""

    driver_errors = (oracledb.Error, sa.exc.SQLAlchemyError)
    kinds: ClassVar[Mapping[str, FieldType]] = {
        "ROWID": FieldType.TEXT,
        "INTERVAL": FieldType.TEXT,
        "RAW": FieldType.BINARY,
        "BINARY_FLOAT": FieldType.FLOAT,
        "BINARY_DOUBLE": FieldType.FLOAT,
    }

    def wire(self, column: Column) -> sa.ColumnElement[Any]:
        """Select JSON as its text."""
        own: sa.ColumnElement[Any] = sa.column(column.name)
        return sa.func.json_serialize(own) if column.field.type is FieldType.JSON else own

    def nulls_first(self, order: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Oracle sorts nulls last."""
        return order.nulls_first()

    def fault(self, error: BaseException, object_name: str | None) -> ConnectorError:
        """Return an error by its number."""
        words, text = told(error), str(error)
        if any(name in text for name in _UNKNOWN):
            return NoDatabase(msg("The server has no such service."), words, object_name=object_name)
        if text.startswith(_UNREACHED):
            return Unavailable(GONE, words, object_name=object_name)
        found = _FAULTS.get(_number(error))
        if found is None:
            return super().fault(error, object_name)
        kind, message = found
        return kind(message, words, object_name=object_name)

    def refusal(self, error: BaseException) -> Refusal | None:
        """Return why a record is refused, by the number of the error."""
        about = _number(error) in _REFUSALS
        return refused(error) if about else None


def _number(error: BaseException) -> int:
    return int(getattr(error.args[0], "code", 0) or 0) if error.args else 0
