"""What a rule has to say to settle conflicts and deletions, and what its fields have to be for that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rules.documents.defaults import actions
from rules.documents.flows import object_name
from rules.documents.problems import DocumentError, DocumentProblem
from rules.documents.sync import (
    Action,
    ConflictPolicy,
    Direction,
    FieldMap,
    SideName,
    Strength,
    SyncRule,
)
from rules.language.library import EMPTY, Library
from rules.language.problems import Severity
from rules.mapping.policies import written
from rules.mapping.steps import no_field
from rules.reconcile.agreement import executed
from rules.reconcile.merge import MAKES_VALUES, MergeField, merge_fields
from rules.reconcile.resolve import compile_resolvers
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg
from rules.trace import named_fields

Schemas = Mapping[SideName, Schema]
_MOMENTS = frozenset({FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME})
_UNORDERED = frozenset({FieldType.JSON, FieldType.BINARY})
_ORDERING = frozenset({ConflictPolicy.MAX, ConflictPolicy.MIN})
_DEACTIVATED: Mapping[str, tuple[SideName, ...]] = {
    "unmatched_left": (SideName.LEFT,),
    "unmatched_right": (SideName.RIGHT,),
    "deleted_left": (SideName.RIGHT,),
    "deleted_right": (SideName.LEFT,),
    "edit_vs_delete": (SideName.LEFT, SideName.RIGHT),
    "out_of_scope": (SideName.LEFT, SideName.RIGHT),
}
"""The sides whose records a situation may deactivate in a rule that flows both ways."""


def check_two_way(rule: SyncRule, schemas: Schemas, library: Library = EMPTY) -> Iterator[DocumentProblem]:
    """Yield what keeps a rule that is executed both ways from settling what it meets.

    What is not known of the fields is not checked.
    """
    if rule.direction is not Direction.TWO_WAY:
        return
    if rule.situations.linked_unchanged is Action.UPDATE:
        text = N_("A two-way rule writes nothing to pairs that have not changed. Choose ignore.")
        yield DocumentProblem("situations/linked_unchanged", msg(text))
    for item in merge_fields(rule):
        if item.left is not None and item.right is not None:
            yield from _pair(rule, item, schemas)
        elif item.guarded:
            yield from _one_way(rule, item, schemas)
    yield from _newer(rule, schemas)
    if SideName.LEFT in schemas:
        yield from _resolvers(rule, schemas[SideName.LEFT], library)


def _pair(rule: SyncRule, item: MergeField, schemas: Schemas) -> Iterator[DocumentProblem]:
    """Check a field pair that flows both ways."""
    path, pair = f"fields/{item.name}", rule.fields[int(item.name)]
    if item.strength is Strength.STRONG:
        text = N_(
            "A field that flows both ways has no side that is always right. Choose a direction, or another strength."
        )
        yield DocumentProblem(f"{path}/strength", msg(text))
    yield from _one_expression(path, pair)
    yield from _condition(rule, path, pair, schemas)
    yield from _resolve(path, pair, item)
    if pair.reference is not None and pair.conflict in MAKES_VALUES:
        text = N_("The field refers to records, so its values are not compared or joined. Choose who wins.")
        yield DocumentProblem(f"{path}/conflict", msg(text))
    if item.policy in _ORDERING or item.policy is ConflictPolicy.UNION:
        yield from _types(rule, item, schemas)


def _one_way(rule: SyncRule, item: MergeField, schemas: Schemas) -> Iterator[DocumentProblem]:
    """Check a field that flows the way of a rule which flows one way."""
    path, pair = f"fields/{item.name}", rule.fields[int(item.name)]
    if item.policy is ConflictPolicy.EXPRESSION and pair.conflict is not None:
        text = N_("Conflicts are settled by an expression only where a field flows both ways. Choose who wins.")
        yield DocumentProblem(f"{path}/conflict", msg(text))
    if item.policy in _ORDERING or item.policy is ConflictPolicy.UNION:
        yield from _types(rule, item, schemas)


def _one_expression(path: str, pair: FieldMap) -> Iterator[DocumentProblem]:
    if (pair.to_right is None) is not (pair.to_left is None):
        key, field = ("to_left", pair.left) if pair.to_left is None else ("to_right", pair.right)
        text = N_(
            "Values flow to '{field}' as they are, but through an expression the other way. Write {key} too, or choose "
            "a direction."
        )
        yield DocumentProblem(f"{path}/{key}", msg(text, field=field, key=key), severity=Severity.WARNING)


def _condition(rule: SyncRule, path: str, pair: FieldMap, schemas: Schemas) -> Iterator[DocumentProblem]:
    """Say what to do where a condition names fields that only the left object has."""
    if pair.when is None or pair.when_left is not None or len(schemas) < len(SideName):
        return
    for name in sorted(named_fields(pair.when, schemas[SideName.LEFT]) - set(schemas[SideName.RIGHT].names)):
        text = N_(
            "The condition asks for '{field}', which {object} does not have. Say under when_left when values flow left."
        )
        values = {"field": name, "object": object_name(rule, SideName.RIGHT)}
        yield DocumentProblem(f"{path}/when_left", msg(text, **values), severity=Severity.WARNING)


def _resolve(path: str, pair: FieldMap, item: MergeField) -> Iterator[DocumentProblem]:
    if item.policy is ConflictPolicy.EXPRESSION and pair.resolve is None:
        text = N_("Say under resolve which value both sides get, like left > right ? left : right.")
        yield DocumentProblem(f"{path}/resolve", msg(text))
    elif item.policy is not ConflictPolicy.EXPRESSION and pair.resolve is not None:
        text = N_("resolve is asked only with conflict: expression.")
        yield DocumentProblem(f"{path}/resolve", msg(text))


def _types(rule: SyncRule, item: MergeField, schemas: Schemas) -> Iterator[DocumentProblem]:
    """Check that a policy can compare or join the values; where it comes from the default, a person settles instead."""
    own = rule.fields[int(item.name)].conflict is not None
    path, severity = f"fields/{item.name}/conflict", Severity.ERROR if own else Severity.WARNING
    for field in _fields(item, schemas):
        if item.policy is ConflictPolicy.UNION and field.type is not FieldType.JSON:
            text = N_("'{field}' is {type}: only lists in JSON fields can be joined; a person settles its conflicts.")
        elif item.policy in _ORDERING and field.type in _UNORDERED:
            text = N_("'{field}' is {type}, which has no order: choose another way to settle its conflicts.")
        else:
            continue
        yield DocumentProblem(path, msg(text, field=field.name, type=field.type.value), severity=severity)


def _fields(item: MergeField, schemas: Schemas) -> Iterator[Field]:
    for side, name in ((SideName.LEFT, item.left), (SideName.RIGHT, item.right)):
        if side in schemas and name in schemas[side]:
            yield schemas[side][str(name)]


def _newer(rule: SyncRule, schemas: Schemas) -> Iterator[DocumentProblem]:
    """Check that it can be told which record is newer, where that is asked."""
    if not any(_by_age(item) for item in merge_fields(rule)):
        return
    kinds = set()
    for side in SideName:
        name, path = getattr(rule.detect, side.value).field, f"detect/{side.value}/field"
        if name is None:
            text = N_(
                "Conflicts go to the newer record: name the field that says when a record of {object} last changed."
            )
            yield DocumentProblem(path, msg(text, object=object_name(rule, side)))
        elif side in schemas and name in schemas[side]:
            field = schemas[side][name]
            kinds.add(field.type is FieldType.DATETIME)
            if field.type not in _MOMENTS:
                text = N_(
                    "'{field}' is {type}, so it does not say which record is newer. Name a date or time of change."
                )
                yield DocumentProblem(path, msg(text, field=name, type=field.type.value))
    if len(kinds) > 1:
        text = N_("One side tells the time of change with its zone and the other without, so they cannot be compared.")
        yield DocumentProblem("detect", msg(text))


def _by_age(item: MergeField) -> bool:
    both = (item.guarded or (item.left is not None and item.right is not None)) and item.on_update
    return both and item.policy is ConflictPolicy.NEWER and item.strength is not Strength.WEAK


def _resolvers(rule: SyncRule, left: Schema, library: Library) -> Iterator[DocumentProblem]:
    try:
        found = compile_resolvers(rule, left, library)
    except DocumentError as error:
        yield from error.problems
        return
    for resolver in found:
        for problem in resolver.step.program.warnings if resolver.step.program else ():
            yield DocumentProblem.of(resolver.step.entry.expression_path, problem)


def check_deactivation(rule: SyncRule, schemas: Schemas) -> Iterator[DocumentProblem]:
    """Yield what keeps a rule from deactivating records where it says so."""
    wanted = {side for name in _DEACTIVATED for side in _deactivated(executed(rule), name)}
    for side in SideName:
        path, found = f"deletes/deactivate/{side.value}", getattr(rule.deletes.deactivate, side.value)
        if found is None and side in wanted:
            text = N_("Say which field of {object} is set, and to what, when a record is deactivated.")
            yield DocumentProblem(path, msg(text, object=object_name(rule, side)))
        elif found is not None and side in schemas:
            yield from _deactivation(rule, side, schemas[side])


def _deactivated(rule: SyncRule, situation: str) -> tuple[SideName, ...]:
    if actions(rule)[situation] is not Action.DEACTIVATE:
        return ()
    only = {Direction.LEFT_TO_RIGHT: SideName.RIGHT, Direction.RIGHT_TO_LEFT: SideName.LEFT}.get(rule.direction)
    if situation == "out_of_scope" and only is None:
        sides = (SideName.RIGHT if rule.left.where else None, SideName.LEFT if rule.right.where else None)
        return tuple(side for side in sides if side is not None)
    return _DEACTIVATED[situation] if only is None else (only,)


def _deactivation(rule: SyncRule, side: SideName, schema: Schema) -> Iterator[DocumentProblem]:
    """Check that the field is there and takes the value."""
    path, said = f"deletes/deactivate/{side.value}", getattr(rule.deletes.deactivate, side.value)
    if said.field not in schema:
        yield no_field(f"{path}/field", said.field, schema, object_name(rule, side))
        return
    field = schema[said.field]
    if field.generated or field.name == getattr(rule.key, side.value):
        text = N_("'{field}' cannot be set when a record is deactivated: it is the key, or the system fills it in.")
        yield DocumentProblem(f"{path}/field", msg(text, field=field.name))
        return
    made = written(said.value, field)
    if isinstance(made, Message):
        yield DocumentProblem(f"{path}/value", made)
