"""SQLite's errors in our words, by their extended codes."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping

from connectors.builtin.database_flavor import Refusal
from connectors.errors import ConnectorError, Forbidden, Misconfigured, ObjectMissing, Unavailable
from rules.text import N_, Message, msg

_NAME = re.compile(r"\w+")
_FIELDS = re.compile(r"constraint failed: (.+)$")

_CODES: Mapping[str, tuple[type[ConnectorError], Message]] = {
    "SQLITE_BUSY": (Unavailable, msg("Another program keeps the database locked.")),
    "SQLITE_LOCKED": (Unavailable, msg("Another program keeps the database locked.")),
    "SQLITE_READONLY": (Forbidden, msg("The database file is read-only for Syncline.")),
    "SQLITE_PERM": (Forbidden, msg("Syncline has no permission for the database file.")),
    "SQLITE_NOTADB": (Misconfigured, msg("The file is not a SQLite database, or it is encrypted.")),
    "SQLITE_CORRUPT": (Misconfigured, msg("The database file is damaged.")),
    "SQLITE_CANTOPEN": (Unavailable, msg("The database file cannot be opened.")),
    "SQLITE_IOERR": (Unavailable, msg("The database file cannot be read or written at the moment.")),
    "SQLITE_FULL": (Unavailable, msg("There is no room left for the database.")),
    "SQLITE_NOMEM": (Unavailable, msg("There is not enough memory at the moment.")),
}
_CONSTRAINTS: Mapping[str, Message] = {
    "SQLITE_CONSTRAINT_FOREIGNKEY": msg("It points to a record that does not exist, or others still point to it."),
    "SQLITE_CONSTRAINT_DATATYPE": msg("A value has the wrong type for its column."),
    "SQLITE_MISMATCH": msg("A value has the wrong type for its column."),
    "SQLITE_TOOBIG": msg("A value is too long for SQLite."),
}


def fault(error: BaseException, object_name: str | None) -> ConnectorError:
    """Return a driver's error in our words."""
    error = _first(error)
    name, text = _name(error), str(error)
    for prefix, (kind, message) in _CODES.items():
        if name.startswith(prefix):
            return kind(message, object_name=object_name)
    if text.startswith("no such table"):
        return ObjectMissing(msg("A table or view does not exist (any more)."), object_name=object_name)
    if "no such column" in text or "has no column" in text:
        return ObjectMissing(msg("A field does not exist (any more)."), object_name=object_name)
    return Misconfigured(msg("The database refuses this."), msg("It says: {text}", text=text), object_name=object_name)


def _first(error: BaseException) -> BaseException:
    """Return the error that came first: on a full disk SQLite ends the transaction, and then going back in it fails."""
    while str(error).startswith("no such savepoint") and error.__context__ is not None:
        error = getattr(error.__context__, "orig", None) or error.__context__
    return error


def refusal(error: BaseException) -> Refusal | None:
    """Return why a record is refused, or None if the error is not about a record."""
    name, text = _name(error), str(error)
    if name in _CONSTRAINTS:
        return Refusal(_CONSTRAINTS[name])
    if not name.startswith("SQLITE_CONSTRAINT"):
        return None
    if name == "SQLITE_CONSTRAINT_CHECK":
        return Refusal(_checked(text.partition("constraint failed: ")[2]))
    match = _FIELDS.search(text)
    fields = [part.rpartition(".")[2] for part in match[1].split(", ")] if match else []
    return Refusal(_sentence(name, text, fields), fields[0] if len(fields) == 1 else None)


def _sentence(name: str, text: str, fields: list[str]) -> Message:
    if name in {"SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY", "SQLITE_CONSTRAINT_ROWID"}:
        return msg("A record with the same {fields} exists already.", fields=", ".join(fields))
    if name == "SQLITE_CONSTRAINT_NOTNULL":
        return msg("'{field}' must not be empty.", field=", ".join(fields))
    return msg("The database refuses the record: {text}.", text=text)


def _checked(told: str) -> Message:
    """SQLite tells the name of the constraint, or its condition where it has no name."""
    if _NAME.fullmatch(told):
        return msg("The database's rule '{rule}' does not allow this record.", rule=told)
    text = N_("The record does not meet this condition of the database: {condition}")
    return msg(text, condition=" ".join(told.split()))


def _name(error: BaseException) -> str:
    return str(getattr(error, "sqlite_errorname", "")) if isinstance(error, sqlite3.Error) else ""
