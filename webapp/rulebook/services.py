"""What is done with rules: draft, publish, roll back, pause, delete; each deed is audited in its own transaction.

A rule has one draft (null while it is the same as what is published) and versions that never change. Runs only ever
read versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.documents import digest, errors
from rules.text import N_, msg
from webapp.access import hooks as access_hooks
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.connections import quality as object_quality
from webapp.connections import services as connections
from webapp.entities import quality
from webapp.entities import services as entities
from webapp.extensions import Actor, House
from webapp.rulebook import approving, encrypted, entity_lookups, hooks, ownership, relations, usage
from webapp.rulebook.errors import BadKind, BadName, NotPublishable, RuleBusy, RuleMissing, StaleDraft
from webapp.rulebook.fitting import check, check_askers
from webapp.rulebook.kinds import KINDS, SYNC
from webapp.rulebook.models import rule, rule_version
from webapp.rulebook.reading import (
    ACTIVE,
    PAUSED,
    Document,
    PublishedRule,
    RuleRow,
    ScheduledRule,
    VersionRow,
    draft,
    find,
    get,
    list_rules,
    published,
    scheduled,
    to_document,
    using_object,
    version,
    versions,
)

__all__ = [
    "PublishedRule",
    "RuleRow",
    "ScheduledRule",
    "VersionRow",
    "check",
    "create",
    "delete",
    "discard_draft",
    "draft",
    "find",
    "get",
    "list_rules",
    "pause",
    "publish",
    "published",
    "resume",
    "roll_back",
    "save_draft",
    "scheduled",
    "to_document",
    "using_object",
    "version",
    "versions",
]

connections.usage_checks.append(usage.rules_of_connections)
entities.usage_checks.append(usage.rules_of_entity)
entities.encryption_checks.append(encrypted.check_rules)
quality.mapped_fields.append(usage.mapped_fields)
hooks.deletion.append(entity_lookups.asked_by_entities)
object_quality.uses_of.append(usage.uses_of_object)
hooks.deletion.append(usage.asked_by_rules)
hooks.deletion.append(relations.named_by_rules)
access_hooks.deleted.append(ownership.forget)

NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
RESERVED = frozenset({"new", "objects", "check"})
"""Words that stand where a rule's name stands in addresses."""


def create(house: House, document: Document, actor: Actor, tx: sa.Connection | None = None) -> RuleRow:
    """Store a new rule with `document` as its draft; raises `BadName`."""
    name, kind = _good_name(document.get("name")), _good_kind(document.get("kind", SYNC))
    with _writing(house, tx) as own:
        if find(own, name):
            raise BadName(msg("There is already a rule called '{name}'. Choose another name.", name=name))
        now, plain = house.clock(), _plain(document)
        values = {
            "name": name,
            "label": _label(plain),
            "kind": kind,
            "draft": plain,
            "draft_version": 1,
            "state": ACTIVE,
            "owner": ownership.first_owner(own, actor),
        }
        own.execute(sa.insert(rule).values(**values, **_stamp("created", now, actor), **_stamp("updated", now, actor)))
        record(own, actor, now, Event(Tag.RULE_CREATED, Subject("rule", name), None, plain))
        return get(own, name)


def save_draft(
    house: House,
    name: str,
    document: Document,
    actor: Actor,
    expected_version: int | None = None,
    tx: sa.Connection | None = None,
) -> RuleRow:
    """Store `document` as the rule's draft; raises `StaleDraft` when the draft is not the expected one any more."""
    with _writing(house, tx) as own:
        old = get(own, name)
        if document.get("name") != name:
            text = N_(
                "The rule is called '{name}'; a name cannot be changed. Create a new rule under the other name instead."
            )
            raise BadName(msg(text, name=name))
        if document.get("kind", SYNC) != old.kind:
            raise BadKind(msg("The kind of a rule cannot be changed. Create a new rule of the other kind instead."))
        if expected_version is not None and expected_version != old.draft_version:
            raise StaleDraft(name, old.updated_by, old.draft_version)
        plain = _plain(document)
        if plain == old.document:
            return old
        new = None if plain == old.published else plain
        _update(own, old, house.clock(), actor, draft=new, label=_label(plain), draft_version=old.draft_version + 1)
        record(own, actor, house.clock(), Event(Tag.RULE_UPDATED, Subject("rule", name), old.document, plain))
        return get(own, name)


def publish(house: House, name: str, actor: Actor, note: str = "", tx: sa.Connection | None = None) -> int:
    """Publish the draft as a new version and return its number; the published one where nothing has changed.

    Raises `NotPublishable` with the problems that `check` found; then nothing is stored.
    """
    with _reading(house, tx) as reading:
        checked = get(reading, name)
    problems = errors(check(house, checked.document, tx))  # asks the systems, so before the write lock is taken
    if problems:
        raise NotPublishable(name, problems)
    with _writing(house, tx) as own:
        own.execute(sa.select(rule.c.id).where(rule.c.name == name).with_for_update())  # one at a time
        old = get(own, name)
        if old.draft_version != checked.draft_version:
            raise StaleDraft(name, old.updated_by, old.draft_version)
        return _publish(house, own, old, old.document, actor, (Tag.RULE_PUBLISHED, note))


def roll_back(house: House, name: str, to_version: int, actor: Actor, tx: sa.Connection | None = None) -> int:
    """Publish the document of an old version as a new version; a draft stays as it is. Returns the new number.

    Raises `NotPublishable` where it does not fit any more what has changed since. The systems are not asked, so that a
    rule can be rolled back also while one of them is away.
    """
    with _reading(house, tx) as reading:
        source = version(reading, name, to_version)
        if source is None:
            raise RuleMissing(name, to_version)
        problems = errors([*check(house, source.document, reading), *check_askers(house, source.document, reading)])
    if problems:
        raise NotPublishable(name, problems)
    with _writing(house, tx) as own:
        old = get(own, name)
        kept = old.draft
        number = _publish(house, own, old, source.document, actor, (Tag.RULE_ROLLED_BACK, f"{to_version}"))
        if kept is not None:
            own.execute(sa.update(rule).where(rule.c.id == old.id).values(draft=kept))
        return number


def discard_draft(house: House, name: str, actor: Actor, tx: sa.Connection | None = None) -> RuleRow:
    """Go back from the draft to what is published; a rule that was never published keeps its draft."""
    with _reading(house, tx) as reading:
        old = get(reading, name)
    return old if old.published is None else save_draft(house, name, old.published, actor, tx=tx)


def pause(house: House, name: str, actor: Actor, tx: sa.Connection | None = None) -> RuleRow:
    """Stop the rule from doing anything by itself; nothing happens when it is paused already."""
    return _set_state(house, name, actor, (PAUSED, Tag.RULE_PAUSED), tx)


def resume(house: House, name: str, actor: Actor, tx: sa.Connection | None = None) -> RuleRow:
    """Let the rule go on by itself; nothing happens when it is active already."""
    return _set_state(house, name, actor, (ACTIVE, Tag.RULE_RESUMED), tx)


def delete(house: House, name: str, actor: Actor, tx: sa.Connection | None = None) -> None:
    """Delete the rule and keep its versions; raises `RuleBusy` while something needs it."""
    with _writing(house, tx) as own:
        old = get(own, name)
        for hindrance in hooks.deletion:
            if reason := hindrance(own, name):
                raise RuleBusy(reason)
        own.execute(sa.delete(rule).where(rule.c.id == old.id))
        record(own, actor, house.clock(), Event(Tag.RULE_DELETED, Subject("rule", name), old.document, None))


def _publish(
    house: House,
    tx: sa.Connection,
    old: RuleRow,
    document: Document,
    actor: Actor,
    deed: tuple[Tag, str],
) -> int:
    tag, note = deed
    now, plain, sum_ = house.clock(), _plain(document), digest(document)
    if old.published is not None and old.published_version is not None and digest(old.published) == sum_:
        _update(tx, old, now, actor, draft=None, draft_version=old.draft_version + 1)
        return old.published_version
    detail = {"to_version": int(note)} if tag is Tag.RULE_ROLLED_BACK else {"note": note}
    ownership.require(tx, old.name, plain, actor, old.owner)
    approving.require(tx, old, plain, detail)
    last = tx.scalar(sa.select(sa.func.max(rule_version.c.version)).where(rule_version.c.rule_id == old.id))
    number = int(last or 0) + 1
    row = {"rule_id": old.id, "rule_name": old.name, "version": number, "document": plain, "digest": sum_, "note": note}
    tx.execute(sa.insert(rule_version).values(**row, **_stamp("published", now, actor)))
    values = {
        "draft": None,
        "label": _label(plain),
        "published_version": number,
        "draft_version": old.draft_version + 1,
    }
    _update(tx, old, now, actor, **values)
    after = {"version": number, "document": plain}
    before = None if old.published is None else {"version": old.published_version, "document": old.published}
    record(tx, actor, now, Event(tag, Subject("rule", old.name), before, after, note or None))
    return number


def _set_state(
    house: House,
    name: str,
    actor: Actor,
    deed: tuple[str, Tag],
    tx: sa.Connection | None,
) -> RuleRow:
    state, tag = deed
    with _writing(house, tx) as own:
        old = get(own, name)
        if old.state == state:
            return old
        let_go = {"held_at": None} if state == ACTIVE else {}
        _update(own, old, house.clock(), actor, state=state, **let_go)
        record(own, actor, house.clock(), Event(tag, Subject("rule", name), {"state": old.state}, {"state": state}))
        return get(own, name)


def _update(tx: sa.Connection, old: RuleRow, now: datetime, actor: Actor, **values: Any) -> None:
    tx.execute(sa.update(rule).where(rule.c.id == old.id).values(**values, **_stamp("updated", now, actor)))


def _stamp(deed: str, now: datetime, actor: Actor) -> dict[str, Any]:
    return {f"{deed}_at": now, f"{deed}_by": actor.name}


def _plain(document: Document) -> dict[str, Any]:
    return deepcopy(dict(document))


def _label(document: Document) -> str:
    return str(document.get("label") or "")[:200]


def _good_name(name: object) -> str:
    if isinstance(name, str) and NAME.fullmatch(name) and name not in RESERVED:
        return name
    text = N_("A rule needs a name of small letters, digits and underscores, beginning with a letter: {example}.")
    raise BadName(msg(text, example="customers_crm_erp"))


def _good_kind(kind: object) -> str:
    if isinstance(kind, str) and kind in KINDS:
        return kind
    text = N_("'{kind}' is no kind of rule. The kinds are: {known}.")
    raise BadKind(msg(text, kind=str(kind), known=", ".join(KINDS)))


@contextmanager
def _reading(house: House, tx: sa.Connection | None) -> Iterator[sa.Connection]:
    """Read in the caller's transaction, or in an own one."""
    if tx is not None:
        yield tx
        return
    with house.db.read() as own:
        yield own


@contextmanager
def _writing(house: House, tx: sa.Connection | None) -> Iterator[sa.Connection]:
    """Go on in the caller's transaction, or open one."""
    if tx is not None:
        yield tx
        return
    with house.db.begin() as own:
        yield own


approving.offer(publish, roll_back)
