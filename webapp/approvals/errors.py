"""What can be wrong with an approval.

ApprovalProblem
├── NotDecided      the proposal cannot be decided so, or not by this person
├── Stale           what it is about has changed since; it has ended
├── NotApplicable   what it is about refuses it as things are now; it goes on waiting
└── BadSettings     the settings hold what they cannot hold

SecondPersonNeeded   not a mistake: the deed waits for a second person instead of being done
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rules.text import Message, msg

if TYPE_CHECKING:
    from webapp.approvals.deeds import Deed


class ApprovalMissing(Exception):
    """There is no such proposal."""


class ApprovalProblem(Exception):
    """What was asked is refused; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class NotDecided(ApprovalProblem):
    """The proposal cannot be decided so, or not by this person."""


class Stale(ApprovalProblem):
    """What the proposal is about has changed since it was made."""


class NotApplicable(ApprovalProblem):
    """What the proposal is about refuses it as things are now."""


class BadSettings(ApprovalProblem):
    """The settings hold what they cannot hold; `path` says where."""

    def __init__(self, path: str, message: Message) -> None:
        super().__init__(message)
        self.path = path


class SecondPersonNeeded(Exception):
    """The deed is not done: a second person has to approve it. Whoever catches this proposes it."""

    def __init__(self, deed: Deed) -> None:
        self.deed = deed
        self.message = msg("This needs the approval of a second person.")
        super().__init__(str(self.message))
