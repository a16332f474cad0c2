"""Decision tables inside another rule: each is asked for every record, and its outputs join the record's fields.

An output is called `prefix.output` (`credit.limit`); outputs that are lists of values become JSON. A later decision may
use the outputs of the ones before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from rules.decisions.compile import compile_table
from rules.decisions.compiled import CompiledTable
from rules.decisions.decided import Decided
from rules.documents.decision import Decision
from rules.documents.decision_table import Aggregation, DecisionTable, HitPolicy
from rules.documents.problems import DocumentError, DocumentProblem
from rules.language import ExpressionError, Program, RowError, compile_expression
from rules.language.jsontext import write_json
from rules.language.library import Library
from rules.language.problems import nearest
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg

_SEVERAL = frozenset({HitPolicy.RULE_ORDER, HitPolicy.OUTPUT_ORDER})


@dataclass(frozen=True, eq=False)
class Question:
    """One decision table, ready to be asked; `inputs` are the computed ones, `outputs` the fields that it adds."""

    prefix: str
    table: CompiledTable
    inputs: tuple[tuple[str, Program], ...]
    outputs: tuple[Field, ...]

    @property
    def fields(self) -> frozenset[str]:
        """Return the fields of a record that it reads."""
        computed = {name for name, _program in self.inputs}
        return (self.table.fields - computed).union(*(program.fields for _name, program in self.inputs))

    def ask(self, batch: pl.DataFrame, at: datetime) -> Answer:
        """Return the batch with the outputs; `at` is the moment of the run, whose day decides which rows apply."""
        asked, failed = batch, dict[int, Message]()
        for name, program in self.inputs:
            found = program.evaluate(batch)
            asked = asked.with_columns(found.values.alias(name))
            for error in found.errors:
                text = N_("Input '{input}' of the decision '{name}': {reason}")
                failed.setdefault(error.row, msg(text, input=name, name=self.prefix, reason=error.message))
        decided = self.table.evaluate(asked, self.table.table.day(at))
        for error in decided.errors:
            text = N_("Decision '{name}': {reason}")
            failed.setdefault(error.row, msg(text, name=self.prefix, reason=error.message))
        columns = [
            _plain(series).alias(field.name)
            for series, field in zip(decided.outputs.iter_columns(), self.outputs, strict=True)
        ]
        errors = tuple(RowError(row, failed[row]) for row in sorted(failed))
        return Answer(batch.with_columns(columns), errors, decided)


@dataclass(frozen=True, eq=False)
class Asked:
    """A batch with the outputs of all decisions; `errors` are the records that one of them could not decide.

    The errors carry the decision's prefix; `decided` are the answers in the order of the questions.
    """

    batch: pl.DataFrame
    errors: tuple[tuple[str, RowError], ...]
    decided: tuple[tuple[Question, Decided], ...]

    def hits(self, counted: pl.Series) -> pl.DataFrame:
        """Return `table, row, hits`: how many of the records in the mask each row of each table decided."""
        parts = [_HITS.clear()]
        for question, decided in self.decided:
            rows = decided.fired.filter(counted)
            rows = rows.explode() if rows.dtype == pl.List else rows
            found = rows.drop_nulls().cast(pl.Int64).alias("row").value_counts(name="hits")
            parts.append(
                found.select(pl.lit(question.table.table.name).alias("table"), "row", pl.col("hits").cast(pl.Int64))
            )
        return pl.concat(parts).group_by("table", "row").agg(pl.col("hits").sum()).sort("table", "row")


_HITS = pl.DataFrame(schema={"table": pl.String, "row": pl.Int64, "hits": pl.Int64})


def ask_all(questions: Sequence[Question], batch: pl.DataFrame, at: datetime) -> Asked:
    """Ask decision tables one after the other."""
    errors: list[tuple[str, RowError]] = []
    decided: list[tuple[Question, Decided]] = []
    for question in questions:
        answer = question.ask(batch, at)
        batch = answer.batch
        errors += [(question.prefix, error) for error in answer.errors]
        decided.append((question, answer.decided))
    return Asked(batch, tuple(errors), tuple(decided))


@dataclass(frozen=True, eq=False)
class Answer:
    """A batch with the outputs of a decision; where a record has an error they are empty."""

    batch: pl.DataFrame
    errors: tuple[RowError, ...]
    decided: Decided


def compile_decisions(
    decisions: Sequence[Decision], schema: Schema, library: Library, object_name: str | None = None
) -> tuple[tuple[Question, ...], Schema]:
    """Return the decisions in their order, and the schema with their outputs; raises `DocumentError`."""
    made: list[Question] = []
    problems: list[DocumentProblem] = []
    for number, decision in enumerate(decisions):
        path = f"decisions/{number}"
        if any(question.prefix == decision.prefix for question in made):
            text = N_("There is another decision '{name}'. Give one of them a name of its own.")
            problems.append(DocumentProblem(f"{path}/name", msg(text, name=decision.prefix)))
            continue
        question, wrong = _question(path, decision, schema, library, object_name)
        problems += wrong
        if question is not None:
            made.append(question)
            schema = Schema((*schema.fields, *question.outputs), schema.key)
    if problems:
        raise DocumentError(problems)
    return tuple(made), schema


def _question(
    path: str, decision: Decision, schema: Schema, library: Library, object_name: str | None
) -> tuple[Question | None, list[DocumentProblem]]:
    if decision.table not in library.tables:
        return None, [_no_table(f"{path}/table", decision.table, library)]
    table: DecisionTable = library.tables[decision.table]
    inputs: list[tuple[str, Program]] = []
    problems: list[DocumentProblem] = []
    fields = {field.name: field for field in schema.fields}
    for name, expression in (decision.inputs or {}).items():
        made = _input(f"{path}/inputs/{name}", name, expression, table, (schema, library, object_name))
        if isinstance(made, list):
            problems += made
        else:
            inputs.append((name, made))
            fields[name] = Field(name, made.type, scale=made.scale)
    if problems:
        return None, problems
    try:
        compiled = compile_table(table, Schema(tuple(fields.values())), library)
    except DocumentError as error:
        return None, list(_of_table(f"{path}/table", decision.table, error))
    outputs = tuple(_output(table, number, decision.prefix) for number in range(len(table.outputs)))
    taken = next((field.name for field in outputs if field.name in schema), None)
    if taken is not None:
        text = N_("The record has a field '{field}' already. Give the decision another name.")
        return None, [DocumentProblem(f"{path}/name", msg(text, field=taken))]
    return Question(decision.prefix, compiled, tuple(inputs), outputs), []


def _input(
    path: str, name: str, expression: str, table: DecisionTable, around: tuple[Schema, Library, str | None]
) -> Program | list[DocumentProblem]:
    schema, library, object_name = around
    known = {column.name: column for column in table.inputs}
    if name not in known:
        close = nearest(name, known)
        text = N_("The table '{table}' has no input '{name}'. Its inputs are: {known}.")
        values = {"table": table.name, "name": name, "known": ", ".join(known)}
        return [DocumentProblem(path, msg(text, **values), suggestion=close)]
    try:
        expect = Field(name, known[name].type)
        return compile_expression(expression, schema, expect=expect, object_name=object_name, library=library)
    except ExpressionError as error:
        return [DocumentProblem.of(path, problem) for problem in error.problems]


def _no_table(path: str, name: str, library: Library) -> DocumentProblem:
    close = nearest(name, library.tables)
    if close is None:
        return DocumentProblem(path, msg("There is no published decision table '{name}'.", name=name))
    text = N_("There is no published decision table '{name}'. Did you mean '{close}'?")
    return DocumentProblem(path, msg(text, name=name, close=close), suggestion=close)


def _of_table(path: str, name: str, error: DocumentError) -> Iterator[DocumentProblem]:
    """Yield what keeps the table from being asked here: fields that it reads and the record does not have."""
    for problem in error.problems:
        text = N_("The table '{name}' cannot be asked here ({place}): {reason}")
        yield DocumentProblem(path, msg(text, name=name, place=problem.path, reason=problem.message))


def _output(table: DecisionTable, number: int, prefix: str) -> Field:
    output, name = table.outputs[number], f"{prefix}.{table.outputs[number].name}"
    if table.hit_policy in _SEVERAL:
        return Field(name, FieldType.JSON, label=output.label)
    if table.hit_policy is HitPolicy.COLLECT:
        types = {Aggregation.LIST: FieldType.JSON, Aggregation.COUNT: FieldType.INTEGER}
        return Field(name, types.get(table.aggregation, output.type), label=output.label)
    return Field(name, output.type, label=output.label)


def _plain(values: pl.Series) -> pl.Series:
    """Return lists of values as JSON text."""
    if values.dtype != pl.List:
        return values
    return pl.Series(values.name, [None if v is None else write_json(v) for v in values.to_list()], dtype=pl.String)
