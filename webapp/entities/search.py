"""The search box: words and their beginnings, numbers from any digit on, Chinese from any character on.

Both databases index the same tokens, which are made here: folded words; of a word with five digits in a row also its
endings from there on, of four characters or more (the end of a phone number is what people remember); of Chinese,
Japanese and Korean text each pair of neighbours. A query matches a record that has, for each of its tokens, one that
begins with it. On SQLite the tokens stand in an FTS5 table `s_<name>` with the record's id as its rowid; on PostgreSQL
in a `tsvector` column `_search` under a GIN index (docs/decisions/entity-search.md).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from webapp.entities.model import Entity

COLUMN = "_search"
MAX_WORD = 40
MAX_TOKENS = 400
MIN_ENDING = 4
_DIGITS = re.compile(r"\d{5}")
_WIDE = (
    "\u1100-\u11ff\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff"
    "\u3130-\u318f\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
_RUNS = re.compile(rf"([{_WIDE}]+)|([^\W_{_WIDE}]+)")


def fold(text: str) -> str:
    """Return the text as it is compared: one form of each character, no case."""
    return unicodedata.normalize("NFKC", text).casefold()


def tokens(texts: Iterable[str | None]) -> list[str]:
    """Return the tokens of a record's searchable texts, each once."""
    found: dict[str, None] = {}
    for text in texts:
        if text:
            for wide, word in _RUNS.findall(fold(text)):
                found.update(dict.fromkeys(_pairs(wide) if wide else _words(word)))
        if len(found) > MAX_TOKENS:
            break
    return list(found)[:MAX_TOKENS]


def wanted(query: str) -> list[str]:
    """Return the beginnings of tokens that a query asks for."""
    found: dict[str, None] = {}
    for wide, word in _RUNS.findall(fold(query)):
        found.update(
            dict.fromkeys([wide[i : i + 2] for i in range(max(len(wide) - 1, 1))] if wide else [word[:MAX_WORD]])
        )
    return list(found)[:20]


def index_name(entity: Entity) -> str:
    """Return the name of the table (SQLite) or index (PostgreSQL) that serves searches."""
    return f"s_{entity.name}"


def sqlite_ddl(entity: Entity) -> str:
    """Return the statement that makes the FTS5 table."""
    options = "tokens, tokenize = 'ascii', detail = none, columnsize = 0, prefix = '1 2 3'"
    return f'CREATE VIRTUAL TABLE "{index_name(entity)}" USING fts5({options})'


def store(tx: sa.Connection, entity: Entity, ids: Sequence[int], texts: Sequence[Sequence[str | None]]) -> None:
    """Put new records into the FTS5 table (SQLite only; on PostgreSQL the tokens travel with the row)."""
    rows = [(record, " ".join(tokens(columns))) for record, columns in zip(ids, texts, strict=True)]
    if rows:
        tx.exec_driver_sql(f'INSERT INTO "{index_name(entity)}" (rowid, tokens) VALUES (?, ?)', rows)  # noqa: S608 - our own name


def remove(tx: sa.Connection, entity: Entity, ids: Sequence[int]) -> None:
    """Take records out of the FTS5 table (SQLite only)."""
    if ids:
        tx.exec_driver_sql(f'DELETE FROM "{index_name(entity)}" WHERE rowid = ?', [(i,) for i in ids])  # noqa: S608


def vector(texts: Sequence[str | None]) -> str:
    """Return the tokens as PostgreSQL reads a tsvector; tokens hold neither quotes nor backslashes."""
    return " ".join(f"'{token}'" for token in tokens(texts))


def condition(entity: Entity, table: sa.Table, query: str) -> sa.ColumnElement[bool] | None:
    """Return the condition that a record matches `query`; None where the query holds no word."""
    words = wanted(query)
    if not words or not entity.searchable:
        return None
    if COLUMN in table.c:
        text = " & ".join(f"'{word}':*" for word in words)
        return table.c[COLUMN].op("@@")(sa.cast(text, postgresql.TSQUERY))
    index = sqlite_index(entity)
    return table.c.id.in_(sa.select(index.c.rowid).where(match(index, query)))


def matches(words: Sequence[str], texts: Iterable[str | None]) -> bool:
    """Tell whether texts have, for each word that is asked for, a token that begins with it."""
    held = tokens(texts)
    return all(any(token.startswith(word) for token in held) for word in words)


def sqlite_index(entity: Entity) -> Any:
    """Return the FTS5 table as something to select from."""
    name = index_name(entity)
    return sa.table(name, sa.column("rowid", sa.Integer), sa.column(name, sa.Text))


def match(index: Any, query: str) -> sa.ColumnElement[bool]:
    """Return the FTS5 condition for a query."""
    text = " AND ".join(f'"{word}"*' for word in wanted(query))
    return index.c[index.name].op("MATCH")(text)  # type: ignore[no-any-return]


def _words(word: str) -> list[str]:
    word = word[:MAX_WORD]
    digits = _DIGITS.search(word)
    if digits is None:
        return [word]
    return [word, *(word[i:] for i in range(max(digits.start(), 1), len(word) - MIN_ENDING + 1))]


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run))]
