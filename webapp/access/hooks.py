"""Where rooms above the access hang in what they keep by user name. Filled once a process."""

from __future__ import annotations

from collections.abc import Callable, Collection

import sqlalchemy as sa

deleted: list[Callable[[sa.Connection, str], None]] = []
"""Each is called with the user name in the transaction that deletes the user: another one may take the name."""

role_deleted: list[Callable[[sa.Connection, int], None]] = []
"""Each is called with a role's id in the transaction that deletes it: another one may take the id."""

giving: list[Callable[[sa.Connection, int, Collection[str]], None]] = []
"""Each is called with the id of a user who gives or takes roles and their names; raises `Refused` for those that the
user cannot give."""
