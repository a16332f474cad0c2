"""How fast files are read: into columns of their types, beside the fastest library that reads the same file alone.

Usage: python -m benchmarks.files [RECORDS [CASE ...]]. The files hold the customers of workload W1 (CSV, JSON lines,
Excel with a fifth of them, Parquet), and an XML document of about 650 bytes a record. The libraries guess types or keep
texts, our reader gives exact decimals, moments and dates and puts aside what does not fit.
All figures are records per second of CPU time, the best of three in processes of their own; memory is the most that the
reading process has held above what it held before.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import xlsxwriter
from lxml import etree

from benchmarks.customers import SCHEMA, customers
from connectors.builtin.files import Files
from connectors.spi import Context, ReadRequest
from rules.schema import Field, FieldType, Schema

TIMES = 3
CASES = ("csv", "jsonl", "xlsx", "parquet", "xml")
XML_FIELDS = ("id", "name", *(f"field_{number}" for number in range(17)))
XML_SCHEMA = Schema(
    tuple(Field(name, FieldType.INTEGER if name == "id" else FieldType.TEXT) for name in XML_FIELDS), ("id",)
)
GOALS = {"csv": 1 / 1.5, "jsonl": 1 / 1.5, "xlsx": 1 / 1.5, "xml": 3.0}
"""How many times the library's rate is wanted."""


def make(folder: Path, case: str, count: int) -> Path:
    """Return a file with so many records."""
    path = folder / f"sample.{case}"
    if case == "xml":
        _xml(path, count)
        return path
    frame = customers(count).select(SCHEMA.names)
    if case == "csv":
        frame.write_csv(path)
    elif case == "jsonl":
        frame.cast({pl.Decimal: pl.Float64}).write_ndjson(path)
    elif case == "parquet":
        frame.write_parquet(path)
    else:
        _xlsx(path, frame)
    return path


def _xml(path: Path, count: int) -> None:
    with path.open("w") as file:
        file.write("<?xml version='1.0' encoding='UTF-8'?>\n<export><rows>\n")
        for number in range(count):
            cells = "".join(f"<{n}>客户 value {number % 977} of {n}</{n}>" for n in XML_FIELDS[1:])
            file.write(f"<row><id>{number}</id>{cells}</row>\n")
        file.write("</rows></export>\n")


def _xlsx(path: Path, frame: pl.DataFrame) -> None:
    with xlsxwriter.Workbook(str(path), {"constant_memory": True}) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, frame.columns)
        for row, values in enumerate(frame.iter_rows(), 1):
            for column, value in enumerate(values):
                if isinstance(value, (bool, int, float, str)):
                    sheet.write(row, column, value)
                elif value is not None:
                    sheet.write_string(row, column, str(value))


def ours(path: Path, case: str) -> int:
    """Read a file page by page and count its records; nothing may be put aside."""
    schema = XML_SCHEMA if case == "xml" else SCHEMA
    if case == "jsonl":
        schema = Schema(tuple(_float(f) for f in schema.fields), schema.key)
    settings = {s.name: s.default for s in Files.spec.settings} | {"path": str(path.parent), "settle": 0}
    count = 0
    with Files({**settings, "record_path": "export/rows/row"}, Context(file_roots=(path.parent,))) as connector:
        for page in connector.read(ReadRequest(path.name, schema)):
            assert not page.rejects, page.rejects[0]
            count += page.records.height
    return count


def _float(field: Field) -> Field:
    return Field(field.name, FieldType.FLOAT) if field.type is FieldType.DECIMAL else field


def lxml_iterparse(path: Path) -> int:
    """Read an XML document with lxml into a frame, batch by batch."""
    count, rows = 0, []
    for _, element in etree.iterparse(str(path), tag="row"):
        rows.append({child.tag: child.text for child in element})
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]
        if len(rows) == 10_000:
            count += pl.DataFrame(rows).height
            rows = []
    return count + len(rows)


def msgspec_lines(path: Path) -> int:
    """Read JSON lines with msgspec into frames."""
    decoder, count, rows = msgspec.json.Decoder(), 0, []
    with path.open("rb") as file:
        for line in file:
            rows.append(decoder.decode(line))
            if len(rows) == 10_000:
                count += pl.DataFrame(rows, infer_schema_length=None).height
                rows = []
    return count + len(rows)


def _fastexcel(path: Path) -> int:
    import fastexcel  # noqa: PLC0415 - only measured

    return int(fastexcel.read_excel(path).load_sheet(0).to_polars().height)


PEERS: dict[str, dict[str, Callable[[Path], int]]] = {
    "csv": {"polars": lambda path: pl.read_csv(path).height},
    "jsonl": {"polars": lambda path: pl.read_ndjson(path).height, "msgspec": msgspec_lines},
    "xlsx": {"fastexcel": _fastexcel},
    "parquet": {"polars": lambda path: pl.read_parquet(path).height},
    "xml": {"lxml": lxml_iterparse},
}


def measure(path: Path, case: str, reader: str) -> tuple[float, float]:
    """Return the records per second of CPU time and the megabytes of a reader, the best of three processes."""
    found = []
    for _ in range(TIMES):
        argv = [sys.executable, "-m", "benchmarks.files", "--one", str(path), case, reader]
        done = subprocess.run(argv, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return max(rate for rate, _ in found), min(memory for _, memory in found)


def one(path: Path, case: str, reader: str) -> None:
    """Read a file once and print rate and memory."""
    pl.DataFrame({"a": ["1"]}).with_columns(pl.col("a").cast(pl.Int64))
    before = _most()
    begun = time.process_time()
    count = ours(path, case) if reader == "ours" else PEERS[case][reader](path)
    spent = time.process_time() - begun
    print(json.dumps([count / spent, (_most() - before) / 1024]))


def _most() -> int:
    """Return the most kilobytes that this process has held."""
    text = Path("/proc/self/status").read_text()
    return int(text.partition("VmHWM:")[2].split()[0])


def results(count: int, cases: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """Yield a result for each case."""
    for case in cases:
        size = count // 5 if case == "xlsx" else count
        with tempfile.TemporaryDirectory(prefix="syncline-bench-") as folder:
            path = make(Path(folder), case, size)
            rate, memory = measure(path, case, "ours")
            beside = {name: measure(path, case, name) for name in PEERS[case]}
            bytes_ = path.stat().st_size
        fastest = max(peer for peer, _ in beside.values())
        peers = ", ".join(f"{name} {peer / 1000:,.0f} ({held:,.0f} MB)" for name, (peer, held) in beside.items())
        print(f"{case}, {size:,} records, {bytes_ / 1e6:,.0f} MB: {rate / 1000:,.0f} ({memory:,.0f} MB); {peers}")
        ratio, goal = rate / fastest, GOALS.get(case)
        head = {"suite": "connectors", "case": f"files, {case}", "value": round(rate), "unit": "records/s CPU"}
        rates = {name: round(peer) for name, (peer, _) in beside.items()}
        yield {**head, "peers": rates, "ratio": round(ratio, 2), "goal": goal, "met": goal is None or ratio >= goal}
        if case == "xml":
            held = {name: round(held) for name, (_, held) in beside.items()}
            head |= {"case": "files, xml, memory", "value": round(memory), "unit": "MB"}
            yield {**head, "peers": held, "ratio": round(150 / max(memory, 1), 2), "goal": 1.0, "met": memory <= 150}


def main(argv: list[str]) -> None:
    """Measure and print."""
    if argv[:1] == ["--one"]:
        one(Path(argv[1]), argv[2], argv[3])
        return
    count = int(argv[0]) if argv else 300_000
    print(f"{count:,} records; thousands of records per second of CPU time (in brackets: memory)")
    for result in results(count, tuple(argv[1:]) or CASES):
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
