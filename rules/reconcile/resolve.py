"""Conflicts that an expression of the rule settles: `resolve`, over the values of both sides and what they agreed on.

`left` is what the left field holds, `right` what the right record gives to it, `base` what it gave at the last
agreement; all three, and the result, have the left field's type.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl

from rules.documents.flows import Entry, object_name
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.sync import ConflictPolicy, On, SideName, Strength, SyncRule
from rules.language.library import EMPTY, Library
from rules.mapping.results import FieldError
from rules.mapping.steps import Step, Surroundings, build_step
from rules.reconcile.merge import Merged, MergeField, Pairs, merge, merge_fields
from rules.reconcile.policies import VALUE
from rules.schema import Field, Schema

Gives = Callable[[pl.DataFrame], tuple[pl.DataFrame, Sequence[FieldError]]]
"""What left records give to the right side, a column a field pair, by its number; and what has no value there."""


@dataclass(frozen=True)
class Resolver:
    """How the conflicts of one field pair are settled."""

    name: str
    step: Step


def compile_resolvers(rule: SyncRule, left: Schema, library: Library = EMPTY) -> tuple[Resolver, ...]:
    """Return what settles conflicts by expression; raises `DocumentError` with every mistake."""
    made = {item.name: _compiled(rule, item, left, library) for item in merge_fields(rule) if _resolves(item)}
    problems = [problem for found in made.values() if isinstance(found, list) for problem in found]
    if problems:
        raise DocumentError(problems)
    return tuple(Resolver(name, step) for name, step in made.items() if isinstance(step, Step))


def _resolves(item: MergeField) -> bool:
    return item.policy is ConflictPolicy.EXPRESSION and item.left is not None and item.right is not None


def _compiled(rule: SyncRule, item: MergeField, left: Schema, library: Library) -> Step | list[DocumentProblem]:
    path, text, name = f"fields/{item.name}", rule.fields[int(item.name)].resolve, str(item.left)
    if text is None or name not in left:
        return []
    field = left[name]
    known = Schema(tuple(Field(word, field.type, scale=field.scale) for word in ("left", "right", "base")))
    entry = Entry(path, name, None, text, f"{path}/resolve", None, (On.UPDATE,), Strength.NORMAL)
    return build_step(entry, Surroundings(known, left, ("resolve", object_name(rule, SideName.LEFT)), library))


def merge_resolved(pairs: Pairs, fields: Sequence[MergeField], resolvers: Sequence[Resolver], gives: Gives) -> Merged:
    """Return the merge of the pairs, their conflicts settled by expression where the rule has one."""
    merged = merge(pairs, fields)
    found = resolved(pairs, fields, resolvers, merged.conflicts, gives)
    return merge(replace(pairs, resolved=found), fields) if found else merged


def resolved(
    pairs: Pairs, fields: Sequence[MergeField], resolvers: Sequence[Resolver], conflicts: pl.DataFrame, gives: Gives
) -> Mapping[str, pl.DataFrame]:
    """Return by name of the field pair what its expression says about the open conflicts.

    A pair for which the expression has no value, or none that the right field can hold, is left to a person.
    """
    by_name = {item.name: item for item in fields}
    found = {}
    for resolver in resolvers:
        rows = conflicts[resolver.name].arg_true()
        if len(rows):
            found[resolver.name] = _answers(pairs, by_name[resolver.name], resolver, rows, gives)
    return found


def _answers(pairs: Pairs, item: MergeField, resolver: Resolver, rows: pl.Series, gives: Gives) -> pl.DataFrame:
    records, name = pairs.left[rows], str(item.left)
    asked = pl.DataFrame(
        {
            "left": records[name],
            "right": pairs.to_left[item.name][rows],
            "base": pairs.base[f"r:{item.name}"][rows].cast(records[name].dtype, strict=False),
        }
    )
    values, failed = resolver.step.values(asked)
    given, errors = gives(records.with_columns(values.alias(name)))
    wrong = {*failed, *(error.row for error in errors if error.field == item.right)}
    take = pl.Series([None if row in wrong else VALUE for row in range(len(rows))], dtype=pl.String)
    answers = pl.DataFrame({"row": rows, "take": take, "to_right": given[item.name], "to_left": values})
    every = pairs.known.to_frame("known").with_row_index("row").select("row")
    return every.join(answers, on="row", how="left", maintain_order="left").drop("row")
