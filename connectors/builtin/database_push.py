"""Rules that a database carries out by itself: each range of keys in one transaction, a few statements.

All statements of a range see the same moment. What is found is told by key; then one statement creates and one updates.
An update is done only where it changes something, field by field. If a statement does not do to exactly so many records
what was said, the range is refused as a whole.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import polars as pl
import sqlalchemy as sa

from connectors.builtin.database_fence import FenceTable
from connectors.builtin.database_filter import TableFilter
from connectors.builtin.database_flavor import Fetched, Flavor
from connectors.builtin.database_formula import Condition, Formulas, Made, Value, Words, every, written
from connectors.builtin.database_read import Reader
from connectors.builtin.database_types import Column, Table, position_value, wire_value
from connectors.pushing import FOUND, KEY, Found, Push, PushRequest, RefusedRange
from connectors.spi import Fence, Position
from rules.formula import Copy, Formula, PushedField, Sort
from rules.schema import Field, FieldType, Schema

_S = "syncline_source"
_READY, _KNOWN, _INSIDE, _WHOLE = "syncline_ready", "syncline_known", "syncline_inside", "syncline_whole"
_MET = "syncline_met"
_VALUE, _WHEN, _ASKED = "syncline_value_{}", "syncline_when_{}", "syncline_asked_{}"
_NUMBER = Column(Field(FOUND, FieldType.INTEGER, nullable=False), "integer")


@dataclass(frozen=True)
class Bounds:
    """A range of keys: behind the first of two wire values, up to the second; None: without an end there."""

    behind: Any = None
    end: Any = None

    def of(self, flavor: Flavor, column: Column) -> Condition:
        """Return where a key lies in the range."""
        order, found = flavor.order(column), list[Condition]()
        if self.behind is not None:
            found.append(order > flavor.parameter(column, self.behind))
        if self.end is not None:
            found.append(order <= flavor.parameter(column, self.end))
        return sa.and_(sa.true(), *found)


@dataclass(frozen=True)
class Statements:
    """The SQL of one rule between two tables of one database; making it raises `CannotPush`."""

    flavor: Flavor
    words: Words
    request: PushRequest
    tables: tuple[Table, Table]
    stored: tuple[sa.TableClause, sa.TableClause]

    @property
    def source(self) -> Table:
        """Return the table that is read."""
        return self.tables[0]

    @property
    def target(self) -> Table:
        """Return the table that is written."""
        return self.tables[1]

    @cached_property
    def made(self) -> dict[str, Made]:
        """Return what each field of the target gets."""
        return {field.name: self._given(field) for field in self.request.rule.fields}

    @cached_property
    def whens(self) -> dict[str, Condition]:
        """Return where fields with a condition get their value; certain only together with `ready`."""
        return {
            f.name: _true(self._formulas.made(f.when).value) for f in self.request.rule.fields if f.when is not None
        }

    @property
    def key(self) -> Column:
        """Return the source's key."""
        return self.source.by_name[self.request.keys[0]]

    @property
    def target_key(self) -> Column:
        """Return the target's key."""
        return self.target.by_name[self.request.keys[1]]

    def check(self) -> None:
        """Make all parts once; raises `CannotPush` or `CannotTest`."""
        self.found(Bounds())
        self.given(sa.true())

    def raw(self, where: Condition) -> sa.FromClause:
        """Return the records of the source in a range."""
        names: list[sa.ColumnClause[Any]] = [sa.column(column.name) for column in self.source.columns]
        return sa.select(*names).select_from(self.stored[0]).where(where).subquery("syncline_raw")

    def found(self, bounds: Bounds) -> sa.Select[Any]:
        """Return the query of what is found for each record: its key, `FOUND` and the checks that it was asked."""
        looked = self._looked(bounds.of(self.flavor, self.key))
        cells = looked.c
        differs = sa.or_(sa.false(), *(self._differs(field, cells) for field in self.request.rule.fields))
        creating = sa.and_(sa.true(), *(cells[_WHEN.format(n)] for n, f in self._conditional if f.on_create))
        own: Value = sa.column(self.target_key.name)
        found = sa.case(
            (sa.not_(sa.and_(cells[_WHOLE], cells[_KNOWN])), _word(Found.UNCERTAIN)),
            (sa.not_(cells[_INSIDE]), _word(Found.OUTSIDE)),
            (sa.not_(cells[_READY]), _word(Found.UNCERTAIN)),
            (sa.and_(own.is_(None), creating), _word(Found.MISSING)),
            (own.is_(None), _word(Found.UNCERTAIN)),
            (sa.not_(self._readable(self.target, self.request.schemas[1])), _word(Found.UNCERTAIN)),
            (differs, _word(Found.DIFFERENT)),
            else_=_word(Found.SAME),
        )
        asked = [sa.cast(cells[name], sa.Integer).label(name) for name in self._asked]
        meets = [self._meets(cells[_MET])]
        if self.key.field.type is FieldType.INTEGER:  # whole numbers sort in one way everywhere
            name = self.target_key.name  # of the source's type: the target's may be too small for a bound
            meets.append(bounds.of(self.flavor, replace(self.key, field=replace(self.key.field, name=name))))
        both = looked.outerjoin(self.stored[1], sa.and_(*meets))
        inner = sa.select(cells[KEY], sa.cast(found, sa.Integer).label(FOUND), *asked).select_from(both).subquery("met")
        key = self.named_key
        wire = self.flavor.wire(key)
        columns = [wire.label("f0"), *(inner.c[name].label(f"f{n}") for n, name in enumerate((FOUND, *self._asked), 1))]
        return sa.select(*columns, wire.label("p0")).select_from(inner).order_by(self.flavor.order(key))

    @property
    def found_columns(self) -> tuple[Column, ...]:
        """Return the columns of `found`."""
        asked = (replace(_NUMBER, field=replace(_NUMBER.field, name=name)) for name in self._asked)
        return (self.named_key, _NUMBER, *asked)

    def given(self, where: Condition) -> sa.Select[Any]:
        """Return the query of what the target's records would be given: key, values, conditions of fields."""
        raw = self.raw(where)
        values = [self._typed(name).label(name) for name in self.made]
        whens = [sa.cast(sa.case((self.whens[f.name], 1), else_=0), sa.Integer).label(_WHEN.format(n))
                 for n, f in self._conditional]  # fmt: skip
        inner = (
            sa.select(sa.column(self.key.name).label(KEY), *values, *whens).select_from(raw).subquery("syncline_given")
        )
        wires = [self.flavor.wire(column) for column in self.given_columns]
        return sa.select(*(wire.label(f"f{n}") for n, wire in enumerate(wires))).select_from(inner)

    @property
    def given_columns(self) -> tuple[Column, ...]:
        """Return the columns of `given`."""
        whens = (replace(_NUMBER, field=replace(_NUMBER.field, name=_WHEN.format(n))) for n, _ in self._conditional)
        return (self.named_key, *(self.target.by_name[name] for name in self.made), *whens)

    @property
    def named_key(self) -> Column:
        """Return the source's key under a name that no field has."""
        return replace(self.key, field=replace(self.key.field, name=KEY))

    def insert(self, where: Condition) -> sa.Insert:
        """Return the statement that creates records."""
        names = [field.name for field in self.request.rule.fields if field.on_create]
        chosen = sa.select(*(self._typed(name) for name in names)).select_from(self.raw(where))
        return sa.insert(self.stored[1]).from_select(names, chosen)

    def update(self, where: Condition, names: Sequence[str]) -> sa.Update:
        """Return the statement that sets fields of records where it changes them."""
        raw = self.raw(where)
        wanted = [(n, f) for n, f in enumerate(self.request.rule.fields) if f.name in names]
        values = [self._typed(f.name).label(_VALUE.format(n)) for n, f in wanted]
        whens = [self.whens[f.name].label(_WHEN.format(n)) for n, f in wanted if f.when is not None]
        given = sa.select(self._free_key.label(_MET), *values, *whens).select_from(raw).subquery(_S)
        new = {
            f.name: sa.case((self._differs(f, given.c), given.c[_VALUE.format(n)]), else_=sa.column(f.name))
            for n, f in wanted
        }
        return sa.update(self.stored[1]).values(new).where(self._meets(given.c[_MET]))

    def _meets(self, key: Value) -> Condition:
        return self.words.meets(key, self.stored[1].c[self.target_key.name], self.target_key)

    @property
    def _free_key(self) -> Value:
        return self.words.free(sa.column(self.key.name), self.key)

    @cached_property
    def _formulas(self) -> Formulas:
        return Formulas(self.words, self.source)

    @property
    def _conditional(self) -> list[tuple[int, PushedField]]:
        return [(n, f) for n, f in enumerate(self.request.rule.fields) if f.when is not None]

    @property
    def _asked(self) -> list[str]:
        return [_ASKED.format(n) for n, check in enumerate(self.request.rule.checks) if check.when is not None]

    def _given(self, field: PushedField) -> Made:
        target = self.target.by_name[field.name]
        if isinstance(field.value, Copy):
            return self.words.copied(self.source.by_name[field.value.field], target)
        return self.words.fitted(self._formulas.made(field.value), field.value.sort, target)

    def _typed(self, name: str) -> Value:
        return self.words.typed(self.made[name].value, self.target.by_name[name])

    def _looked(self, where: Condition) -> sa.Subquery:
        """Return what is worked out of each record in a range."""
        rule, raw = self.request.rule, self.raw(where)
        scope = Made(sa.true()) if rule.scope is None else self._formulas.made(rule.scope)
        conditions = [self._formulas.made(f.when) for f in rule.fields if f.when is not None]
        ready = [made.certain for made in (*self.made.values(), *conditions)]
        checks, asked = [], []
        for number, check in enumerate(rule.checks):
            holds, when = self._checked(check.check, check.when)
            checks.append(holds)
            if when is not None:
                asked.append(when.label(_ASKED.format(number)))
        columns = [
            sa.column(self.key.name).label(KEY),
            self._free_key.label(_MET),
            self._readable(self.source, self.request.schemas[0]).label(_WHOLE),
            _true(every(scope.certain)).label(_KNOWN),
            _true(scope.value).label(_INSIDE),
            _true(every(*ready, checks)).label(_READY),
            *asked,
            *(self._typed(f.name).label(_VALUE.format(n)) for n, f in enumerate(rule.fields)),
            *(self.whens[f.name].label(_WHEN.format(n)) for n, f in self._conditional),
        ]
        return sa.select(*columns).select_from(raw).subquery(_S)

    def _checked(self, check: Formula, when: Formula | None) -> tuple[Condition, Condition | None]:
        """Return where a record surely meets a check, and where it is asked."""
        made = self._formulas.made(check)
        holds = _true(every(made.certain, [made.value]))
        if when is None:
            return holds, None
        asked = self._formulas.made(when)
        wanted = _true(asked.value)
        return sa.and_(_true(every(asked.certain)), sa.or_(sa.not_(wanted), holds)), wanted

    def _differs(self, field: PushedField, cells: Any) -> Condition:
        if not field.on_update:
            return sa.false()
        number = self.request.rule.fields.index(field)
        column = self.target.by_name[field.name]
        differs = [self.words.differs(cells[_VALUE.format(number)], column)]
        if field.weak:
            own: Value = sa.column(field.name)
            is_text = column.field.type is FieldType.TEXT
            empty = self.words.same(own, self.words.given("", Sort.TEXT), Sort.TEXT) if is_text else sa.false()
            differs.append(sa.or_(own.is_(None), empty))
        if field.when is not None:
            differs.append(cells[_WHEN.format(number)])
        return sa.and_(*differs)

    def _readable(self, table: Table, schema: Schema) -> Condition:
        return TableFilter(self.flavor.tests, table, schema).readable


class DatabasePush(Push):
    """One range, on a connection in a transaction."""

    def __init__(
        self, statements: Statements, connection: sa.Connection, fences: FenceTable, place: tuple[Position | None, int]
    ) -> None:
        self._statements, self._connection, self._fences = statements, connection, fences
        self._flavor = statements.flavor
        self._bounds = self._range(*place)
        end = self._bounds.end
        self.position = None if end is None else {"phase": 0, "behind": [position_value(end)]}
        self._flavor.by_index(connection)
        columns = statements.found_columns
        found = self._flavor.fetch(connection, statements.found(self._bounds), columns, (statements.named_key,))
        self.rows = _frame(found, columns)

    def _range(self, after: Position | None, size: int) -> Bounds:
        """Return the range of the next `size` records."""
        key, behind = self._statements.key, (after or {}).get("behind") or [None]
        bounds = Bounds(wire_value(behind[0]))
        last = sa.select(self._flavor.wire(key)).select_from(self._statements.stored[0])
        last = last.where(bounds.of(self._flavor, key)).order_by(self._flavor.order(key)).offset(size - 1).limit(1)
        self._flavor.by_index(self._connection)
        return replace(bounds, end=self._connection.execute(last).scalar())

    def values(self, keys: pl.Series) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Return what the target's records would be given, and the conditions of their fields."""
        statements = self._statements
        columns = statements.given_columns
        parts = []
        for part in self._parts(keys):
            asked = statements.given(self._flavor.among(statements.key, part))
            found = self._flavor.fetch(self._connection, asked, columns, ())
            parts.append(_frame(found, columns))
        empty = pl.DataFrame(schema={c.name: c.field.dtype for c in columns})
        found_all = pl.concat([empty, *parts])
        width = len(statements.made) + 1
        whens = found_all.select(pl.col(name) == 1 for name in found_all.columns[width:])
        names = [field.name for field in statements.request.rule.fields if field.when is not None]
        return found_all.select(found_all.columns[:width]), whens.rename(dict(zip(whens.columns, names, strict=True)))

    def held(self, keys: pl.Series) -> pl.DataFrame:
        """Return the target's records with these keys."""
        target, schema = self._statements.target, self._statements.request.schemas[1]
        reader = Reader(self._flavor, self._statements.stored[1], target, schema)
        key = self._statements.target_key.name
        return reader.lookup(lambda: contextlib.nullcontext(self._connection), key, keys.alias(key))

    def write(self, creates: pl.Series | None, updates: pl.Series, names: Sequence[str], fence: Fence) -> None:
        """Create and update; see `Push.write`."""
        self._fences.claim(self._connection, fence)
        flavor, statements = self._flavor, self._statements
        try:
            for part in self._parts(updates):
                self._do(statements.update(flavor.among(statements.key, part), names), part.len())
            if creates is None:
                self._do(statements.insert(self._bounds.of(self._flavor, statements.key)), self.rows.height)
            else:
                for part in self._parts(creates):
                    self._do(statements.insert(flavor.among(statements.key, part)), part.len())
        except sa.exc.DBAPIError as error:
            if error.orig is None or flavor.refusal(error.orig) is None:
                raise
            raise RefusedRange(str(error.orig)) from None

    def _do(self, statement: sa.Insert | sa.Update, count: int) -> None:
        done = self._connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount
        if done != count:
            raise RefusedRange(f"{done} instead of {count}")

    def _parts(self, keys: pl.Series) -> Iterator[pl.Series]:
        size = self._flavor.lookup
        yield from (keys.slice(start, size) for start in range(0, keys.len(), size))


def _true(condition: Value) -> Condition:
    return sa.func.coalesce(condition, sa.false())


def _word(found: Found) -> Value:
    return written(str(found.value))


def _frame(found: Fetched, columns: Sequence[Column]) -> pl.DataFrame:
    return pl.DataFrame([done.values.alias(c.name) for done, c in zip(found.columns, columns, strict=True)])
