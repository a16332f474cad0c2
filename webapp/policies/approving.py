"""Changes of a role's policy that a second person approves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError
from rules.text import N_, Message, msg
from webapp.access import models as access
from webapp.access.errors import Missing, Refused
from webapp.approvals import gate
from webapp.approvals.deeds import ROLE, Applier, Deed, Document, Order, Shown, register
from webapp.policies import difference, documents
from webapp.web.language import translated

KIND = "policy"

Read = Callable[[sa.Connection, int], Mapping[str, Any]]
Save = Callable[[Order, int, Mapping[str, Any]], None]


def require(tx: sa.Connection, role: str, wanted: Mapping[str, Any]) -> None:
    """Let a policy through if one person may set it, or a second one has approved it."""
    gate.require(tx, Deed(KIND, role, (ROLE,), {"policy": dict(wanted)}))


def _title(subject: str, _after: Document | None, _detail: Document) -> Message:
    return msg("Change what records the role {name} sees and changes", name=subject)


def shown(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """Return what differs between two policies, as people read it."""
    found = difference.changes(documents.build(before), documents.build(after), frozenset())
    names = [": ".join(filter(None, (one.on, translated(one.what)))) for one in found]
    old, new = ([translated(text) for text in side] for side in ([o.before for o in found], [o.after for o in found]))
    return dict(zip(names, old, strict=True)), dict(zip(names, new, strict=True))


def _shown(before: Document, after: Document) -> Shown:
    return Shown(*shown(before.get("policy") or {}, after.get("policy") or {}))


def offer(document_of: Read, save: Save) -> None:
    """Make policies known to the approvals, with the services that read and set them."""

    def role_id(tx: sa.Connection, name: str) -> int | None:
        return tx.scalar(sa.select(access.role.c.id).where(access.role.c.name == name).with_for_update())

    def read(tx: sa.Connection, name: str) -> dict[str, Any] | None:
        found = role_id(tx, name)
        return None if found is None else {"policy": dict(document_of(tx, found))}

    def apply(order: Order) -> None:
        found = role_id(order.tx, order.subject)
        if found is None:
            raise Refused("", msg("There is no role '{name}'.", name=order.subject))
        save(order, found, (order.after or {})["policy"])

    register(
        Applier(
            KIND, N_("Policy of a role"), ("update", "Roles"), read, apply, _title, lambda _name: "/roles/",
            refusals=(Refused, Missing, DocumentError), shown=_shown,
        )
    )  # fmt: skip
