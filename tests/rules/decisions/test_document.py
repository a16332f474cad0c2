"""The document of a decision table: what is wrong with it, its canonical form, its documentation."""

from __future__ import annotations

import json
import re
from datetime import UTC, date, datetime
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from rules.decisions import canonical_table, compile_table
from rules.documents import DocumentError, differences, dump_document, load_documents
from rules.documents.build import plain
from rules.documents.decision_table import decision_table_schema, parse_decision_table
from rules.schema import Field, FieldType, Schema
from tests.rules.decisions import reference
from tests.rules.decisions.tables import small, table_of
from tests.rules.decisions.test_exchange import WHOLE

STALE = "run `python -m tests.rules.decisions.reference`"
ONE: dict[str, Any] = {"when": ["-", "-"], "then": [1, "a"]}


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"inputs": []}, "inputs", "At least 1"),
        ({"inputs": [{"name": "a"}, {"name": "a"}]}, "inputs/1/name", "another column 'a'"),
        ({"outputs": [{"name": "a"}, {"name": "a"}]}, "outputs/1/name", "another column 'a'"),
        ({"rows": [{**ONE, "id": "x"}, {**ONE, "id": "x"}]}, "rows/1/id", "another row 'x'"),
        ({"rows": [{**ONE, "when": ["-"]}]}, "rows/0/when", "This row has 1 cells here"),
        ({"rows": [{**ONE, "then": [1, None]}]}, "rows/0/then/1", 'Write "null" in quotes'),
        ({"rows": [{**ONE, "then": [1, []]}]}, "rows/0/then/1", "not possible here"),
        ({"rows": [{**ONE, "since": "2024-02-30"}]}, "rows/0/since", "There is no day 2024-02-30"),
        ({"rows": [{**ONE, "since": "2024-02-01", "until": "2024-02-01"}]}, "rows/0/until", "never apply"),
        ({"timezone": "Mars"}, "timezone", "no time zone 'Mars'"),
        ({"hit_policy": "priority"}, "outputs/0/allowed", "the most important first"),
        ({"aggregation": "sum"}, "aggregation", "Only the hit policy collect"),
        (
            {"hit_policy": "collect", "aggregation": "sum"},
            "outputs/1/type",
            "sum cannot be made of values of type text",
        ),
        ({"tests": [{"name": "t", "given": {}}]}, "tests/0", "either the outputs"),
        ({"tests": [{"name": "t", "given": {}, "expect": {"x": 1}}]}, "tests/0/expect/x", "no output 'x'"),
        ({"tests": [{"name": "t", "given": {}, "error": "x", "day": "2024-13-01"}]}, "tests/0/day", "no day"),
    ],
)
def test_mistakes(changes: dict[str, Any], path: str, message: str) -> None:
    """A mistake is told with its path."""
    with pytest.raises(DocumentError, match=re.escape(message)) as caught:
        small([ONE], **changes) if "rows" not in changes else small(changes["rows"])
    assert caught.value.problems[0].path == path


def test_rows_are_readable_and_differ_by_their_ids() -> None:
    """In YAML a row's cells stand on one line; a row that moved is not a difference if rows have ids."""
    document = plain(small([{**ONE, "id": "a"}, {**ONE, "id": "b"}]))
    text = dump_document({"kind": "decision_table", **document})
    assert "- when: ['-', '-']\n" in text
    assert load_documents(text)[0].document == {"kind": "decision_table", **document}
    changed = {**document, "rows": [{**ONE, "id": "new"}, *document["rows"]]}
    assert [d.path for d in differences(document, changed)] == ["rows/new"]


def test_canonical_tables() -> None:
    """Cells get one form; those that cannot be read stay as they are."""
    inputs = [
        {"name": "amount", "type": "decimal", "allowed": ["1,  2", "> 5.0"]},
        {"name": "country", "allowed": ["("]},
    ]
    outputs = [{"name": "rate", "type": "decimal", "default": "x"}, {"name": "tier", "allowed": ["a", "b"]}]
    table = canonical_table(small([["= 5", "CN,DE", "x y", "a"], [">", "-", 1.50, ""]], inputs=inputs, outputs=outputs))
    assert [row.when for row in table.rows] == [("5", '"CN", "DE"'), (">", "-")]
    assert [row.then for row in table.rows] == [("x y", '"a"'), ("1.5", "null")]
    assert [column.allowed for column in table.inputs] == [("1", "2", "> 5"), ("(",)]
    assert [(column.allowed, column.default) for column in table.outputs] == [((), "x"), (('"a"', '"b"'), None)]


def test_inverse_allowed_values_stand_alone() -> None:
    """not(...) beside other entries is refused."""
    inputs = [{"name": "amount", "type": "decimal"}, {"name": "country", "allowed": ["CN", "not(CN)"]}]
    with pytest.raises(DocumentError, match="has to be the only entry") as caught:
        compile_table(small([ONE], inputs=inputs))
    assert caught.value.problems[0].path == "inputs/1/allowed/1"
    inputs[1] = {"name": "country", "allowed": ["null, not(null)"]}
    assert canonical_table(small([ONE], inputs=inputs)).inputs[1].allowed == ("null, not(null)",)


def test_days_of_a_table() -> None:
    """A moment belongs to a day of the table's time zone."""
    late = datetime(2024, 5, 31, 17, tzinfo=UTC)
    assert small([], timezone="Asia/Shanghai").day(late) == date(2024, 6, 1)
    assert small([]).day(late) == date(2024, 5, 31)


def test_documentation() -> None:
    """The page has all keys as they are, the schema is published, and the page's table can be used."""
    text = reference.PAGE.read_text()
    assert text == reference.page(text), STALE
    assert json.loads(reference.SCHEMA.read_text()) == decision_table_schema(), STALE
    Draft202012Validator.check_schema(decision_table_schema())
    Draft202012Validator(decision_table_schema()).validate(WHOLE)
    assert parse_decision_table(plain(table_of(WHOLE)) | {"kind": "decision_table"}) == table_of(WHOLE)
    example = load_documents(text.split("```yaml\n")[1].split("```")[0])[0].document
    assert yaml.safe_load(dump_document(example))["name"] == "discount"
    days = (Field("ordered", FieldType.DATE), Field("since", FieldType.DATE))
    schema = Schema((Field("amount", FieldType.DECIMAL), Field("country"), *days))
    assert compile_table(parse_decision_table(example), schema).fields == {"amount", "country", "ordered", "since"}
