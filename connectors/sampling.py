"""Which types the fields of an object probably have, judged by a sample of its records.

The judgement is careful: a column gets a type only if every value of the sample is written the way that type is always
written. Codes with leading zeros, numbers of more than 18 digits, phone numbers and the like stay text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import polars as pl

from connectors.casting import FALSE, TRUE, cast
from rules.schema import FREE_SCALE, Field, FieldType, Schema

JSON_KIND, TEXT_KIND, NUMBER_KIND, EXPONENT_KIND, BOOLEAN_KIND = "json", "text", "number", "exponent", "boolean"

_KEY_NAMES = (
    "id",
    "no",
    "no.",
    "key",
    "code",
    "number",
    "uuid",
    "guid",
    "编号",
    "代码",
    "编码",
    "主键",
    "单号",
    "工号",
)
_KEY_ENDINGS = (
    "_id",
    "_no",
    "_key",
    "_code",
    "_number",
    " id",
    " no",
    " no.",
    " code",
    "编号",
    "代码",
    "编码",
    "单号",
    "工号",
)
_NUMBERS_THAT_ARE_TEXT = re.compile(
    r"phone|mobile|(?:^|[_ ])(?:tel|fax|zip|post(?:al)?[_ ]?code)(?![a-z])|电话|手机|传真|邮编|身份证|id[_ ]?card"
    r"|account[_ ]?(?:no|number)|账号|帐号|卡号",
    re.IGNORECASE,
)
_WORDS = (*TRUE[:3], *FALSE[:3])


@dataclass(frozen=True)
class Sample:
    """Some records as text columns; `complete` says that these are all records of the object.

    `kinds` tells, for formats whose values have kinds of their own, which were seen in a column.
    """

    columns: pl.DataFrame
    kinds: Mapping[str, frozenset[str]] = field(default_factory=dict)
    complete: bool = True


def schema_of(sample: Sample, key: Sequence[str] = (), *, detect: bool = True) -> Schema:
    """Return the fields of a sample, with types if `detect`, and the key: the given one or one that looks like it."""
    names = sample.columns.columns
    fields = [_field(sample.columns[name], sample.kinds.get(name), sample, detect=detect) for name in names]
    found = tuple(key) or _key(sample.columns)
    return Schema(tuple(_required(f) if f.name in found else f for f in fields), found)


def together(samples: Sequence[Sample]) -> Sample:
    """Return the samples of several files as one: every column that occurs."""
    if not samples:
        return Sample(pl.DataFrame())
    kinds: dict[str, frozenset[str]] = {}
    for sample in samples:
        for name, seen in sample.kinds.items():
            kinds[name] = kinds.get(name, frozenset()) | seen
    columns = pl.concat([sample.columns for sample in samples], how="diagonal")
    return Sample(columns, kinds, all(sample.complete for sample in samples))


def _required(found: Field) -> Field:
    return Field(found.name, found.type, nullable=False, precision=found.precision, scale=found.scale)


def _field(column: pl.Series, kinds: frozenset[str] | None, sample: Sample, *, detect: bool) -> Field:
    if kinds and JSON_KIND in kinds:
        return Field(column.name, FieldType.JSON)
    values = column.drop_nulls().unique()
    values = values.filter(values.str.strip_chars() != "")
    if not detect or not len(values):
        return Field(column.name)
    if kinds and EXPONENT_KIND in kinds and kinds <= {NUMBER_KIND, EXPONENT_KIND}:
        return Field(column.name, FieldType.FLOAT)
    for kind, test in _TESTS.items():
        if _possible(kind, kinds) and test(values):
            return _numeric(column.name, kind, values, sample)
    return Field(column.name)


def _possible(kind: FieldType, kinds: frozenset[str] | None) -> bool:
    """Tell whether a column whose values have these kinds of their own can have this type."""
    if kinds is None:
        return True
    if kind in (FieldType.INTEGER, FieldType.DECIMAL):
        return kinds == {NUMBER_KIND}
    return kinds == ({BOOLEAN_KIND} if kind is FieldType.BOOLEAN else {TEXT_KIND})


def _numeric(name: str, kind: FieldType, values: pl.Series, sample: Sample) -> Field:
    if kind is FieldType.INTEGER and (_NUMBERS_THAT_ARE_TEXT.search(name) or _mobile(values)):
        return Field(name)
    if kind is not FieldType.DECIMAL:
        return Field(name, kind)
    scale = _scale(values)
    return Field(name, kind, precision=38, scale=scale if sample.complete else FREE_SCALE)


def _scale(values: pl.Series) -> int:
    longest = values.str.extract(r"\.(\d+)$").str.len_chars().max()
    return longest if isinstance(longest, int) else 0


def _mobile(values: pl.Series) -> bool:
    """Tell whether all values look like Chinese mobile numbers."""
    return len(values) > 1 and _all(values, r"^1[3-9]\d{9}$")


def _boolean(values: pl.Series) -> bool:
    return bool(values.str.to_lowercase().is_in(_WORDS).all())


def _integer(values: pl.Series) -> bool:
    return _all(values, r"^(0|-?[1-9]\d{0,17})$")


def _decimal(values: pl.Series) -> bool:
    plain = rf"^-?(0|[1-9]\d*)(\.\d{{1,{FREE_SCALE}}})?$"
    if not _all(values, plain):
        return False
    whole = values.str.extract(r"^-?(\d+)").str.len_chars().max()
    pointed = bool(values.str.contains(".", literal=True).any())
    return pointed and isinstance(whole, int) and whole + FREE_SCALE <= 38


def _like(kind: FieldType) -> Callable[[pl.Series], bool]:
    pattern = r"^\d{4}[-/.年]\d"
    return lambda values: _all(values, pattern) and not cast(values, Field(values.name, kind)).has_nulls()


def _all(values: pl.Series, pattern: str) -> bool:
    return bool(values.str.contains(pattern).all())


_TESTS: dict[FieldType, Callable[[pl.Series], bool]] = {
    FieldType.BOOLEAN: _boolean,
    FieldType.INTEGER: _integer,
    FieldType.DECIMAL: _decimal,
    FieldType.DATE: _like(FieldType.DATE),
    FieldType.DATETIME: _like(FieldType.DATETIME),
    FieldType.LOCAL_DATETIME: _like(FieldType.LOCAL_DATETIME),
}


def _key(columns: pl.DataFrame) -> tuple[str, ...]:
    names = columns.columns
    exact = [name for wanted in _KEY_NAMES for name in names if name.strip().casefold() == wanted]
    first = [name for name in names[:1] if name.strip().casefold().endswith(_KEY_ENDINGS)]
    for name in (*exact, *first):
        column = columns[name]
        if columns.height and not column.has_nulls() and column.n_unique() == columns.height:
            return (name,)
    return ()
