"""Deeds that can need a second person, and what a room registers so that one can be proposed, shown and done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message
from webapp.audit.differences import difference
from webapp.extensions import Actor, House

Document = Mapping[str, Any]

PUBLISH, LIMITS, ROLE, TARGET = "publish_rule", "change_limits", "change_role", "change_connection"
MEMBERSHIP, REMOVAL = "change_membership", "remove_user"
RETENTION, PLAN = "change_retention", "approve_own_plan"
SETTINGS = "change_approvals"
SWITCHES: Mapping[str, str] = {
    PUBLISH: N_("Publish a rule or a table"),
    LIMITS: N_("Change the limits of a published rule"),
    ROLE: N_("Change a role, what it permits, or the roles of a group"),
    MEMBERSHIP: N_("Give roles to users or take them away, also by a group"),
    REMOVAL: N_("Disable or delete a user or a service account"),
    TARGET: N_("Change where a connection leads: address, settings, credentials"),
    RETENTION: N_("Change how long the audit log is kept, or release a legal hold"),
    PLAN: N_("Approve a plan that one has made oneself"),
}
"""What an administrator can ask a second person for. `SETTINGS` needs one as soon as anything does."""
LIMITED = (PUBLISH, LIMITS, TARGET, PLAN)
"""Those that can be limited to some connections."""


@dataclass(frozen=True)
class Deed:
    """Something that somebody is about to do.

    `kind` names the applier, `switches` are the settings that may ask for a second person, `after` is the subject as it
    is to be (None: deleted), `detail` what doing it takes beside, `secrets` new values that nobody may see, and
    `connections` those that are concerned.
    """

    kind: str
    subject: str
    switches: tuple[str, ...]
    after: Document | None
    detail: Document = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    connections: Collection[str] = ()
    reason: str = ""


@dataclass(frozen=True)
class Order:
    """An approved deed that is to be done: `actor` is its author, in whose name it is done."""

    house: House
    tx: sa.Connection
    subject: str
    after: Document | None
    detail: Document
    secrets: Mapping[str, str] = field(repr=False)
    actor: Actor


@dataclass(frozen=True)
class Shown:
    """A difference in words: the values by path, and what the paths are called."""

    before: Mapping[str, Any]
    after: Mapping[str, Any]
    labels: Mapping[str, str] = field(default_factory=dict)


def plain_difference(before: Document, after: Document) -> Shown:
    """Return what differs between two documents by its path."""
    found = difference(before, after)
    old, new = ({path: value for path, value in side.items() if path} for side in (found.before, found.after))
    return Shown(old, new)  # an empty document has no path


def _nothing_wrong(_house: House, _subject: str, _after: Document | None, _detail: Document) -> Message | None:
    return None


@dataclass(frozen=True)
class Applier:
    """What a room knows of one kind of deed.

    `permission` is the room's own (action, room) that author and approver need. `read` returns the subject as it is
    now and keeps others from changing it until the transaction ends. `check` says what hinders the deed; it may ask
    systems, so it is called outside of any transaction. `apply` does it. `refusals` are the errors that `apply` may
    raise, each with a `message`. `url` is the page of the subject, `title` says in words what is to be done.
    """

    kind: str
    label: str
    permission: tuple[str, str]
    read: Callable[[sa.Connection, str], Document | None]
    apply: Callable[[Order], None]
    title: Callable[[str, Document | None, Document], Message]
    url: Callable[[str], str]
    refusals: tuple[type[Exception], ...] = ()
    check: Callable[[House, str, Document | None, Document], Message | None] = _nothing_wrong
    shown: Callable[[Document, Document], Shown] = plain_difference


appliers: dict[str, Applier] = {}
"""By kind; filled by the rooms when they are imported."""


def register(applier: Applier) -> None:
    """Make a kind of deed known."""
    appliers[applier.kind] = applier


def digest(document: Document | None) -> str:
    """Return what tells whether a subject is the same: the SHA-256 of its canonical JSON."""
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
