"""Singer targets as connectors: a batch counts as written only where the target says so and ends well."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.builtin.singer_target import SingerTarget
from connectors.errors import ConnectorError, Misconfigured, ObjectMissing, Unavailable
from connectors.spi import Context, ReadRequest
from rules.schema import Change, FieldType, Op
from tests.connectors.test_singer_tap import install

SCRIPT = Path(__file__).parent / "singer" / "target.py"
OBJECTS = [
    {
        "name": "items",
        "key": "id",
        "fields": [
            {"name": "id", "type": "integer"},
            {"name": "name"},
            {"name": "price", "type": "decimal", "scale": 2},
            {"name": "day", "type": "date"},
        ],
    }
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    install(tmp_path, "target-sample", SCRIPT)
    (tmp_path / "files").mkdir()
    return tmp_path / "files"


def target(folder: Path, fault: str = "", **settings: Any) -> SingerTarget:
    defaults = {s.name: s.default for s in SingerTarget.spec.settings}
    config = {"store": str(folder / "kept.json"), "fault": fault}
    given = {"program": "target-sample", "config": config, "secret_config": '{"token": "good-token"}'}
    return SingerTarget(
        {**defaults, **given, "objects": OBJECTS, **settings}, Context((folder,), programs=folder.parent / "programs")
    )


def kept(folder: Path) -> list[dict[str, Any]]:
    return [*json.loads((folder / "kept.json").read_text("utf-8")).values()]


def rows(source: SingerTarget, *values: tuple[Any, ...]) -> pl.DataFrame:
    return pl.DataFrame(values, schema=source.schema("items").dtypes(), orient="row")


ONE = (1, "客户", Decimal("9.90"), dt.date(2026, 1, 31))


def test_a_batch_is_written_by_key(folder: Path) -> None:
    """Records arrive exactly, changes take their place, deletions are named."""
    source = target(folder)
    schema = source.schema("items")
    made = rows(source, ONE, (2, None, None, None))
    result = source.write("items", schema, [Change(Op.CREATE, "id", made)])
    assert (result.failures, result.keys) == ((), (None,))
    assert kept(folder)[0] == {"id": 1, "name": "客户", "price": 9.90, "day": "2026-01-31"}
    changes = [
        Change(Op.UPDATE, "id", made.head(1).select("id", pl.lit("new").alias("name"))),
        Change(Op.DELETE, "id", made.tail(1).select("id")),
    ]
    source.write("items", schema, changes)
    assert kept(folder) == [{"id": 1, "name": "new", "price": 9.90, "day": "2026-01-31"}]


@pytest.mark.parametrize(
    ("fault", "told"),
    [("silent", "without saying"), ("older", "without saying"), ("late", "code 3"), ("refuse", r"code 1: .* •••")],
)
def test_what_the_target_does_not_confirm_is_not_written(folder: Path, fault: str, told: str) -> None:
    """Without our own state back, or with a bad end, the batch is an error that is tried again as a whole."""
    source = target(folder, fault)
    many = rows(source, *((n, "x" * 1000, None, None) for n in range(300)))
    with pytest.raises(Unavailable, match=told):
        source.write("items", source.schema("items"), [Change(Op.CREATE, "id", many)])


def test_a_state_that_comes_as_a_message_counts(folder: Path) -> None:
    """Some targets give the whole message back."""
    source = target(folder, "wrapped")
    source.write("items", source.schema("items"), [Change(Op.CREATE, "id", rows(source, ONE))])
    assert len(kept(folder)) == 1


def test_the_connection_test_names_what_is_wrong(folder: Path) -> None:
    """The steps pass for good settings, and stop at the mistake."""
    assert [step.ok for step in target(folder).check()] == [True, True, True]
    wrong = (
        {"program": "target-nothing"},
        {"objects": "[{}]"},
        {"objects": [{"name": "x", "key": "y", "fields": []}]},
        {"secret_config": '{"token": "bad"}'},
    )
    told = []
    for settings in wrong:
        *good, last = target(folder, **settings).check()
        assert all(step.ok for step in good)
        assert not last.ok
        told.append(str(last.detail))
    assert len(set(told)) == len(told)


def test_a_target_only_takes(folder: Path) -> None:
    """Reading is refused with words; an object that is not described is missing."""
    source = target(folder)
    assert [found.name for found in source.objects()] == ["items"]
    with pytest.raises(Misconfigured, match="cannot be read"):
        source.read(ReadRequest("items", source.schema("items")))
    with pytest.raises(ObjectMissing, match="other"):
        source.schema("other")
    with pytest.raises(ConnectorError):
        target(folder, objects="{").objects()


def test_every_type_is_described(folder: Path) -> None:
    """Each type of field has its form in the target's schema."""
    fields = [{"name": "id", "type": "integer"}, *({"name": f"f_{k}", "type": k.value} for k in FieldType)]
    source = target(folder, objects=[{"name": "all", "key": "id", "fields": fields}])
    made = pl.DataFrame({"id": [1]}, schema={"id": pl.Int64})
    source.write("all", source.schema("all"), [Change(Op.CREATE, "id", made)])
    assert kept(folder) == [{"id": 1}]
