"""Own SQL as an object: a SELECT that a connection names is read like a view of the database, and never written.

It always stands inside another SELECT, where databases take nothing that changes data; what is more than one SELECT, or
may be for some database, is refused before it is sent. It is read in a transaction that only reads where the database
has such, and that is never committed; what its functions do beside that is up to the rights of the connection's user.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import sqlalchemy as sa

from connectors.builtin.database_types import Column, Table
from connectors.errors import Misconfigured
from connectors.spi import Setting, SettingKind
from rules.text import N_, Message, msg

QUERY = "query"
"""The kind of such an object."""
_ALIAS = "syncline_query"
# what databases read differently is no token, so that nothing is a text or comment here and a statement there
_TOKENS = re.compile(
    r"""(?P<space>\s+)
    |(?P<comment>--(?:[ \t][^\n]*)?(?:\n|$)|/\*(?!M?!)(?:(?!/\*).)*?\*/)
    |(?P<quoted>'(?:[^'\\]|''|\\[^'])*'|"(?:[^"\\]|""|\\[^"])*"|`[\w .$-]*`)
    |(?P<word>[^\W\d][\w$]*)|(?P<open>--|/\*)|(?P<other>.)""",
    re.DOTALL | re.VERBOSE,
)
_CHANGES = frozenset(
    {
        *("ALTER", "CALL", "COPY", "CREATE", "DELETE", "DROP", "EXEC", "EXECUTE", "GRANT", "INSERT", "INTO", "LOCK"),
        *("MERGE", "REVOKE", "TRUNCATE", "UPDATE", "VACUUM"),
        # what runs statements of another server or program, where no transaction of ours holds them back
        *("DBLINK", "DBLINK_EXEC", "DBMS_SQL", "LOAD_EXTENSION", "OPENDATASOURCE", "OPENQUERY", "OPENROWSET"),
        *("QUERY_TO_XML", "SYS_EXEC", "SYS_EVAL", "XP_CMDSHELL"),
    }
)

_UNCLEAR = msg(
    "It holds a text or comment that does not end, or that databases read differently; write '' for a quote, and a "
    "blank behind --."
)
READ_ONLY: Mapping[str, str] = {
    "postgresql": "SET TRANSACTION READ ONLY",
    "cockroachdb": "SET TRANSACTION READ ONLY",
    "hana": "SET TRANSACTION READ ONLY",
    "oracle": "SET TRANSACTION READ ONLY",
    "mysql": "START TRANSACTION READ ONLY",
    "mariadb": "START TRANSACTION READ ONLY",
}
"""What keeps the functions of a query from changing data, by dialect.

Firebird's drivers say it otherwise (`dialect_read_only`). SQL Server has nothing like it, but its functions cannot
change data either. Whatever a query does, its transaction is never committed.
"""

QUERIES_SETTING = Setting(
    "queries",
    N_("Own queries"),
    SettingKind.JSON,
    N_("SELECT statements that are read like tables, by name, each with the fields that tell its records apart."),
    advanced=True,
    placeholder='{"open_orders": {"sql": "SELECT no, total FROM orders WHERE open = 1", "key": ["no"]}}',
)


@dataclass(frozen=True)
class Query:
    """A SELECT of a connection; `key` are the fields that tell its records apart."""

    name: str
    sql: str
    key: tuple[str, ...]

    def wrapped(self, what: str = "*") -> str:
        """Return a statement that selects from the query."""
        return f"SELECT {what} FROM (\n{self.sql}\n) {_ALIAS}"  # noqa: S608 - the person who owns the connection wrote it

    def source(self, columns: Sequence[Column]) -> sa.FromClause:
        """Return the query as what is selected from."""
        named: list[sa.ColumnClause[Any]] = [sa.column(column.name) for column in columns]
        return sa.text(self.sql.replace("\\", "\\\\").replace(":", "\\:")).columns(*named).subquery(_ALIAS)

    def table(self, columns: Sequence[Column]) -> Table:
        """Return the query as a table with these columns; raises `Misconfigured` where its key is none of them."""
        names = [column.name for column in columns]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise unusable(self.name, msg("It gives two fields the name '{field}'; name one with AS.", field=twice))
        if absent := [name for name in self.key if name not in names]:
            raise unusable(self.name, msg("It has no field '{field}', which its key names.", field=absent[0]))
        filled = (_filled(column) if column.name in self.key else column for column in columns)
        return Table(self.name, tuple(filled), self.key, QUERY, bulk=False)


def unusable(name: str, why: Message) -> Misconfigured:
    """Return the error for a query that cannot be read."""
    return Misconfigured(msg("The own query '{name}' cannot be used.", name=name), why, object_name=name)


def queries(settings: Mapping[str, Any]) -> dict[str, Query]:
    """Return the queries of a connection by name; raises `Misconfigured` for what is not one SELECT."""
    found = settings.get("queries") or {}
    if not isinstance(found, dict):
        raise Misconfigured(msg("The own queries have to be an object of names and statements."))
    return {str(name): _query(str(name), told) for name, told in found.items()}


def _query(name: str, told: Any) -> Query:
    told = {"sql": told} if isinstance(told, str) else told
    sql = told.get("sql") if isinstance(told, dict) else None
    if not isinstance(sql, str):
        raise unusable(name, msg("It needs its statement under 'sql', and its key under 'key'."))
    sql = sql.replace("\r\n", "\n").strip().removesuffix(";").strip()
    why = problem(sql)
    if why is not None:
        raise unusable(name, why)
    return Query(name, sql, key_of(told.get("key") or ()))


def key_of(told: str | Sequence[Any]) -> tuple[str, ...]:
    """Return the fields of a key, which may be a single one."""
    return tuple(map(str, [told] if isinstance(told, str) else told))


def problem(sql: str) -> Message | None:
    """Return why a text is not one SELECT, None if it is."""
    tokens = [(str(found.lastgroup), found.group()) for found in _TOKENS.finditer(sql)]
    words = [text.upper() for kind, text in tokens if kind == "word"]
    if not words or words[0] not in ("SELECT", "WITH"):
        return msg("It has to begin with SELECT or WITH.")
    if changes := next((word for word in words if word in _CHANGES), None):
        return msg("It must not hold the word {word}; put a field of this name in quotes.", word=changes)
    if "\r" in sql or "\0" in sql or any(kind == "open" for kind, _ in tokens) or _ambiguous(tokens):
        return _UNCLEAR
    return _shape([text for kind, text in tokens if kind == "other"])


def _ambiguous(tokens: Sequence[tuple[str, str]]) -> bool:
    """Tell whether a text or comment begins where some databases are in a comment (#) or in a name (in brackets)."""
    line = False
    names = 0
    for kind, text in tokens:
        if kind in ("quoted", "comment") and ((line and "\n" in text[:-1]) or (names and "]" in text)):
            return True
        line = (line and "\n" not in text) or text == "#"
        names += {"[": 1, "]": -1}.get(text, 0) if kind == "other" else 0
        names = max(names, 0)
    return False


def _shape(signs: Sequence[str]) -> Message | None:
    """Return what is wrong with the signs of a statement outside of its texts."""
    if ";" in signs:
        return msg("It has to be one statement.")
    if set(signs) & {"'", '"', "`", "\\", "$"}:
        return _UNCLEAR
    depths = list(accumulate({"(": 1, ")": -1}.get(sign, 0) for sign in signs))
    if min(depths, default=0) < 0 or (depths and depths[-1]):
        return msg("Its brackets do not fit.")
    return None


def _filled(column: Column) -> Column:
    return replace(column, field=replace(column.field, nullable=False))
