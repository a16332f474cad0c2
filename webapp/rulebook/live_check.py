"""What the editor is told while somebody types: problems with their places, the type, the result for real records."""

from __future__ import annotations

from typing import Any

from rules.language import Evaluated, ExpressionError, Problem, Program, RowError, compile_expression
from rules.language.library import EMPTY, Library
from rules.schema import FieldType
from rules.text import msg
from webapp.policies.masks import DOTS
from webapp.rulebook import wording
from webapp.rulebook.samples import COUNT, shown
from webapp.rulebook.scopes import Scope
from webapp.web.language import translated

INPUTS, LONGEST = 4, 200


def checked(text: str, scope: Scope, expect: str = "", library: Library = EMPTY) -> dict[str, Any]:
    """Return what is found about an expression as plain data; an empty text is no problem."""
    answer: dict[str, Any] = {"problems": [], "type": "", "type_name": "", "samples": [], "slow": []}
    answer["outage"] = translated(scope.problem) if scope.problem else ""
    if not text.strip() or scope.problem:
        return answer
    wanted = FieldType(expect) if expect in set(FieldType) else None
    try:
        program = compile_expression(text, scope.schema, expect=wanted, library=library)
    except ExpressionError as error:
        return {**answer, "problems": [problem_json(p) for p in error.problems]}
    told = {
        "problems": [problem_json(p) for p in program.warnings],
        "type": program.type.value,
        "type_name": wording.type_name(program.type),
        "slow": [translated(reason) for reason in program.plan.slow],
    }
    if unseen := sorted(set(program.fields) & scope.withheld):
        why = msg("You may not see '{field}', so this is not tried on records.", field=unseen[0])
        return {**answer, **told, "outage": translated(why)}
    return {**answer, **told, **_tried(program, scope)}


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return a problem with its range: line and column from 1, in characters; `end` is the column behind it."""
    return {
        "message": translated(problem.message),
        "line": problem.line,
        "column": problem.column,
        "end": problem.column + problem.length,
        "severity": problem.severity.value,
        "suggestion": problem.suggestion,
    }


def _tried(program: Program, scope: Scope) -> dict[str, Any]:
    found = program.evaluate(scope.records)
    errors = {error.row: error for error in found.errors}
    matching = sum(1 for row, value in enumerate(found.values.to_list()) if value is True and row not in errors)
    first = next(iter(found.errors), None)
    return {
        "count": scope.records.height,
        "matching": matching if program.type is FieldType.BOOLEAN else None,
        "failed": len(errors),
        "first_error": translated(first.message) if first else "",
        "inputs": [{"name": f.name, "label": f.label or f.name} for f in _inputs(program, scope)],
        "samples": _samples(found, errors, program, scope),
    }


def _inputs(program: Program, scope: Scope) -> list[Any]:
    return [field for field in scope.schema.fields if field.name in program.fields][:INPUTS]


def _samples(found: Evaluated, errors: dict[int, RowError], program: Program, scope: Scope) -> list[dict[str, Any]]:
    values = found.values.head(COUNT).to_list()
    inputs = _inputs(program, scope)
    rows = scope.examples.rows(named=True)
    return [
        {
            "record": _named(row, scope),
            "inputs": [_cut(row[field.name]) for field in inputs],
            "value": None if number in errors else _cut(values[number]),
            **_error(errors.get(number)),
        }
        for number, row in enumerate(rows)
    ]


def _named(row: dict[str, Any], scope: Scope) -> str:
    """Return what tells a record from the others: its key, or else its first field."""
    names = scope.schema.key or scope.schema.names[:1]
    if scope.withheld.intersection(names):
        return DOTS
    return ", ".join(_cut(row[name]) or "–" for name in names)


def _error(error: RowError | None) -> dict[str, Any]:
    if error is None:
        return {}
    return {"error": translated(error.message), "line": error.line, "column": error.column}


def _cut(value: Any) -> str | None:
    text = shown(value)
    return text if text is None or len(text) <= LONGEST else text[:LONGEST] + "…"
