"""What decision tables and validations said of a record is explained beside its fields."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl

from rules.documents import parse_sync
from rules.documents.decision_table import parse_decision_table
from rules.language.library import Library
from rules.mapping import compile_mapping
from rules.schema import Field, FieldType, Schema
from rules.testing import SyncTests
from rules.trace import RecordTracer, read_fields
from rules.validations import compile_validations

AT = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
SOURCE = Schema((Field("id", FieldType.INTEGER), Field("name"), Field("country"), Field("memo")), ("id",))
TARGET = Schema((Field("no", FieldType.INTEGER), Field("title"), Field("limit", FieldType.INTEGER)))
TABLE = {
    "kind": "decision_table",
    "name": "credit",
    "label": "Credit limits",
    "inputs": [{"name": "country"}, {"name": "letters", "type": "integer"}],
    "outputs": [{"name": "limit", "type": "integer"}],
    "rows": [
        {"when": ["CN", "< 4"], "then": [10], "id": "short"},
        {"when": ["CN", ">= 4"], "then": [20]},
        {"when": ["DE", "-"], "then": [30], "until": "2025-01-01"},
    ],
}
RULE = {
    "kind": "sync",
    "name": "r",
    "left": {"connection": "a", "object": "b"},
    "right": {"connection": "c", "object": "d"},
    "key": {"left": "id", "right": "no"},
    "decisions": [{"table": "credit", "inputs": {"letters": "size(name)"}}],
    "fields": [
        {"left": "id", "right": "no"},
        {"right": "title", "to_right": "name.trim()", "on_error": "default", "default": "nobody"},
        {"right": "limit", "to_right": "credit.limit"},
    ],
    "validations": [
        {"name": "generous", "check": "credit.limit > 15", "severity": "warn"},
        {"name": "abroad", "check": "name != ''", "when": "country != 'CN'"},
        {"name": "odd", "check": "true", "when": "memo.size() > 1"},
        {"name": "once", "unique": ["name"]},
        {"name": "there", "reference": {"field": "country", "object": "countries", "key": "code"}},
    ],
}
LIBRARY = Library(tables={"credit": parse_decision_table(TABLE)})


def tracer() -> RecordTracer:
    rule = parse_sync(RULE)
    mapping = compile_mapping(rule, SOURCE, TARGET, LIBRARY)
    return RecordTracer(mapping, SOURCE, LIBRARY, compile_validations(rule.validations, mapping.source, LIBRARY))


def record(**values: object) -> pl.DataFrame:
    row = {"id": 1, "name": "Ada", "country": "CN", "memo": "ok", **values}
    return pl.DataFrame([row], schema=SOURCE.dtypes())


def test_a_decision_tells_its_row_and_why_not_the_others():
    """The row that decided is named, and for each other row the cell that did not apply."""
    trace = tracer().trace(record(), AT)
    told = trace.decisions[0]
    assert (told.label, told.inputs, told.outputs) == (
        "Credit limits",
        (("country", "CN"), ("letters", 3)),
        {"limit": 10},
    )
    assert [told.row_names[row.row] for row in told.fired] == ["1 (short)"]
    assert [str(row.words) for row in told.others] == [
        "'letters' is 3, not >= 4.",
        "No longer applies since 2025-01-01.",
    ]
    assert trace.values == {"no": 1, "title": "Ada", "limit": 10}
    assert trace.fields[2].expression.value == 10
    shown = json.loads(json.dumps(trace.to_json()))
    assert (shown["decisions"][0]["fired"], shown["decisions"][0]["rows"][1]["applies"]) == (["1 (short)"], False)


def test_a_decision_without_an_answer_keeps_its_reason():
    """Where an input has no value the decision has none, and says which."""
    trace = tracer().trace(record(name=None), AT)
    assert trace.undecided is trace.decisions[0]
    assert "letters" in str(trace.undecided.error)
    assert (trace.undecided.rows, trace.undecided.outputs) == ((), {})
    assert json.dumps(trace.undecided.to_json())
    assert tracer().trace(record(), AT).undecided is None


def test_validations_tell_whether_they_were_asked_and_met():
    """Conditions are explained; what only the run knew is left open."""
    found = {v.name: v for v in tracer().trace(record(memo=None), AT).validations}
    assert {name: (v.asked, v.met) for name, v in found.items()} == {
        "generous": (True, False),
        "abroad": (False, None),
        "odd": (False, False),
        "once": (True, None),
        "there": (True, None),
    }
    assert found["generous"].check.steps[0].value == 10
    assert (found["once"].unique, found["there"].reference) == (("name",), "countries")
    assert json.dumps(found["odd"].to_json())


def test_a_default_that_stands_in_is_told():
    """A field whose rule says to write a default keeps the reason why it was needed."""
    title = tracer().trace(record(name=None), AT).fields[1]
    assert (title.value, title.error, "is empty" in str(title.replaced)) == ("nobody", None, True)


def test_the_fields_that_tables_read_are_kept():
    """What a decision table reads is kept to be explained, and shown first in the form of a test."""
    rule = parse_sync({**RULE, "validations": []})
    mapping = compile_mapping(rule, SOURCE, TARGET, LIBRARY)
    asked = [name for question in mapping.questions for name in question.fields]
    assert read_fields(rule, SOURCE, asked) == ("id", "name", "country")
    assert SyncTests(rule, SOURCE, TARGET, LIBRARY, AT).way().read == ("id", "name", "country")


def test_a_record_without_a_decision_is_parked_in_tests():
    """The test of a rule meets what its run would meet."""
    test = {"name": "t", "given": {"id": 1}, "ending": "quarantined", "error": "letters"}
    assert not SyncTests(parse_sync({**RULE, "tests": [test]}), SOURCE, TARGET, LIBRARY, AT).run().failed
