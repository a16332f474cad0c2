"""Errors of any driver in our words: by the state that the SQL standard names, else by their kind (PEP 249)."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from connectors.builtin.database_check import NoDatabase
from connectors.builtin.database_flavor import Refusal
from connectors.errors import AuthFailed, ConnectorError, Forbidden, Misconfigured, ObjectMissing, Unavailable
from rules.text import Message, msg

GONE = msg("The database does not answer or has ended the connection.")
BUSY = msg("Others kept what was to be written locked for too long.")
MISSING = msg("A table, view or field does not exist (any more).")
NOT_LET_IN = msg("The database does not let this user in.")
NO_PERMISSION = msg("The database user has no permission for this.")
NOT_NOW = msg("The database cannot do this at the moment.")
_LONGEST = 300

# the beginning of a state (SQLSTATE)
_STATES: Sequence[tuple[str, type[ConnectorError], Message]] = (
    ("08", Unavailable, GONE),
    ("28", AuthFailed, NOT_LET_IN),
    ("3D", NoDatabase, msg("The server has no such database.")),
    ("40", Unavailable, BUSY),
    ("42S02", ObjectMissing, MISSING),
    ("42S22", ObjectMissing, MISSING),
    ("42P01", ObjectMissing, MISSING),
    ("42703", ObjectMissing, MISSING),
    ("42501", Forbidden, NO_PERMISSION),
    ("53", Unavailable, msg("The database has no room or no connection left.")),
    ("57", Unavailable, GONE),
)
_KINDS: Sequence[tuple[str, type[ConnectorError], Message]] = (
    ("InterfaceError", Unavailable, GONE),
    ("OperationalError", Unavailable, NOT_NOW),
)
_RECORD_STATES, _RECORD_KINDS = ("22", "23"), ("IntegrityError", "DataError")


def fault(error: BaseException, object_name: str | None) -> ConnectorError:
    """Return a driver's error in our words, with what the database says."""
    state, words = _state(error), told(error)
    for begin, kind, message in _STATES:
        if state.startswith(begin):
            return kind(message, words, object_name=object_name)
    names = {base.__name__ for base in type(error).__mro__}
    if not state:
        for name, kind, message in _KINDS:
            if name in names:
                return kind(message, words, object_name=object_name)
    if isinstance(error, sa.exc.NoSuchTableError):
        return ObjectMissing(MISSING, object_name=object_name)
    return Misconfigured(msg("The database refuses this."), words, object_name=object_name)


def refusal(error: BaseException) -> Refusal | None:
    """Return why a record is refused, or None if the error is not about a record."""
    state = _state(error)
    names = {base.__name__ for base in type(error).__mro__}
    about = state.startswith(_RECORD_STATES) if state else bool(names & set(_RECORD_KINDS))
    return refused(error) if about else None


def refused(error: BaseException) -> Refusal:
    """Return that a record is refused, and why."""
    return Refusal(msg("The database refuses the record: {text}.", text=said(error).rstrip(".")))


def told(error: BaseException) -> Message:
    """Return what a driver says."""
    return msg("It says: {text}", text=said(error))


def said(error: BaseException) -> str:
    """Return what a driver says, in one line."""
    return " ".join(str(error).split())[:_LONGEST]


def _state(error: BaseException) -> str:
    found = getattr(error, "sqlstate", None)
    return found if isinstance(found, str) else ""
