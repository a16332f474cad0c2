"""No expression and no record hangs a worker or eats its memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rules.language import compile_expression
from rules.language.columns.backend import Columns
from rules.language.cost import Cost, weigh
from rules.language.nodes import Ident, Node
from rules.language.runtime import Failed
from rules.schema import Field, FieldType, Schema
from tests.rules.language import attacks
from tests.rules.language.frames import lowered, on_runtime
from tests.rules.language.records import SCHEMA, batch, error, problems, run, value

ROOT = Path(__file__).parents[3]
SECONDS, MEGABYTES = 5, 600
NAMES = [*(f"compile: {name}" for name, _ in attacks.compiled()), *(f"evaluate: {a[0]}" for a in attacks.evaluated())]
WORK = "This is too much work for one record: its values are too large for what is done with them."
STEPS = "The loops take more than 10000 steps for this record."
LONG = "map() and filter() take lists of at most 1000 items."
DEEP = "This expression is nested too deeply or has too many terms in a row. Split it up."
LARGE = "This expression makes texts that are too large. Use smaller ones."


@pytest.fixture(scope="module")
def outcomes() -> dict[str, tuple[float, int, str]]:
    """Return what became of each attack, all of them made in one process with limits."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.rules.language.attacks"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    found = (json.loads(line) for line in done.stdout.splitlines())
    return {name: (seconds, megabytes, said) for name, seconds, megabytes, said in found}


@pytest.mark.parametrize("name", NAMES)
def test_bounded(name: str, outcomes: dict[str, tuple[float, int, str]]) -> None:
    """An attack ends soon, in little memory, in a result or in words."""
    seconds, megabytes, said = outcomes[name]
    assert seconds < SECONDS
    assert megabytes < MEGABYTES
    assert said
    assert "has no result" not in said


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("compile: ( 10000", DEEP),
        ("compile: deep calls", DEEP),
        ("compile: long choice", DEEP),
        ("compile: padded literals", LARGE),
        ("compile: long and", "= True"),
        ("compile: long or", "= True"),
        ("evaluate: one loop over a million", STEPS),
        ("evaluate: square of a million", WORK),
        ("evaluate: map of a million", LONG),
        ("evaluate: map of maps", STEPS),
        ("evaluate: search in loops", WORK),
        ("evaluate: patterns in loops", WORK),
        ("evaluate: doubling", WORK),
        ("evaluate: sum of large texts", WORK),
        ("evaluate: sum of large texts in columns", WORK),
        ("evaluate: patterns as large as can be", WORK),
        ("evaluate: many steps of a pattern", WORK),
        ("evaluate: wide padding", "A text may be padded or repeated to at most 10000 characters."),
        ("evaluate: regular expression", "= False"),
    ],
)
def test_words(name: str, message: str, outcomes: dict[str, tuple[float, int, str]]) -> None:
    """A refusal says what is too much."""
    assert outcomes[name][2].startswith(message[:110])


def test_many_mistakes() -> None:
    """After 25 mistakes, or warnings, no more are looked for."""
    assert len(problems("[" + ",".join(f"nam_{n}" for n in range(200)) + "]")) == 25
    assert len(problems("[" + ",".join(f"nam_{n}" for n in range(24)) + "]")) == 24
    many = "[" + ",".join(["1 == 1"] * 100) + "]"
    assert len(compile_expression(many, SCHEMA).warnings) == 25


@pytest.mark.parametrize("sign", ["+", "-", "*"])
def test_long_rows_are_in_order(sign: str) -> None:
    """A row of a hundred terms gives what it gives when it is worked out from left to right."""
    numbers = [str(n % 7 + 1.1) for n in range(99)]
    expected = float(numbers[0])
    for number in numbers[1:]:
        expected = {"+": expected + float(number), "-": expected - float(number)}.get(sign, expected * float(number))
    assert value(f" {sign} ".join(["rate * 2.0", *numbers[1:]]), {"rate": float(numbers[0]) / 2}) == expected


def test_long_rows_nest() -> None:
    """Long rows may stand in each other, in loops and beside divisions; their errors still have a place."""
    row = " + ".join(["x"] * 30)
    assert value(f"[1, 2].map(x, {row})[1] + {' + '.join(['qty'] * 30)}") == 270
    assert value(" / ".join(["rate", *["1.0"] * 30])) == 0.5
    assert value(" == ".join(["active", *["true"] * 30])) is True
    text = " + ".join(["qty"] * 20) + " + 1 / (qty - 7) + " + " + ".join(["qty"] * 20)
    assert error(text) == ("Division by zero.", text.index("/") + 1)


def test_two_hundred_clauses() -> None:
    """A condition of two hundred clauses is no problem."""
    text = " || ".join(f"qty == {n}" for n in range(100, 300))
    assert value(text) is False
    assert value(text, {"qty": 250}) is True


TREES = Schema((Field("data", FieldType.JSON), Field("name"), Field("qty", FieldType.INTEGER)))
SIZES = {"n:value:data": 1000, "n:value:name": 100, "n:value:qty": 1, "k": 50, "t": 1000}


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("1 + 2", 1, 20),
        ("name + name", 200, 500),
        ("data.all(x, x > 0)", 50, 2_000),
        ("data.all(x, x.all(y, y > 0))", 1_000, 20_000),
        ("data.all(x, data.all(y, x == y))", 2_500, 200_000),
        ("data.all(x, name.contains(x))", 5_000, 20_000),
        ("name.matches(name)", 100 * 20_000, 3_000_000),
        ("name.matches('^a.{9}b')", 1_000, 20_000),
        ("data.map(x, 1, name.trim() + x).join(',')", 50 * 100, 500_000),
        ("data.filter(x, x.a[0] != '').exists_one(x, x == name)", 1_000, 100_000),
        ("name.padLeft(5000)", 5_000, 170_000),
        ("name.padLeft(qty)", 10_000, 200_000),
        ("name.repeat(3)", 300, 10_000),
        ("'ab'.repeat(qty)", 10_000, 400_000),
        ("name.replace('a', 'bb')", 200, 20_000),
        ("name.orDefault('x').format([data])", 1_000, 50_000),
        ("qty > 0 ? {'a': name} : {'a': data.b}", 1_000, 10_000),
        ("choose(name, {'a': 'b'}, name)", 100, 2_000),
        ("[has(data.x), has(record.name)].exists(x, x)", 10, 5_000),
        ("name.padLeft(9000).replace(' ', name.padLeft(9000))", 1_000_000, 5_000_000_000),
    ],
)
def test_cost(text: str, least: float, most: float) -> None:
    """The work is never underrated, and not overrated beyond use."""
    assert least <= Cost(lowered(text, TREES)).of(SIZES) <= most


def test_weigh() -> None:
    """A value weighs what is in it; its longest list counts."""
    assert weigh("abc") == (4, 1)
    assert weigh(None) == (1, 1)
    assert weigh({"a": [1, [2, 3, 4]], "bc": b"x"}) == (1 + 2 + 3 + 1 + 1 + 1 + 3 + 2, 3)


def test_unknown_names() -> None:
    """A name that stands for nothing known is small."""
    tree: Node = Ident(0, "x")
    assert Cost(tree).always == 1
    assert not Cost(tree).is_too_much({})


def test_refusals_have_a_place() -> None:
    """What is refused for one record is said at its place."""
    many = json.dumps(["x" * 100] * 9_000)
    assert error("name == '' || data.all(x, data.join(x) != name)", {"data": many}) == (WORK, 12)
    assert error("active && data.all(x, x != 1)", {"data": json.dumps([0] * 10_001)}) == (STEPS, 16)
    assert error("size(data.filter(x, x != 1))", {"data": json.dumps([0] * 1_001)}) == (LONG, 11)
    assert error("data.map(x, 2 / x)[0] == 1", {"data": json.dumps([1] * 50 + [0])})[0] == "Division by zero."
    (large,) = problems(" + ".join(["name", *["'a'.padLeft(9000, 'a').replace('a', 'b'.padLeft(100))"] * 90]))
    assert str(large.message) == LARGE
    assert value("size(name + 'a'.padLeft(2000))") == 2005


def test_large_record() -> None:
    """The same expression is refused for a large record and evaluated for a small one."""
    large: list[Any] = ["x" * 100] * 9_000
    text = "data.all(x, data.join(x) != name)"
    records: list[dict[str, Any]] = [{"data": ["x"], "name": ""}, {"data": large, "name": ""}]
    from_small, from_large = on_runtime(text, TREES, records)
    assert from_small is True
    assert isinstance(from_large, Failed)


@pytest.mark.parametrize(
    ("text", "field", "large"),
    [
        (" + ".join(["name"] * 90), "name", "x" * 10_000_000),
        ("size(" + " + ".join(["data.a"] * 90) + ")", "data", json.dumps({"a": "x" * 2_000_000})),
        ("base64Encode(blob) + " + " + ".join(["base64Encode(blob)"] * 40), "blob", b"x" * 500_000),
    ],
)
def test_only_heavy_records_are_refused(text: str, field: str, large: Any) -> None:
    """Of a batch in columns the records that are too much work are refused, the others get what they get alone."""
    program = compile_expression(text, SCHEMA)
    assert isinstance(program.backend, Columns)
    small = {"name": "ab", "data": '{"a": "ab"}', "blob": b"ab"}[field]
    frame = batch({field: small}, {field: large}, {field: None}, {field: small})
    found = program.evaluate(frame)
    alone = program.evaluate(frame[[0, 2, 3]])
    assert found.values[[0, 2, 3]].equals(alone.values, null_equal=True)
    errors = {error.row: (str(error.message), error.column) for error in found.errors}
    assert errors.pop(1)[0] == WORK
    assert errors == {{1: 2}.get(error.row, error.row): (str(error.message), error.column) for error in alone.errors}
    (refused,) = program.evaluate(frame[[1]]).errors
    assert str(refused.message) == WORK


def test_large_records_that_are_not_too_much() -> None:
    """A record that only may be too much by its size is worked out after all."""
    data = json.dumps({"a" * 3_000_000: 1})
    found = run("size(data) == 0 || " + " + ".join(["name"] * 90) + " == ''", {"data": data}, {})
    assert found.values.to_list() == [False, False]


def test_times_weigh_little() -> None:
    """A batch of times of day has no heavy record."""
    text = " + ".join(["opens"] * 90)
    assert run(text, {}, {"opens": None}).values[0] == "09:30:00" * 90
