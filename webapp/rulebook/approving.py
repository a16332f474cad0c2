"""Publishing that a second person approves: which rules it is asked for, what it shows, and how it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError, errors
from rules.documents.sync import Direction
from rules.reconcile.agreement import executed_way
from rules.text import N_, Message, msg
from webapp.approvals import gate
from webapp.approvals.deeds import LIMITS, PUBLISH, Applier, Deed, Order, Shown, register
from webapp.extensions import Actor, House
from webapp.rulebook import fitting, reading
from webapp.rulebook.comparing import compared
from webapp.rulebook.editing import part_of
from webapp.rulebook.errors import NotPublishable, RulebookError
from webapp.rulebook.kinds import SYNC
from webapp.rulebook.models import rule, rule_version
from webapp.rulebook.reading import Document, RuleRow
from webapp.rulebook.usage import asks

KIND = "rule"
_LIMITS = ("guards", "drift", "deletions")
"""What of a document limits what a run may do."""
_SIDES = {Direction.LEFT_TO_RIGHT: ("right",), Direction.RIGHT_TO_LEFT: ("left",)}

Publish = Callable[[House, str, Actor, str, sa.Connection | None], int]
RollBack = Callable[[House, str, int, Actor, sa.Connection | None], int]


def require(tx: sa.Connection, old: RuleRow, document: Document, detail: Mapping[str, Any]) -> None:
    """Let a publication through if one person may do it, or a second one has approved it."""
    gate.require(tx, _deed(tx, old, document, detail))


def waits(tx: sa.Connection, row: RuleRow) -> bool:
    """Tell whether publishing the draft of a rule needs a second person, so that its page can say so beforehand."""
    return gate.asks(tx, _deed(tx, row, row.document, {}))


def _deed(tx: sa.Connection, old: RuleRow, document: Document, detail: Mapping[str, Any]) -> Deed:
    before = old.published or _last(tx, old.name)
    limited = before is not None and any(before.get(key) != document.get(key) for key in _LIMITS)
    switches = (PUBLISH, LIMITS) if limited else (PUBLISH,)
    connections = written(tx, document) | (written(tx, before) if before else set())
    reason = str(detail.get("note") or "")
    return Deed(KIND, old.name, switches, {"published": document}, detail, {}, connections, reason)


def _last(tx: sa.Connection, name: str) -> Document | None:
    """Return what was published last under a name, also by a rule that is deleted: its limits do not go with it."""
    table = rule_version.c
    query = sa.select(table.document).where(table.rule_name == name).order_by(table.id.desc()).limit(1)
    found: Document | None = tx.scalar(query)
    return found


def written(tx: sa.Connection, document: Document) -> set[str]:
    """Return the connections that a rule writes to; those of a table are the ones of the rules that ask it."""
    if document.get("kind", SYNC) == SYNC:
        return {str(part_of(document, side).get("connection")) for side in _sides(document)}
    found = set(_named(document))
    name = str(document.get("name"))
    for row in reading.list_rules(tx):
        if row.name != name and row.published is not None and asks(row.published, name):
            found |= written(tx, row.published)
    return found


def _sides(document: Document) -> tuple[str, ...]:
    try:
        return _SIDES.get(executed_way(document), ("left", "right"))
    except (DocumentError, KeyError, ValueError):  # a draft that is no rule yet
        return ("left", "right")


def _named(part: Any) -> Iterator[str]:
    """Yield the connections that an event rule names, wherever they stand."""
    if isinstance(part, Mapping):
        if isinstance(part.get("connection"), str):
            yield part["connection"]
        for value in part.values():
            yield from _named(value)
    elif isinstance(part, list):
        for value in part:
            yield from _named(value)


def _read(tx: sa.Connection, name: str) -> dict[str, Any] | None:
    tx.execute(sa.select(rule.c.id).where(rule.c.name == name).with_for_update())
    row = reading.find(tx, name)
    return None if row is None else {"published": row.published, "draft": row.draft, "version": row.published_version}


def _check(house: House, name: str, after: Document | None, detail: Document) -> Message | None:
    """Say why the document cannot be published as things are now; a rolled back one does not ask its systems."""
    if detail.get("to_version"):
        return None
    problems = errors(fitting.check(house, (after or {})["published"]))
    return NotPublishable(name, problems).message if problems else None


def _shown(before: Document, after: Document) -> Shown:
    found = compared(before.get("published") or {}, after.get("published") or {})
    return Shown(found.before, found.after, found.labels)


def _title(subject: str, _after: Document | None, detail: Document) -> Message:
    if detail.get("to_version"):
        return msg("Publish version {version} of the rule {name} again", version=detail["to_version"], name=subject)
    return msg("Publish the rule {name}", name=subject)


def offer(publish: Publish, roll_back: RollBack) -> None:
    """Make publishing known to the approvals, with the services that do it."""

    def apply(order: Order) -> None:
        if version := order.detail.get("to_version"):
            roll_back(order.house, order.subject, int(version), order.actor, order.tx)
        else:
            publish(order.house, order.subject, order.actor, str(order.detail.get("note") or ""), order.tx)

    register(
        Applier(
            KIND, N_("Rule"), ("publish", "Rules"), _read, apply, _title, lambda name: f"/rules/{name}/",
            refusals=(RulebookError,), check=_check, shown=_shown,
        )
    )  # fmt: skip
