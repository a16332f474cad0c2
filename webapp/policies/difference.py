"""What a change of a policy comes to, in words: shown before it is saved. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rules.text import N_, Message, msg
from webapp.policies import matrix
from webapp.policies.documents import Line, Policy
from webapp.policies.grants import Rooms
from webapp.policies.levels import Access, Level
from webapp.policies.masks import MASK_LABELS
from webapp.policies.objects import ACTION_LABELS, ACTIONS

STATES: dict[str, str] = {matrix.ALLOW: N_("allowed"), matrix.DENY: N_("denied"), matrix.SILENT: N_("not said")}
_ACCESS: dict[Access, str] = {
    Access.WRITE: N_("seen and changed"),
    Access.READ: N_("seen"),
    Access.HIDE: N_("not shown"),
}
PERSONAL_LABELS: dict[str, str] = {
    "read": N_("shown as other fields are"),
    "mask": N_("shown as dots"),
    "hide": N_("not shown"),
}
_NOTHING = N_("not named")


@dataclass(frozen=True)
class Change:
    """One difference; `on` is empty where it is about the whole policy."""

    on: str
    what: Message
    before: Message
    after: Message


def level_words(level: Level | None) -> Message:
    """Return how much of a field is seen, in words."""
    if level is None:
        return Message(_NOTHING)
    if level.denied:
        return msg("denied, whatever other roles show")
    return Message(MASK_LABELS[level.mask]) if level.mask else Message(_ACCESS[level.access])


def changes(before: Policy, after: Policy, areas: Rooms) -> list[Change]:
    """Return every difference between two policies of a role, by data object."""
    found = list(_personal(before, after))
    names = dict.fromkeys([line.on for line in before.data] + [line.on for line in after.data])
    for on in names:
        found += _of(on, before, after, areas)
    return found


def _personal(before: Policy, after: Policy) -> Iterator[Change]:
    if before.personal != after.personal:
        yield Change("", msg("Personal data"), _personal_words(before), _personal_words(after))


def _personal_words(policy: Policy) -> Message:
    return Message(PERSONAL_LABELS[personal_word(policy)])


def personal_word(policy: Policy) -> str:
    """Return how a policy writes what is seen of personal fields."""
    return {Access.WRITE: "read", Access.MASK: "mask", Access.HIDE: "hide"}[policy.personal.access]


def _of(on: str, before: Policy, after: Policy, areas: Rooms) -> Iterator[Change]:
    old, new = matrix.counting(before, on), matrix.counting(after, on)
    yield from _line(on, before, after)
    one, other = matrix.states(old, areas, on), matrix.states(new, areas, on)
    for action in ACTIONS:
        if one[action] != other[action]:
            what = Message(ACTION_LABELS[action])
            yield Change(on, what, Message(STATES[one[action]]), Message(STATES[other[action]]))
    yield from _follows(on, old, new)
    yield from _fields(on, old or Line(on), new or Line(on))
    yield from _rows(on, old or Line(on), new or Line(on))


def _line(on: str, before: Policy, after: Policy) -> Iterator[Change]:
    had, has = (any(line.on == on for line in policy.data) for policy in (before, after))
    if had != has:
        yield Change(on, msg("A line of its own"), _yes(had), _yes(has))


def _yes(truth: bool) -> Message:
    return msg("yes") if truth else msg("no")


def _follows(on: str, old: Line | None, new: Line | None) -> Iterator[Change]:
    had, has = (line is None or line.allow is None for line in (old, new))
    if had != has:
        words = {True: msg("what the areas of the role permit"), False: msg("what is allowed here")}
        yield Change(on, msg("What counts"), words[had], words[has])


def _fields(on: str, old: Line, new: Line) -> Iterator[Change]:
    for name in dict.fromkeys([*old.fields, *new.fields]):
        one, other = old.fields.get(name), new.fields.get(name)
        if one != other:
            yield Change(on, msg("Field {name}", name=name), level_words(one), level_words(other))
    if old.other_fields != new.other_fields:
        yield Change(on, msg("Other fields"), level_words(old.other_fields), level_words(new.other_fields))


def _rows(on: str, old: Line, new: Line) -> Iterator[Change]:
    for key, what in (("rows", N_("Only records for which")), ("deny_rows", N_("Never records for which"))):
        one, other = getattr(old, key).strip(), getattr(new, key).strip()
        if one != other:
            yield Change(on, Message(what), _condition(one), _condition(other))


def _condition(text: str) -> Message:
    return Message(text) if text else msg("no condition")
