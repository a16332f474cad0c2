"""With whose rights a rule works: those of its owner, checked when it is published and by each run.

A rule without an owner is the installation's: it was made at the command line, by who has the machine. Who sees only
some records of an object owns no rule over it, as those that are not seen would look deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError, parse_sync
from rules.documents.defaults import actions
from rules.documents.flows import flows
from rules.documents.saga import CreatedBack
from rules.documents.sync import Action, SideName, SyncRule
from rules.predicate import EVERYTHING
from rules.text import N_, Message, msg
from webapp.access import models as access
from webapp.access import users
from webapp.access.errors import Refused
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections.permitted import data_object
from webapp.extensions import Actor, House
from webapp.policies.errors import NotPermitted
from webapp.policies.hooks import known_fields
from webapp.policies.levels import Access
from webapp.policies.objects import ACTION_LABELS, CREATE, DELETE, READ, UPDATE
from webapp.policies.rights import Rights
from webapp.policies.services import rights_of
from webapp.policies.who import NOBODY, Who, who_of
from webapp.rulebook import heard, mentions
from webapp.rulebook.errors import RulebookError
from webapp.rulebook.kinds import SYNC
from webapp.rulebook.library import Pins
from webapp.rulebook.models import rule
from webapp.rulebook.reading import find, get

GONE = ""
"""The owner of a rule whose owner has been deleted."""
_UNHEARD_OF = "\0"
_CREATING = {Action.CREATE, Action.RECREATE}
_DELETING = {Action.DELETE}
Document = Mapping[str, Any]


class NotOwned(RulebookError):
    """The rule would do more than whoever owns or publishes it may."""


@dataclass(frozen=True)
class _Side:
    """What a rule does with the object of one side."""

    rights: Rights
    fields_read: frozenset[str]
    fields_written: frozenset[str]
    deeds: tuple[str, ...]


def first_owner(tx: sa.Connection, actor: Actor) -> str | None:
    """Return who owns a rule that the actor makes; None where no user does."""
    own = users.own_id(tx, actor)
    found: str | None = tx.scalar(sa.select(access.user.c.username).where(access.user.c.id == (own or 0)))
    return found


def refusal(
    tx: sa.Connection, name: str, document: Document, owner: str | None, uses: Pins | None = None
) -> Message | None:
    """Say why a rule cannot do with its owner's rights what a document states, None where it can.

    Args:
        tx: The database.
        name: The rule.
        document: What it states.
        owner: Who owns it.
        uses: The versions of tables that a run has pinned; those that are published now if left out.
    """
    if owner is None:
        return None
    if owner == GONE:
        text = N_("The owner of the rule '{name}' has been deleted. Choose another owner on the rule's page.")
        return msg(text, name=name)
    who = _who(tx, owner)
    if who == NOBODY:
        text = N_("{owner}, who owns the rule '{name}', is disabled. Choose another owner on the rule's page.")
        return msg(text, owner=owner, name=name)
    lacking = lacks(tx, who, document, uses)
    if lacking is None:
        return None
    text = N_("{owner} owns the rule '{name}', but {problem} Choose another owner, or let an administrator permit it.")
    return msg(text, owner=owner, name=name, problem=lacking)


def writes(
    tx: sa.Connection, name: str, place: tuple[str, str], deed: str, fields: Iterable[str], by: Iterable[str] = ()
) -> Message | None:
    """Say why a rule cannot write a record with its owner's rights, None where it can.

    Args:
        tx: The database.
        name: The rule.
        place: Connection and object.
        deed: To create or to update.
        fields: The fields that it sets.
        by: The fields by which it finds the record.
    """
    row = find(tx, name)
    if row is None or row.owner is None:
        return None
    if (problem := refusal(tx, name, {"kind": ""}, row.owner)) is not None:
        return problem
    who, data = _who(tx, row.owner), data_object(*place)
    rights = rights_of(tx, who, data, known_fields(tx, data) or ())
    lacking = _problem(_Side(rights, frozenset(by), frozenset(fields), (deed,)), who)
    text = N_("{owner} owns the rule '{name}', but {problem} Choose another owner, or let an administrator permit it.")
    return None if lacking is None else msg(text, owner=row.owner, name=name, problem=lacking)


def require(tx: sa.Connection, name: str, document: Document, actor: Actor, owner: str | None) -> None:
    """Raise `NotOwned` where the owner may not do what a document states, or who publishes it may not."""
    problem = refusal(tx, name, document, owner)
    own = users.own_id(tx, actor)
    if problem is None and own is not None and first_owner(tx, actor) not in (None, owner):
        lacking = lacks(tx, who_of(tx, own), document)
        text = N_("The rule '{name}' would do for you what you may not do yourself: {problem}")
        problem = None if lacking is None else msg(text, name=name, problem=lacking)
    if problem is not None:
        raise NotOwned(problem)


def lacks(tx: sa.Connection, who: Who, document: Document, uses: Pins | None = None) -> Message | None:
    """Say what a user may not do of what a rule states, None where all of it is permitted."""
    if document.get("kind", SYNC) != SYNC:
        return heard.lacks(tx, who, document)
    try:
        parsed = parse_sync(document)
    except DocumentError:
        return None  # nobody executes it, and the check of the document says why
    problems = (_problem(side, who) for side in _sides(tx, who, parsed, mentions.words(tx, document, uses)))
    return next((problem for problem in problems if problem is not None), None)


def _who(tx: sa.Connection, username: str) -> Who:
    user_id = tx.scalar(sa.select(access.user.c.id).where(access.user.c.username == username))
    return NOBODY if user_id is None else who_of(tx, user_id)


def _problem(side: _Side, who: Who) -> Message | None:
    rights, name = side.rights, side.rights.data.text
    for deed in side.deeds:
        if not rights.may(deed):
            text = N_("{who} may not {deed} of {object}.")
            return msg(text, who=who.username, deed=Message(ACTION_LABELS[deed]), object=name)
        if rights.rows(deed) != EVERYTHING:
            text = N_("{who} may {deed} of {object} only for some of them; the others would look deleted.")
            return msg(text, who=who.username, deed=Message(ACTION_LABELS[deed]), object=name)
    for fields, least, text in (
        (side.fields_read, Access.READ, N_("{who} may not see the field '{field}' of {object}, which the rule reads.")),
        (side.fields_written, Access.WRITE, N_("{who} may not change the field '{field}' of {object}.")),
    ):
        for field in sorted(fields):
            if rights.access(field) < least:
                return msg(text, who=who.username, field=field, object=name)
    return None


def _sides(tx: sa.Connection, who: Who, parsed: SyncRule, words: frozenset[str]) -> Iterator[_Side]:
    chosen = set(actions(parsed).values())
    writing = [(CREATE, chosen & _CREATING), (UPDATE, True), (DELETE, chosen & _DELETING)]
    for side in SideName:
        end = parsed.left if side is SideName.LEFT else parsed.right
        data = data_object(end.connection, end.object)
        rights = rights_of(tx, who, data, known_fields(tx, data) or ())
        written = {entry.target for flow in flows(parsed) if flow.target is side for entry in flow.entries}
        targets = any(flow.target is side for flow in flows(parsed))
        written |= {one.field for one in parsed.saga.compensate.fields} if parsed.saga and targets else set()
        deeds = (READ, *(deed for deed, wanted in writing if targets and (wanted or deed in _taking_back(parsed))))
        named = {getattr(pair, side.value) for pair in parsed.fields} | {getattr(parsed.key, side.value)}
        matched = {getattr(match, side.value) for tier in parsed.correlate for match in tier.match}
        read = {name for name in {*named, *matched} if name} | _in_words(rights, words)
        yield _Side(rights, frozenset(read), frozenset(written - {getattr(parsed.key, side.value)}), deeds)
    for asked in (validation.reference for validation in parsed.validations):
        if asked is not None:
            data = data_object(asked.connection, asked.object)
            rights = rights_of(tx, who, data, known_fields(tx, data) or ())
            yield _Side(rights, frozenset({asked.key}), frozenset(), (READ,))
    for step in parsed.saga.steps if parsed.saga else ():
        data = data_object(step.connection, step.object)
        rights = rights_of(tx, who, data, known_fields(tx, data) or ())
        fields = {one.field for one in (*step.fields, *step.compensate.fields)}
        deeds = (READ, CREATE, UPDATE, *((DELETE,) if step.compensate.created is CreatedBack.DELETE else ()))
        yield _Side(rights, frozenset({step.match, *fields}), frozenset(fields), deeds)


def _taking_back(parsed: SyncRule) -> tuple[str, ...]:
    """Return what a saga does besides to the rule's own records, where it takes them back."""
    return (DELETE,) if parsed.saga and parsed.saga.compensate.created is CreatedBack.DELETE else ()


def _in_words(rights: Rights, words: frozenset[str]) -> set[str]:
    """Return the fields that expressions name; where what is not named is hidden too, any word may be a field."""
    known = {field.name for field in rights.fields}
    lines = {name for grant in rights.grants if grant.line is not None for name in grant.line.fields}
    unknown = set() if known or rights.access(_UNHEARD_OF) >= Access.READ else words
    return ((known | lines) & words) | unknown


# Another owner


def set_owner(house: House, name: str, username: str, actor: Actor) -> None:
    """Let another user own a rule; raises `NotOwned`, `NotPermitted`, and `RuleMissing`.

    Who gives a rule to another has to hold that one's rights: the rule works with them from then on.
    """
    with house.db.begin() as tx:
        old = get(tx, name)
        user_id = tx.scalar(sa.select(access.user.c.id).where(access.user.c.username == username))
        if user_id is None:
            raise NotOwned(msg("There is no user '{name}'.", name=username))
        own = users.own_id(tx, actor)
        if own is not None and own != user_id:
            _require_theirs(tx, int(user_id), username, actor)
        for document in filter(None, (old.published, old.document if own == user_id else None)):
            require(tx, name, document, actor, username)
        if old.owner == username:
            return
        tx.execute(sa.update(rule).where(rule.c.id == old.id).values(owner=username))
        before, after = {"owner": old.owner}, {"owner": username}
        record(tx, actor, house.clock(), Event(Tag.RULE_OWNED, Subject("rule", name), before=before, after=after))


def _require_theirs(tx: sa.Connection, user_id: int, username: str, actor: Actor) -> None:
    try:
        users.owned(tx, user_id, actor)
    except Refused:
        text = N_("You cannot give the rule to {name}, who may do more than you. {name} can take it over.")
        raise NotPermitted(msg(text, name=username)) from None


def candidates(tx: sa.Connection) -> list[str]:
    """Return the users that can own rules."""
    user = access.user
    return list(tx.scalars(sa.select(user.c.username).where(user.c.active).order_by(user.c.username).limit(500)))


def forget(tx: sa.Connection, username: str) -> None:
    """Note that the owner of rules has been deleted: another user may get the name."""
    tx.execute(sa.update(rule).where(rule.c.owner == username).values(owner=GONE))
