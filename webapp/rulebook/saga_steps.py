"""What keeps the steps of a saga from being done, or from being taken back, by what their connections can do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from connectors.spi import Capabilities
from rules.documents import DocumentProblem, SyncRule
from rules.documents.saga import CreatedBack, SagaStep
from rules.documents.sync import Transaction
from rules.text import N_, Message, msg

if TYPE_CHECKING:
    from webapp.rulebook.checking import Seen

Place = tuple[str, str]


def places_of(rule: SyncRule) -> set[Place]:
    """Return connection and object of each step of a rule."""
    return {(step.connection, step.object) for _, step in _steps(rule)}


def check_steps(rule: SyncRule, seen: Mapping[Place, Seen]) -> Iterator[DocumentProblem]:
    """Yield why a step cannot be done or taken back; `seen` is what is known of the objects."""
    for number, step in _steps(rule):
        known, path = seen[step.connection, step.object], f"saga/steps/{number}"
        if known.problem is not None:
            yield DocumentProblem(f"{path}/{known.at}", known.problem)
        problem = None if known.abilities is None else _unable(step, known.abilities, writable=known.writable)
        if problem is not None:
            yield DocumentProblem(f"{path}/connection", problem)


def _steps(rule: SyncRule) -> Iterator[tuple[int, SagaStep]]:
    if rule.transaction is Transaction.SAGA and rule.saga is not None:
        yield from enumerate(rule.saga.steps)


def _unable(step: SagaStep, able: Capabilities, *, writable: bool) -> Message | None:
    place = {"object": step.object, "name": step.connection}
    if able.messages or not able.lookup:
        text = N_("Nothing can be looked up in '{name}', so a step there can neither be repeated nor taken back.")
        return msg(text, name=step.connection)
    if not (writable and able.create and able.update):
        text = N_("Records of '{object}' of the connection '{name}' cannot be created and updated.")
        return msg(text, **place)
    if step.compensate.created is CreatedBack.DELETE and not able.delete:
        text = N_("Records of the connection '{name}' cannot be deleted. Choose another way to take the step back.")
        return msg(text, **place)
    return None
