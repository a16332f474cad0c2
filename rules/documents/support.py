"""What a sync rule may say that this version does not execute yet; a feature that arrives deletes its line here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields

from rules.documents.defaults import actions
from rules.documents.problems import DocumentProblem
from rules.documents.sync import (
    Action,
    DeleteDetect,
    DetectBy,
    Direction,
    FieldDirection,
    Situations,
    SyncRule,
    Transaction,
)
from rules.text import N_, Message, msg

_ACTIONS = {
    "linked_unchanged": {Action.IGNORE},
    "linked_changed": {Action.UPDATE, Action.IGNORE},
    "linked_conflict": {Action.UPDATE, Action.IGNORE},
    "unlinked": {Action.LINK_UPDATE, Action.LINK, Action.IGNORE},
    "unmatched_left": {Action.CREATE, Action.IGNORE},
    "unmatched_right": {Action.CREATE, Action.IGNORE},
    "out_of_scope": {Action.UNLINK, Action.IGNORE, Action.DELETE},
}


def unsupported(rule: SyncRule) -> list[DocumentProblem]:
    """Return one problem for everything the rule asks for that this version does not execute yet."""
    return [problem for check in _CHECKS for problem in check(rule)]


def _not_yet(path: str, message: Message) -> DocumentProblem:
    return DocumentProblem(path, message)


def _detection(rule: SyncRule) -> Iterator[DocumentProblem]:
    for side, detect in (("left", rule.detect.left), ("right", rule.detect.right)):
        if detect.by in (DetectBy.CDC, DetectBy.WEBHOOK):
            text = N_("Finding changes by {by} is not available yet in this version. Use full or cursor.")
            yield _not_yet(f"detect/{side}/by", msg(text, by=detect.by.value))


def _fields(rule: SyncRule) -> Iterator[DocumentProblem]:
    against = {
        Direction.LEFT_TO_RIGHT: FieldDirection.RIGHT_TO_LEFT,
        Direction.RIGHT_TO_LEFT: FieldDirection.LEFT_TO_RIGHT,
    }.get(rule.direction)
    for number, field_map in enumerate(rule.fields):
        if field_map.direction is against:
            text = N_("A field that flows against the rule's direction is not available yet in this version.")
            yield _not_yet(f"fields/{number}/direction", msg(text))


def _situations(rule: SyncRule) -> Iterator[DocumentProblem]:
    if rule.direction is Direction.TWO_WAY:
        return
    for name, action in actions(rule).items():
        explicit = getattr(rule.situations, name) is not None
        if explicit and name in _ACTIONS and action not in _ACTIONS[name]:
            text = N_("'{action}' for {situation} is not available yet in this version.")
            yield _not_yet(f"situations/{name}", msg(text, action=action.value, situation=name))


def _deletes(rule: SyncRule) -> Iterator[DocumentProblem]:
    if rule.deletes.detect not in (DeleteDetect.NONE, DeleteDetect.FULL_SCAN):
        text = N_("Noticing deletions by {how} is not available yet in this version. Use full_scan.")
        yield _not_yet("deletes/detect", msg(text, how=rule.deletes.detect.value))
    if rule.direction is Direction.TWO_WAY:
        return
    source, target = ("deleted_left", "deleted_right")[:: -1 if rule.direction is Direction.RIGHT_TO_LEFT else 1]
    if rule.deletes.detect is DeleteDetect.FULL_SCAN and actions(rule)[source] is Action.CASE:
        text = N_("Say what is done with records that are gone: delete, deactivate, unlink or ignore.")
        yield DocumentProblem(f"situations/{source}", msg(text))
    for name in ("deleted_left", "deleted_right", "edit_vs_delete"):
        known = {None, Action.CASE, Action.IGNORE} | ({Action.RECREATE} if name == target else set())
        if name == source and rule.deletes.detect is DeleteDetect.FULL_SCAN:
            known |= {Action.DELETE, Action.DEACTIVATE, Action.UNLINK}
        if getattr(rule.situations, name) not in known:
            text = N_("Acting on deletions is not available yet in this version. Leave {situation} away.")
            yield _not_yet(f"situations/{name}", msg(text, situation=name))


def _transaction(rule: SyncRule) -> Iterator[DocumentProblem]:
    if rule.transaction is not Transaction.NONE:
        text = N_("'{kind}' is not available yet in this version. Use none.")
        yield _not_yet("transaction", msg(text, kind=rule.transaction.value))


_CHECKS: tuple[Callable[[SyncRule], Iterator[DocumentProblem]], ...] = (
    _detection,
    _fields,
    _situations,
    _deletes,
    _transaction,
)
SITUATIONS = tuple(item.name for item in fields(Situations))
