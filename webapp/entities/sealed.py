"""Encrypted fields at the boundary of an entity's table: above it values are plain, below it they are tokens.

The table keeps an encrypted field in two columns, the plain value and its token, of which each record fills one; so
encryption comes and goes record by record while everything goes on. A third column holds an index entry, where the
admin wants the field to be found by its exact value. Empty texts and missing values are not encrypted.

Everything else asks the field's column of the table from `storage.table`, which no database column is behind. Selected,
it is decrypted; compared for equality, it asks the index; any other use is refused here or by the database, so that no
answer is given by a column that is empty.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import operators

from rules.schema import Field, FieldType
from rules.text import N_, Message, msg
from webapp.entities.columns import Exact, column_type, scaled_integer
from webapp.vault.at_rest import KeyRing, ring
from webapp.vault.sealing import Owner

TOKEN = "x"  # noqa: S105 - a mark, no secret
PLAIN = "p"
PLAIN_COLUMN, TOKEN_COLUMN, INDEX_COLUMN = "_p_", "_x_", "_i_"
"""What the names of a field's columns begin with; no field's own does so."""
_OWNER = "entity"


class NotComparable(ValueError):
    """Records cannot be compared by a field, because its values are encrypted; `message` says what can be done."""

    def __init__(self, field: str) -> None:
        self.message: Message = msg(
            "'{field}' is encrypted, so records cannot be compared, sorted or looked up by it in this way.", field=field
        )
        super().__init__(str(self.message))


def unfit(entity: str, field: str) -> Message:
    """Say why an encrypted field cannot name or order records: links and places keep these in clear."""
    text = N_("'{name}' of '{entity}' is encrypted, so it cannot be a rule's key, nor tell what has changed.")
    return msg(text, name=field, entity=entity)


@dataclass(frozen=True)
class Seal:
    """How one column of an entity is kept: the names of its columns, its keys, and whether values are encrypted now."""

    entity: str
    uid: str
    key: str
    field: Field
    on: bool

    @property
    def owner(self) -> Owner:
        """Return whose secrets the keys are."""
        return owner_of(self.entity)

    @property
    def exact(self) -> bool:
        """Tell whether the field has an index of its values."""
        return is_exact(self.uid)

    @property
    def plain(self) -> str:
        """Return the name of the column for what is not encrypted."""
        return plain_column(self.uid)

    @property
    def token(self) -> str:
        """Return the name of the column of tokens."""
        return TOKEN_COLUMN + self.uid

    @property
    def index(self) -> str:
        """Return the name of the column of index entries."""
        return index_column(self.uid)

    def columns(self) -> list[sa.Column[Any]]:
        """Return new columns of the table."""
        found: list[sa.Column[Any]] = [
            sa.Column(self.plain, column_type(self.field), nullable=True),
            sa.Column(self.token, sa.Text(), nullable=True),
        ]
        return [*found, sa.Column(self.index, sa.String(32), nullable=True)] if self.exact else found

    def digest(self, keys: KeyRing, value: Any) -> str:
        """Return the index entry of a value."""
        return keys.digest(self.owner, index_key(self.uid), _text(self.field, value))

    def encrypted(self, keys: KeyRing, record: int, value: Any) -> str:
        """Return the token of a value of a record."""
        return keys.encrypt(self.owner, self.key, _text(self.field, value), f"{self.uid}/{record}")

    def decrypted(self, keys: KeyRing, record: str, token: str) -> Any:
        """Return the value of a record's token."""
        return _value(self.field, keys.decrypt(self.owner, token, f"{self.uid}/{record}"))


def owner_of(entity: str) -> Owner:
    """Return whose secrets the keys of an entity are."""
    return Owner(_OWNER, entity)


def is_exact(uid: str) -> bool:
    """Tell whether a field of this mark has an index of its values."""
    return uid.endswith("i")


def plain_column(uid: str) -> str:
    """Return the name of the column for what is not encrypted."""
    return PLAIN_COLUMN + uid


def index_column(uid: str) -> str:
    """Return the name of the column of index entries."""
    return INDEX_COLUMN + uid


def index_key(uid: str) -> str:
    """Return the name of the key of a field's index."""
    return f"index-{uid}"


class _Comparator(sa.types.TypeDecorator.Comparator[Any]):
    """What records can be asked by an encrypted field: whether it has a value, and, with an index, which one."""

    def operate(self, op: Any, *other: Any, **kwargs: Any) -> Any:  # noqa: ARG002 - as SQLAlchemy calls it
        """Return the condition; raises `NotComparable`."""
        column: Any = self.expr
        kind: Sealed = self.type  # type: ignore[assignment]
        value: Any = other[0] if other else None
        empty = value is None or isinstance(value, sa.sql.elements.Null)
        if op in (operators.is_, operators.eq) and empty:
            return kind.missing(column)
        if op in (operators.is_not, operators.ne) and empty:
            return sa.not_(kind.missing(column))
        if op in (operators.eq, operators.in_op):
            return kind.among(column, value if op is operators.in_op else [value])
        if op in (operators.ne, operators.not_in_op):
            found = kind.among(column, value if op is operators.not_in_op else [value])
            return sa.and_(sa.not_(kind.missing(column)), sa.not_(sa.func.coalesce(found, sa.false())))
        raise NotComparable(kind.seal.field.name)


class Sealed(sa.types.TypeDecorator[Any]):
    """The type of an encrypted field's column."""

    impl = sa.Text
    cache_ok = True
    comparator_factory = _Comparator

    def __init__(self, seal: Seal) -> None:
        super().__init__()
        self.impl = column_type(seal.field)  # type: ignore[assignment]
        self.seal = seal

    def missing(self, column: Any) -> sa.ColumnElement[bool]:
        """Return the condition that there is no value."""
        return sa.and_(_beside(column, self.seal.plain).is_(None), _beside(column, self.seal.token).is_(None))

    def among(self, column: Any, values: Sequence[Any]) -> sa.ColumnElement[bool]:
        """Return the condition that the value is one of `values`; raises `NotComparable` without an index."""
        wanted = [_constant(value, self.seal.field.name) for value in values]
        inner = column_type(self.seal.field)
        unsealed = _beside(column, self.seal.plain, inner).in_([sa.literal(value, inner) for value in wanted])
        if set(wanted) <= {""}:
            return unsealed
        if not self.seal.exact:
            raise NotComparable(self.seal.field.name)
        digest = _Digest(self.seal)
        index = _beside(column, self.seal.index, digest)
        return sa.or_(index.in_([sa.literal(value, digest) for value in wanted if not _bare(value)]), unsealed)

    def written(self, dialect: sa.Dialect, records: Sequence[int], values: Sequence[Any]) -> dict[str, Sequence[Any]]:
        """Return what the table keeps of values, by column."""
        seal, nothing = self.seal, [None] * len(values)
        if not seal.on:
            kept = {seal.plain: values, seal.token: nothing}
            return {**kept, seal.index: nothing} if seal.exact else kept
        keys = ring(dialect)
        pairs = list(zip(records, values, strict=True))
        kept = {
            seal.plain: ["" if value == "" else None for value in values],
            seal.token: [None if _bare(value) else seal.encrypted(keys, record, value) for record, value in pairs],
        }
        if seal.exact:
            kept[seal.index] = [None if _bare(value) else seal.digest(keys, value) for value in values]
        return kept

    def column_expression(self, column: Any) -> sa.ColumnElement[Any]:
        """Select what the table keeps of a value, with the record that it has to belong to."""
        column = getattr(column, "element", column)
        token, plain = _beside(column, self.seal.token), _beside(column, self.seal.plain, column_type(self.seal.field))
        record = sa.cast(_beside(column, "id", sa.BigInteger()), sa.Text)
        whole = sa.case(
            (token.is_not(None), sa.literal_column(f"'{TOKEN}'", sa.Text) + record + ":" + token),
            else_=sa.literal_column(f"'{PLAIN}'", sa.Text) + sa.cast(plain, sa.Text),
        )
        return sa.type_coerce(whole, self)

    def result_processor(self, dialect: sa.Dialect, coltype: Any) -> Callable[[Any], Any]:  # noqa: ARG002
        """Return what turns that into the value."""
        seal = self.seal

        def value(raw: Any) -> Any:
            if raw is None:
                return None
            if raw[0] == PLAIN:
                return _uncast(seal.field, raw[1:], dialect)
            record, _, token = raw[1:].partition(":")
            return seal.decrypted(ring(dialect), record, token)

        return value

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:  # noqa: ARG002
        """Refuse: values go into the table by `bulk`, and into conditions by the index."""
        raise NotComparable(self.seal.field.name)


class _Digest(sa.types.TypeDecorator[Any]):
    """A value as its field's index holds it."""

    impl = sa.String
    cache_ok = True

    def __init__(self, seal: Seal) -> None:
        super().__init__()
        self.seal = seal

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str:
        """Return the index entry."""
        return self.seal.digest(ring(dialect), value)


def _beside(column: Any, name: str, kind: sa.types.TypeEngine[Any] | None = None) -> sa.ColumnElement[Any]:
    """Return a database column of the table that a field's column belongs to."""
    found: Any = sa.column(name, kind or sa.Text())
    found.table = column.table
    return found  # type: ignore[no-any-return]


def _constant(value: Any, field: str) -> Any:
    """Return the value that a field is compared with; raises `NotComparable` for another column."""
    if isinstance(value, sa.BindParameter):
        return value.value
    if isinstance(value, sa.ColumnElement):
        raise NotComparable(field)
    return value


def _bare(value: Any) -> bool:
    """Tell whether there is nothing to encrypt."""
    return value is None or value == ""


def _text(field: Field, value: Any) -> str:
    """Return the one text of a value: what is encrypted, and what index entries are made of."""
    if field.type is FieldType.DECIMAL:
        return str(scaled_integer(Decimal(value), field.scale or 0))
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return value.isoformat() if isinstance(value, date) else str(value)


def _value(field: Field, text: str) -> Any:
    """Return the value of its text."""
    if field.type is FieldType.DECIMAL:
        number = int(text)
        return Decimal((int(number < 0), tuple(map(int, str(abs(number)))), -(field.scale or 0)))
    reader = _READERS.get(field.type)
    return reader(text) if reader else text


_READERS: Mapping[FieldType, Callable[[str], Any]] = {
    FieldType.INTEGER: int,
    FieldType.BOOLEAN: lambda text: text in ("1", "true"),
    FieldType.DATE: date.fromisoformat,
    FieldType.DATETIME: lambda text: _instant(datetime.fromisoformat(text)),
}


def _instant(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _uncast(field: Field, text: str, dialect: sa.Dialect) -> Any:
    """Return the value of a column that the database has made a text."""
    if field.type is not FieldType.DECIMAL:
        return _value(field, text)
    kept = column_type(field)
    scaled = dialect.name == "sqlite" and isinstance(kept, Exact)
    return kept.process_result_value(text, dialect) if scaled else Decimal(text)  # type: ignore[attr-defined]


def among(
    tx: sa.Connection, column: Any, values: Sequence[Any], plainly: Callable[..., sa.ColumnElement[bool]]
) -> sa.ColumnElement[bool]:
    """Return what `bulk.among` does, which is `plainly`, for an encrypted field; raises `NotComparable`."""
    seal: Seal = column.type.seal
    if not seal.exact:
        raise NotComparable(seal.field.name)
    keys = ring(tx.dialect)
    digests = [seal.digest(keys, value) for value in values if not _bare(value)]
    found = plainly(tx, _beside(column, seal.index), digests)
    return sa.or_(found, plainly(tx, _beside(column, seal.plain, column_type(seal.field)), values))


def stored(tx: sa.Connection, table: sa.Table, columns: Mapping[str, Any]) -> tuple[sa.Table, Mapping[str, Any]]:
    """Return the table as the database has it, and what it keeps of values given by column."""
    physical: sa.Table | None = table.info.get("stored")
    if physical is None:
        return table, columns
    kept: dict[str, Sequence[Any]] = {}
    for name, values in columns.items():
        kind = table.c[name].type
        kept |= kind.written(tx.dialect, columns["id"], values) if isinstance(kind, Sealed) else {name: values}
    return physical, kept
