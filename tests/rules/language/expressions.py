"""Random typed expressions over a schema with a field of every type, and batches full of difficult values."""

# ruff: noqa: E501 - one kind of expression a line reads best

from __future__ import annotations

import datetime as dt
import math
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import polars as pl

from rules.language.functions import FUNCTIONS
from rules.language.functions.registry import Builtin
from rules.language.types import Kind
from rules.schema import Field, FieldType, Schema

SCHEMA = Schema(
    (
        Field("name"),
        Field("code"),
        Field("qty", FieldType.INTEGER),
        Field("n", FieldType.INTEGER),
        Field("price", FieldType.DECIMAL, scale=4),
        Field("free", FieldType.DECIMAL),
        Field("rate", FieldType.FLOAT),
        Field("x", FieldType.FLOAT),
        Field("active", FieldType.BOOLEAN),
        Field("vip", FieldType.BOOLEAN),
        Field("born", FieldType.DATE),
        Field("due", FieldType.DATE),
        Field("seen", FieldType.DATETIME),
        Field("local", FieldType.LOCAL_DATETIME),
        Field("opens", FieldType.TIME),
        Field("data", FieldType.JSON),
        Field("blob", FieldType.BINARY),
    )
)
ROWS = 60
UTC = dt.UTC
TEXTS = (
    "", " ", "a", "A", "new", "open", "CN", "Ada Lovelace", "  Ada ", "straße", "İstanbul", "ŉ", "Σίσυφος", "ΟΔΟΣ", "上海分公司",
    "😀 smile 😀", "\u3000ＡＢＣ１２３\u3000", "\x1c\x1da\x85", "\u200bzero", "ﬁn", "12", " 42 ", "-7", "3.50", "1e5", "true", "FALSE",
    "2024-02-29", "2024-02-30", "31/01/2024", "2024-01-31T08:00:00Z", "nul\x00in", "a,b;c", "é", "e\u0301", "٣٤", "x" * 40, "tab\there", "\n",
    "0.1", "9007199254740993", "ǆ", "ß", "K", "a.b*c", "𝔘𝔫𝔦",
)  # fmt: skip
INTEGERS = (
    0, 1, -1, 2, 7, -7, 10, 100, 12, 365, 2**31, -(2**31) - 1, 10**15, 10**15 + 1, 2**53, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1,
    -(2**63), -(2**63) + 1, 999999999999999, 1000000000000000000,
)  # fmt: skip
FLOATS = (
    0.0, -0.0, 0.5, -0.5, 1.0, 2.5, 0.1, 2.675, 1.005, -2.5, 1e-7, 1e-300, 5e-324, 1e15, 1e16, 2.0**53, 1e22, 1e300, 1.7976931348623157e308,
    math.inf, -math.inf, math.nan, 3.0, 1234.5678, -1e-5, 0.30000000000000004, 99999999999999.98, 4503599627370497.5,
)  # fmt: skip
DECIMALS = (
    "0",
    "1",
    "-1",
    "12.3456",
    "0.0001",
    "-0.5",
    "2.675",
    "99999999999.9999",
    "123456789012345678.1234",
    "100",
    "1000000000000000",
    "3.3333",
)
FREES = (
    "0",
    "1",
    "0.1",
    "-2.5",
    "0.000000000000000001",
    "12345678901234567890.5",
    "1.123456789012345678",
    "7",
    "1000000",
)
DATES = (
    dt.date(1, 1, 1), dt.date(1, 1, 2), dt.date(1582, 10, 15), dt.date(1699, 12, 31), dt.date(1900, 3, 1), dt.date(1970, 1, 1),
    dt.date(2000, 2, 29), dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2024, 12, 31), dt.date(9999, 12, 31),
)  # fmt: skip
TIMES = (
    dt.datetime(1, 1, 1), dt.datetime(1, 1, 2, 3, 4, 5), dt.datetime(1600, 1, 1, 0, 0, 0, 1), dt.datetime(1899, 12, 31, 23, 59, 59, 999999),
    dt.datetime(1969, 12, 31, 23, 59, 59, 500000), dt.datetime(1970, 1, 1), dt.datetime(2024, 3, 31, 1, 30), dt.datetime(2024, 10, 27, 1, 30),
    dt.datetime(2024, 2, 29, 12, 0, 0, 123456), dt.datetime(2239, 12, 31, 23, 59, 59, 999999), dt.datetime(2300, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59),
    dt.datetime(2024, 1, 31, 8, 5, 9, 250000),
)  # fmt: skip
CLOCKS = (dt.time(0), dt.time(9, 30), dt.time(23, 59, 59, 999999), dt.time(12, 0, 0, 500000))
JSONS = (
    '{"tier":"gold","n":5,"f":1.5,"ok":true,"list":[1,2,"x"],"deep":{"a":"b"},"z":null}', '{"tier":"silver","n":"5"}', "{}", "[]", "null", '"text"',
    "17", '{"tier":5,"n":12345678901234567890}', '{"deep":{"a":7}}', '{"tier":"上海","deep":{}}', "not json", '{"n":9007199254740993}',
)  # fmt: skip
BLOBS = (b"", b"abc", b"\xff\xfe", b"nul\x00", "上海".encode())


def _batch(rng: random.Random, nulls: float, mild: bool) -> pl.DataFrame:
    """Return a batch; a mild one has ordinary values, so that the lean forms are chosen."""

    def column(field: Field) -> pl.Series:
        pool = _MILD[field.type] if mild else _POOLS.get(field.name, _WILD[field.type])
        if mild and nulls and field.type is FieldType.FLOAT:
            pool = (*pool, math.nan)  # beside no infinity, so that it is told apart from large numbers
        values = [None if rng.random() < nulls else _drawn(rng, field, pool, mild) for _ in range(ROWS)]
        return pl.Series(field.name, values, dtype=field.dtype)

    return pl.DataFrame([column(field) for field in SCHEMA.fields])


def _drawn(rng: random.Random, field: Field, pool: tuple[Any, ...], mild: bool) -> Any:
    if field.type is FieldType.FLOAT and rng.random() < 0.3:
        return rng.uniform(-1e4, 1e4) if mild else rng.choice((1.0, 1e5, 1e-3)) * rng.uniform(-10, 10)
    if field.type is FieldType.INTEGER and rng.random() < 0.3:
        return rng.randrange(-1000, 1000)
    value = rng.choice(pool)
    return value.replace(tzinfo=UTC) if field.type is FieldType.DATETIME else value


_WILD: dict[FieldType, tuple[Any, ...]] = {
    FieldType.TEXT: TEXTS,
    FieldType.INTEGER: INTEGERS,
    FieldType.DECIMAL: tuple(Decimal(d) for d in DECIMALS),
    FieldType.FLOAT: FLOATS,
    FieldType.BOOLEAN: (True, False),
    FieldType.DATE: DATES,
    FieldType.DATETIME: TIMES,
    FieldType.LOCAL_DATETIME: TIMES,
    FieldType.TIME: CLOCKS,
    FieldType.JSON: JSONS,
    FieldType.BINARY: BLOBS,
}
_POOLS: dict[str, tuple[Any, ...]] = {"free": tuple(Decimal(d) for d in FREES), "n": (0, 1, 2, 3, -1, 5, 40)}
_MILD: dict[FieldType, tuple[Any, ...]] = _WILD | {
    FieldType.TEXT: ("", "a", "new", "CN", " Ada ", "12", "A-1", "2024-02-29", "3.5", "true"),
    FieldType.INTEGER: (0, 1, -1, 2, 7, -7, 10, 100, 365, 2**31),
    FieldType.DECIMAL: tuple(Decimal(d) for d in ("0", "1", "-1", "12.3456", "2.675", "100", "0.5")),
    FieldType.FLOAT: (0.0, -0.0, 0.5, 1.0, 2.5, 0.1, 2.675, 1.005, -2.5, 1000.0),
    FieldType.DATE: tuple(d for d in DATES if 1700 < d.year < 2200),
    FieldType.DATETIME: tuple(t for t in TIMES if 1700 < t.year < 2200),
    FieldType.LOCAL_DATETIME: tuple(t for t in TIMES if 1700 < t.year < 2200),
    FieldType.JSON: JSONS[:4],
    FieldType.BINARY: BLOBS[:2],
}


def batches(seed: int) -> tuple[pl.DataFrame, ...]:
    """Return batches with and without nulls, with wild and with mild values."""
    rng = random.Random(seed)
    return tuple(_batch(rng, nulls, mild) for nulls in (0.0, 0.15) for mild in (False, True))


_FUNCTIONS = tuple(f for f in FUNCTIONS.values() if f.form is None)
_WORDS = {
    Kind.BOOLEAN: "boolean",
    Kind.INTEGER: "integer",
    Kind.FLOAT: "number",
    Kind.DECIMAL: "decimal",
    Kind.TEXT: "text",
    Kind.DATE: "date",
    Kind.DATETIME: "datetime",
    Kind.LOCAL_DATETIME: "local",
    Kind.DURATION: "span",
    Kind.BINARY: "binary",
}


class Generator:
    """Writes random expressions of a wanted type."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._kinds: dict[str, tuple[Callable[[int], str], ...]] = {
            "boolean": (
                self._field, self._field, self._literal, self._comparison, self._comparison, self._equality, self._logic, self._logic, self._not,
                self._ternary, self._in, self._text_test, self._null_test, self._json_test, self._or_default, self._loop,
            ),
            "integer": (self._field, self._field, self._literal, self._whole, self._whole, self._negative, self._ternary, self._or_default, self._part, self._count, self._to_integer, self._pick),
            "number": (self._field, self._field, self._literal, self._real, self._real, self._negative, self._ternary, self._or_default, self._rounded, self._pick, self._to_number),
            "decimal": (self._field, self._field, self._literal, self._real, self._ternary, self._or_default, self._rounded),
            "text": (
                self._field, self._field, self._literal, self._joined, self._changed, self._changed, self._changed, self._ternary, self._or_default,
                self._cut, self._to_text, self._choose, self._format,
            ),
            "date": (self._field, self._field, self._literal, self._ternary, self._or_default, self._moved_date, self._to_date, self._pick_date),
            "datetime": (self._field, self._field, self._literal, self._ternary, self._or_default, self._moved),
            "local": (self._field, self._field, self._literal, self._ternary, self._or_default, self._moved),
            "span": (self._span_literal, self._span_literal, self._span),
            "binary": (self._field, self._literal, self._ternary),
        }  # fmt: skip
        self._kind = ""

    def expression(self) -> str:
        """Return an expression of a random type."""
        kinds = (
            "boolean",
            "boolean",
            "boolean",
            "integer",
            "number",
            "decimal",
            "text",
            "text",
            "date",
            "datetime",
            "local",
            "binary",
        )
        if self._rng.random() < 0.03:
            return self._rng.choice(
                (
                    "data.tier",
                    "data.n",
                    "data.deep.a",
                    "data.ok",
                    "data.list[1]",
                    "data.tier.orDefault('-')",
                    "data.f * 2",
                    "data",
                )
            )
        if self._rng.random() < 0.12:
            return self._any_function()
        return self.of(self._rng.choice(kinds), self._rng.choice((1, 2, 3, 4)))

    def _any_function(self) -> str:
        """Return a call of any function there is, with fields and literals of the kinds it takes."""
        function = self._rng.choice(_FUNCTIONS)
        overload = self._rng.choice(function.overloads)
        args = [self._argument(parameter.kind) for parameter in overload.parameters]
        if function.builtin is Builtin.MEMBER:
            return f"{args[0]}.{function.name}({', '.join(args[1:])})"
        return f"{function.name}({', '.join(args)})"

    def _argument(self, kind: Kind) -> str:
        if kind is Kind.LIST:
            return f"[{self._argument(Kind.ANY)}, {self._rng.choice(('name', 'qty', '1'))}]"
        if kind is Kind.MAP:
            return f"{{'a': {self._argument(Kind.ANY)}}}"
        return self.of(_WORDS.get(kind) or self._rng.choice(tuple(_WORDS.values())), self._rng.choice((0, 0, 1)))

    def of(self, kind: str, depth: int) -> str:
        """Return an expression of a type."""
        makers = self._kinds[kind]
        if depth <= 0:
            makers = tuple(m for m in makers if m in (self._field, self._literal, self._span_literal))
        outer, self._kind = self._kind, kind
        made = self._rng.choice(makers)(depth - 1)
        self._kind = outer
        return made

    def _field(self, _depth: int) -> str:
        names = {
            "boolean": ("active", "vip"), "integer": ("qty", "n"), "number": ("rate", "x"), "decimal": ("price", "free"),
            "text": ("name", "code", "opens"), "date": ("born", "due"), "datetime": ("seen",), "local": ("local",), "binary": ("blob",),
        }  # fmt: skip
        name = self._rng.choice(names[self._kind])
        return name if self._rng.random() < 0.9 else f"record.{name}"

    def _literal(self, _depth: int) -> str:
        pick = self._rng.choice
        literals: dict[str, Callable[[], str]] = {
            "boolean": lambda: pick(("true", "false")),
            "integer": lambda: pick(
                (
                    "0",
                    "1",
                    "2",
                    "-1",
                    "7",
                    "100",
                    "3",
                    "9223372036854775807",
                    "-9223372036854775808",
                    "9007199254740993",
                )
            ),
            "number": lambda: pick(("0.0", "1.5", "2.0", "0.1", "3.0", "-1.0", "1e300", "1000.0", "1.19", "-0.0")),
            "decimal": lambda: pick(("0.0", "1.5", "2", "0.1", "1.19", "100")),
            "text": lambda: repr(
                pick(("", " ", "a", "A", "new", "CN", "-", "上海", "😀", "x", "Ada", "12", "3.5", "é", "ß"))
            ),
            "date": lambda: f"date('{pick(('2024-01-31', '1969-12-31', '0001-01-02', '9999-12-31', '2000-02-29'))}')",
            "datetime": lambda: (
                f"timestamp('{pick(('2024-01-31T08:00:00Z', '1969-12-31T23:59:59.5Z', '2024-03-31T01:30:00+02:00'))}')"
            ),
            "local": lambda: (
                f"localTime('{pick(('2024-01-31T08:00:00', '1900-01-01', '2024-10-27 02:30:00.000001'))}')"
            ),
            "binary": lambda: pick(("b'abc'", "b''", "b'\\xff'")),
        }
        return literals[self._kind]()

    def _two(self, kind: str, depth: int) -> tuple[str, str]:
        return self.of(kind, depth), self.of(kind, depth)

    def _number(self) -> str:
        return self._rng.choice(("integer", "number", "decimal"))

    def _comparison(self, depth: int) -> str:
        kind = self._rng.choice(
            ("integer", "number", "decimal", "text", "date", "datetime", "local", "span", "boolean", "mixed", "moments")
        )
        symbol = self._rng.choice(("<", "<=", ">", ">="))
        if kind == "mixed":
            return f"({self.of(self._number(), depth)} {symbol} {self.of(self._number(), depth)})"
        if kind == "moments":
            return f"({self.of('date', depth)} {symbol} {self.of('datetime', depth)})"
        left, right = self._two(kind, depth)
        return f"({left} {symbol} {right})"

    def _equality(self, depth: int) -> str:
        kind = self._rng.choice(
            ("integer", "number", "decimal", "text", "date", "datetime", "local", "span", "boolean", "binary", "mixed")
        )
        symbol = self._rng.choice(("==", "!="))
        if kind == "mixed":
            return f"({self.of(self._number(), depth)} {symbol} {self.of(self._number(), depth)})"
        left, right = self._two(kind, depth)
        return f"({left} {symbol} {right})"

    def _logic(self, depth: int) -> str:
        left, right = self._two("boolean", depth)
        return f"({left} {self._rng.choice(('&&', '||'))} {right})"

    def _not(self, depth: int) -> str:
        return f"!{self.of('boolean', depth)}"

    def _ternary(self, depth: int) -> str:
        test = self.of("boolean", depth)
        yes, no = self._two(self._kind, depth)
        empty = self._rng.random()
        return f"({test} ? {yes} : {'null' if empty < 0.15 else no})"

    def _or_default(self, depth: int) -> str:
        value, other = self._two(self._kind, depth)
        form = self._rng.choice(
            ("{0}.orDefault({1})", "coalesce({0}, {1})", "coalesce(null, {0}, {1})", "({0} == null ? {1} : {0})")
        )
        return form.format(value, other) if self._kind != "span" else value

    def _in(self, depth: int) -> str:
        kind = self._rng.choice(("text", "integer", "number", "date"))
        count = self._rng.choice((0, 1, 2, 3, 10))
        items = [self.of(kind, 0) if self._rng.random() < 0.1 else self._constant(kind) for _ in range(count)]
        if kind in ("text", "integer") and self._rng.random() < 0.15 and items:
            return f"({self.of(kind, depth)} in {{{', '.join(f'{i}: 1' for i in dict.fromkeys(items))}}})"
        return f"({self.of(kind, depth)} in [{', '.join(items)}])"

    def _constant(self, kind: str) -> str:
        outer, self._kind = self._kind, kind
        made = self._literal(0)
        self._kind = outer
        return made

    def _text_test(self, depth: int) -> str:
        text = self.of("text", depth)
        part = self.of("text", 0)
        pattern = self._rng.choice(
            (
                "^[A-Z]+$",
                "\\\\d",
                "a|b",
                "^.$",
                "[0-9]{2}",
                "\\\\w+",
                "^\\\\s",
                "x*",
                "(?i)ada",
                "海",
                "^(new|open)$",
                ".",
            )
        )
        return self._rng.choice(
            (
                f"{text}.startsWith({part})",
                f"{text}.endsWith({part})",
                f"{text}.contains({part})",
                f"{text}.matches('{pattern}')",
                f"isBlank({text})",
            )
        )

    def _null_test(self, depth: int) -> str:
        kind = self._rng.choice(
            ("boolean", "integer", "number", "decimal", "text", "date", "datetime", "local", "binary")
        )
        value = self.of(kind, depth)
        return self._rng.choice(
            (f"({value} == null)", f"(null != {value})", f"isBlank({value})", "has(record.name)", "has(record.seen)")
        )

    def _json_test(self, _depth: int) -> str:
        tests = (
            "data.tier == 'gold'", "has(data.tier)", "data.n > 3", "data.ok", "data.deep.a in ['b', 'c']", "data == null", "size(data.list) > 1",
            "isBlank(data)", "data.deep.a.startsWith('b')", "data.tier != 'gold'", "data.n == 5", "5.0 != data.n", "data.n <= 5", "!data.ok",
            "data.tier == null", "data.z != null", "data.tier in ['gold', 'x']", "data.list[0] == 1.0", "data.list[2] == 'x'", "data == 'text'",
            "data['tier'] == name", "name == data.tier", "data.f == x", "data.ok && active", "data.deep.a.trim() == 'b'", "data.ok ? true : vip",
            "has(data.deep.a)", "data.n * 2.0 > 3.0", "data.tier.orDefault('x') == 'gold'", "data.tier < code", "data.n in [5, 6]",
            "data.ok == active", "data.n == n", "data.tier in {'gold': 1}", "'x' in data.list", "data.list.exists(i, i == 'x')",
        )  # fmt: skip
        return f"({self._rng.choice(tests)})"

    def _loop(self, depth: int) -> str:
        left, right = self._two("text", depth)
        name = self._rng.choice(("all", "exists", "exists_one"))
        return f"[{left}, {right}].{name}(t, t {self._rng.choice(('==', '!=', '<'))} {self.of('text', 0)})"

    def _whole(self, depth: int) -> str:
        left, right = self._two("integer", depth)
        return f"({left} {self._rng.choice(('+', '-', '*', '/', '%'))} {right})"

    def _real(self, depth: int) -> str:
        left, right = self.of(self._kind, depth), self.of(self._number(), depth)
        if self._rng.random() < 0.5:
            left, right = right, left
        return (
            f"({left} {self._rng.choice(('+', '-', '*', '/'))} {right})"
            if self._kind != "number"
            else f"(1.0 * {left} {self._rng.choice(('+', '-', '*', '/'))} {right})"
        )

    def _negative(self, depth: int) -> str:
        return f"-({self.of(self._kind, depth)})"

    def _rounded(self, depth: int) -> str:
        value = self.of(self._kind, depth)
        return self._rng.choice(
            (
                f"round({value})",
                f"round({value}, 2)",
                f"round({value}, {self.of('integer', 0)})",
                f"floor({value})",
                f"ceil({value})",
                f"abs({value})",
            )
        )

    def _pick(self, depth: int) -> str:
        left, right = self._two(self._kind, depth)
        return f"{self._rng.choice(('min', 'max'))}({left}, {right})"

    def _pick_date(self, depth: int) -> str:
        left, right = self._two("date", depth)
        return f"{self._rng.choice(('min', 'max'))}({left}, {right})"

    def _part(self, depth: int) -> str:
        kind = self._rng.choice(("date", "datetime", "local"))
        moment = self.of(kind, depth)
        name = self._rng.choice(("year", "month", "day", "weekday", "hour"))
        getter = self._rng.choice(
            (
                "getFullYear",
                "getMonth",
                "getDate",
                "getDayOfMonth",
                "getDayOfWeek",
                "getDayOfYear",
                "getHours",
                "getMinutes",
                "getSeconds",
                "getMilliseconds",
            )
        )
        forms = [f"{name}({moment})", f"{moment}.{getter}()"]
        if kind == "datetime":
            zone = self._rng.choice(("Asia/Shanghai", "Europe/Berlin", "UTC", "America/New_York"))
            forms += [f"{name}({moment}, '{zone}')", f"{moment}.{getter}('{zone}')"]
        if kind == "date":
            forms.append(f"daysBetween({moment}, {self.of('date', depth)})")
        return self._rng.choice(forms)

    def _count(self, depth: int) -> str:
        text = self.of("text", depth)
        return self._rng.choice(
            (f"size({text})", f"{text}.size()", f"size({text}.split(','))", f"size([{text}])", "size(blob)")
        )

    def _to_integer(self, depth: int) -> str:
        kind = self._rng.choice(("text", "number", "integer"))
        return f"{self._rng.choice(('toInteger', 'int'))}({self.of(kind, depth)})"

    def _to_number(self, depth: int) -> str:
        if self._rng.random() < 0.5:
            return f"double({self.of(self._rng.choice(('text', 'number')), depth)})"
        return f"(1.0 * toDecimal({self.of('text', depth)}))"

    def _joined(self, depth: int) -> str:
        left, right = self._two("text", depth)
        return f"({left} + {right})"

    def _changed(self, depth: int) -> str:
        text = self.of("text", depth)
        name = self._rng.choice(("trim", "upper", "lower", "capitalize", "normalizeSpace", "digits", "toHalfWidth"))
        return f"{text}.{name}()"

    def _cut(self, depth: int) -> str:
        text = self.of("text", depth)
        start, end = self._rng.choice(((0, 2), (1, 1), (2, 5), (0, 100), (3, 1), (-1, 2)))
        forms = (
            f"{text}.substring({start}, {end})", f"{text}.substring({max(start, 0)})", f"{text}.substring(n)", f"{text}.padLeft({end}, '0')",
            f"{text}.padRight(5)", f"{text}.padLeft(n, '*')", f"{text}.replace('a', 'bc')", f"{text}.replace({self.of('text', 0)}, {self.of('text', 0)})",
            "toText(data.tier)", "data.tier.trim()", "data.deep.a + 'x'", f"{text}.split(',')[0]", f"{text}.split(' ')[1]", f"{text}.split(',').join('-')", f"[{text}, 'k'].join('/')",
        )  # fmt: skip
        return self._rng.choice(forms)

    def _to_text(self, depth: int) -> str:
        kind = self._rng.choice(("boolean", "integer", "number", "decimal", "text", "date", "datetime", "local"))
        return f"{self._rng.choice(('toText', 'string'))}({self.of(kind, depth)})"

    def _choose(self, depth: int) -> str:
        if self._rng.random() < 0.5:
            return f"choose({self.of('text', depth)}, {{'CN': 'China', 'new': 'N', '': 'E'}}, {self.of('text', 0)})"
        return f"choose({self.of('integer', depth)}, {{1: 'one', 2: 'two'}})"

    def _format(self, depth: int) -> str:
        if self._rng.random() < 0.5:
            return f"formatDate({self.of(self._rng.choice(('date', 'datetime', 'local')), depth)}, '{self._rng.choice(('yyyy-MM-dd', 'dd.MM.yy HH:mm:ss', 'yyyy年M月d日 SSS'))}')"
        return f"formatNumber({self.of('number', depth)}, 2)"

    def _moved_date(self, depth: int) -> str:
        date = self.of("date", depth)
        return self._rng.choice(
            (
                f"addDays({date}, {self._rng.choice((1, -1, 30, 100000))})",
                f"addDays({date}, n)",
                f"addMonths({date}, {self._rng.choice((1, -1, 12))})",
            )
        )

    def _to_date(self, depth: int) -> str:
        forms = (
            f"date({self.of('datetime', depth)})",
            f"date({self.of('local', depth)})",
            f"date({self.of('text', depth)})",
            f"date({self.of('datetime', depth)}, 'Asia/Shanghai')",
            f"parseDate({self.of('text', depth)}, 'dd/MM/yyyy')",
        )
        return self._rng.choice(forms)

    def _moved(self, depth: int) -> str:
        moment, span = self.of(self._kind, depth), self.of("span", depth)
        forms = [
            f"({moment} + {span})",
            f"({moment} - {span})",
            f"addDays({moment}, {self._rng.choice((1, -400))})",
            f"addMonths({moment}, 1)",
        ]
        if self._kind == "local":
            forms.append(f"localTime({self.of('date', depth)})")
        return self._rng.choice(forms)

    def _span_literal(self, _depth: int) -> str:
        return (
            f"duration('{self._rng.choice(('1h', '0s', '-90m', '24h', '0.001s', '1us', '1ns', '8760h', '87600000h'))}')"
        )

    def _span(self, depth: int) -> str:
        if self._rng.random() < 0.5:
            left, right = self._two("span", depth)
            return f"({left} {self._rng.choice('+-')} {right})"
        kind = self._rng.choice(("date", "datetime", "local"))
        left, right = self._two(kind, depth)
        return f"({left} - {right})"
