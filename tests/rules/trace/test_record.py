"""An explained record: scope and fields come out as the mapping itself computes them."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from rules.documents import DocumentError, parse_sync
from rules.mapping import compile_mapping
from rules.schema import Field, FieldType, Schema
from rules.trace import RecordTracer, State, complete, named_fields, read_fields
from tests.rules.language.expressions import SCHEMA as WILD
from tests.rules.language.expressions import Generator, batches

AT = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
SOURCE = Schema(
    (
        Field("id", FieldType.INTEGER),
        Field("name"),
        Field("country"),
        Field("amount", FieldType.DECIMAL),
        Field("memo"),
    ),
    ("id",),
)
TARGET = Schema((Field("no", FieldType.INTEGER), Field("title", length=5), Field("sum", FieldType.TEXT), Field("tag")))
RULE = {
    "kind": "sync",
    "name": "r",
    "left": {"connection": "a", "object": "b", "where": "country == 'CN' || amount > 100"},
    "right": {"connection": "c", "object": "d"},
    "key": {"left": "id", "right": "no"},
    "fields": [
        {"left": "id", "right": "no"},
        {"right": "title", "to_right": "name.trim()"},
        {"left": "amount", "right": "sum"},
        {"right": "tag", "to_right": "country.lower()", "when": "amount > 5", "on": ["create"]},
    ],
}


def tracer(**changes):
    return RecordTracer(compile_mapping(parse_sync({**RULE, **changes}), SOURCE, TARGET), SOURCE)


def record(**values):
    row = {"id": 1, "name": " Ada ", "country": "CN", "amount": "7.5", "memo": None, **values}
    return SOURCE.empty().vstack(complete(_frame(row), SOURCE))


def _frame(row):
    import polars as pl  # noqa: PLC0415 - only here

    frame = pl.DataFrame([row], schema={**SOURCE.dtypes(), "amount": pl.String})
    return frame.with_columns(pl.col("amount").cast(SOURCE["amount"].dtype))


def test_a_record_is_told_from_scope_to_fields():
    """Scope, copied, computed, converted and conditional fields are told with their values."""
    trace = tracer().trace(record(), AT)
    assert (trace.in_scope, trace.where.steps[0].decides, trace.failed) == (True, True, None)
    assert trace.values == {"no": 1, "title": "Ada", "sum": "7.5", "tag": "cn"}
    no, title, amount, tag = trace.fields
    assert (no.source, no.expression, no.converted) == ("id", None, False)
    assert (title.expression.value, title.source) == ("Ada", None)
    assert (amount.converted, amount.given) == (True, record()["amount"][0])
    assert (tag.when.value, tag.applies) == (True, True)
    assert json.dumps(trace.to_json())


def test_what_is_left_alone_or_fails_is_told():
    """A field whose condition is false is left alone; one with an error names the field and the reason."""
    trace = tracer().trace(record(amount="1", name=None), AT)
    assert [f.applies for f in trace.fields] == [True, True, True, False]
    assert (trace.failed.name, trace.failed.column) == ("title", 1)
    assert trace.failed.expression.state is State.ERROR
    assert "title" not in trace.values
    long = tracer().trace(record(name="far too long"), AT).failed
    assert "at most 5" in str(long.error)
    assert long.expression.value == "far too long"
    assert json.dumps(trace.to_json())


def test_a_condition_that_fails_is_told():
    """A condition without an answer keeps its reason."""
    trace = tracer(left={**RULE["left"], "where": "memo.size() > 1"}).trace(record(), AT)
    assert (trace.in_scope, trace.where.state) == (False, State.ERROR)
    assert "memo" in str(trace.where_error)
    none = tracer(left={"connection": "a", "object": "b"}).trace(record(), AT)
    assert (none.in_scope, none.where) == (True, None)


def test_random_rules_come_out_as_mapped():
    """For random expressions and records each field is told with the value and error that the mapping gives."""
    generator, records, done = Generator(5), batches(9)[0], 0
    target = Schema(tuple(Field(f"t{n}") for n in range(4)))
    while done < 8:
        fields = [{"right": f"t{n}", "to_right": generator.expression()} for n in range(4)]
        key = {"left": "code", "right": "t0"}
        rule = {**RULE, "left": {"connection": "a", "object": "b"}, "key": key, "fields": fields}
        try:
            mapping = compile_mapping(parse_sync(rule), WILD, target)
        except DocumentError:  # the generator also writes what is refused
            continue
        done += 1
        mapped, explain = mapping.apply(records), RecordTracer(mapping, WILD)
        failures = {(e.row, e.field): e.message for e in mapped.errors}
        for row in range(0, records.height, 9):
            for field in explain.trace(records[row], AT).fields:
                assert field.value == mapped.records[field.name][row]
                assert field.error == failures.get((row, field.name))


def test_only_what_is_read_has_to_be_kept():
    """Conditions, expressions, copies, the key, matches, decisions and validations name the fields that are kept."""
    rule = parse_sync(RULE)
    assert read_fields(rule, SOURCE) == ("id", "name", "country", "amount")
    assert read_fields(rule, SOURCE, ["memo"]) == SOURCE.names
    more = {"correlate": [{"match": [{"left": "memo", "right": "tag"}]}]}
    assert "memo" in read_fields(parse_sync({**RULE, **more}), SOURCE)
    for extra in (
        {"validations": [{"name": "v", "unique": ["memo"]}]},
        {"validations": [{"name": "v", "check": "memo != ''"}]},
        {"validations": [{"name": "v", "check": "true", "when": "has(record.memo)"}]},
        {"validations": [{"name": "v", "reference": {"field": "memo", "object": "x", "key": "y"}}]},
        {"decisions": [{"table": "t", "inputs": {"a": "record['memo'] + ''"}}]},
    ):
        assert "memo" in read_fields(parse_sync({**RULE, **extra}), SOURCE), extra


@pytest.mark.parametrize("text", ["name ==", "(", ""])
def test_an_expression_that_cannot_be_read_names_nothing(text):
    """What a rule cannot use does not keep its fields from being found."""
    assert named_fields(text, SOURCE) == frozenset()
