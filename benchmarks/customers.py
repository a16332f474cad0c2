"""Workload W1: a million customers, the same ones each time, their changes, and the mapping of a first load.

Only numpy's generator with a fixed seed decides; nothing here knows a database.
"""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import polars as pl

from rules.schema import Field, FieldType, Schema

SURNAMES = tuple("王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗")
GIVEN = tuple("伟芳娜秀英敏静丽强磊军洋勇艳杰娟涛明超兰霞平刚桂")
FIRST = (
    "James", "Mary", "John", "Linda", "Robert", "Susan", "David", "Karen", "Peter", "Nancy",
    "Paul", "Helen", "Mark", "Laura", "Brian", "Alice", "Kevin", "Diana", "Frank", "Emma",
)  # fmt: skip
LAST = (
    "Smith", "Jones", "Brown", "Miller", "Davis", "Garcia", "Wilson", "Moore", "Taylor", "Thomas",
    "White", "Harris", "Martin", "Clark", "Lewis", "Walker", "Young", "King", "Wright", "Green",
)  # fmt: skip
CITIES = (
    "北京", "上海", "广州", "深圳", "杭州", "南京", "成都", "武汉", "西安", "苏州",
    "天津", "重庆", "青岛", "大连", "厦门",
)  # fmt: skip
ROADS = ("中山路", "人民路", "解放路", "建设路", "和平路", "新华路", "长江路", "黄河路")
COUNTRIES = ("CN", "US", "DE", "JP", "GB", "FR", "SG", "AU")
WORDS = (
    "重要", "客户", "需要", "跟进", "合同", "付款", "延迟", "满意",
    "priority", "follow", "up", "contract", "late", "paid", "call", "back",
)  # fmt: skip
SOURCES = ("web", "fair", "phone", "partner")
TIERS = ("bronze", "silver", "gold")
TAGS = ("a", "b", "c", "d", "e", "f")
_DAY = 86_400_000_000

SCHEMA = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False),
        Field("customer_no", nullable=False, length=20),
        *(Field(name, length=size) for name, size in (("name_zh", 40), ("name_en", 80), ("email", 120))),
        *(Field(name, length=size) for name, size in (("phone", 32), ("gender", 1))),
        Field("birth_date", FieldType.DATE),
        *(Field(name, length=size) for name, size in (("address", 200), ("city", 40), ("country", 2))),
        Field("credit_limit", FieldType.DECIMAL, precision=14, scale=2),
        Field("balance", FieldType.DECIMAL, precision=14, scale=2),
        Field("score", FieldType.FLOAT),
        Field("level", FieldType.INTEGER),
        Field("is_active", FieldType.BOOLEAN),
        Field("attrs", FieldType.JSON),
        Field("remark"),
        Field("created_at", FieldType.DATETIME),
        Field("updated_at", FieldType.DATETIME),
    ),
    ("id",),
)  # fmt: skip

TABLES = {
    "postgresql": """CREATE TABLE {name} (id bigint PRIMARY KEY, customer_no varchar(20) NOT NULL, name_zh varchar(40),
name_en varchar(80), email varchar(120), phone varchar(32), gender char(1), birth_date date, address varchar(200),
city varchar(40), country char(2), credit_limit numeric(14,2), balance numeric(14,2), score double precision,
level smallint, is_active boolean, attrs jsonb, remark text, created_at timestamptz, updated_at timestamptz)""",
    "mysql": """CREATE TABLE {name} (id bigint PRIMARY KEY, customer_no varchar(20) NOT NULL, name_zh varchar(40),
name_en varchar(80), email varchar(120), phone varchar(32), gender char(1), birth_date date, address varchar(200),
city varchar(40), country char(2), credit_limit decimal(14,2), balance decimal(14,2), score double,
level smallint, is_active boolean, attrs json, remark text, created_at timestamp(6) NULL, updated_at timestamp(6) NULL)
CHARACTER SET utf8mb4""",
    "sqlite": """CREATE TABLE {name} (id INTEGER PRIMARY KEY, customer_no varchar(20) NOT NULL, name_zh varchar(40),
name_en varchar(80), email varchar(120), phone varchar(32), gender char(1), birth_date date, address varchar(200),
city varchar(40), country char(2), credit_limit numeric(14,2), balance numeric(14,2), score double,
level smallint, is_active boolean, attrs json, remark text, created_at timestamptz, updated_at timestamptz)""",
}
INDEX = "CREATE INDEX {name}_updated ON {name} (updated_at, id)"


def customers(count: int) -> pl.DataFrame:
    """Return the customers 1 to `count` with the types of `SCHEMA`."""
    dice = np.random.default_rng(42)
    ids = np.arange(1, count + 1)
    number = pl.Series(ids).cast(pl.String)
    first, last = _pick(dice, FIRST, count), _pick(dice, LAST, count)
    city = _pick(dice, CITIES, count)
    given = _pick(dice, GIVEN, count) + _pick(dice, GIVEN, count)
    columns: dict[str, Any] = {
        "id": ids,
        "customer_no": "C" + number.str.zfill(9),
        "name_zh": _pick(dice, SURNAMES, count) + given,
        "name_en": first + " " + last,
        "email": first.str.to_lowercase() + "." + last.str.to_lowercase() + number + "@example.com",
        "phone": _some(dice, "+86 1" + _digits(dice, 10, count), 0.05),
        "gender": _some(dice, _pick(dice, ("M", "F"), count), 0.1),
        "birth_date": _some(dice, _days(dice, date(1950, 1, 1), date(2006, 1, 1), count), 0.1),
        "address": city + "市" + _pick(dice, ROADS, count) + _number(dice, 1, 1000, count) + "号",
        "city": city,
        "country": _pick(dice, COUNTRIES, count),
        "credit_limit": _money(dice.integers(0, 10_000_001, count) * 100),
        "balance": _money(dice.integers(-10_000_000, 1_000_000_001, count)),
        "score": _some(dice, pl.Series(dice.normal(600, 120, count)), 0.15),
        "level": dice.integers(0, 10, count),
        "is_active": dice.random(count) < 0.9,
        "attrs": _some(dice, _attributes(dice, count), 0.2),
        "remark": _some(dice, _sentence(dice, count), 0.3),
        "created_at": _moments(dice, date(2015, 1, 1), date(2024, 1, 1), count),
        "updated_at": _moments(dice, date(2023, 11, 1), date(2025, 11, 1), count),
    }  # fmt: skip
    return pl.DataFrame(columns).cast(SCHEMA.dtypes())  # type: ignore[arg-type]


def _pick(dice: np.random.Generator, words: tuple[str, ...], count: int) -> pl.Series:
    return pl.Series(words)[dice.integers(0, len(words), count)]


def _number(dice: np.random.Generator, first: int, end: int, count: int) -> pl.Series:
    return pl.Series(dice.integers(first, end, count)).cast(pl.String)


def _some(dice: np.random.Generator, values: pl.Series, empty: float) -> pl.Series:
    kept = pl.Series(dice.random(values.len()) >= empty)
    return pl.select(pl.when(kept).then(values)).to_series()


def _digits(dice: np.random.Generator, length: int, count: int) -> pl.Series:
    return pl.Series(dice.integers(0, 10**length, count)).cast(pl.String).str.zfill(length)


def _days(dice: np.random.Generator, start: date, end: date, count: int) -> pl.Series:
    days = dice.integers(0, (end - start).days, count) + (start - date(1970, 1, 1)).days
    return pl.Series(days.astype(np.int32)).cast(pl.Date)


def _moments(dice: np.random.Generator, start: date, end: date, count: int) -> pl.Series:
    first = (start - date(1970, 1, 1)).days * _DAY
    micros = dice.integers(0, (end - start).days * _DAY, count) + first
    return pl.Series(micros).cast(pl.Datetime("us", "UTC"))


def _money(cents: np.ndarray[Any, Any]) -> pl.Series:
    return (pl.Series(cents).cast(pl.Decimal(38, 2)) / 100).cast(pl.Decimal(38, 2))


def _attributes(dice: np.random.Generator, count: int) -> pl.Series:
    segment = _number(dice, 0, 50, count)
    tags = '["' + _pick(dice, TAGS, count) + '","' + _pick(dice, TAGS, count) + '"]'
    source, tier = _pick(dice, SOURCES, count), _pick(dice, TIERS, count)
    return '{"seg":' + segment + ',"src":"' + source + '","tags":' + tags + ',"tier":"' + tier + '"}'


def _sentence(dice: np.random.Generator, count: int) -> pl.Series:
    text = _pick(dice, WORDS, count)
    for _ in range(5):
        text = text + " " + _pick(dice, WORDS, count)
    return text
