"""JSON lines at once: what is taken apart fast is what looking at each value would have said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin import files_json
from connectors.spi import ReadRequest
from rules.schema import Field, FieldType, Schema
from tests.connectors.small_blocks import small_blocks
from tests.connectors.test_files_folder import files

VALUES = st.sampled_from(
    ("1", "-7", "1.50", "1e3", "1E-2", "9223372036854775808", "true", "null", '"x"', '"1.5"', '""', '"2024-01-31"',
     '{"b": 1, "a": 1.0}', "[1,2.50]", '"客户\\u00e9"', "01", "12345678901234567890.125", "1e400",
     "NaN", "-Infinity", '"l1\\nl2"', '"1e3"', '".5"', '"Nancy"', '"NaN"', '"}"', '"\\ud800"', '{"}": "{"}'),
)  # fmt: skip


def _object(values: list[str]) -> str:
    return "{" + ", ".join(f'"m{number}": {value}' for number, value in enumerate(values)) + "}"


KINDS = (
    FieldType.TEXT,
    FieldType.INTEGER,
    FieldType.DECIMAL,
    FieldType.FLOAT,
    FieldType.BOOLEAN,
    FieldType.DATE,
    FieldType.JSON,
)
LINES = st.lists(
    st.lists(VALUES, min_size=1, max_size=4).map(_object)
    | st.sampled_from(("", "  ", '{"m0":', "1}", '{"m0": {}', ' {"m0": "1"} ', "[1]", "{broken",
                       '{"m0": 1} {"m0": 2}', '{"m0": 1, "m0": 2}', "\udcff")),
    max_size=6,
)  # fmt: skip


def read(folder: Path, schema: Schema, *, fast: bool) -> tuple[list[Any], ...]:
    with pytest.MonkeyPatch.context() as patch:
        if not fast:
            patch.setattr(files_json.Lines, "block", lambda *_: None)
            patch.setattr(files_json.Lines, "columns", lambda *_: None)
        small_blocks(patch, files_json, 48)
        pages = list(files(folder).read(ReadRequest("a.jsonl", schema, page_size=2)))
    rejects = [(r.place, r.raw, str(r.message), r.field) for page in pages for r in page.rejects]
    return (
        [repr(row) for page in pages for row in page.records.rows()],  # nan is not nan
        rejects,
        [page.position for page in pages if page.records.height],
    )


@given(lines=LINES, kinds=st.lists(st.sampled_from(KINDS), min_size=4, max_size=4))
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_ways_say_the_same(tmp_path: Path, lines: list[str], kinds: list[FieldType]) -> None:
    """Values, what is put aside, and where it stands are the same, whatever kinds of values there are."""
    (tmp_path / "a.jsonl").write_bytes("\n".join(lines).encode("utf-8", "surrogateescape"))
    schema = Schema(tuple(Field(f"m{n}", kind, scale=2) for n, kind in enumerate(kinds)))
    assert read(tmp_path, schema, fast=True) == read(tmp_path, schema, fast=False)


def test_a_read_goes_on_behind_any_page(tmp_path: Path) -> None:
    """Lines behind any place are those that would have followed, and are shown as they are."""
    (tmp_path / "a.jsonl").write_text("".join(f'{{"m0": {n}}}\r\n' for n in range(50)), "utf-8-sig", newline="")
    connector = files(tmp_path)
    schema = Schema((Field("m0", FieldType.INTEGER),))
    pages = list(connector.read(ReadRequest("a.jsonl", schema, page_size=7)))
    assert [row for page in pages for row in page.records.rows()] == [(n,) for n in range(50)]
    for page in pages:
        rest = connector.read(ReadRequest("a.jsonl", schema, page_size=7, after=page.position))
        assert [row for later in rest for row in later.records.rows()] == [
            (n,) for n in range(page.position["place"], 50)
        ]
    wrong = Schema((Field("m0", nullable=False, type=FieldType.INTEGER), Field("m1", nullable=False)))
    (reject, *_) = next(connector.read(ReadRequest("a.jsonl", wrong, after=pages[0].position))).rejects
    assert (reject.place, reject.raw) == ("line 8", '{"m0": 7}')


@pytest.mark.parametrize(
    ("text", "rows", "rejects"),
    [
        ('{"m0": "l1\\nl2"}\n{"m0": "x"}\n', ['"l1\\nl2"', '"x"'], 0),
        ('{"m0": "a"} {"m0": "b"}\n{"m0": "\\"c"}\n', ['"\\"c"'], 1),
        ('{"m0": "Nancy", "m1": "a, In b"}\n', ['"Nancy"'], 0),
        ('{"m0": "x", "m1": NaN}\n{"m0": "y"}\n', ['"y"'], 1),
    ],
)  # fmt: skip
def test_texts_in_fields_of_json(tmp_path: Path, text: str, rows: list[str], rejects: int) -> None:
    """A text in a field of JSON is JSON itself; a line with two objects or with a name for a number is none."""
    (tmp_path / "a.jsonl").write_text(text)
    (page,) = files(tmp_path).read(ReadRequest("a.jsonl", Schema((Field("m0", FieldType.JSON),))))
    assert page.records["m0"].to_list() == rows
    assert len(page.rejects) == rejects


def test_numbers_beside_nested_values(tmp_path: Path) -> None:
    """Numbers are exact and exponents are written out also where a record holds nested values."""
    (tmp_path / "a.jsonl").write_text('{"m0": {"b": 1}, "m1": 1e3}\n{"m0": [2], "m1": 1.50}\n')
    schema = Schema((Field("m0", FieldType.JSON), Field("m1", FieldType.DECIMAL, scale=2)))
    (page,) = files(tmp_path).read(ReadRequest("a.jsonl", schema))
    assert page.records["m0"].to_list() == ['{"b":1}', "[2]"]
    assert [str(value) for value in page.records["m1"]] == ["1000.00", "1.50"]
