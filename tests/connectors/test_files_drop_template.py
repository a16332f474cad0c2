"""New files by template: what comes out is looked at, and a mistake is told before anything is written."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.errors import Misconfigured
from rules.schema import Change, Field, FieldType, Op, Schema
from tests.connectors.test_files_drop import drop

SCHEMA = Schema(
    (
        Field("id", FieldType.INTEGER, nullable=False), Field("name"), Field("price", FieldType.DECIMAL, scale=2),
        Field("at", FieldType.DATETIME), Field("more", FieldType.JSON),
    ),
    ("id",),
)  # fmt: skip
RECORDS = pl.DataFrame(
    {
        "id": [1, 2], "name": ["a<b>&\u5ba2", None], "price": [Decimal("9.90"), None],
        "at": [dt.datetime(2024, 1, 31, tzinfo=dt.UTC), None], "more": ['{"x":1.50}', None],
    },
    schema=SCHEMA.dtypes(),
)  # fmt: skip


def written(inbox: Path, ending: str, parts: tuple[str, str, str], **more: Any) -> str:
    settings = dict(zip(("template_header", "template_record", "template_footer"), parts, strict=True))
    pattern = f"out-*.{ending}"
    source = drop(inbox, pattern=pattern, **settings, **more)
    assert not source.write(pattern, SCHEMA, [Change(Op.CREATE, "id", RECORDS)]).failures
    (path,) = inbox.iterdir()
    return path.read_text("utf-8")


def test_xml_and_json_by_template(tmp_path: Path) -> None:
    """Values are escaped in XML, and JSON values keep their kinds and digits; empty ones are empty or null."""
    for folder in ("xml", "json"):
        (tmp_path / folder).mkdir()
    xml = ("<o n='{{ count }}'>", "<r id='{{ record.id }}' at='{{ record.at }}'>{{ record.name }}</r>", "</o>\n")
    assert written(tmp_path / "xml", "xml", xml) == (
        "<o n='2'><r id='1' at='2024-01-31T00:00:00Z'>a&lt;b&gt;&amp;\u5ba2</r><r id='2' at=''></r></o>\n"
    )
    members = '"no": {{ json.id }}, "n": {{ json.name }}, "p": {{ json.price }}, "m": {{ json.more }}'
    record = "{" + members + '}{{ "" if last else "," }}'
    assert written(tmp_path / "json", "json", ("[", record, "]")) == (
        '[{"no": 1, "n": "a<b>&\u5ba2", "p": 9.90, "m": {"x":1.50}},{"no": 2, "n": null, "p": null, "m": null}]'
    )


@pytest.mark.parametrize(
    ("ending", "parts"),
    [
        ("xml", ("<o>", "<r>{{ record.name }", "</o>")),
        ("xml", ("<o>", "<r>{{ record.name", "</o>")),
        ("xml", ("<o>", "<r>{{ record.nothing }}</r>", "</o>")),
        ("xml", ("<o>", "{{ record.__class__.__mro__ }}", "</o>")),
        ("xml", ("<o>", "{{ 1 // 0 }}", "</o>")),
        ("json", ("[", "{{ record.name }}", "]")),
        ("jsonl", ("", "{{ record.id }},\n", "")),
    ],
)
def test_a_template_that_cannot_be_used(tmp_path: Path, ending: str, parts: tuple[str, str, str]) -> None:
    """A mistake in a template, what it may not touch, and what is no document are told; no file is there."""
    with pytest.raises(Misconfigured, match="template"):
        written(tmp_path, ending, parts)
    assert list(tmp_path.iterdir()) == []


def test_lines_by_template(tmp_path: Path) -> None:
    """Other texts are written as they come out."""
    assert written(tmp_path, "jsonl", ("", "{{ json.id }}\n", "")) == "1\n2\n"


@pytest.mark.parametrize(
    "template",
    [
        "{{ 'a' * 10000000000 }}", "{{ 10 ** 10 ** 10 }}", "{{ '%10000000000d' % 1 }}", "{{ 'a'.ljust(10000000000) }}",
        "{{ 'a' | center(10000000000) }}", "{{ '%10000000000d' | format(1) }}",
        "{{ '{:>10000000000}'.format(1) }}", "{{ ''.__class__.__mro__ }}",
    ],
)  # fmt: skip
def test_templates_do_not_grow(tmp_path: Path, template: str) -> None:
    """A few signs of a template make no text that fills the memory, and reach nothing of the machine."""
    with pytest.raises(Misconfigured, match="template"):
        written(tmp_path, "txt", ("", template, ""))
    assert not list(tmp_path.iterdir())
    usual = "{{ number * 2 }}{{ 2.55 | round(1, 'floor') }}{{ [number] | tojson }}{{ '%03d' | format(number) }}"
    assert written(tmp_path, "txt", ("", usual, "")) == "22.5[1]00142.5[2]002"
