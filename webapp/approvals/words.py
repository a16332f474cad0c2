"""What states and filters are called on pages."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

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


def visible(value: Any) -> Any:
    """Return a value with the signs written out that show nothing or turn the text around: U+202E.

    Without them two addresses can look the same, or one like another, to who has to approve the change.
    """
    if isinstance(value, str):
        return "".join(f"\u27e8U+{ord(sign):04X}\u27e9" if _shows_nothing(sign) else sign for sign in value)
    if isinstance(value, Mapping):
        return {visible(key): visible(one) for key, one in value.items()}
    return [visible(one) for one in value] if isinstance(value, (list, tuple)) else value


def _shows_nothing(sign: str) -> bool:
    return sign not in "\t\n\r" and unicodedata.category(sign) in {"Cc", "Cf", "Cs", "Zl", "Zp"}
