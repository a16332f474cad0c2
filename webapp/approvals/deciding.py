"""Deciding proposals: approve, reject, withdraw, override, let expire. Each proposal ends once, whoever asks at once.

Who decides holds a lock of the subject, then the proposal's row; the deed, its proposal's end and the audit event are
one transaction.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.approvals import gate, hooks, proposals
from webapp.approvals.deeds import Deed, Order, digest
from webapp.approvals.errors import ApprovalProblem, NotApplicable, NotDecided, SecondPersonNeeded, Stale
from webapp.approvals.gate import Passage
from webapp.approvals.hooks import Told
from webapp.approvals.independence import require_author, require_permissions, require_second
from webapp.approvals.models import approval
from webapp.approvals.proposals import (
    APPLIED,
    EXPIRED,
    OVERRIDDEN,
    REJECTED,
    STALE,
    WAITING,
    WITHDRAWN,
    Proposal,
    get,
    is_author,
    owner,
)
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.extensions import SYSTEM, Actor, House
from webapp.vault import services as vault

OVERRIDE: hooks.Pair = ("override", "Approvals")
_LOCK = 0x4E7E5
_ENDED = {
    APPLIED: Tag.APPROVAL_APPROVED,
    REJECTED: Tag.APPROVAL_REJECTED,
    WITHDRAWN: Tag.APPROVAL_WITHDRAWN,
    EXPIRED: Tag.APPROVAL_EXPIRED,
    STALE: Tag.APPROVAL_STALE,
    OVERRIDDEN: Tag.APPROVAL_OVERRIDDEN,
}
_CHANGED = N_("What this is about has changed since it was proposed, so it cannot be approved. Propose it again.")


def approve(house: House, number: int, actor: Actor, comment: str = "") -> Proposal:
    """Do a proposed deed as a second person.

    Raises:
        NotDecided: It has ended, or this person may not approve it.
        Stale: What it is about has changed since; the proposal has ended by that.
        NotApplicable: What it is about refuses the deed as things are now; the proposal goes on waiting.
    """

    def permitted(tx: sa.Connection, found: Proposal) -> None:
        require_second(tx, found, hooks.the_people().acting(tx, actor))
        require_author(tx, found)

    return _carried_out(house, number, actor, (APPLIED, comment), permitted)


def override(house: House, number: int, actor: Actor, reason: str) -> Proposal:
    """Do a proposed deed at once, without a second person, in an emergency; raises what `approve` raises.

    The caller has seen that the person has just shown who they are.
    """
    if not reason.strip():
        raise NotDecided(msg("Say why this cannot wait for a second person. Auditors will read it."))

    def permitted(tx: sa.Connection, found: Proposal) -> None:
        person = hooks.the_people().acting(tx, actor)
        if actor.kind != "user" or person is None or not person.active or OVERRIDE not in person.permissions:
            raise NotDecided(msg("Only who holds 'override' in Approvals can do this, signed in to the console."))
        if found.applier.permission not in person.permissions:
            require_permissions(found, person)

    return _carried_out(house, number, actor, (OVERRIDDEN, reason.strip()), permitted)


def reject(house: House, number: int, actor: Actor, reason: str) -> Proposal:
    """End a proposal without doing it; raises `NotDecided`, also without a reason."""
    if not reason.strip():
        raise NotDecided(msg("Say why, so that the author knows what to change."))
    with _deciding(house, number) as (tx, found):
        person = hooks.the_people().acting(tx, actor)
        if person is None or not person.active:
            raise NotDecided(msg("Only a user can reject a proposal."))
        if is_author(found, person):
            raise NotDecided(msg("You have proposed this yourself. Withdraw it instead."))
        require_permissions(found, person)
        return _end(tx, house, found, actor, (REJECTED, reason.strip()))


def withdraw(house: House, number: int, actor: Actor) -> Proposal:
    """End one's own proposal; raises `NotDecided` where it is somebody else's."""
    with _deciding(house, number) as (tx, found):
        person = hooks.the_people().acting(tx, actor)
        same = (actor.kind, actor.name) == (found.author_kind, found.author)
        if not (same if person is None else is_author(found, person)):
            raise NotDecided(msg("Only {author}, who proposed this, can withdraw it.", author=found.author))
        return _end(tx, house, found, actor, (WITHDRAWN, ""))


def again(house: House, number: int, actor: Actor) -> Proposal:
    """Propose once more what has become out of date or expired, on what holds now; raises `NotDecided`."""
    with house.db.begin() as tx:
        found = get(tx, number)
        person = hooks.the_people().acting(tx, actor)
        if person is None or not is_author(found, person) or found.state not in {STALE, EXPIRED}:
            raise NotDecided(msg("Only its author can propose again what has become out of date or expired."))
        if found.secrets:
            raise NotDecided(msg("The new secrets were destroyed with the proposal. Make the change once more."))
        deed = Deed(found.kind, found.subject, (), found.after, found.detail, reason=found.reason)
        return proposals.propose_in(tx, house, deed, actor)


def expire_due(house: House) -> int:
    """End the proposals that nobody has decided in time, and destroy their secrets; return how many there were."""
    due = sa.select(approval.c.id).where(approval.c.state == WAITING, approval.c.expires_at <= house.clock())
    with house.db.read() as tx:
        numbers = list(tx.scalars(due.order_by(approval.c.id).limit(100)))
    done = 0
    for number in numbers:
        with house.db.begin() as tx:
            found = _locked(tx, number)
            if found.state == WAITING:
                _end(tx, house, found, SYSTEM, (EXPIRED, ""))
                done += 1
    return done


def _carried_out(
    house: House,
    number: int,
    actor: Actor,
    end: tuple[str, str],
    permitted: Callable[[sa.Connection, Proposal], None],
) -> Proposal:
    with house.db.read() as tx:
        seen = get(tx, number)
        _require_waiting(house, seen)
        permitted(tx, seen)
    hindrance = seen.applier.check(house, seen.subject, seen.after, seen.detail)  # asks systems: before any lock
    if hindrance is not None:
        _unless_stale(house, number)
        raise NotApplicable(hindrance)
    with _deciding(house, number) as (tx, found):
        permitted(tx, found)
        if _changed(tx, found):
            _end(tx, house, found, SYSTEM, (STALE, ""))
        else:
            _do(tx, house, found)
            done = _end(tx, house, found, actor, end)
            _outdate(tx, house, done)
            return done
    raise Stale(msg(_CHANGED))


def _unless_stale(house: House, number: int) -> None:
    """End a proposal whose subject has changed; raises `Stale` then."""
    with _deciding(house, number) as (tx, found):
        stale = _changed(tx, found)
        if stale:
            _end(tx, house, found, SYSTEM, (STALE, ""))
    if stale:
        raise Stale(msg(_CHANGED))


def _changed(tx: sa.Connection, found: Proposal) -> bool:
    return digest(found.applier.read(tx, found.subject)) != found.before_digest


def _do(tx: sa.Connection, house: House, found: Proposal) -> None:
    """Do the deed in the name of its author; raises `NotApplicable` where its room refuses it now."""
    keys = vault.keyring(house)
    secrets = {name: vault.get(tx, keys, owner(found.id), name) for name in found.secrets}
    order = Order(house, tx, found.subject, found.after, found.detail, secrets, found.actor)
    gate.let_through(tx, Passage(found.kind, found.subject, digest(found.after)))
    try:
        found.applier.apply(order)
    except ApprovalProblem:
        raise
    except SecondPersonNeeded as error:
        raise NotApplicable(msg("This would do something else than was proposed. Propose it again.")) from error
    except found.applier.refusals as error:
        raise NotApplicable(_said(error)) from error
    finally:
        gate.let_through(tx, None)


def _said(error: Any) -> Message:
    found = getattr(error, "message", None)
    return found if isinstance(found, Message) else msg("{problem}", problem=str(error))


@contextmanager
def _deciding(house: House, number: int) -> Iterator[tuple[sa.Connection, Proposal]]:
    """Yield a proposal that can still be decided, which nobody else can decide meanwhile."""
    with house.db.begin() as tx:
        found = _locked(tx, number)
        _require_waiting(house, found)
        yield tx, found


def _locked(tx: sa.Connection, number: int) -> Proposal:
    """Return a proposal, its row and subject kept from others; the subject first, so that none waits in a ring."""
    seen = get(tx, number)
    if tx.dialect.name == "postgresql":
        key = zlib.crc32(f"{seen.kind}/{seen.subject}".encode()) - 2**31
        tx.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK, key)))
    return get(tx, number, alone=True)


def _require_waiting(house: House, found: Proposal) -> None:
    if found.state != WAITING:
        who = found.decided_by or found.author
        raise NotDecided(msg("Proposal {number} has been decided already, by {who}.", number=found.id, who=who))
    if found.expires_at <= house.clock():
        raise NotDecided(msg("Proposal {number} has expired. Its author can propose it again.", number=found.id))


def _end(tx: sa.Connection, house: House, found: Proposal, actor: Actor, end: tuple[str, str]) -> Proposal:
    """End a proposal: store what became of it, destroy its secrets, tell the log and the people."""
    (state, said), now = end, house.clock()
    values = {"state": state, "decided_at": now, "decided_by": actor.name, "decision": said[: proposals.LONGEST]}
    tx.execute(sa.update(approval).where(approval.c.id == found.id).values(**values))
    vault.forget(tx, owner(found.id), SYSTEM, now)
    after = {"kind": found.kind, "about": found.subject, "author": found.author}
    record(tx, actor, now, Event(_ENDED[state], Subject("approval", str(found.id)), after=after, reason=said or None))
    _tell(tx, found, actor, end)
    return get(tx, found.id)


def _tell(tx: sa.Connection, found: Proposal, actor: Actor, end: tuple[str, str]) -> None:
    state, said = end
    names: tuple[str, ...] = (found.author,) if found.author_kind == "user" and found.author != actor.name else ()
    if state == OVERRIDDEN:
        text = msg(
            "EMERGENCY: {who} has done this without a second person: {what} Reason: {why}",
            who=actor.name, what=found.title, why=said,
        )  # fmt: skip
        names = tuple({one.username for one in proposals.approvers(tx, found)} | set(names))
    elif state == APPLIED:
        text = msg("{who} has approved, and it is done: {what}", who=actor.name, what=found.title)
    elif state == REJECTED:
        text = msg("{who} has rejected: {what} Reason: {why}", who=actor.name, what=found.title, why=said)
    elif state == EXPIRED:
        text = msg("Nobody has decided this in time, and it has expired: {what}", what=found.title)
    else:
        text = msg("This can no longer be approved, since what it is about has changed: {what}", what=found.title)
    if state != WITHDRAWN:
        news = Told(f"approval/{found.id}/{state}", names, text, f"/approvals/{found.id}", found.created_at)
        hooks.tell(tx, news)


def _outdate(tx: sa.Connection, house: House, done: Proposal) -> None:
    """End the other proposals about the same subject: they were made of what is no more."""
    same = (approval.c.kind == done.kind, approval.c.subject == done.subject, approval.c.state == WAITING)
    for number in tx.scalars(sa.select(approval.c.id).where(*same).order_by(approval.c.id)).all():
        _end(tx, house, get(tx, number), SYSTEM, (STALE, ""))
