"""Check the decision tables and validations of a sync rule, each against the fields of the side that it is asked of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from rules.decisions.asking import compile_decisions
from rules.documents.decision import Decision
from rules.documents.flows import flows, object_name, seen_from
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.sync import SideName, SyncRule
from rules.documents.validation import Validation
from rules.language.library import Library
from rules.reconcile.agreement import executed
from rules.schema import Schema
from rules.text import N_, msg
from rules.validations import checks

Schemas = Mapping[SideName, Schema]


def check_asked(rule: SyncRule) -> Iterator[DocumentProblem]:
    """Yield decisions about records that the rule never maps."""
    sides = {flow.source.value for flow in flows(executed(rule))}
    for number, decision in enumerate(rule.decisions):
        if decision.side is not None and decision.side not in sides:
            text = N_("The rule takes no values from records of {object}, so it asks nothing about them.")
            yield DocumentProblem(
                f"decisions/{number}/side", msg(text, object=object_name(rule, SideName(decision.side)))
            )


def check_decisions(
    rule: SyncRule, schemas: Schemas, library: Library
) -> tuple[dict[SideName, Schema], list[DocumentProblem]]:
    """Return the schemas with the outputs of decision tables, and what is wrong with how these are asked."""
    found, problems = dict(schemas), list[DocumentProblem]()
    for side in _sources(rule):
        mine = seen_from(rule, side).decisions
        if side in schemas and mine:
            made, wrong = _compiled(mine, schemas[side], library, object_name(rule, side))
            found[side] = found[side] if made is None else made
            problems += renumbered(wrong, "decisions", _numbers(rule.decisions, mine))
    return found, problems


def _compiled(
    decisions: Sequence[Decision], schema: Schema, library: Library, name: str
) -> tuple[Schema | None, list[DocumentProblem]]:
    try:
        questions, made = compile_decisions(decisions, schema, library, name)
    except DocumentError as error:
        return None, list(error.problems)
    warnings = [
        DocumentProblem.of(f"decisions/{number}/inputs/{name}", problem)
        for number, question in enumerate(questions)
        for name, program in question.inputs
        for problem in program.warnings
    ]
    return made, warnings


def check_validated(
    rule: SyncRule, schemas: Schemas, library: Library, others: checks.Others | None
) -> Iterator[DocumentProblem]:
    """Yield what keeps the validations from being asked."""
    for side in _sources(rule):
        mine = seen_from(rule, side).validations
        if side in schemas and mine:
            name = object_name(rule, side)
            found = checks.check_validations(mine, schemas[side], name, library=library, others=others)
            yield from renumbered(found, "validations", _numbers(rule.validations, mine))


def _sources(rule: SyncRule) -> tuple[SideName, ...]:
    return tuple(flow.source for flow in flows(rule))


def _numbers(
    listed: Sequence[Decision] | Sequence[Validation], some: Sequence[Decision] | Sequence[Validation]
) -> tuple[int, ...]:
    """Return the places in the document of those entries that are about one side."""
    return tuple(number for number, one in enumerate(listed) if any(one is other for other in some))


def renumbered(problems: Iterable[DocumentProblem], word: str, numbers: Sequence[int]) -> Iterator[DocumentProblem]:
    """Yield problems with the places that some of a list's entries have in the whole list."""
    for problem in problems:
        head, number, *rest = problem.path.split("/")
        known = head == word and number.isdigit()
        place = "/".join((head, str(numbers[int(number)]) if known else number, *rest))
        yield replace(problem, path=place)
