"""What a sync rule may say that this version does not execute yet; a feature that arrives deletes its line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

from rules.documents.problems import DocumentProblem
from rules.documents.sync import (
    Action,
    DetectBy,
    Direction,
    Situations,
    SyncRule,
)
from rules.text import N_, Message, msg


def unsupported(rule: SyncRule) -> list[DocumentProblem]:
    """Return one problem for everything the rule asks for that this version does not execute yet."""
    return [problem for check in _CHECKS for problem in check(rule)]


def _not_yet(path: str, message: Message) -> DocumentProblem:
    return DocumentProblem(path, message)


def _detection(rule: SyncRule) -> Iterator[DocumentProblem]:
    for side, detect in (("left", rule.detect.left), ("right", rule.detect.right)):
        if detect.by is DetectBy.WEBHOOK:
            text = N_("Finding changes by {by} is not available yet in this version. Use full, cursor or cdc.")
            yield _not_yet(f"detect/{side}/by", msg(text, by=detect.by.value))


def _situations(rule: SyncRule) -> Iterator[DocumentProblem]:
    if rule.direction is not Direction.TWO_WAY and rule.situations.linked_unchanged is Action.UPDATE:
        text = N_("'{action}' for {situation} is not available yet in this version.")
        values = {"action": Action.UPDATE.value, "situation": "linked_unchanged"}
        yield _not_yet("situations/linked_unchanged", msg(text, **values))


_CHECKS: tuple[Callable[[SyncRule], Iterator[DocumentProblem]], ...] = (
    _detection,
    _situations,
)
SITUATIONS = tuple(item.name for item in fields(Situations))
