"""Who may have events as they were sealed: proofs and packages veil nothing, or nobody could check them."""

from __future__ import annotations

import sqlalchemy as sa

from rules.text import msg
from webapp.audit import hooks
from webapp.connections.permitted import withholds_personal
from webapp.policies.errors import NotPermitted


def require_whole(tx: sa.Connection, *, runs: bool = False) -> None:
    """Raise `NotPermitted` unless who asks may see all that events hold, and with `runs` personal values too.

    Personal values stay encrypted in events; in the records of runs they are in clear.
    """
    if not hooks.sees_whole(tx):
        text = "Proofs and packages hold events as they were sealed. You may not see all records that they tell of."
        raise NotPermitted(msg(text))
    if runs and withholds_personal(tx):
        text = "The records of runs hold personal values, which you may not see. Take a package without them."
        raise NotPermitted(msg(text))


def require_forwarding(tx: sa.Connection) -> None:
    """Raise `NotPermitted` unless who asks may see all that events hold, as targets get them."""
    if not hooks.sees_whole(tx):
        text = "Events are forwarded as they were sealed. You may not see all records that they tell of."
        raise NotPermitted(msg(text))
