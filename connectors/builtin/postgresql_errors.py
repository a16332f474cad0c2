"""PostgreSQL's errors in our words, by their SQLSTATE; errors of connecting have none and are told by their text."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

from connectors.builtin.database_check import NoDatabase, Untrusted
from connectors.builtin.database_flavor import Refusal
from connectors.errors import AuthFailed, ConnectorError, Forbidden, Misconfigured, ObjectMissing, Unavailable
from rules.text import Message, msg

_ABOUT_A_RECORD = ("22", "23", "44")
_ALSO_ABOUT_A_RECORD = {"P0001", "54000"}
_COPY_COLUMN = re.compile(r"^COPY .*?, column (.+?)(?:: |$)", re.MULTILINE)
_KEY_FIELDS = re.compile(r"\(([^()]+)\)=\(")


@dataclass(frozen=True)
class Diagnosis:
    """What PostgreSQL says about an error; the names are those of a driver's diagnosis."""

    sqlstate: str
    message_primary: str
    message_detail: str
    column_name: str
    constraint_name: str
    table_name: str
    context: str = ""


class _Noted(psycopg.Error):
    """An error that happened in the server and was noted there."""

    def __init__(self, found: Diagnosis) -> None:
        super().__init__(found.message_primary)
        self.sqlstate = found.sqlstate
        self._found = found

    @property
    def diag(self) -> Any:
        """Return what was noted."""
        return self._found


Fault = Callable[[Message], ConnectorError]

# SQLSTATE or its class -> what it means; the longest prefix wins
_STATES: dict[str, tuple[type[ConnectorError], Message]] = {
    "08": (Unavailable, msg("The connection to the database was lost.")),
    "28": (AuthFailed, msg("The database does not accept this user and password.")),
    "3D": (NoDatabase, msg("The server has no database of this name.")),
    "40": (Unavailable, msg("The database stopped this to let another transaction go on; it can be tried again.")),
    "42501": (Forbidden, msg("The database user has no permission for this.")),
    "42P01": (ObjectMissing, msg("A table or view does not exist (any more).")),
    "42703": (ObjectMissing, msg("A field does not exist (any more).")),
    "3F": (Misconfigured, msg("The database has no schema of this name.")),
    "428C9": (Misconfigured, msg("A field is filled in by the database itself and must not be written.")),
    "25006": (Forbidden, msg("The database is read-only, perhaps a replica.")),
    "25P04": (Unavailable, msg("The database ended a transaction that took too long.")),
    "25P03": (Unavailable, msg("The database ended a transaction that stood still for too long.")),
    "53": (Unavailable, msg("The database has no room or no free connections at the moment.")),
    "55006": (Unavailable, msg("Something else uses this at the moment; it can be tried again.")),
    "55P03": (Unavailable, msg("Another transaction keeps records locked; it can be tried again.")),
    "57014": (Unavailable, msg("The database took too long and gave up.")),
    "57": (Unavailable, msg("The database is being stopped or restarted.")),
    "58": (Unavailable, msg("The database has trouble with its own machine.")),
    "XX": (Unavailable, msg("The database reports a defect of its own.")),
}

_WRONG_USER = msg("The database does not accept this user and password.")
_NOT_LET_IN = msg("The server does not let this user in from here, or not without encryption.")
_NO_TLS = msg("The server offers no encryption, but the settings ask for it.")
_BAD_CERTIFICATE = msg("The server's certificate is not trusted, or is made out for another name.")
_BUSY = msg("The database takes no connections at the moment.")

# text of a failed connect -> what it means
_CONNECTING: tuple[tuple[str, type[ConnectorError], Message], ...] = (
    ("password authentication failed|role .* does not exist", AuthFailed, _WRONG_USER),
    ("no password supplied", AuthFailed, msg("The database asks for a password and none is set.")),
    ("no pg_hba.conf entry", AuthFailed, _NOT_LET_IN),
    ("is not permitted to log in", AuthFailed, msg("This user is not permitted to sign in.")),
    ("database .* does not exist", NoDatabase, msg("The server has no database of this name.")),
    ("permission denied for database", Forbidden, msg("This user may not use this database.")),
    ("server does not support SSL", Untrusted, _NO_TLS),
    ("certificate verify failed|does not match host name|root certificate file", Untrusted, _BAD_CERTIFICATE),
    ("received invalid response|expected authentication", Misconfigured, msg("The port is not that of PostgreSQL.")),
    ("Connection refused", Unavailable, msg("Nothing listens on this port of the server.")),
    ("timeout|timed out", Unavailable, msg("The server does not answer in time.")),
    ("starting up|shutting down|too many clients|remaining connection slots", Unavailable, _BUSY),
)


def fault(error: BaseException, object_name: str | None) -> ConnectorError:
    """Return a driver's error in our words."""
    state = getattr(error, "sqlstate", None)
    if state is None:
        return _connecting(error, object_name)
    for length in (5, 2):
        if state[:length] in _STATES:
            kind, message = _STATES[state[:length]]
            return kind(message, _told(error), object_name=object_name)
    return Misconfigured(msg("The database refuses this ({code}).", code=state), _told(error), object_name=object_name)


def refusal(error: BaseException) -> Refusal | None:
    """Return why a record is refused, or None if the error is not about a record."""
    state = getattr(error, "sqlstate", None) or ""
    known = state.startswith(_ABOUT_A_RECORD) or state in _ALSO_ABOUT_A_RECORD
    if not known or not isinstance(error, psycopg.Error):
        return None
    field = _field(error)
    say = _REFUSALS.get(state)
    return Refusal(say(error, field) if say else _plainly(error, field), field)


def noted(found: Diagnosis) -> Refusal | None:
    """Return why a record is refused as noted in the server, or None if the error is not about a record."""
    return refusal(_Noted(found))


def _connecting(error: BaseException, object_name: str | None) -> ConnectorError:
    text = str(error)
    for pattern, kind, message in _CONNECTING:
        if re.search(pattern, text):
            return kind(message, object_name=object_name)
    return Unavailable(msg("The connection to the database was lost or cannot be made."), object_name=object_name)


def _told(error: BaseException) -> Message | None:
    diagnosis = error.diag.message_primary if isinstance(error, psycopg.Error) else None
    return msg("It says: {text}", text=diagnosis) if diagnosis else None


def _field(error: psycopg.Error) -> str | None:
    if error.diag.column_name:
        return error.diag.column_name
    keys = _KEY_FIELDS.search(error.diag.message_detail or "")
    if keys is not None and "," not in keys[1]:
        return keys[1].strip('"')
    copied = _COPY_COLUMN.search(error.diag.context or "")
    return copied[1] if copied else None


def _plainly(error: psycopg.Error, _: str | None) -> Message:
    return msg("The database refuses the record: {text}.", text=error.diag.message_primary or "")


def _unique(error: psycopg.Error, _: str | None) -> Message:
    keys = _KEY_FIELDS.search(error.diag.message_detail or "")
    if keys is None:
        return msg("A record with the same values exists already ({rule}).", rule=error.diag.constraint_name or "")
    return msg("A record with the same {fields} exists already.", fields=keys[1])


def _foreign(error: psycopg.Error, field: str | None) -> Message:
    if "still referenced" in (error.diag.message_detail or ""):
        return msg("Records of {object} still point to this record.", object=error.diag.table_name or "")
    return msg("The record that {field} points to does not exist.", field=field or error.diag.constraint_name or "")


def _empty(_: psycopg.Error, field: str | None) -> Message:
    return msg("'{field}' must not be empty.", field=field or "")


def _rule(error: psycopg.Error, _: str | None) -> Message:
    return msg("The database's rule '{rule}' does not allow this record.", rule=error.diag.constraint_name or "")


_REFUSALS: dict[str, Callable[[psycopg.Error, str | None], Message]] = {
    "23502": _empty,
    "23503": _foreign,
    "23505": _unique,
    "23514": _rule,
}
