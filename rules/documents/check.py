"""Check a sync rule against the fields of its two objects, so that a mistake is found before a run finds it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rules.documents.check_asked import check_asked, check_decisions, check_validated
from rules.documents.check_correlation import check_correlation
from rules.documents.check_deletes import check_deletes
from rules.documents.check_outbox import check_outbox
from rules.documents.check_saga import check_saga
from rules.documents.check_two_way import check_deactivation, check_two_way
from rules.documents.defaults import actions
from rules.documents.flows import Flow, connections, flows, object_name
from rules.documents.problems import DocumentProblem, errors
from rules.documents.support import unsupported
from rules.documents.sync import Action, Detect, DetectBy, On, SideName, SyncRule
from rules.language.library import EMPTY, Library
from rules.language.problems import Severity
from rules.mapping.steps import Step, Surroundings, build_step, condition, no_field
from rules.reconcile.agreement import executed
from rules.schema import Field, FieldType, Schema
from rules.text import N_, Message, msg
from rules.validations import checks

Schemas = dict[SideName, Schema]
_ORDERED = frozenset(FieldType) - {FieldType.BOOLEAN, FieldType.JSON, FieldType.BINARY}
_TIMED = frozenset({FieldType.DATE, FieldType.DATETIME, FieldType.LOCAL_DATETIME})


def check_sync(
    rule: SyncRule,
    left: Schema | None,
    right: Schema | None,
    *,
    library: Library = EMPTY,
    others: checks.Others | None = None,
) -> list[DocumentProblem]:
    """Return what keeps the rule from running, and what to look at (warnings).

    A side whose fields are not known (None) is not checked; what needs both sides is checked only if both are known.
    `others` gives the fields of the objects that validations refer to and steps write, as far as they are known.
    """
    schemas = {side: schema for side, schema in ((SideName.LEFT, left), (SideName.RIGHT, right)) if schema is not None}
    found = [*unsupported(rule), *check_asked(rule), *check_saga(rule, schemas, library, others), *check_outbox(rule)]
    rule = executed(rule)
    found += [*check_two_way(rule, schemas, library), *check_deactivation(rule, schemas)]
    found += check_deletes(rule, schemas, library)
    for side in schemas:
        found += [*_key(rule, side, schemas), *_detect(rule, side, schemas), *_where(rule, side, schemas, library)]
    found += check_correlation(rule, schemas)
    decided, wrong = check_decisions(rule, schemas, library)
    found += wrong
    wrong = list(errors(wrong))
    found += [] if wrong else check_validated(rule, decided, library, others)
    for flow in flows(rule):
        found += _doubled(flow)
        if flow.source in schemas and flow.target in schemas:
            found += [] if wrong else _mapping(rule, flow, (decided[flow.source], schemas[flow.target]), library)
            found += _target(rule, flow, schemas)
    return found


def _warning(path: str, message: Message) -> DocumentProblem:
    return DocumentProblem(path, message, severity=Severity.WARNING)


def _named(rule: SyncRule, side: SideName, path: str, name: str, schemas: Schemas) -> Iterator[DocumentProblem]:
    if side in schemas and name not in schemas[side]:
        yield no_field(path, name, schemas[side], object_name(rule, side))


def _key(rule: SyncRule, side: SideName, schemas: Schemas) -> Iterator[DocumentProblem]:
    name, path = getattr(rule.key, side.value), f"key/{side.value}"
    yield from _named(rule, side, path, name, schemas)
    source = any(flow.source is side for flow in flows(rule))
    if source and name in schemas[side] and schemas[side][name].nullable and name not in schemas[side].key:
        text = N_("The key field '{field}' may be empty; records without it are parked.")
        yield _warning(path, msg(text, field=name))


def _detect(rule: SyncRule, side: SideName, schemas: Schemas) -> Iterator[DocumentProblem]:
    detect: Detect = getattr(rule.detect, side.value)
    path = f"detect/{side.value}"
    if detect.by is not DetectBy.CURSOR or detect.field is None:
        return
    yield from _named(rule, side, f"{path}/field", detect.field, schemas)
    if detect.tie is not None:
        yield from _named(rule, side, f"{path}/tie", detect.tie, schemas)
    if detect.field in schemas[side]:
        yield from _cursor(f"{path}/field", schemas[side][detect.field])


def _cursor(path: str, field: Field) -> Iterator[DocumentProblem]:
    if field.type not in _ORDERED:
        text = N_("'{field}' is {type}, which has no order. Choose a field that grows with every change.")
        yield DocumentProblem(path, msg(text, field=field.name, type=field.type.value))
    elif field.type not in _TIMED:
        text = N_("'{field}' is {type}, so the overlap has no effect.")
        yield _warning(path, msg(text, field=field.name, type=field.type.value))


def _where(rule: SyncRule, side: SideName, schemas: Schemas, library: Library) -> list[DocumentProblem]:
    text = (rule.left if side is SideName.LEFT else rule.right).where
    if text is None:
        return []
    name = object_name(rule, side)
    made = condition(f"{side.value}/where", text, Surroundings(schemas[side], schemas[side], (name, name), library))
    if isinstance(made, list):
        return made
    return [DocumentProblem.of(f"{side.value}/where", problem) for problem in made.warnings]


def _doubled(flow: Flow) -> Iterator[DocumentProblem]:
    counts = Counter(entry.target for entry in flow.entries)
    seen: set[str] = set()
    for entry in flow.entries:
        if counts[entry.target] > 1 and entry.target in seen:
            yield DocumentProblem(entry.path, msg("'{field}' gets its value here and further up.", field=entry.target))
        seen.add(entry.target)


def _mapping(rule: SyncRule, flow: Flow, fields: tuple[Schema, Schema], library: Library) -> Iterator[DocumentProblem]:
    names = (object_name(rule, flow.source), object_name(rule, flow.target))
    for entry in flow.entries:
        made = build_step(entry, Surroundings(*fields, names, library, connections(rule, flow)))
        if isinstance(made, list):
            yield from made
        else:
            yield from _step(made)


def _step(step: Step) -> Iterator[DocumentProblem]:
    entry, name = step.entry, step.target.name
    if step.target.generated:
        text = N_("'{field}' is filled in by the system itself and cannot be written.")
        yield DocumentProblem(entry.path, msg(text, field=name))
    for program, place in ((step.program, entry.expression_path), (step.when, entry.when_path)):
        for problem in program.warnings if program else ():
            yield DocumentProblem.of(place, problem)


def _target(rule: SyncRule, flow: Flow, schemas: Schemas) -> Iterator[DocumentProblem]:
    """Check what creating a record needs."""
    create = actions(rule)[f"unmatched_{flow.source.value}"] is Action.CREATE
    if not create:
        return
    always = {entry.target for entry in flow.entries if On.CREATE in entry.on and entry.when is None}
    sometimes = {entry.target for entry in flow.entries if On.CREATE in entry.on} - always
    for field in schemas[flow.target].fields:
        required = not field.nullable and not field.has_default and not field.generated
        if required and field.name in sometimes:
            text = N_("'{field}' must not be empty, but is set only when a condition holds.")
            yield _warning("fields", msg(text, field=field.name))
        elif required and field.name not in always:
            text = N_("'{field}' of {object} must not be empty, but no field pair fills it when a record is created.")
            yield DocumentProblem("fields", msg(text, field=field.name, object=object_name(rule, flow.target)))
    yield from _target_key(rule, flow, schemas[flow.target], always | sometimes)


def _target_key(rule: SyncRule, flow: Flow, schema: Schema, filled: set[str]) -> Iterator[DocumentProblem]:
    name = getattr(rule.key, flow.target.value)
    known = name in schema and not schema[name].generated and not schema[name].has_default
    if known and schema[name].nullable and name not in filled:
        text = N_("No field pair fills the key field '{field}', so a created record may end up without it.")
        yield _warning(f"key/{flow.target.value}", msg(text, field=name))
