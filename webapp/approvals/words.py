"""What states and filters are called on pages."""

from __future__ import annotations

from flask_babel import gettext as _

from webapp.approvals.proposals import (
    APPLIED,
    EXPIRED,
    OVERRIDDEN,
    REJECTED,
    STALE,
    WAITING,
    WITHDRAWN,
    Proposal,
)


def states() -> dict[str, tuple[str, str]]:
    """Return the name and the tone of each state."""
    return {
        WAITING: (_("Waiting"), "warn"),
        APPLIED: (_("Approved"), "ok"),
        OVERRIDDEN: (_("Emergency override"), "bad"),
        REJECTED: (_("Rejected"), "bad"),
        WITHDRAWN: (_("Withdrawn"), "muted"),
        EXPIRED: (_("Expired"), "muted"),
        STALE: (_("Out of date"), "muted"),
    }


def state_of(found: Proposal, *, expired: bool) -> tuple[str, str]:
    """Return the name and the tone of a proposal's state."""
    return states()[EXPIRED if found.state == WAITING and expired else found.state]


def outcome(found: Proposal) -> str:
    """Return in a sentence what became of a proposal."""
    who = found.decided_by or ""
    said: dict[str, str] = {
        APPLIED: _("%(who)s approved this, and it was done exactly as proposed.", who=who),
        OVERRIDDEN: _("%(who)s did this in an emergency, without a second person.", who=who),
        REJECTED: _("%(who)s rejected this. Nothing was changed.", who=who),
        WITHDRAWN: _("%(who)s withdrew this. Nothing was changed.", who=who),
        EXPIRED: _("Nobody decided this in time. Nothing was changed."),
        STALE: _("What this is about changed before it was approved. Nothing was done."),
    }
    return said.get(found.state, "")
