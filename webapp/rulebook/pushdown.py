"""What keeps the database of both sides from carrying a rule out itself, said at its place before it is published."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from connectors.errors import ConnectorError
from connectors.pushing import Pushing, PushRequest
from rules.documents import DocumentError, DocumentProblem, SyncRule
from rules.documents.flows import flows, object_name
from rules.documents.policies import Execute
from rules.documents.pushdown import NO_DATABASE, unpushed
from rules.formula import PushedRule
from rules.language.library import Library
from rules.mapping import compile_mapping
from rules.mapping.pushed import pushed
from rules.reconcile.agreement import executed
from rules.schema import Schema
from rules.text import Message, msg
from rules.validations import compile_validations
from webapp.connections import services as connections
from webapp.extensions import House


def check_pushdown(
    house: House, rule: SyncRule, schemas: Mapping[str, Schema | None], library: Library, *, ask: bool
) -> Iterator[DocumentProblem]:
    """Yield what has no SQL form, and why the database cannot do it; `ask` it where it may take its time."""
    if rule.execute is not Execute.PUSHDOWN:
        return
    wrong = unpushed(executed(rule))
    yield from wrong
    left, right = schemas["left"], schemas["right"]
    if wrong or left is None or right is None:
        return
    try:
        made = _made(rule, left, right, library)
    except DocumentError as error:
        yield from error.problems
        return
    why = _asked(house, rule, (left, right), made) if ask else None
    if why is not None:
        text = msg("The rule cannot be carried out inside the database: {problem}", problem=why)
        yield DocumentProblem("execute", text)


def _made(rule: SyncRule, left: Schema, right: Schema, library: Library) -> PushedRule:
    flow = flows(rule)[0]
    mapping = compile_mapping(rule, left, right, library)
    source = left if flow.source == "left" else right
    checks = compile_validations(rule.validations, mapping.source, library, object_name(rule, flow.source))
    return pushed(mapping, checks, source, f"{flow.source.value}/where")


def _asked(house: House, rule: SyncRule, schemas: tuple[Schema, Schema], made: PushedRule) -> Message | None:
    """Return why the database cannot carry a rule out; None where it can, or where it cannot be asked."""
    flow = flows(rule)[0]
    reverse = flow.source == "right"
    ends = (rule.right, rule.left) if reverse else (rule.left, rule.right)
    keys = (rule.key.right, rule.key.left) if reverse else (rule.key.left, rule.key.right)
    both = schemas[::-1] if reverse else schemas
    try:
        with contextlib.ExitStack() as stack:
            source, target = (stack.enter_context(connections.open_connector(house, end.connection)) for end in ends)
            if not isinstance(target, Pushing):
                return NO_DATABASE
            mapped = tuple(n for n in both[1].names if n == keys[1] or any(n == field.name for field in made.fields))
            request = PushRequest(
                source, (ends[0].object, ends[1].object), (both[0], both[1].select(mapped)), keys, made
            )
            return target.unable(request)
    except connections.ConnectionProblem:
        return None  # whoever asks for its fields tells of it
    except ConnectorError as error:
        return connections.sentence(error)
