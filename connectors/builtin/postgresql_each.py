"""Inserting records of which some will be refused: PostgreSQL gives up a whole COPY for one of them.

What speaks against a record is asked first, of all at once: a key that is there already or comes twice, a reference to
nothing, a check that says no. The others go by COPY, and the suspects one by one inside the server, which has the last
word: a suspect that it takes is inserted, and the reason of a refusal is its own. Where that is not enough (triggers,
rules that cannot be asked for), all records go inside the server in small parts, and one by one only those of a part
that fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import psycopg
import sqlalchemy as sa
from psycopg import sql

from connectors.builtin import postgresql_errors
from connectors.builtin.database_flavor import Refusal
from connectors.builtin.database_types import Table
from connectors.builtin.postgresql_literals import WHOLE
from connectors.builtin.postgresql_stage import Names, Stage

_NOTED = "syncline doubtful"
"""Noted of a connection: for each table where records were refused, whether asking first was enough."""
_PART = 32
_RULES = """
WITH named AS (
  SELECT attrelid, attnum, attname::text AS name FROM pg_catalog.pg_attribute
), parts AS (
  SELECT indexrelid AS id, 'key' AS kind, indrelid AS own, (indkey::int2[])[0:indnkeyatts - 1] AS mine,
         NULL::oid AS other, NULL::int2[] AS theirs, NULL::text AS test
  FROM pg_catalog.pg_index WHERE indisunique AND indpred IS NULL AND indexprs IS NULL
  UNION ALL
  SELECT oid, contype::text, conrelid, conkey, nullif(confrelid, 0), confkey, pg_get_expr(conbin, conrelid)
  FROM pg_catalog.pg_constraint WHERE contype IN ('f', 'c') AND conkey IS NOT NULL AND confrelid <> conrelid
    AND (contype = 'c' OR has_table_privilege(confrelid, 'SELECT'))
)
SELECT kind, ARRAY(SELECT name FROM unnest(mine) WITH ORDINALITY AS m(attnum, place)
         JOIN named USING (attnum) WHERE attrelid = own ORDER BY place),
       other::regclass::text, ARRAY(SELECT name FROM unnest(theirs) WITH ORDINALITY AS m(attnum, place)
         JOIN named USING (attnum) WHERE attrelid = other ORDER BY place), test
FROM parts WHERE own = {relation}::regclass
"""
_LABELS = """
SELECT a.attname::text, ARRAY(SELECT enumlabel::text FROM pg_catalog.pg_enum WHERE enumtypid = a.atttypid)
FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typtype = 'e'
WHERE a.attrelid = {relation}::regclass AND NOT a.attisdropped
"""
_THERE = "SELECT syncline_given.{number} FROM {own} AS syncline_given JOIN {to} AS syncline_to ON {same}"
_AGAIN = """SELECT {number} FROM (SELECT {number}, row_number() OVER (PARTITION BY {mine} ORDER BY {number})
AS syncline_nth FROM {own} WHERE ({mine}) IS NOT NULL) AS syncline_counted WHERE syncline_nth > 1"""
_NOWHERE = """SELECT {number} FROM {own} AS syncline_given WHERE ({mine}) IS NOT NULL
AND NOT EXISTS (SELECT FROM {other} AS syncline_to WHERE {same})"""
_AGAINST = "SELECT {number} FROM {own} WHERE NOT ({test})"
_REFUSED = "SELECT {number}, syncline_refused FROM {own} WHERE syncline_refused IS NOT NULL"
_READY = "ALTER TABLE {own} ADD PRIMARY KEY ({number}), ADD syncline_refused text[]"
_ONE = """FOR r IN SELECT * FROM {own} {these} ORDER BY {number} LOOP
        BEGIN
          INSERT INTO {to} ({fields}) VALUES ({values});
        EXCEPTION WHEN OTHERS THEN
          GET STACKED DIAGNOSTICS syncline_state = RETURNED_SQLSTATE, syncline_text = MESSAGE_TEXT,
            syncline_detail = PG_EXCEPTION_DETAIL, syncline_field = COLUMN_NAME,
            syncline_rule = CONSTRAINT_NAME, syncline_table = TABLE_NAME;
          UPDATE {own} SET syncline_refused = ARRAY[syncline_state, syncline_text, syncline_detail,
            syncline_field, syncline_rule, syncline_table] WHERE {number} = r.{number};
        END;
      END LOOP;"""
_PARTS = """SELECT max({number}) INTO syncline_most FROM {own};
  WHILE syncline_first <= syncline_most LOOP
    BEGIN
      INSERT INTO {to} ({fields}) SELECT {fields} FROM {own} {these} ORDER BY {number};
    EXCEPTION WHEN OTHERS THEN
      {one}
    END;
    syncline_first := syncline_first + {part};
  END LOOP;"""
_THESE = "WHERE {number} BETWEEN syncline_first AND syncline_first + {part} - 1"
# a part without a bad record costs one subtransaction, not one a record; no column has a variable's name
_BLOCK = """DECLARE
  r record; syncline_first integer := 0; syncline_most integer;
  syncline_state text; syncline_text text; syncline_detail text;
  syncline_field text; syncline_rule text; syncline_table text;
BEGIN
  {loop}
END"""


Array = np.ndarray[tuple[int], np.dtype[np.int64]]


@dataclass(frozen=True)
class _Rule:
    """What a table asks of its records: a key, a reference to `other`, or a check."""

    kind: str
    mine: tuple[str, ...]
    other: str | None
    theirs: tuple[str, ...]
    test: str | None


class Doubtful:
    """Inserts records into one table of which some may be refused."""

    def __init__(self, connection: sa.Connection, stage: Stage, table: Table) -> None:
        self._connection = connection
        self._stage = stage
        self._table = table
        self._noted: dict[str, bool] = connection.info.setdefault(_NOTED, {})
        self._name = stage.to.as_string(stage.driver)

    @property
    def expected(self) -> bool:
        """Tell whether records of the chunk before were refused."""
        return self._name in self._noted

    def create(self, records: pl.DataFrame, copy: Callable[[pl.DataFrame], None]) -> Mapping[int, Refusal | None]:
        """Insert what can be inserted and return row -> why another one is refused.

        Args:
            records: The records.
            copy: Inserts records in bulk; raises an error of the driver if one is refused.
        """
        found = dict(self._unfit(records))
        rows = np.setdiff1d(np.arange(records.height), np.fromiter(found, np.int64, len(found)))
        enough = self._noted.get(self._name, True) and self._divided(records, rows, copy, found)
        if not enough:
            found.update(self._each(records, rows, _PART))
        if found:
            self._noted[self._name] = enough
        else:
            self._noted.pop(self._name, None)
        return found

    def _divided(
        self,
        records: pl.DataFrame,
        rows: Array,
        copy: Callable[[pl.DataFrame], None],
        found: dict[int, Refusal | None],
    ) -> bool:
        """Insert all but the suspects in bulk; False where that fails, and then nothing is done."""
        if found and self._copied(records[rows], copy):
            return True
        suspects = np.isin(np.arange(len(rows)), self._suspects(records[rows]))
        if not (suspects.any() or self.expected) or not self._copied(records[rows[~suspects]], copy):
            return False
        if suspects.any():
            found.update(self._each(records, rows[suspects], 1))
        return True

    def _copied(self, records: pl.DataFrame, copy: Callable[[pl.DataFrame], None]) -> bool:
        try:
            with self._connection.begin_nested():
                copy(records)
        except psycopg.Error as error:
            if postgresql_errors.refusal(error) is None:
                raise
            return False
        return True

    def _suspects(self, records: pl.DataFrame) -> Sequence[int]:
        """Return the numbers of the records against which something speaks."""
        rules = [rule for rule in self._rules() if set(rule.mine) <= set(records.columns)]
        names = list(dict.fromkeys(name for rule in rules for name in rule.mine))
        if not names:
            return []
        try:
            with self._connection.begin_nested(), self._stage.holding(records.select(names), names) as own:
                asked = sql.SQL(" UNION ").join(question for rule in rules for question in _questions(rule, own))
                return [row for (row,) in self._stage.driver.execute(asked).fetchall()]
        except psycopg.Error as error:
            if postgresql_errors.refusal(error) is None:
                raise
            return []

    def _unfit(self, records: pl.DataFrame) -> Mapping[int, Refusal | None]:
        """Return the records with a value that its column's type does not have, in the words of the server."""
        found: dict[int, Refusal | None] = {}
        labels = dict(self._stage.rows(_LABELS, self._relation()))
        for values in records:
            native = self._table.by_name[values.name].native
            if native in WHOLE:
                bad, state, text = (
                    ~values.is_between(*WHOLE[native]),
                    "22003",
                    'value "{}" is out of range for type {}',
                )
            elif values.name in labels:
                bad, state, text = (
                    ~values.is_in(labels[values.name]),
                    "22P02",
                    'invalid input value for enum {1}: "{0}"',
                )
            else:
                continue
            for row in bad.fill_null(value=False).arg_true() if bad.any() else ():
                said = postgresql_errors.Diagnosis(state, text.format(values[row], native), "", values.name, "", "")
                found.setdefault(row, postgresql_errors.noted(said))
        return found

    def _each(self, records: pl.DataFrame, rows: Array, part: int) -> Mapping[int, Refusal | None]:
        """Insert inside the server, in parts of so many records."""
        with self._stage.holding(records[rows]) as own:
            values = sql.SQL(", ").join(sql.Identifier("r", name) for name in records.columns)
            names: Names = {**own, "values": values, "part": sql.Literal(part)}
            names["these"] = sql.SQL(_THESE).format(**names) if part > 1 else sql.SQL("")
            names["one"] = sql.SQL(_ONE).format(**names)
            loop = sql.SQL(_PARTS).format(**names) if part > 1 else names["one"]
            self._stage.run(_READY, names)
            block = sql.SQL(_BLOCK).format(loop=loop).as_string(self._stage.driver)
            self._stage.run("DO {block}", {"block": sql.Literal(block)})
            said = self._stage.rows(_REFUSED, names)
        return {int(rows[row]): postgresql_errors.noted(postgresql_errors.Diagnosis(*parts)) for row, parts in said}

    def _rules(self) -> list[_Rule]:
        found = self._stage.rows(_RULES, self._relation())
        return [_Rule(kind, tuple(mine), other, tuple(theirs), test) for kind, mine, other, theirs, test in found]

    def _relation(self) -> Names:
        return {"relation": sql.Literal(self._name)}


def _questions(rule: _Rule, own: Names) -> list[sql.Composable]:
    if rule.test is not None:
        return [sql.SQL(_AGAINST).format(**own, test=sql.SQL(rule.test))]
    pairs = zip(rule.mine, rule.theirs or rule.mine, strict=True)
    same = [
        sql.SQL("{} = {}").format(sql.Identifier("syncline_given", mine), sql.Identifier("syncline_to", other))
        for mine, other in pairs
    ]
    names: Names = {
        **own,
        "same": sql.SQL(" AND ").join(same),
        "mine": sql.SQL(", ").join(map(sql.Identifier, rule.mine)),
    }
    if rule.other is not None:
        return [sql.SQL(_NOWHERE).format(**names, other=sql.SQL(rule.other))]
    return [sql.SQL(text).format(**names) for text in (_THERE, _AGAIN)]
