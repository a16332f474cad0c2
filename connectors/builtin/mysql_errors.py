"""Errors of MySQL and MariaDB in our words, by their numbers."""

from __future__ import annotations

import re
import ssl

import pymysql

from connectors.builtin.database_check import NoDatabase, Untrusted
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.mysql_wire import FILE_ASKED
from connectors.errors import AuthFailed, ConnectorError, Forbidden, Misconfigured, ObjectMissing, Unavailable
from rules.text import Message, msg

_WRONG_USER = msg("The database does not accept this user and password.")
_NO_PERMISSION = msg("The database user has no permission for this.")
_LOST = msg("The connection to the database was lost or cannot be made.")
_BUSY = msg("The database takes no connections at the moment.")
_LOCKED = msg("Another transaction keeps records locked; it can be tried again.")
_READ_ONLY = msg("The database is read-only, perhaps a replica.")
_NO_ROOM = msg("The database has no room at the moment.")
_NOT_WRITABLE = msg("This view cannot be written.")
_GENERATED = msg("A field is filled in by the database itself and must not be written.")
_NOT_FROM_HERE = msg("The server does not let this machine or user in.")
_UNTRUSTED = msg("The server's certificate is not trusted, or is made out for another name.")

_NUMBERS: dict[int, tuple[type[ConnectorError], Message]] = {
    **dict.fromkeys((1045, 1698, 1251, 2059), (AuthFailed, _WRONG_USER)),
    **dict.fromkeys((1129, 1130, 1820, 1862), (AuthFailed, _NOT_FROM_HERE)),
    **dict.fromkeys((1044, 1142, 1143, 1227, 1370), (Forbidden, _NO_PERMISSION)),
    **dict.fromkeys((1290, 1792, 1836), (Forbidden, _READ_ONLY)),
    **dict.fromkeys((1288, 1471), (Forbidden, _NOT_WRITABLE)),
    **dict.fromkeys((1906, 3105), (Misconfigured, _GENERATED)),
    **dict.fromkeys((1051, 1146), (ObjectMissing, msg("A table or view does not exist (any more)."))),
    1054: (ObjectMissing, msg("A field does not exist (any more).")),
    1049: (NoDatabase, msg("The server has no database of this name.")),
    FILE_ASKED: (Misconfigured, msg("The server asks for a file of this machine, which it does not get.")),
    2026: (Untrusted, msg("The server offers no encryption, but the settings ask for it.")),
    # 1305: a deadlock undid the whole transaction, and with it the savepoint that we then want to go back to
    **dict.fromkeys((1205, 1213, 1305), (Unavailable, _LOCKED)),
    **dict.fromkeys((1040, 1053, 1203, 1226), (Unavailable, _BUSY)),
    **dict.fromkeys((1021, 1041, 1114), (Unavailable, _NO_ROOM)),
    **dict.fromkeys((1317, 1969, 3024), (Unavailable, msg("The database took too long and gave up."))),
    1153: (Misconfigured, msg("A record is larger than the server's 'max_allowed_packet'.")),
}

_ABOUT_A_RECORD = {
    1048, 1062, 1118, 1138, 1169, 1216, 1217, 1231, 1264, 1265, 1292, 1300, 1364, 1366, 1367, 1406, 1411, 1416, 1451,
    1452, 1557, 1586, 1644, 1690, 1761, 1762, 3140, 3141, 3156, 3819, 3903, 4025,
}  # fmt: skip

_REPEATED = {1022, 1062, 1169, 1557, 1586}
LEFT_OUT = {*_REPEATED, 1216, 1452, 1761, 1762, 3819, 4025}
"""A load that warns of one of these has left the row out and changed no value."""

_CLIENT_ERRORS = {0, *range(2000, 3000)}
"""The driver's own errors: the server did not answer at all."""

_COLUMN = re.compile(r"(?:olumn|Field) ['`](?:[^'`]*`\.`)*([^'`]+)['`]")
_INDEX = re.compile(r"for key '(?:[^'.]*\.)?([^']+)'")
_POINTING = re.compile(r"FOREIGN KEY \(`([^`]+)`\)")
_RULE = re.compile(r"(?:CONSTRAINT|constraint) [`'](?:[^`']*`\.`)*([^`']+)[`']")


def fault(error: BaseException, object_name: str | None) -> ConnectorError:
    """Return a driver's error in our words."""
    if isinstance(error.__cause__ or error.__context__, ssl.SSLError):
        return Untrusted(_UNTRUSTED)
    number, text = _parts(error)
    if number in _NUMBERS:
        kind, message = _NUMBERS[number]
        return kind(message, msg("It says: {text}", text=text) if kind is Forbidden else None, object_name=object_name)
    if number in _CLIENT_ERRORS or isinstance(error, pymysql.InterfaceError):
        return Unavailable(_LOST, object_name=object_name)
    return Misconfigured(
        msg("The database refuses this ({code}).", code=number), msg("It says: {text}", text=text),
        object_name=object_name,
    )  # fmt: skip


def refusal(error: BaseException) -> Refusal | None:
    """Return why a record is refused, or None if the error is not about a record."""
    number, text = _parts(error)
    if number not in _ABOUT_A_RECORD:
        return None
    match = _COLUMN.search(text) or _POINTING.search(text)
    field = match[1] if match else None
    return Refusal(_sentence(number, text, field), field)


def is_repeated(error: BaseException | None) -> bool:
    """Tell whether a record is refused because another one has the same values."""
    return error is not None and _parts(error)[0] in _REPEATED


def _sentence(number: int, text: str, field: str | None) -> Message:
    index, rule = _INDEX.search(text), _RULE.search(text)
    if number in _REPEATED and index:
        return msg("A record with the same values exists already ({rule}).", rule=index[1])
    if number in {1048, 1364} and field:
        return msg("'{field}' must not be empty.", field=field)
    if number in {1216, 1452}:
        return msg("The record that {field} points to does not exist.", field=field or "")
    if number in {1217, 1451}:
        return msg("Other records still point to this record.")
    if number in {3819, 4025} and rule:
        return msg("The database's rule '{rule}' does not allow this record.", rule=rule[1])
    return msg("The database refuses the record: {text}.", text=text)


def _parts(error: BaseException) -> tuple[int, str]:
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return number, str(error.args[1]) if len(error.args) > 1 else ""
