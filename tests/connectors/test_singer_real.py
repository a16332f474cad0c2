"""Real taps and targets from the registry of Python packages, installed as an operator does."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin.singer_programs import install_program, remove_program
from connectors.builtin.singer_tap import SingerTap
from connectors.builtin.singer_target import SingerTarget
from connectors.errors import Misconfigured, Unavailable
from connectors.spi import Connector, Context, Cursor, ReadRequest
from rules.schema import Change, Op

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1200)]

ROWS = [{"id": 1, "name": "客户", "price": "9.95"}, {"id": 2, "name": None, "price": "1"}]
OUT = {
    "name": "out",
    "key": "id",
    "fields": [{"name": "id", "type": "integer"}, {"name": "name"}, {"name": "price", "type": "decimal", "scale": 2}],
}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("singer")
    install_program(folder, "tap-jsonl==0.3.1")
    install_program(folder, "meltanolabs-target-csv==0.5.0", "target-csv")
    return folder


@pytest.fixture
def made(programs: Path, tmp_path: Path) -> Callable[..., Connector]:
    def make(cls: type[Connector], **settings: Any) -> Connector:
        defaults = {s.name: s.default for s in cls.spec.settings}
        return cls({**defaults, **settings}, Context((tmp_path,), programs=programs))

    return make


@pytest.mark.connector_evidence("singer_tap", "real_system", "tap-jsonl 0.3.1, built with Meltano's SDK")
def test_a_real_tap(made: Callable[..., Connector], tmp_path: Path) -> None:
    """Its streams, fields and records are read, all of them and since a value; a mistake is told in its words."""
    path = tmp_path / "items.jsonl"
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), "utf-8")
    config = {"path": str(path), "stream_name": "items", "primary_keys": ["id"]}
    tap = made(SingerTap, program="tap-jsonl", config=config)
    assert [step.ok for step in tap.check()] == [True, True]
    assert [found.name for found in tap.objects()] == ["items"]
    schema = tap.schema("items")
    assert schema.key == ("id",)
    pages = [*tap.read(ReadRequest("items", schema.select(("id", "name", "price"))))]
    assert pl.concat([page.records for page in pages]).to_dicts() == ROWS
    cursor = Cursor("_sdc_last_modified", "id", "2999-01-01T00:00:00Z")
    assert [page.records.height for page in tap.read(ReadRequest("items", schema, cursor))] == [0]
    with pytest.raises(Unavailable, match="'path' is a required property"):
        [*made(SingerTap, program="tap-jsonl", key="id").read(ReadRequest("jsonl", schema))]


@pytest.mark.connector_evidence("singer_target", "real_system", "target-csv 0.5.0 of Meltano")
def test_a_real_target(made: Callable[..., Connector], tmp_path: Path) -> None:
    """What it confirms is there."""
    config = {"output_path": str(tmp_path), "file_naming_scheme": "{stream_name}.csv"}
    target = made(SingerTarget, program="target-csv", config=config, objects=[OUT])
    assert [step.ok for step in target.check()] == [True, True, True]
    schema = target.schema("out")
    frame = pl.DataFrame(
        {"id": [1, 2], "name": ["客户", None], "price": [Decimal("9.90"), None]}, schema=schema.dtypes()
    )
    target.write("out", schema, [Change(Op.CREATE, "id", frame)])
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        assert [*csv.reader(file)] == [["id", "name", "price"], ["1", "客户", "9.90"], ["2", "", ""]]


def test_a_program_can_be_taken_away(tmp_path: Path) -> None:
    """A version that does not exist leaves nothing behind; what is installed is taken away as a whole."""
    with pytest.raises(Misconfigured, match="failed"):
        install_program(tmp_path, "tap-jsonl==0.0.0")
    assert list(tmp_path.iterdir()) == []
    install_program(tmp_path, "target-jsonl==0.1.4")
    remove_program(tmp_path, "target-jsonl")
    assert list(tmp_path.iterdir()) == []
