"""Check how a sync rule notices deletions by records that say themselves that they are deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rules.documents.flows import object_name
from rules.documents.problems import DocumentProblem
from rules.documents.sync import Action, DeleteDetect, SideName, SyncRule
from rules.language.library import Library
from rules.language.problems import Severity
from rules.mapping.steps import Surroundings, condition
from rules.reconcile.agreement import flows_away_from
from rules.reconcile.tombstones import Tombstone, tombstones
from rules.schema import Schema
from rules.text import N_, msg


def check_deletes(rule: SyncRule, schemas: Mapping[SideName, Schema], library: Library) -> Iterator[DocumentProblem]:
    """Yield what is wrong with the conditions that tell deleted records, and with what is done about these."""
    said = rule.deletes
    if said.detect is not DeleteDetect.TOMBSTONE:
        for name in ("when", "when_right"):
            if getattr(said, name) is not None:
                text = N_("The condition is asked only where deletions are noticed by tombstone.")
                yield DocumentProblem(f"deletes/{name}", msg(text), severity=Severity.WARNING)
        return
    if flows_away_from(rule) is not None and said.when_right is not None:
        text = N_("A rule that flows one way asks its source only. Write the condition for its source into 'when'.")
        yield DocumentProblem("deletes/when_right", msg(text))
    marks = tombstones(rule)
    if not marks:
        text = N_("Say which records are deleted, for example: deleted_at != null")
        yield DocumentProblem("deletes/when", msg(text))
    for side, mark in marks.items():
        yield from _kept(rule, side)
        if side in schemas:
            yield from _condition(rule, side, mark, schemas[side], library)


def _condition(
    rule: SyncRule, side: SideName, mark: Tombstone, schema: Schema, library: Library
) -> Iterator[DocumentProblem]:
    name = object_name(rule, side)
    made = condition(mark.path, mark.text, Surroundings(schema, schema, (name, name), library))
    if isinstance(made, list):
        yield from made
    else:
        yield from (DocumentProblem.of(mark.path, problem) for problem in made.warnings)


def _kept(rule: SyncRule, side: SideName) -> Iterator[DocumentProblem]:
    """Yield that a record which is still there, only marked, cannot be created again."""
    for name in (f"deleted_{side.value}", "edit_vs_delete"):
        if getattr(rule.situations, name) is Action.RECREATE:
            text = N_(
                "A record of {object} that is marked as deleted is still there, so it cannot be created again. Choose"
                " another action."
            )
            yield DocumentProblem(f"situations/{name}", msg(text, object=object_name(rule, side)))
