"""`syncline explain`: why a run did what it did to a record."""

from __future__ import annotations

from collections.abc import Iterator

import click

from rules.trace import DecisionTrace, FieldTrace, RecordTrace, State, Step, ValidationTrace
from webapp.commands.session import as_option, current, json_option, print_json
from webapp.runs import explanation
from webapp.runs import explanation_words as words
from webapp.runs.explanation import Explanation
from webapp.runs.explanation_pairs import Story

_ROWS = 20


@click.command()
@click.argument("run", type=int)
@click.argument("key")
@as_option
@json_option
def explain(run: int, key: str, *, as_json: bool) -> None:
    """Tell why a run did what it did to the record with KEY, also to one that it left alone.

    KEY is the record's key on either side.
    """
    session = current()
    found = explanation.explain(session.house, run, key=key)
    if as_json:
        print_json(found.to_json())
        return
    for line in _story(found):
        click.echo(line)


def _story(it: Explanation) -> Iterator[str]:
    version = f"version {it.run.rule_version}" if it.run.rule_version else "the draft"
    yield f"Record {it.result.left_key or '(without a key)'} in run {it.run.id} of {it.run.rule_name}, {version}"
    yield str(words.deed(it))
    if it.untold is not None:
        yield str(it.untold)
    if it.trace is not None:
        yield from _trace(it.trace)
    yield from _partner(it)
    if it.story is not None:
        yield from _both(it, it.story)
    if it.result.reason is not None:
        yield ""
        yield f"Reason: {it.result.field + ': ' if it.result.field else ''}{it.result.reason}"
    yield from _differences(it)
    yield from ([""] if it.proofs else [])
    for proof in it.proofs:
        yield f"{'ok' if proof.holds else 'NOT SO'} {proof.claim}"


def _trace(trace: RecordTrace) -> Iterator[str]:
    yield ""
    yield "Read"
    for name, value in trace.read.items():
        yield f"  {name} = {_value(value)}"
    yield ""
    yield "In scope" if trace.in_scope else "Not in scope" if trace.where_error is None else "The condition failed"
    if trace.where is not None:
        yield from _step(trace.where, 1)
    if trace.in_scope:
        for decision in trace.decisions:
            yield from _decision(decision)
        yield from (["", "Validations"] if trace.validations else [])
        for validation in trace.validations:
            yield from _validation(validation)
        yield ""
        yield "Fields"
        for field in trace.fields:
            yield from _field(field)


def _decision(told: DecisionTrace) -> Iterator[str]:
    yield ""
    yield f"Decision {told.label}"
    yield from (f"  {name} = {_value(value)}" for name, value in told.inputs)
    if told.error is not None:
        yield f"  {told.error}"
        return
    yield f"  > {told.reason}"
    yield from (f"  {told.name}.{name} = {_value(value)}" for name, value in told.outputs.items())
    yield from (f"    not row {told.row_names[row.row]}: {row.words}" for row in told.others[:_ROWS])


def _validation(told: ValidationTrace) -> Iterator[str]:
    state = {True: "met", False: "NOT MET", None: "compared in the run" if told.asked else "not asked"}[told.met]
    yield f"  {told.name}: {state}"
    if told.check is not None:
        yield from _step(told.check, 2)


def _field(field: FieldTrace) -> Iterator[str]:
    origin = f"copied from {field.source}" if field.expression is None else field.expression.text
    if field.error is not None:
        yield f"  {field.name}: {field.error}  <- {origin}"
    elif not field.applies:
        yield f"  {field.name}: left alone"
    else:
        yield f"  {field.name} = {_value(field.value)}  <- {origin}"
    if field.when is not None:
        yield "    only if"
        yield from _step(field.when, 3)
    for part in field.expression.steps if field.expression is not None else ():
        yield from _step(part, 2)


def _step(step: Step, depth: int) -> Iterator[str]:
    indent = "  " * depth
    told = {
        State.VALUE: f" = {_value(step.value)}",
        State.ERROR: f": {step.error}" if step.cause is step else " has no value",
        State.SKIPPED: "",
    }[step.state]
    note = f"  ({step.note})" if step.note is not None else ""
    item = f"{_value(step.item)}: " if step.item is not None else ""
    yield f"{indent}{'> ' if step.decides else ''}{item}{step.text}{told}{note}"
    for part in step.steps:
        yield from _step(part, depth + 1)


def _partner(it: Explanation) -> Iterator[str]:
    found, then = words.found(it), words.then(it)
    if found is None:
        return
    yield ""
    yield f"Partner: {found}" + (f" Its key is {it.result.right_key}." if it.result.right_key else "")
    if then is not None:
        yield f"  {then}"


def _both(it: Explanation, story: Story) -> Iterator[str]:
    if story.partner is not None:
        yield ""
        yield "Its partner"
        yield from (f"  {name} = {_value(value)}" for name, value in story.partner.read.items())
    yield from (["", "Field by field"] if story.fields else [])
    for told in story.fields:
        yield f"  {' / '.join(dict.fromkeys(told.fields.values()))}"
        for side, name in it.names.items():
            if side in told.holds:
                gives = f", gives {_value(told.gives[side])}" if side in told.gives else ""
                agreed = f", agreed on {_value(told.base[side])}" if side in told.base else ""
                yield f"    {name}: {_value(told.holds[side])}{gives}{agreed}"
        yield f"    > {told.words(it.names)}"


def _differences(it: Explanation) -> Iterator[str]:
    for was, now, side in (
        (it.result.before, it.result.after, it.sides.target),
        (it.result.own_before, it.result.own_after, it.sides.source),
    ):
        names = list(dict.fromkeys([*was, *now]))
        if names:
            yield ""
            yield f"Changes in {side.connection} {side.object}" if it.result.own_after else "Changes"
        for name in names:
            before = f"{_value(was[name])} -> " if name in was else ""
            yield f"  {name}: {before}{_value(now.get(name))}"


def _value(value: object) -> str:
    return words.shown(value) or "(empty)"
