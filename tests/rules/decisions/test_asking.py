"""Decision tables inside another rule."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from rules.decisions.asking import compile_decisions
from rules.documents import DocumentError
from rules.documents.decision import Decision
from rules.documents.decision_table import parse_decision_table
from rules.language import compile_expression
from rules.language.library import Library
from rules.schema import Field, FieldType, Schema

AT = datetime(2026, 3, 1, tzinfo=UTC)
SCHEMA = Schema((Field("balance", FieldType.DECIMAL, scale=2), Field("country"), Field("name")))
RECORDS = [("50.00", "CN", "a"), ("5000.00", "CN", "b"), ("5000.00", "US", "c"), (None, "US", "d")]
BATCH = pl.DataFrame(RECORDS, schema=["balance", "country", "name"], orient="row").with_columns(
    pl.col("balance").cast(pl.Decimal(38, 2))
)


def table(**changes: Any) -> Any:
    return parse_decision_table(
        {
            "kind": "decision_table",
            "name": "credit",
            "hit_policy": "first",
            "inputs": [{"name": "amount", "type": "decimal"}, {"name": "country"}],
            "outputs": [{"name": "class"}, {"name": "limit", "type": "integer"}],
            "rows": [
                {"when": ["> 1000", '"CN"'], "then": ["gold", "9"]},
                {"when": ["> 1000", "-"], "then": ["silver", "5"]},
                {"when": ["-", "-"], "then": ["none", "0"]},
            ],
            **changes,
        }
    )


LIBRARY = Library(tables={"credit": table()})


def test_outputs_join_the_fields() -> None:
    """Each record gets what the table decides; expressions name it with a dot."""
    (question,), schema = compile_decisions(
        [Decision("credit", inputs={"amount": "orDefault(balance, 0.0) + 1.0"})], SCHEMA, LIBRARY
    )
    assert question.fields == {"balance", "country"}
    answer = question.ask(BATCH, AT)
    assert answer.errors == ()
    assert answer.batch["credit.class"].to_list() == ["none", "gold", "silver", "none"]
    assert answer.decided.hits.tolist() == [1, 1, 2]
    shown = compile_expression("name + ': ' + credit.class", schema).evaluate(answer.batch)
    assert shown.values.to_list() == ["a: none", "b: gold", "c: silver", "d: none"]


def test_a_decision_may_use_the_one_before_it() -> None:
    """Outputs are fields for what follows; the same table may be asked twice under two names."""
    decisions = [
        Decision("credit", inputs={"amount": "balance"}),
        Decision("credit", name="again", inputs={"amount": "double(orDefault(credit.limit, 0)) * 1000.0"}),
    ]
    questions, schema = compile_decisions(decisions, SCHEMA, LIBRARY)
    batch = BATCH
    for question in questions:
        batch = question.ask(batch, AT).batch
    assert batch["again.class"].to_list() == ["none", "gold", "silver", "none"]
    assert schema["again.limit"].type is FieldType.INTEGER


def test_a_record_that_cannot_be_decided_has_an_error() -> None:
    """What the table or an input says is wrong comes with the decision's name; the outputs are empty."""
    unique = Library(tables={"credit": table(hit_policy="unique")})
    (question,), _schema = compile_decisions([Decision("credit", inputs={"amount": "balance"})], SCHEMA, unique)
    answer = question.ask(BATCH, AT)
    assert [error.row for error in answer.errors] == [1, 2]
    assert "Decision 'credit': Rows 1 and 2 both apply" in str(answer.errors[0].message)
    assert answer.batch["credit.class"].to_list() == ["none", None, None, "none"]
    (question,), _schema = compile_decisions(
        [Decision("credit", inputs={"amount": "1.0 / double(size(name) - 1)"})], SCHEMA, LIBRARY
    )
    failed = question.ask(BATCH, AT).errors
    assert [str(error.message) for error in failed[:1]] == [
        "Input 'amount' of the decision 'credit': Division by zero."
    ]


def test_lists_of_outputs_are_json() -> None:
    """A policy that collects gives JSON, which expressions can take apart."""
    several = Library(tables={"credit": table(hit_policy="collect")})
    (question,), schema = compile_decisions([Decision("credit", inputs={"amount": "balance"})], SCHEMA, several)
    answer = question.ask(BATCH, AT)
    assert answer.batch["credit.class"].to_list()[1] == '["gold","silver","none"]'
    assert schema["credit.class"].type is FieldType.JSON
    counted = table(hit_policy="collect", aggregation="count")
    (_question,), schema = compile_decisions(
        [Decision("credit", inputs={"amount": "balance"})], SCHEMA, Library(tables={"credit": counted})
    )
    assert schema["credit.class"].type is FieldType.INTEGER


def test_a_field_of_the_record_is_not_hidden_by_an_output() -> None:
    """A source may have a column called like an output; which of the two is meant must not be left to guess."""
    decisions = [Decision("credit", inputs={"amount": "balance"})]
    schema = Schema((*SCHEMA.fields, Field("credit.limit", FieldType.INTEGER)))
    with pytest.raises(DocumentError) as caught:
        compile_decisions(decisions, schema, LIBRARY)
    (problem,) = caught.value.problems
    assert problem.path == "decisions/0/name"
    assert str(problem.message) == "The record has a field 'credit.limit' already. Give the decision another name."


@pytest.mark.parametrize(
    ("decisions", "path", "message"),
    [
        ([Decision("credits")], "decisions/0/table", "no published decision table 'credits'. Did you mean 'credit'?"),
        ([Decision("zzz")], "decisions/0/table", "There is no published decision table 'zzz'."),
        ([Decision("credit")], "decisions/0/table", "cannot be asked here (inputs/0"),
        ([Decision("credit", inputs={"amont": "1.0"})], "decisions/0/inputs/amont", "has no input 'amont'"),
        ([Decision("credit", inputs={"amount": "balnce"})], "decisions/0/inputs/amount", "no field 'balnce'"),
        (
            [Decision("credit", inputs={"amount": "balance"}), Decision("credit", inputs={"amount": "balance"})],
            "decisions/1/name",
            "There is another decision 'credit'",
        ),
    ],
)
def test_mistakes_have_a_place(decisions: list[Decision], path: str, message: str) -> None:
    """What keeps a decision from being asked is told with the key to blame."""
    with pytest.raises(DocumentError) as caught:
        compile_decisions(decisions, SCHEMA, LIBRARY)
    assert caught.value.problems[0].path.startswith(path)
    assert message in str(caught.value.problems[0].message)
