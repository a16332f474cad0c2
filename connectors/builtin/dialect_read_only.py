"""Transactions that only read, of drivers that begin them by calls of their own instead of a statement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import sqlalchemy as sa


def _firebird(connection: sa.Connection) -> None:
    driver: Any = import_module("firebird.driver")  # an operator installs it
    parameters = driver.tpb(isolation=driver.Isolation.SNAPSHOT, access_mode=driver.TraAccessMode.READ)
    opened: Any = connection.connection.driver_connection
    opened.begin(parameters)


BEGIN: Mapping[str, Callable[[sa.Connection], None]] = {"firebird-driver": _firebird}
"""What begins such a transaction, by the name of the driver."""
