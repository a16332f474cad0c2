"""Expressions and records made to hang a worker or to eat its memory; run in a process of its own with limits.

`python -m tests.rules.language.attacks` prints one JSON line an attack: its name, seconds, megabytes, what came out.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Iterator

import polars as pl

from rules.language import ExpressionError, compile_expression
from rules.schema import Field, FieldType, Schema

SCHEMA = Schema(
    (
        Field("name"),
        Field("data", FieldType.JSON),
        Field("qty", FieldType.INTEGER),
        *(Field(f"field_{number}") for number in range(300)),
    )
)
PLAIN = {"name": "a", "data": "[1, 2]", "qty": 1}
MEMORY = 6 * 2**30  # addresses; what is really used is measured
SECONDS = 120


def compiled() -> Iterator[tuple[str, str]]:
    """Yield what attacks the compiler: a name and an expression of at most 10,000 characters."""
    yield from {
        f"{sign} 10000": sign * 10_000 for sign in ("(", "[", "{", "!", "-", "?", ".", "'", "`", "a", "9")
    }.items()
    yield from {f"deep {a}": a * 4_900 + "1" + b * 4_900 for a, b in ("()", "[]", ("-(", ")"), ("!", ""))}.items()
    yield "deep calls", "trim(" * 1_500 + "name" + ")" * 1_500
    yield "deep members", "data" + ".a" * 4_900
    yield "deep index", "data" + "[0]" * 3_000
    yield "deep choice", "true?" * 1_600 + "1" + ":1" * 1_600
    yield "long choice", "qty==1?1:" * 1_100 + "1"
    yield "long sum", "+".join(["1"] * 5_000)
    yield "long and", "&&".join(["true"] * 1_600)
    yield "long or", "||".join([f"qty=={n}" for n in range(900)])
    yield "long or of one", "||".join(["qty==1"] * 1_200)
    yield "unknown names", "+".join(f"field_{n}x" for n in range(700))
    yield "unknown functions", "+".join(f"fnc{n}(1)" for n in range(900))
    yield "long list", "[" + "1," * 4_990 + "1]"
    yield "long map", "{" + ",".join(f"{n}:1" for n in range(1_400)) + "}"
    yield "lists in lists", "[" + ",".join(["[1,1,1]"] * 999) + "]"
    yield "nested loops", "data.map(a," * 800 + "1" + ")" * 800
    yield "three loops", "data.map(a,data.map(b,data.map(c,1)))"
    yield "padded literals", "+".join(["'a'.padLeft(9000,'a').replace('a','b'.padLeft(100))"] * 90)
    yield "padded lists", "[" + ",".join(["'a'.padLeft(10000)"] * 400) + "].join('')"
    yield "growing literals", "'a'" + ".replace('a','aaaaaaaaaa')" * 30
    yield "wide padding", "name.padLeft(1000000000)"
    yield "wide format", "'%.999999999f'.format([1.5])"
    yield "regular expression", "name.matches('(a+)+$')"
    yield "large expression", "name.matches('((a{1,1000}){1,1000}){1,1000}')"
    yield "long expression", "name.matches('" + "(a|b)*" * 1_600 + "')"
    yield "large number", "9" * 9_000 + " + 1"
    yield "large exponent", "1e" + "9" * 9_000
    yield "small number", "0." + "0" * 9_000 + "1 > 0.0"
    yield "round far", "round(1.5, 2147483647)"
    yield "shift far", "math.bitShiftLeft(1, 9223372036854775807)"
    yield "defaults in defaults", "coalesce(name," * 600 + "name" + ")" * 600
    yield "choices in choices", "choose(name,{'a':" * 500 + "1" + "})" * 500


def evaluated() -> Iterator[tuple[str, str, dict[str, object]]]:
    """Yield what attacks the runtime: a name, an expression and one record."""
    million = json.dumps(list(range(1_000_000)))
    texts = json.dumps(["x" * 20] * 9_000)
    wide = "x" * 1_000_000
    yield "one loop over a million", "data.all(x, x >= 0)", {"data": million}
    yield "square of a million", "data.all(x, data.exists(y, y == x))", {"data": million}
    yield "square of nine thousand", "data.all(x, data.exists(y, y == x))", {"data": texts}
    yield "map of a million", "size(data.map(x, x + 1))", {"data": million}
    yield "map of nine thousand", "size(data.map(x, x + 'y'))", {"data": texts}
    yield "map of maps", "size(data.map(x, data.map(y, x + y)))", {"data": json.dumps(["x"] * 900)}
    yield (
        "error in a large list",
        "data.all(x, 1 / (x - 9000.0) > 0.0 || x < 0)",
        {"data": json.dumps(list(range(9_500)))},
    )
    yield "search in loops", "data.all(x, !name.contains(x + 'y'))", {"data": texts, "name": wide}
    yield "patterns in loops", "data.all(x, !name.matches(x + '(a+)+'))", {"data": texts, "name": wide}
    yield "join in loops", "data.all(x, data.join(x) != '')", {"data": texts}
    yield (
        "doubling",
        "[name].map(a, a+a+a+a+a+a+a+a).map(b, b+b+b+b+b+b+b+b).map(a, a+a+a+a+a+a+a+a)[0]",
        {"name": wide},
    )
    yield "sum of large texts", "[name].map(x, " + "+".join(["x"] * 90) + ")[0]", {"name": wide * 10}
    yield "sum of large texts in columns", " + ".join(["name"] * 90), {"name": wide * 10}
    yield "patterns as large as can be", f"name.matches('{'(a?b?c?)*' * 99}z')", {"name": wide}
    yield "many steps of a pattern", "name.matches('(.*x){900}y')", {"name": wide}
    yield "growing replace", "name.replace('x', name)", {"name": wide}
    yield "growing replaces", "name" + ".replace('x', 'xxxxxxxxxx')" * 12, {"name": "x"}
    yield "wide padding", "name.padLeft(qty)", {"qty": 10**9}
    yield "wide repeat", "data.map(x, name.padLeft(10000)).join('')", {"data": json.dumps([1] * 900)}
    yield "regular expression", "name.matches('(a+)+$')", {"name": "a" * 50_000 + "b"}
    yield "pattern of a record", "name.matches(name)", {"name": "(a+)+" * 20_000}
    yield "deep data", "data[0] == 1", {"data": "[" * 100_000 + "]" * 100_000}
    yield "wide data", "size(data)", {"data": '{"a":' * 30_000 + "1" + "}" * 30_000}
    yield "large number", "data == 1", {"data": "9" * 100_000}
    yield "large exponent", "data == 1", {"data": "1e999999999"}
    yield "as text", "toText(data)", {"data": million}
    yield "equal lists", "data == data", {"data": million}


def main() -> None:
    """Run all attacks under limits and print what became of each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    for name, text in compiled():
        _report("compile", name, lambda text=text: _outcome(text, PLAIN))  # type: ignore[misc]
    for name, text, record in evaluated():
        _report("evaluate", name, lambda text=text, record=record: _outcome(text, {**PLAIN, **record}))  # type: ignore[misc]


def _report(stage: str, name: str, attack: Callable[[], str]) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    outcome = attack()
    seconds = time.process_time() - start
    megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
    sys.stdout.write(json.dumps([f"{stage}: {name}", round(seconds, 3), megabytes, outcome]) + "\n")
    sys.stdout.flush()


def _outcome(text: str, record: dict[str, object]) -> str:
    try:
        program = compile_expression(text, SCHEMA)
    except ExpressionError as error:
        return str(error.problems[0].message)[:120]
    frame = pl.DataFrame({field.name: [record.get(field.name)] for field in SCHEMA.fields}, schema=SCHEMA.dtypes())
    found = program.evaluate(frame)
    return str(found.errors[0].message)[:120] if found.errors else f"= {str(found.values[0])[:20]}"


if __name__ == "__main__":
    main()
