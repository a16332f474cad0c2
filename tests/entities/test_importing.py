"""Imports and exports: all usual kinds of files, refused rows told, nothing twice after a kill, no formulas."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastexcel
import pytest
import sqlalchemy as sa
import xlsxwriter

from tests.entities.conftest import ANN, field
from webapp.audit.models import audit_event
from webapp.entities import exporting, importing, listing, services, sheets
from webapp.entities.exporting import Export
from webapp.entities.filters import Filter, Operator
from webapp.entities.import_rows import Options
from webapp.entities.importing import ImportRefused, Job
from webapp.entities.listing import Query
from webapp.entities.model import Entity
from webapp.extensions import House

Define = Callable[..., Entity]


def upload(house: House, entity: Entity, data: bytes, name: str = "file.csv") -> Job:
    job_id = importing.begin(house, entity, io.BytesIO(data), name, ANN)
    return find(house, entity.name, job_id)


def find(house: House, name: str, job_id: int) -> Job:
    with house.db.read() as tx:
        job = importing.find(tx, name, job_id)
    assert job is not None
    return job


def run(house: House, entity: Entity, job: Job, **options: Any) -> Job:
    importing.choose(house, entity, job, Options(mapping=dict(job.options.mapping), **options))
    job = find(house, entity.name, job.id)
    while job.state == "running":
        job = importing.step(house, job, ANN)
    return job


def content(house: House, entity: Entity, *names: str) -> list[tuple[Any, ...]]:
    with house.db.read() as tx:
        return [tuple(r[n] for n in names) for r in listing.page(tx, entity, Query(sort="id"), 5000).records]


def errors(house: House, job: Job) -> list[tuple[int, str | None]]:
    with house.db.read() as tx:
        return [(e.line, e.field) for e in importing.errors(tx, job.id)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_csv_as_people_have_it(encoding: str, separator: str) -> None:
    """CSV is read in any usual encoding and with any usual separator, quotes and line breaks in cells included."""
    lines = [["名称", "note"], ["王伟", f"two\nlines{separator} and more"], ["x", 'a "quoted" word']]
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(lines)
    found = list(sheets.rows(io.BytesIO(text.getvalue().encode(encoding))))
    assert [cells for _, cells in found] == lines
    assert [line for line, _ in found] == [1, 3, 4]


def test_xlsx_keeps_digits() -> None:
    """Of a workbook numbers, dates and texts come as they are; blank rows are left out."""
    file = io.BytesIO()
    book = xlsxwriter.Workbook(file)
    sheet = book.add_worksheet()
    sheet.write_row(0, 0, ["n", "d"])
    sheet.write_row(2, 0, [0.1, "2024-01-05"])
    sheet.write_row(3, 0, [0.1234567890123, "007"])
    book.close()
    rows = [(1, ["n", "d"]), (3, ["0.1", "2024-01-05"]), (4, ["0.1234567890123", "007"])]
    assert list(sheets.rows(io.BytesIO(file.getvalue()))) == rows


@pytest.mark.parametrize("data", [b"PK\x03\x04 not a workbook", b"\x00\x01\x02\x03"])
def test_unreadable_files_are_told(data: bytes) -> None:
    """A damaged workbook or a file that is no table is refused with a sentence."""
    with pytest.raises(sheets.Unreadable):
        list(sheets.rows(io.BytesIO(data)))


def test_columns_are_recognised(house: House, define: Define) -> None:
    """Headings that are names or labels of fields are matched without being asked."""
    entity = define(
        "item", field("name", label={"en": "Full name", "zh": "名称"}), field("unit_price", "decimal"), field("c")
    )
    job = upload(house, entity, "名称,Unit Price,c,other,c\n".encode())
    assert dict(job.options.mapping) == {"名称": "name", "Unit Price": "unit_price", "c": "c", "other": "", "c (5)": ""}


def test_good_rows_are_written_and_bad_ones_told(house: House, define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each refused row has its line, field and reason; all others are written, with defaults for empty cells."""
    monkeypatch.setattr(importing, "CHUNK", 2)
    entity = define(
        "item", field("code", unique=True, required=True), field("n", "integer", default=5), field("p", "decimal")
    )
    job = upload(house, entity, b"code,n,p\na,1,1.5\nb,x,1\nc,,2\na,3,\n,4,\nd,4,0.001\n")
    done = run(house, entity, job)
    assert dict(done.counts) == {"created": 2, "updated": 0, "unchanged": 0, "refused": 4}
    assert content(house, entity, "code", "n", "p") == [("a", 1, Decimal("1.50")), ("c", 5, Decimal("2.00"))]
    assert errors(house, done) == [(3, "n"), (5, "code"), (6, "code"), (7, "p")]
    with house.db.read() as tx:
        event = tx.execute(sa.select(audit_event).order_by(audit_event.c.id.desc())).mappings().first()
    assert event is not None
    assert (event["tag"], event["after"]["created"]) == ("entities:records:imported", 2)


def test_rows_update_by_a_unique_field(house: House, define: Define) -> None:
    """Rows change the record with the same unique value, or add one; empty cells leave values alone."""
    entity = define("item", field("code", unique=True), field("n", "integer"), field("t"))
    services.create_record(house, "item", {"code": "a", "n": 1, "t": "keep"}, ANN)
    data = b"code,n,t\na,2,\nb,3,new\n"
    done = run(house, entity, upload(house, entity, data), mode="both", key="code")
    assert dict(done.counts) == {"created": 1, "updated": 1, "unchanged": 0, "refused": 0}
    assert content(house, entity, "code", "n", "t") == [("a", 2, "keep"), ("b", 3, "new")]
    again = run(house, entity, upload(house, entity, data), mode="both", key="code")
    assert again.counts["unchanged"] == 2
    only = run(house, entity, upload(house, entity, b"code,n\nz,1\n"), mode="update", key="code")
    assert only.counts["refused"] == 1


def test_references_are_found_by_what_records_are_called(house: House, define: Define) -> None:
    """A reference in a file is a number or the title of exactly one record."""
    define("team", field("name"))
    teams = [services.create_record(house, "team", {"name": n}, ANN) for n in ("Red", "Blue", "Blue")]
    entity = define("person", field("team", "reference", entity="team"))
    done = run(house, entity, upload(house, entity, f"team\nRed\n{teams[1]}\nBlue\nGreen\n".encode()))
    assert content(house, entity, "team") == [(teams[0],), (teams[1],)]
    assert errors(house, done) == [(4, "team"), (5, "team")]


def test_a_trial_writes_nothing(house: House, define: Define) -> None:
    """A dry run tells what would happen, leaves nothing behind, and can be followed by the real one."""
    entity = define("item", field("n", "integer"))
    job = upload(house, entity, b"n\n1\nx\n")
    done = run(house, entity, job, dry_run=True)
    assert (done.counts["created"], done.counts["refused"], content(house, entity, "n")) == (1, 1, [])
    importing.reopen(house, done)
    real = run(house, entity, find(house, "item", job.id))
    assert (real.counts["created"], content(house, entity, "n")) == (1, [(1,)])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mapping": {"a": ""}}, "at least one"),
        ({"mapping": {"a": "n", "b": "n"}}, "two columns"),
        ({"mapping": {"a": "gone"}}, "no longer exists"),
        ({"mapping": {"a": "n"}, "mode": "both"}, "by which"),
    ],
)
def test_impossible_imports_do_not_start(house: House, define: Define, options: dict[str, Any], words: str) -> None:
    """An import whose mapping cannot work is refused before the first row."""
    entity = define("item", field("n", "integer"))
    with pytest.raises(ImportRefused, match=words):
        importing.choose(house, entity, upload(house, entity, b"a,b\n1,2\n"), Options(**options))


def test_cancelled_imports_stay_cancelled(house: House, define: Define) -> None:
    """A cancelled import does nothing any more and its file is gone."""
    entity = define("item", field("n", "integer"))
    job = upload(house, entity, b"n\n1\n")
    importing.choose(house, entity, job, Options(mapping={"n": "n"}))
    importing.cancel(house, job)
    assert importing.step(house, job, ANN).state == "cancelled"
    assert content(house, entity, "n") == []
    assert list((house.settings.data / "imports").iterdir()) == []


WORKER = """
import sys
import config
import webapp.audit.models, webapp.entities.models
from webapp.entities import importing
from webapp.extensions import SYSTEM, open_house
importing.CHUNK = 20
house = open_house(config.from_environment({"SYNCLINE_DATA": sys.argv[1], "SYNCLINE_DATABASE_URL": sys.argv[2]}))
while True:
    with house.db.read() as tx:
        job = importing.find(tx, "item", int(sys.argv[3]))
    if job.state != "running":
        break
    importing.step(house, job, SYSTEM)
    print(job.position, flush=True)
"""


@pytest.mark.kill
def test_a_killed_import_goes_on_where_it_was(house: House, define: Define) -> None:
    """After kill -9 at any moment, and again, the file is imported completely and no row twice."""
    entity = define("item", field("n", "integer"))
    job = upload(house, entity, ("n\n" + "\n".join(map(str, range(600)))).encode())
    importing.choose(house, entity, job, Options(mapping={"n": "n"}))
    root = str(Path(__file__).resolve().parents[2])
    arguments = [sys.executable, "-c", WORKER, str(house.settings.data), house.settings.database_url, str(job.id)]
    for chunks in (3, 1, 7):
        with subprocess.Popen(
            arguments, stdout=subprocess.PIPE, cwd=root, env={**os.environ, "PYTHONPATH": root}
        ) as worker:
            assert worker.stdout is not None
            for _ in range(chunks):
                worker.stdout.readline()
            worker.send_signal(signal.SIGKILL)
    assert find(house, "item", job.id).state == "running"
    subprocess.run(arguments, check=True, cwd=root, env={**os.environ, "PYTHONPATH": root}, capture_output=True)
    assert [n for (n,) in content(house, entity, "n")] == list(range(600))
    assert find(house, "item", job.id).counts["created"] == 600


def exported(house: House, entity: Entity, kind: str, query: Query, columns: tuple[str, ...]) -> bytes:
    return b"".join(exporting.stream(house, Export(entity, query, columns, kind)))


def test_exports_are_exact_and_filtered(house: House, define: Define, monkeypatch: pytest.MonkeyPatch) -> None:
    """CSV, JSON lines and XLSX hold the filtered records of all pages, each value exactly."""
    monkeypatch.setattr(exporting, "PAGE", 2)
    entity = define("item", field("t"), field("d", "decimal", precision=30, scale=5), field("b", "boolean"))
    for n in range(5):
        services.create_record(
            house, "item", {"t": f"中{n}", "d": Decimal(f"1234567890123456789.{n:05}"), "b": n % 2 == 0}, ANN
        )
    query = Query((Filter("t", Operator.IS_NOT, "中0"),), sort="id")
    columns = ("t", "d", "b")
    lines = [json.loads(line) for line in exported(house, entity, "jsonl", query, columns).splitlines()]
    assert lines == [{"t": f"中{n}", "d": f"1234567890123456789.{n:05}", "b": n % 2 == 0} for n in range(1, 5)]
    rows = list(csv.reader(io.StringIO(exported(house, entity, "csv", query, columns).decode("utf-8-sig"))))
    assert rows[0] == list(columns)
    assert rows[1] == ["中1", "1234567890123456789.00001", "false"]
    book = (
        fastexcel.read_excel(exported(house, entity, "xlsx", query, columns)).load_sheet(0, dtypes="string").to_polars()
    )
    assert book.rows()[0] == ("中1", "1234567890123456789.00001", "false")


def test_no_cell_runs_as_a_formula(house: House, define: Define) -> None:
    """Texts that begin like a formula are escaped in CSV, numbers are not; an import takes the escape off."""
    entity = define("item", field("t"), field("n", "integer"))
    for t in ("=1+1", "+1", "-1", "@x", "'plain", "\tx"):
        services.create_record(house, "item", {"t": t, "n": -5}, ANN)
    data = exported(house, entity, "csv", Query(sort="id"), ("t", "n"))
    cells = [row[0] for row in csv.reader(io.StringIO(data.decode("utf-8-sig")))][1:]
    assert all(not cell.startswith(("=", "+", "-", "@", "\t")) for cell in cells)
    assert {row[1] for row in list(csv.reader(io.StringIO(data.decode())))[1:]} == {"-5"}
    run(house, entity, upload(house, entity, data))
    assert [t for (t,) in content(house, entity, "t")][6:] == ["=1+1", "+1", "-1", "@x", "'plain", "\tx"]
