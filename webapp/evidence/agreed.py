"""How long audit events are kept, as it was agreed: where that needs a second person, a new setting waits for one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from rules.text import N_, Message, msg
from webapp.approvals import gate, proposals, settings
from webapp.approvals.deeds import RETENTION, Applier, Deed, Document, Order, Shown, register
from webapp.approvals.errors import SecondPersonNeeded
from webapp.approvals.settings_deed import store
from webapp.extensions import SYSTEM, Actor, House

KIND, NAME = "retention", "audit"
OPERATOR = Actor("cli", "SYNCLINE_AUDIT_DAYS")
"""Who has set the variable is known to the machine only."""


def days(house: House) -> int:
    """Return after how many days audit events go; what the setting says counts once it has been agreed on."""
    wanted = house.settings.audit_days
    with house.db.read() as tx:
        agreed = settings.stored(tx, KIND)
    if agreed == {"days": wanted}:
        return wanted
    try:
        with house.db.begin() as tx:
            agree(tx, house, wanted)
    except SecondPersonNeeded as needed:
        _ask(house, needed.deed)
        return int(agreed["days"]) if agreed else 0
    return wanted


def agree(tx: sa.Connection, house: House, wanted: int) -> None:
    """Let a number of days count from now on; raises `SecondPersonNeeded`."""
    gate.require(tx, _deed(wanted))
    store(tx, KIND, {"days": wanted}, SYSTEM, house.clock())


def _deed(wanted: int) -> Deed:
    return Deed(KIND, NAME, (RETENTION,), {"days": wanted})


def _ask(house: House, deed: Deed) -> None:
    """Propose the setting once; what was rejected is not asked for again."""
    with house.db.read() as tx:
        last = proposals.last_about(tx, KIND, NAME)
    again = last is None or last.after != deed.after or last.state in {proposals.STALE, proposals.EXPIRED}
    if again:
        proposals.propose(house, deed, OPERATOR)


def _read(tx: sa.Connection, _name: str) -> dict[str, Any] | None:
    found: dict[str, Any] | None = settings.stored(tx, KIND, alone=True)
    return found


def _apply(order: Order) -> None:
    agree(order.tx, order.house, int((order.after or {})["days"]))


def _shown(before: Document, after: Document) -> Shown:
    return Shown(before, after, {"days": N_("Days that audit events are kept (0: for ever)")})


def _title(_subject: str, after: Document | None, _detail: Document) -> Message:
    kept = (after or {}).get("days") or 0
    return msg("Keep audit events for {days} days", days=kept) if kept else msg("Keep audit events for ever")


register(
    Applier(
        KIND, N_("Retention"), ("read", "Audit"), _read, _apply, _title, lambda _name: "/approvals/settings",
        shown=_shown,
    )
)  # fmt: skip
