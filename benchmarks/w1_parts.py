"""The PostgreSQL connector alone on workload W1, without rules: how far a run is from what reads and writes for it.

Usage: python -m benchmarks.w1_parts [ROWS [TURNS]]. Each part runs in a process of its own.
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import polars as pl

from benchmarks import customers
from benchmarks.w1_bed import PAGE, SOURCE, TARGET, bed, customers_table
from benchmarks.w1_report import Figure, Report
from benchmarks.w1_spent import Meter
from connectors.builtin.postgresql import PostgreSQL
from connectors.spi import Context, ReadRequest
from rules.schema import Change, Op

PARTS = {"read": "read only", "write": "write only", "through": "read and write, no mapping"}


def pages(settings: dict[str, Any]) -> Iterator[pl.DataFrame]:
    """Read the source."""
    with PostgreSQL(settings, Context()) as source:
        for page in source.read(ReadRequest("customers", source.schema("customers"), page_size=PAGE)):
            yield page.records


def write(settings: dict[str, Any], batches: Iterator[pl.DataFrame]) -> None:
    """Create records."""
    with PostgreSQL(settings, Context()) as target:
        schema = target.schema("customers")
        for records in batches:
            assert not target.write("customers", schema, [Change(Op.CREATE, "id", records)]).failures


def through(source: dict[str, Any], target: dict[str, Any]) -> None:
    """Read in one thread and write in another, two pages between them."""
    waiting: queue.Queue[pl.DataFrame | None] = queue.Queue(2)

    def read() -> None:
        for records in pages(source):
            waiting.put(records)
        waiting.put(None)

    reader = threading.Thread(target=read)
    reader.start()
    write(target, _until_none(waiting))
    reader.join()


def _until_none(waiting: queue.Queue[pl.DataFrame | None]) -> Iterator[pl.DataFrame]:
    while (records := waiting.get()) is not None:
        yield records


def part(name: str, rows: int, source: dict[str, Any], target: dict[str, Any]) -> None:
    """Do one part."""
    if name == "read":
        assert sum(records.height for records in pages(source)) == rows
    elif name == "write":
        write(target, customers.customers(rows).iter_slices(PAGE))
    else:
        through(source, target)


def main(rows: int, turns: int) -> None:
    """Measure all parts in turns; that of writing holds the making of the records as well."""
    report = Report(rows)
    with bed(rows) as place:
        for _ in range(turns):
            place.renew(*customers_table("customers"))
            place.settle()
            base = Meter().of(place.pipe)
            for name, title in PARTS.items():
                place.renew(*customers_table("customers"))
                place.settle()
                told = json.dumps([name, rows, place.settings(SOURCE), place.settings(TARGET)])
                argv = [sys.executable, "-m", "benchmarks.w1_parts", "--part", told]
                spent = Meter().of(lambda argv=argv: _done(argv))  # type: ignore[misc]
                report.add(Figure(name, f"connector alone: {title}", None, spent, base))
    report.end()


def _done(argv: list[str]) -> None:
    subprocess.run(argv, check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--part"]:
        part(*json.loads(sys.argv[2]))
    else:
        main(*(int(number) for number in sys.argv[1:3]), *(100_000, 2)[len(sys.argv) - 1 :])
