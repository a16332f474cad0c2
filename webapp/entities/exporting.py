"""Exports of records: CSV, XLSX and JSON lines, page by page, with the filter and columns of the list.

Texts that a spreadsheet would take for a formula get an apostrophe in front; the audit log is told.
"""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

import sqlalchemy as sa
import xlsxwriter

from webapp.access.roles import EXPORT
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.entities import listing, storage
from webapp.entities.listing import Query
from webapp.entities.model import Entity
from webapp.entities.plain import to_plain_record
from webapp.entities.values import to_text
from webapp.extensions import Actor, House, to_json
from webapp.web.spreadsheet import FORMULA_STARTS, defused

PAGE = 2000
XLSX_ROWS = 1_048_575
FORMATS: Mapping[str, str] = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "jsonl": "application/x-ndjson",
}


@dataclass(frozen=True)
class Export:
    """What is exported: which records, which columns, as what; `query.permit` says what may be seen of them."""

    entity: Entity
    query: Query
    columns: tuple[str, ...]
    format: str


def note(house: House, export: Export, actor: Actor) -> None:
    """Tell the audit log, before the first byte leaves."""
    what = {
        "format": export.format,
        "columns": list(export.columns),
        "filters": [f.to_text() for f in export.query.filters],
        "search": export.query.search,
    }
    if export.query.permit is not None:
        export.query.permit.require(EXPORT)
    asked = {f.field for f in export.query.filters} & export.entity.encrypted
    with house.db.begin() as tx:
        subject = Subject("entity", export.entity.name)
        event = Event(Tag.RECORDS_EXPORTED, subject, None, what, personal={"filters"} if asked else ())
        record(tx, actor, house.clock(), event)


def stream(house: House, export: Export) -> Iterator[bytes]:
    """Yield the bytes of the file."""
    if export.format == "jsonl":
        for row in _records(house, export):
            plain = to_plain_record(export.entity, {n: row[n] for n in export.columns})
            yield (to_json(plain) + "\n").encode()
    elif export.format == "csv":
        yield from _csv(house, export)
    else:
        yield from _xlsx(house, export)


def safe(text: str, *, number: bool = False) -> str:
    """Return text that no spreadsheet runs as a formula; numbers keep their sign."""
    return text if number else defused(text)


def unsafe(text: str) -> str:
    """Return text as it was before `safe`, so that an exported file can be imported again."""
    return text[1:] if text.startswith(tuple(f"'{sign}" for sign in FORMULA_STARTS)) else text


def _csv(house: House, export: Export) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    yield b"\xef\xbb\xbf"  # so that spreadsheets read Chinese
    writer.writerow(export.columns)
    for row in _records(house, export):
        writer.writerow(_texts(export, row))
        if buffer.tell() > 1 << 16:
            yield _drain(buffer)
    yield _drain(buffer)


def _drain(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _texts(export: Export, row: Mapping[str, Any]) -> list[str]:
    numeric = (int, float)
    return [
        safe(to_text(export.entity.by_name.get(n), row[n]), number=isinstance(row[n], numeric) or _decimal(row[n]))
        for n in export.columns
    ]


def _decimal(value: Any) -> bool:
    return hasattr(value, "as_tuple")


def _xlsx(house: House, export: Export) -> Iterator[bytes]:
    with tempfile.TemporaryFile() as file:
        _write_book(file, house, export)
        file.seek(0)
        while chunk := file.read(1 << 16):
            yield chunk


def _write_book(file: IO[bytes], house: House, export: Export) -> None:
    book = xlsxwriter.Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    sheet = book.add_worksheet(export.entity.name[:31])
    bold = book.add_format({"bold": True})
    sheet.freeze_panes(1, 0)
    for column, name in enumerate(export.columns):
        sheet.write_string(0, column, name, bold)
    for number, row in enumerate(_records(house, export), start=1):
        if number > XLSX_ROWS:
            break
        for column, name in enumerate(export.columns):
            _write_cell(sheet, number, column, export.entity, name, row[name])
    book.close()


def _write_cell(sheet: Any, number: int, column: int, entity: Entity, name: str, value: Any) -> None:
    """Numbers of 15 digits or fewer are numbers; longer ones would lose digits in a spreadsheet and stay text."""
    if value is None:
        return
    digits = sum(c.isdigit() for c in str(value)) if isinstance(value, int) or _decimal(value) else 99
    if isinstance(value, bool):
        sheet.write_boolean(number, column, value)
    elif digits <= 15:
        sheet.write_number(number, column, float(value))
    else:
        sheet.write_string(number, column, to_text(entity.by_name.get(name), value)[:32767])


def _records(house: House, export: Export) -> Iterator[dict[str, Any]]:
    """Yield the records; each page is read by itself, so that no transaction stays open for a slow reader."""
    after = None
    while True:
        with house.db.read() as tx:
            entity = _same(tx, export)
            page = listing.page(tx, entity, export.query, PAGE, after=after)
        yield from page.records
        after = page.after
        if after is None:
            return


def _same(tx: sa.Connection, export: Export) -> Entity:
    """Return the entity as it is now: a column that has gone meanwhile ends the export instead of shifting it."""
    entity = storage.current(tx, export.entity.name)
    gone = _missing(export.columns, entity.schema.names)
    if gone:
        raise LookupError(f"The field '{gone[0]}' was removed during the export.")
    return entity


def _missing(wanted: Sequence[str], known: Iterable[str]) -> list[str]:
    have = set(known)
    return [name for name in wanted if name not in have]
