"""The connector `files` against every promise of a connector, once a format."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import polars as pl
import pytest
import xlsxwriter

from connectors.builtin.files import Files
from connectors.testing import TITLE, ConnectorConformance, Settings
from rules.schema import FieldType, Schema


class FilesConformance(ConnectorConformance):
    """What all formats share."""

    connector = Files
    infers_types = True

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        folder = tmp_path / "inbox"
        folder.mkdir()
        return {"path": str(folder), "settle": 0}

    def broken(self, settings: Settings) -> Sequence[Settings]:
        folder = Path(settings["path"])
        (folder.parent / "file").touch()
        return [
            {**settings, "path": str(folder.parent / "nowhere")},
            {**settings, "path": str(folder.parent / "file")},
            {**settings, "path": "/"},
            {**settings, "pattern": "../*.csv"},
        ]

    def refused(self) -> Mapping[str, Any]:
        return {TITLE: None}

    def file(self, settings: Settings) -> Path:
        return Path(settings["path"]) / self.object_name


class TestCsv(FilesConformance):
    object_name = "sample.csv"

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        with self.file(settings).open("w", newline="") as file:
            file.write(",".join(schema.names) + "\n")
            writer = csv.writer(file, quoting=csv.QUOTE_ALL, lineterminator="\n")
            for record in records.iter_rows():
                texts = [None if value is None else plain(value) for value in record]
                if None in texts:
                    quoted = ("" if t is None else '"' + t.replace('"', '""') + '"' for t in texts)
                    file.write(",".join(quoted) + "\n")
                else:
                    writer.writerow(texts)


class TestJsonLines(FilesConformance):
    object_name = "sample.jsonl"

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        lines = [encoded(record, schema) for record in records.iter_rows(named=True)]
        self.file(settings).write_text("".join(line + "\n" for line in lines))


class TestJson(FilesConformance):
    object_name = "sample.json"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        folder = tmp_path / "inbox"
        folder.mkdir()
        return {"path": str(folder), "settle": 0, "records_path": "data.items"}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        lines = [encoded(record, schema) for record in records.iter_rows(named=True)]
        around = '{"count": 1.50, "data": {"before": [1], "items": [%s], "after": {}}}'
        self.file(settings).write_text(around % ",\n  ".join(lines))


class TestXml(FilesConformance):
    object_name = "sample.xml"

    @pytest.fixture
    def settings(self, tmp_path: Path) -> Settings:
        folder = tmp_path / "inbox"
        folder.mkdir()
        return {"path": str(folder), "settle": 0, "record_path": "export/rows/row"}

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        rows = "\n".join(self.row(record) for record in records.iter_rows(named=True))
        self.file(settings).write_text(
            f'<?xml version="1.0"?><export xmlns="urn:x"><head>1</head><rows>{rows}</rows></export>'
        )

    def row(self, record: Mapping[str, Any]) -> str:
        fields = (f"<{n}>{escape(plain(v), {chr(13): '&#13;'})}</{n}>" for n, v in record.items() if v is not None)
        return f"<row>{''.join(fields)}</row>"


class TestXlsx(FilesConformance):
    object_name = "sample.xlsx"

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        with xlsxwriter.Workbook(str(self.file(settings))) as book:
            page = book.add_worksheet("Data")
            book.add_worksheet("Other").write(0, 0, "kept")
            for column, field in enumerate(schema.fields):
                page.write_string(0, column, field.name)
                for row, value in enumerate(records[field.name], 1):
                    if isinstance(value, bool):
                        page.write_boolean(row, column, value)
                    elif is_number(value):
                        page.write_number(row, column, value)
                    elif value is not None:
                        page.write_string(row, column, plain(value))


class TestParquet(FilesConformance):
    object_name = "sample.parquet"
    types = tuple(kind for kind in FieldType if kind is not FieldType.JSON)

    def seed(self, settings: Settings, schema: Schema, records: pl.DataFrame) -> None:
        records.write_parquet(self.file(settings), row_group_size=5)


def is_number(value: Any) -> bool:
    """Tell whether the library that fills the sheet writes a value exactly as a number."""
    if isinstance(value, float):
        return value == float(f"{value:.16G}")
    return isinstance(value, int) and abs(value) < 10**15


def plain(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return str(value)


def encoded(record: Mapping[str, Any], schema: Schema) -> str:
    members = []
    for name, value in record.items():
        kind = schema[name].type
        if value is None:
            text = "null"
        elif kind in (FieldType.INTEGER, FieldType.DECIMAL, FieldType.FLOAT, FieldType.BOOLEAN, FieldType.JSON):
            text = plain(value)
        else:
            text = json.dumps(plain(value))
        members.append(f"{json.dumps(name)}: {text}")
    return "{" + ", ".join(members) + "}"
