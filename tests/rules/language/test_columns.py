"""The column compiler: which form is chosen, what is said about it, and that it is safe for any batch."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from rules.language import Program, compile_expression
from rules.language.columns import arithmetic, jsonvalues, operators, python
from rules.language.columns.backend import Columns
from rules.language.columns.constants import of
from rules.language.columns.facts import Fact
from rules.language.columns.islands import island
from rules.language.columns.rounding import decimals, rounded
from rules.language.columns.stages import Stages
from rules.language.columns.value import NoColumn, Value
from rules.language.columns.variants import MOST, join
from rules.language.functions.numbers import round_to
from rules.language.functions.registry import Overload
from rules.language.library import Library, Lookup
from rules.language.nodes import Literal, Mode, Node, Operator, Variable
from rules.language.results import decimals as taker
from rules.language.types import TEXT, Kind, list_of
from rules.schema import Field, FieldType, Schema
from tests.rules.language.differences import difference
from tests.rules.language.records import EMPTY, FILLED, SCHEMA, batch


def program(text: str, **options: Any) -> Program:
    """Return a compiled expression."""
    return compile_expression(text, SCHEMA, **options)


def agree(text: str, *records: dict[str, Any], **options: Any) -> None:
    """Require that columns and the runtime give the same for some records, one empty and one filled among them."""
    backend = program(text, **options).backend
    assert isinstance(backend, Columns)
    for rows in ((FILLED,), (EMPTY,), (*records, FILLED, EMPTY, *records)):
        assert difference(backend, batch(*rows)) is None


def words(text: str) -> tuple[list[str], list[str]]:
    """Return what a plan says: its stages, and why it is slow."""
    plan = program(text).plan
    return [str(stage) for stage in plan.stages], [str(reason) for reason in plan.slow]


def test_plan() -> None:
    """A plan says its stages in words, and what is slow and why."""
    assert words("name.trim() == 'Ada' && qty > 5") == (["Then the results, in one go."], [])
    assert words("name") == (["The column 'name' as it is."], [])
    assert words("qty / (qty - 1) > 2") == (["Stage 1: /.", "Then the results, in one go."], [])
    assert words("name.capitalize()")[1] == ["capitalize() is worked out once for each different value."]
    (slow,) = words("data.a")[1]
    assert slow.startswith("The whole expression is worked out record by record: ")
    assert words("[name].exists(x, x == phone) || active")[1] == [
        "What JSON, lists and loops hold is known record by record only."
    ]


@pytest.mark.parametrize(
    "text",
    [
        "lookup('t', name)",
        "lookup('t', name, 'since')",
        "lookup('t', name.trim()).orDefault('none')",
        "name + lookup('t', name)",
    ],
)
def test_lookups(text: str) -> None:
    """Lookup tables are asked once for each different key."""
    since = Field("since", FieldType.DATE)
    table = Lookup(
        "t", FieldType.TEXT, (Field("label"), since), {"Ada": ("A", dt.date(2024, 1, 31)), "x": (None, None)}
    )
    agree(text, {"name": "Ada"}, {"name": "x"}, {"name": "y"}, library=Library({"t": table}))


@pytest.mark.parametrize(
    "text",
    [
        "data.a.b[0] == 1",
        "data.a.b[true ? 0 : 1] == 1.0",
        "data.s.trim() + name",
        "data.n * 2.0 < 11.0",
        "2.0 * data.n < 11.0",
        "'t' == data.s",
        "null == data.z",
        "data.s in ['t', 'u']",
        "data.n in [5]",
        "'x' in data.a.b",
        "has(data.a.b)",
        "has(data.s.t)",
        "data.a == data.a",
        "data.n == born",
        "size(data.s) == 1",
        "!(data.n == 5)",
        "data.s && active",
        "active || data.n == 5",
        "data.s == data.n || data.s.size() > 1",
        "born == data.n",
        "data.n < 6",
        "'s' > data.s",
    ],
)
def test_json(text: str) -> None:
    """Parts of JSON by constant paths agree with the runtime, whatever type they are of."""
    odd = (
        "null",
        "[]",
        "{",
        '{"n":9007199254740993,"s":5}',
        '{"n":"x","s":"\\ud800","a":{"b":[]}}',
        '{"s":true,"a":1}',
    )
    agree(text, *({"data": one} for one in odd))


@pytest.mark.parametrize(
    "text",
    [
        "choose(name.trim(), {'Ada': 1.5, 'Bob': 2.0})",
        "choose(qty, {7: true})",
        "choose(qty, {7: 'a', 8: 1})",
        "choose(active, {true: 'yes', false: 'no'})",
        "choose(qty - 6, {1: 'one', dyn(true): 'yes'})",
        "qty in [1, 2, 3, 4, 5, 6, 7, 8, 9]",
        "qty in []",
        "name.matches('^(?:A|B).{2}[a-z]$')",
        "name.matches('(?i)ada')",
        "name.matches(phone)",
        "name.substring(1000001)",
        "name.padLeft(-1)",
        "name.padRight(3, '')",
        "name.replace('', 'x')",
        "round(rate, 12)",
        "abs(qty)",
        "-qty",
        "addDays(born, 100000000)",
        "qty * qty",
        "-(qty * qty)",
        "qty % (qty * qty)",
        "qty / -1",
        "qty == rate",
        "rate == rate",
        "active ? 1 : 'x' == null ? 2 : 3",
        "isBlank(phone) ? 1 : 2",
        "1.5 / rate",
        "1.5 / 0.0 == rate",
        "min(rate, 0.5)",
        "size(blob)",
        "b'a' + blob",
        "duration('3000000h') + duration('1h') < duration('4000000h')",
        "duration('1ns') < duration('2ns') && active",
        "coalesce(born, seen)",
        "choose('a', {'a': null, 'b': 'x'}, name)",
        "has({'a': name}.a)",
        "seen + duration('1ns') > seen",
        "rate == null ? true : rate == rate * 2.0",
        "null.orDefault(qty) == 5",
        "1.0 * ceil(coalesce(0.0, 1.0 * rate / rate)) - rate",
        "-0.0.orDefault(rate) + rate * 0.0",
        "trim(coalesce('a', name)) + name",
        "padRight(name, qty / -1)",
        "rate / (1 == 2 ? rate : 1.19.orDefault(0.1)) + 38084.873949579836 / (null == 1 ? rate : 1.19)",
    ],
)
def test_forms(text: str) -> None:
    """Forms at the edge of what has one agree with the runtime."""
    odd: tuple[dict[str, Any], ...] = (
        {"qty": -(2**63), "name": "ß", "rate": float("nan"), "active": False},
        {"qty": 0, "name": "a" * 1001, "rate": 0.0},
    )
    agree(text, *odd)


@pytest.mark.parametrize(
    "part",
    [
        "(qty > -9 || true ? 1.19 : rate)",
        "(!(qty > 9 && false) ? 1.19 : rate)",
        "(qty > -9 ? 1.19 : rate)",
        "(name == null ? rate : 1.19)",
        "coalesce(null, 1.19, rate)",
        "coalesce(active ? 1.19 : null, rate)",
        "choose(name, {'x': 2.5}, 1.19)",
        "lookup('t', name)",
        "lookup('t', 'a')",
        "1.0 * (qty > -9 ? 3 : 7)",
        "(qty > -9 ? 0.0 : rate)",
        "(qty > -9 ? -0.0 : rate)",
        "-(qty > -9 ? 0.0 : rate)",
        "abs(qty > -9 ? -0.0 : rate)",
        "floor(qty > -9 ? 0.5 : rate)",
        "ceil(qty > -9 ? 1.19 : rate)",
        "round(qty > -9 ? 1.194 : rate, 2)",
        "min(qty > -9 ? 1.19 : 2.5, 3.5)",
        "double(name == null ? '3.7' : '1.19')",
        "{'a': 1.19}[active ? 'a' : 'b']",
    ],
)
def test_numbers_that_are_the_same_for_all(part: str) -> None:
    """A number that turns out to be the same for all records calculates as a column does, to the last bit.

    Polars keeps it as one number, by which it divides through the reciprocal, and adds no zero.
    """
    table = Lookup("t", FieldType.TEXT, (Field("n", FieldType.FLOAT),), {"a": (1.19,)})
    rates = [-0.0, 0.0, 0.1, *(38084.873949579836 / n for n in range(1, 40))]
    rows = batch(*({"rate": rate, "qty": 1, "active": True, "name": "a"} for rate in rates))
    for text in (f"rate / {part}", f"rate + {part}", f"{part} + rate", f"rate - {part}", f"{part} - rate"):
        backend = program(text, library=Library({"t": table})).backend
        assert isinstance(backend, Columns)
        assert difference(backend, rows) is None


@pytest.mark.parametrize(
    "text",
    [
        "(qty in {9223372036854775807: 1, qty: 1, 2: 1}) || active",
        "active || (qty in {7: 1, qty: 2})",
        "(qty in {7: 1, qty: 2}) && active",
        "!active && {7: 1, qty: 2}[7] > 0",
        "[1, 2].exists(x, x in {2: 1, qty: 2}) || active",
        "{name: {qty: 1, 7: 2}, 'a': {name: 1}}['a'] == null || active",
        "(name in {name: 1, name.trim(): 2, 'a': 3}) || active",
        "{name: {name: {name: qty, 'b': 1}[name], 'c': 2}['c'], 'd': 3}[name] == 2 || active",
        "('a' in {data.s: 1, data.n: 2}) || active",
        "('a' in {data.s: 1, data.t: 2}) || active",
        "('a' in {'A'.lower(): 1, 'a': 2}) || active",
        "('a' in {dyn(true): 1, dyn(1): 2, dyn('1'): 3, name: 4}) || active",
        "choose(name, {name: 'x', 'a': 'y'}, 'z') == 'x' || active",
    ],
)
def test_keys_that_stand_twice(text: str) -> None:
    """A map with a key twice is an error like any other, which counts only where the other side does not decide."""
    keys = ("a", "b", "c", "d", " a")
    odd = [{"qty": qty, "active": active, "name": "a"} for qty in (2, 2**63 - 1, 5, None) for active in (True, False)]
    odd += [{"name": name, "active": active, "data": '{"s":"x","t":"x"}'} for name in keys for active in (True, False)]
    agree(text, *odd)


def test_a_key_that_stands_twice_is_blamed() -> None:
    """Where a key stands twice, the message says so at the place of the map; another condition that holds decides."""
    found = program("({7: 1, qty: 2}[7] > 0) || active").evaluate(
        batch({"active": True}, {"active": False}, {"qty": 8, "active": False})
    )
    assert found.values.to_list() == [True, None, True]
    assert [(str(e.message), e.row, e.column) for e in found.errors] == [("A key stands twice in this map.", 1, 2)]


@pytest.mark.parametrize(
    "text",
    [
        "data.l.exists(a, data.l.exists(b, a + b > 3.0)) || active",
        "data.l.all(a, data.l.all(b, a == b)) && active",
        "data.l.exists(a, a > 3.0) || data.l.exists(a, a > 2.0) || active",
        "data.l.map(a, a + 1.0).size() > 3 || active",
        "[qty].all(a, data.l.exists(b, b == 2.0)) || active",
        "active ? data.l.exists(a, a > 3.0) : data.l.exists(a, a > 2.0)",
        "(data.l.exists(a, a > 3.0) ? 1 : 2) + (data.l.exists(a, a > 3.0) ? 1 : 2) > 3",
        "data.l.filter(a, a in {1: 2, qty: 3}).size() > 1 || active",
        "data.l.exists(a, [[qty]].exists(b, {1: 2, b[0]: 3, 9: 4, 8: 5, qty + 1: 6}.size() == 0)) || active",
        f"[{'1, ' * 100}qty].all(a, [{'1, ' * 100}qty].all(b, a + b > 0)) || active",
        f"[{'1, ' * 100}price].all(a, [{'1, ' * 100}price].all(b, a + b > 0.0)) || active",
    ],
)
def test_loops_of_too_many_steps(text: str) -> None:
    """Where the loops of a record take too many steps together it is refused, whatever the rest says."""
    data = [f'{{"l":[{",".join("1" * count)}]}}' for count in (5, 150, 6_000, 20_000)]
    agree(text, *({"data": one, "active": active} for one in data for active in (True, False)))


def test_json_is_read_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads get the value of their own text, even while others empty what is kept."""
    monkeypatch.setattr(jsonvalues, "_KEPT", 1)
    json, asked = jsonvalues.Json(Stages()), [str(number % 3) for number in range(3_000)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(json._parsed, asked)) == [float(text) for text in asked]
    finally:
        sys.setswitchinterval(before)


def test_many_kinds_of_batches() -> None:
    """A program keeps a few forms only: with many kinds of batches one general form serves the rest."""
    backend = program("name.upper() + toText(qty) + toText(rate > 1.0) + toText(year(born))").backend
    assert isinstance(backend, Columns)
    odd: list[dict[str, Any]] = [{"name": None}, {"name": "ß"}, {"qty": None}, {"qty": 2**60}, {"rate": float("inf")}]
    odd += [{"rate": None}, {"born": None}, {"name": "\x00"}, {"born": dt.date(1, 1, 1)}, {"qty": 2**40}]
    for one in odd:
        for other in odd:
            assert difference(backend, batch({**one, **other}, {})) is None
    assert len(odd) > MOST
    assert join(Fact(empty=False), Fact(empty=True, ascii=True)) == Fact(empty=True)


def test_height() -> None:
    """Long rows of terms and deep trees are worked out, and fast."""
    started = time.monotonic()
    for text in (
        "qty" + " + 1" * 90,
        "active" + " && active" * 90,
        "(" * 30 + "qty" + " + 1)" * 30,
        "!" * 19 + "active",
    ):
        agree(text)
    agree("coalesce(" * 12 + "qty" + ", 1)" * 12)
    assert time.monotonic() - started < 30


def test_rounding() -> None:
    """Whole columns are rounded as single numbers are, to the last bit."""
    odd = [0.0, -0.0, 0.5, -0.5, 1.5, 2.675, 1.005, -1.005, 0.045, 1e-9, 1e15, 1e22, 123456789.125, None, float("nan")]
    values = pl.Series(odd + [n / 1000 for n in range(-3000, 3000, 7)], dtype=pl.Float64)
    for places in (0, 2, 5, 9, 11):
        exact = [None if v is None else round_to(v, places) for v in values.to_list()]
        assert [repr(v) for v in rounded(values, places).to_list()] == [repr(v) for v in exact]
    finite = values.filter(values.is_finite())
    for scale in (0, 2, 9, 12):
        take = taker(scale, scale)
        assert decimals(finite, scale, scale).to_list() == [take(value) for value in finite]
    assert decimals(pl.Series([1e30, float("inf")]), 2, 18).to_list() == [None, None]


def test_wide_decimals() -> None:
    """Decimals of up to 15 digits calculate, those of more are refused, whatever the scale of their column."""
    schema = Schema((Field("free", FieldType.DECIMAL), Field("whole", FieldType.DECIMAL, scale=0)))
    rows = {
        "free": [Decimal("0.1"), Decimal("123456789012345.6"), None],
        "whole": [Decimal(10) ** 20, Decimal(1), None],
    }
    backend = compile_expression("free + whole", schema).backend
    assert isinstance(backend, Columns)
    assert difference(backend, pl.DataFrame(rows, schema=schema.dtypes())) is None
    assert difference(backend, schema.empty()) is None


def test_callbacks_are_pure(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Polars calls back from its own threads gives the same when it is called again from ours."""
    calls: list[tuple[Any, list[pl.Series], pl.Series]] = []
    real = pl.map_batches

    def recording(exprs: Any, function: Any, **options: Any) -> pl.Expr:
        def noted(columns: Sequence[pl.Series]) -> pl.Series:
            made: pl.Series = function(columns)
            calls.append((function, list(columns), made))
            return made

        return real(exprs, noted, **options)

    monkeypatch.setattr(pl, "map_batches", recording)
    odd = {"name": "Straße", "qty": 2**62, "rate": -0.0, "data": '{"s":"\\ud800"}', "born": dt.date(1, 1, 1)}
    for text in (
        "name.upper()", "name.lower() + 'x'", "round(rate, 2) + round(rate)", "price * 1.19", "name.capitalize()",
        "toText(rate)", "isBlank(coalesce(phone, name.trim()))", "abs(qty)", "formatDate(born, 'yyyy') + toText(seen)",
        "parseDate(name, 'yyyy')", "addMonths(born.orDefault(date('0001-01-02')), n(qty))".replace("n(qty)", "-1"),
        "data.s == 'x' || has(data.s)", "data.n", "[name].exists(x, x == phone)", "toText(blob == null ? rate : 1.5)",
        "[qty].exists(x, x > 5) ? date('2024-01-31') : born", "data.a.b[0] == 1.0", "data.s.trim()",
        "{'a': rate}['a'] > 0.1",
        "[blob, b'x'][0] == b'x' ? blob + b'x' : blob", "{'a': seen}['a']", "toText(born == null ? null : name)",
    ):  # fmt: skip
        agree(text, odd, {"data": '{"n":9007199254740993}'}, {"data": "{"})
    assert calls
    for function, columns, made in calls:
        assert function(columns).equals(made)


def test_what_has_no_form() -> None:
    """Operations ask for kinds that they know, and leave everything else to the runtime."""
    text, null, items = of("x"), of(None), of(["x"])
    stages = Stages()
    tries: tuple[Callable[[], Value], ...] = (
        lambda: arithmetic.negative(text),
        lambda: arithmetic.divide(stages, text, text),
        lambda: arithmetic.calculate(stages, "*", text, text),
        lambda: operators.logic("&&", text, text),
        lambda: operators.negation(text),
        lambda: operators.choice(stages, text, text, text),
        lambda: operators.choice(stages, of(True), text, of(1)),
        lambda: operators.equal("==", items, null),
        lambda: operators.equal("==", items, items),
        lambda: operators.order("<", null, text),
        lambda: operators.order("<", text, of(1)),
        lambda: operators.item(stages, "[]", text, text),
        lambda: operators.item(stages, "[]", of({"x": None}), text),
        lambda: python.call(stages, Overload("f(a: text) -> text", (TEXT,), TEXT), [text]),
        lambda: python.call(stages, Overload("f() -> list", (), list_of(TEXT), list), []),
        lambda: island(stages, Literal(0, 1), SCHEMA, Kind.DURATION),
    )
    for attempt in tries:
        with pytest.raises(NoColumn):
            attempt()
    deep: Node = Variable(0, "active", Mode.VALUE)
    for _ in range(200):
        deep = Operator(0, "!", (deep,))
    with pytest.raises(NoColumn):
        island(stages, deep, SCHEMA, Kind.BOOLEAN)
    with pytest.raises(NoColumn):
        python.choose([], [text])
