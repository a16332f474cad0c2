"""Why something may be seen or done: the words of each role, and which of them decided. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rules.predicate import EVERYTHING, words
from rules.text import N_, Message, msg
from webapp.policies.choosing import meets
from webapp.policies.grants import Grant
from webapp.policies.levels import Access, Level
from webapp.policies.masks import MASK_LABELS
from webapp.policies.objects import ACTION_LABELS, READ, WRITING, PolicyField
from webapp.policies.reasons import Reason

if TYPE_CHECKING:
    from webapp.policies.rights import Rights


@dataclass(frozen=True)
class Question:
    """What is asked: an action, or with a field how much of it is seen, and of which record."""

    action: str
    field: str | None = None
    record: Mapping[str, Any] | None = None


def reasons(question: Question, rights: Rights) -> tuple[Reason, ...]:
    """Return what each role says; those that decided first."""
    if rights.who.system:
        return (Reason("", "", msg("Syncline itself may do everything."), decided=True, allows=True),)
    found = [part for grant in rights.grants for part in _of(question, rights, grant)]
    return tuple(sorted(found, key=lambda reason: not reason.decided))


def _of(question: Question, rights: Rights, grant: Grant) -> list[Reason]:
    parts = [_action(question, rights, grant)]
    if question.field is not None:
        parts.append(_field(question.field, rights, grant))
    parts += _rows(question, rights, grant)
    line, groups = grant.line.on if grant.line else "", rights.who.by_group.get(grant.role, ())
    return [Reason(grant.role, line, says, decided, allows, groups) for says, decided, allows in parts]


Said = tuple[Message, bool, bool]
"""What is said, whether it decides, and whether it speaks for."""


def _action(question: Question, rights: Rights, grant: Grant) -> Said:
    action, may = question.action, rights.may(question.action)
    deed = Message(ACTION_LABELS[action])
    if action in grant.deny:
        return msg("denies to {deed}, whatever other roles permit", deed=deed), True, False
    if action in grant.allow:
        return msg("permits to {deed}", deed=deed), may, True
    none = not any(action in other.allow for other in rights.grants)
    return msg("does not permit to {deed}", deed=deed), none, False


def _field(name: str, rights: Rights, grant: Grant) -> Said:
    field = next((one for one in rights.fields if one.name == name), PolicyField(name))
    level, result = grant.level(field), rights.level(name)
    says = _level_words(name, level)
    if level.denied:
        return says, True, False
    speaks = bool(grant.allow & (WRITING | {READ}))
    decided = (
        not result.denied and speaks and (level.access is result.access or level.access > Access.READ is result.access)
    )
    return says, decided, level.access > Access.HIDE


def _level_words(field: str, level: Level) -> Message:
    if level.denied:
        return msg("denies the field '{field}', whatever other roles show", field=field)
    texts = {
        Access.WRITE: N_("permits to see and change the field '{field}'"),
        Access.READ: N_("permits to see the field '{field}'"),
        Access.HIDE: N_("does not show the field '{field}'"),
    }
    if level.mask is not None:
        return msg("masks the field '{field}': {mask}", field=field, mask=Message(MASK_LABELS[level.mask]))
    return msg(texts[level.access], field=field)


def _rows(question: Question, rights: Rights, grant: Grant) -> list[Said]:
    if grant.line is None:
        return []
    if grant.broken:
        text = N_("has a condition of rows that does not fit {object}, so that no rows are permitted by it")
        return [(msg(text, object=rights.data.name), True, False)]
    types = {field.name: field.type for field in rights.fields}
    said: list[Said] = []
    if grant.line.rows.strip() and question.action in grant.allow:
        text = N_("is for records that meet: {condition} (for this user: {tests})")
        met = question.record is None or meets(grant.rows, question.record, types)
        seen = question.record is None or rights.sees(question.record, question.action)
        decided = rights.may(question.action) and met is seen
        said.append((msg(text, condition=grant.line.rows, tests=words(grant.rows)), decided, met))
    if grant.free != EVERYTHING:
        text = N_("takes away records that meet: {condition}, whatever other roles permit")
        free = question.record is None or meets(grant.free, question.record, types)
        said.append((msg(text, condition=grant.line.deny_rows), not free, free))
    return said
