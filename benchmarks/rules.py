"""How fast rules are: a condition, a mapping and decision tables over 200,000 records, beside other ways to do them.

Usage: python -m benchmarks.rules [RECORDS]. The peers are Python closures, and engines in an environment of their own
(build/peers), which is made at first use.
All figures are records per second of CPU time, the best of five; the work of several threads is added up.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import venv
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks import closures, workload
from rules.decisions import compile_table
from rules.documents import parse_sync
from rules.documents.decision_table import DecisionTable, parse_decision_table
from rules.language import compile_expression
from rules.mapping import compile_mapping
from rules.schema import Field, FieldType, Schema

ROOT = Path(__file__).resolve().parents[1]
PEERS = ROOT / "build" / "peers"
TIMES = 5
PEER_SECONDS = 4.0
TYPES = {
    **dict.fromkeys(("number", "level"), FieldType.INTEGER),
    **dict.fromkeys(("amount", "limit", "score"), FieldType.FLOAT),
    "active": FieldType.BOOLEAN,
    "born": FieldType.DATE,
}
NAMES = tuple(workload.records(1)[0])
SCHEMA = Schema(tuple(Field(name, TYPES.get(name, FieldType.TEXT)) for name in NAMES), ("number",))
TARGET = Schema(
    (
        Field("no", FieldType.INTEGER),
        *(Field(n) for n in ("title", "whole_name", "mail", "state", "town", "phone", "country")),
        *(Field(n, FieldType.INTEGER) for n in ("sex", "age")),
        *(Field(n, FieldType.FLOAT) for n in ("free", "gross")),
    ),
    ("no",),
)


def frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Return records as a batch."""
    return pl.DataFrame(closures.with_dates(rows), schema=SCHEMA.dtypes())


def best(work: Callable[[], Any], count: int) -> tuple[float, float]:
    """Return records per second of CPU time and of wall time, the best of several."""
    work()
    found = []
    for _ in range(TIMES):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        found.append((time.process_time() - cpu, time.perf_counter() - wall))
    return count / min(c for c, _ in found), count / min(w for _, w in found)


def each(closure: closures.Closure, rows: list[dict[str, Any]]) -> Callable[[], list[Any]]:
    """Return what applies a closure to all records."""
    return lambda: [closure(row) for row in rows]


def rule(fields: dict[str, str]) -> dict[str, Any]:
    """Return a sync rule that maps `fields`; what merely names a field is a copy."""
    pairs = [
        {"left": text, "right": name} if text in NAMES else {"right": name, "to_right": text}
        for name, text in fields.items()
    ]
    side = {"connection": "a", "object": "b"}
    head = {"kind": "sync", "name": "bench", "left": side, "right": side, "key": {"left": "number", "right": "no"}}
    return {**head, "fields": pairs}


def table(rows: list[tuple[str, int, int, int, int]]) -> DecisionTable:
    """Return the decision table of the workload."""
    return parse_decision_table(
        {
            "kind": "decision_table",
            "name": "discount",
            "hit_policy": "first",
            "inputs": [
                {"name": "country", "type": "text"},
                {"name": "amount", "type": "float"},
                {"name": "level", "type": "integer"},
            ],
            "outputs": [{"name": "discount", "type": "integer"}],
            "rows": [
                {"when": [f'"{country}"', f"[{low}..{high})", str(level)], "then": [str(discount)]}
                for country, low, high, level, discount in rows
            ],
        }
    )


Case = tuple[str, Callable[[], Any], Callable[[], Any], float]
"""Name, our work, the closures' work, and how many times the closures we want to be."""


def cases(count: int) -> Iterator[Case]:
    """Yield what is measured; each gives the same results as its closures."""
    for name, nulls, text, goal in (
        ("condition", 0.0, workload.CONDITION, 8.0),
        ("condition, 5% empty", 0.05, workload.GUARDED, 1.5),
    ):
        rows, closure = workload.records(count, nulls), closures.condition(nulls=nulls > 0)
        batch, program = frame(rows), compile_expression(text, SCHEMA, expect=FieldType.BOOLEAN)
        ours = lambda program=program, batch=batch: program.evaluate(batch)  # noqa: E731
        assert ours().values.to_list() == each(closure, rows)()
        yield name, ours, each(closure, rows), goal
    plain = workload.records(count)
    rows, batch = closures.with_dates(plain), frame(plain)
    mapping = compile_mapping(parse_sync(rule(workload.MAPPING)), SCHEMA, TARGET)
    assert mapping.apply(batch).records.head(500).to_dicts() == each(closures.mapping(), rows[:500])()
    yield "mapping", lambda: mapping.apply(batch), each(closures.mapping(), rows), 4.0
    for size, goal in ((50, 1.0), (500, 100.0)):
        lines = workload.table_rows(size)
        compiled = compile_table(table(lines), SCHEMA)
        few = rows if size < 100 else rows[: max(count // 20, 1000)]
        ours = lambda compiled=compiled: compiled.evaluate(batch, date(2026, 1, 1))  # noqa: E731
        assert ours().outputs["discount"].head(500).to_list() == each(closures.table(lines), rows[:500])()
        yield f"table of {size} rows", ours, each(closures.table(lines), few), goal


def peers(count: int) -> dict[str, dict[str, float]]:
    """Return case -> engine -> records per CPU second; the engines are installed where they are missing."""
    python = PEERS / "bin" / "python"
    if not python.exists():
        print("Installing the peers into build/peers.")
        venv.create(PEERS, with_pip=True)
        wanted = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "benchmarks/peers.txt"]
        subprocess.run([str(python), *wanted], cwd=ROOT, check=True)
    argv = [str(python), "benchmarks/peers.py", str(count), str(PEER_SECONDS)]
    done = subprocess.run(argv, cwd=ROOT, check=True, capture_output=True, text=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def result(case: str, value: float, unit: str, others: dict[str, float], **rest: Any) -> None:
    """Print a result for the file, as `syncline bench` reads it."""
    rounded = {name: round(rate, 1) for name, rate in others.items()}
    head = {"suite": "rules", "case": case, "value": round(value, 1), "unit": unit, "peers": rounded}
    print(json.dumps({**head, **rest}))


def throughput(count: int) -> None:
    """Measure and print all cases beside their peers."""
    others = peers(count)
    print(f"{count:,} records; thousands of records per second of CPU time (in brackets: of wall time)")
    for name, ours, theirs, goal in cases(count):
        size = count if "500" not in name else max(count // 20, 1000)
        (cpu, wall), (closure, _) = best(ours, count), best(theirs, size)
        engines = others.get(name, {})
        beside = {"closures": closure, **by_hand(name, count), **engines}
        fastest = max(engines.values(), default=0.0)
        ratio = cpu / closure
        line = ", ".join(f"{engine} {rate / 1000:,.1f}" for engine, rate in beside.items())
        print(f"{name}: {cpu / 1000:,.0f} ({wall / 1000:,.0f}); {line}")
        of_engines = f", {cpu / fastest:.0f} times the fastest engine (wanted: 50)" if fastest else ""
        print(f"  {ratio:.1f} times closures (wanted: {goal:g}){of_engines}")
        result(name, cpu, "records/s CPU", beside, ratio=round(ratio, 2), goal=goal, met=ratio >= goal)
        if fastest:
            best_of = round(cpu / fastest, 1)
            result(f"{name}, fastest engine", cpu, "records/s CPU", engines, ratio=best_of, goal=50, met=best_of >= 50)


def by_hand(name: str, count: int) -> dict[str, float]:
    """Return the rate of the condition written out as one Python expression."""
    if not name.startswith("condition"):
        return {}
    nulls = "empty" in name
    rows = workload.records(count, 0.05 if nulls else 0.0)
    return {"one Python expression": best(each(closures.written_out(nulls=nulls), rows), count)[0]}


def compiling() -> None:
    """Measure how long checking and compiling a mapping of 40 fields takes; each time with expressions never seen."""
    kinds = {field.name: field.type for field in TARGET.fields}
    texts = [(kinds[name], text) for name, text in workload.MAPPING.items() if text not in NAMES]
    ends = {FieldType.TEXT: " + '{}'", FieldType.FLOAT: " + {}.0", FieldType.INTEGER: " + {}"}
    took = []
    for attempt in range(TIMES):
        picked = [texts[n % len(texts)] for n in range(40)]
        fields = {f"f{n}": f"({text})" + ends[kind].format(f"1{attempt}{n}") for n, (kind, text) in enumerate(picked)}
        target = Schema(
            (Field("no", FieldType.INTEGER), *(Field(f"f{n}", kind) for n, (kind, _) in enumerate(picked))), ("no",)
        )
        document = rule({"no": "number", **fields})
        start = time.process_time()
        compile_mapping(parse_sync(document), SCHEMA, target).apply(SCHEMA.empty())
        took.append((time.process_time() - start) * 1000)
    value = min(took)
    print(f"a mapping of 40 fields is checked and compiled in {value:.0f} ms of CPU time (wanted: 50)")
    result("compile 40 fields", value, "ms CPU", {}, ratio=round(value / 50, 2), goal=50, met=value <= 50)


def main(count: int) -> None:
    """Print everything."""
    print(f"rules, {datetime.now(UTC):%Y-%m-%d}, Python {sys.version.split()[0]}, polars {pl.__version__}")
    throughput(count)
    compiling()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
