"""The one question that everything asks before it does a deed that may need a second person.

    gate.require(tx, Deed("role", "Sales", (ROLE,), after=document))

It raises `SecondPersonNeeded`, and the caller's transaction is rolled back: the edge (a page, the API, the command
line, an import) proposes the deed and says so. A transaction that carries out an approved proposal carries a `Passage`,
with which exactly the approved deed goes through, and no other.
"""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa

from webapp.approvals import settings
from webapp.approvals.deeds import Deed, digest
from webapp.approvals.errors import SecondPersonNeeded

_OPTION = "syncline_approved"


@dataclass(frozen=True)
class Passage:
    """What an approved proposal lets through: this kind of deed on this subject with exactly this outcome."""

    kind: str
    subject: str
    after: str

    def fits(self, deed: Deed) -> bool:
        """Tell whether a deed is the approved one."""
        return (self.kind, self.subject, self.after) == (deed.kind, deed.subject, digest(deed.after))


def require(tx: sa.Connection, deed: Deed) -> None:
    """Let a deed through that one person may do, or that has been approved; raises `SecondPersonNeeded`."""
    passage = tx.get_execution_options().get(_OPTION)
    if isinstance(passage, Passage) and passage.fits(deed):
        return
    if asks(tx, deed):
        raise SecondPersonNeeded(deed)


def asks(tx: sa.Connection, deed: Deed) -> bool:
    """Tell whether a deed needs a second person."""
    return settings.current(tx).asks(deed, settings.profile_of(tx))


def let_through(tx: sa.Connection, passage: Passage | None) -> None:
    """Let an approved deed through in this transaction, or none any more."""
    tx.execution_options(**{_OPTION: passage})
