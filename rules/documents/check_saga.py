"""Check the saga of a sync rule: its steps by themselves, then against the fields of their objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rules.documents.flows import flows
from rules.documents.problems import DocumentProblem, errors
from rules.documents.saga import RECORD
from rules.documents.sync import Direction, SideName, SyncRule, Transaction
from rules.language.library import Library
from rules.language.problems import Severity
from rules.mapping.saga import Schemas, compile_saga
from rules.reconcile.agreement import needs_agreement
from rules.schema import Schema
from rules.text import N_, msg


def check_saga(
    rule: SyncRule, schemas: Mapping[SideName, Schema], library: Library, others: Schemas | None
) -> Iterator[DocumentProblem]:
    """Yield what keeps the steps of a rule from being done; `others` gives the fields of their objects."""
    if rule.transaction is not Transaction.SAGA:
        if rule.saga is not None:
            text = N_("The steps are not done: the rule's transaction is '{kind}'. Choose saga, or remove them.")
            yield DocumentProblem("saga", msg(text, kind=rule.transaction.value), severity=Severity.WARNING)
        return
    if rule.saga is None:
        yield DocumentProblem("transaction", msg("Say what is done behind the write of a record: a saga has steps."))
        return
    found = [*_one_way(rule), *_names(rule)]
    yield from found
    flow = flows(rule)[0]
    if not errors(found) and flow.source in schemas and flow.target in schemas:
        ends = (schemas[flow.source], schemas[flow.target])
        yield from compile_saga(rule, *ends, others or (lambda *_place: None), library)[1]


def _one_way(rule: SyncRule) -> Iterator[DocumentProblem]:
    if rule.direction is Direction.TWO_WAY:
        yield DocumentProblem("transaction", msg("A saga goes one way. Let the values of the rule flow one way."))
    elif needs_agreement(rule):
        text = N_(
            "A saga asks nobody and lets nothing flow back. Choose what opens no cases, and fields that flow one way."
        )
        yield DocumentProblem("transaction", msg(text))
    if rule.split is not None:
        yield DocumentProblem(
            "split", msg("A run whose records go through steps is not split. Remove the slices, or the steps.")
        )


def _names(rule: SyncRule) -> Iterator[DocumentProblem]:
    seen = {RECORD}
    for number, step in enumerate(rule.saga.steps if rule.saga else ()):
        if step.name in seen:
            text = N_("Another step is called '{name}' already; '{record}' is the rule's own record.")
            yield DocumentProblem(f"saga/steps/{number}/name", msg(text, name=step.name, record=RECORD))
        seen.add(step.name)
