"""The API of approvals: what waits, one proposal, deciding it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from webapp.approvals import deciding, hooks, inbox, proposals
from webapp.approvals.deeds import appliers, plain_difference
from webapp.approvals.errors import ApprovalMissing, ApprovalProblem
from webapp.approvals.proposals import Proposal
from webapp.wake import announce
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation
from webapp.web.views import can

_TEXT = {"type": "string", "maxLength": proposals.LONGEST}
_NUMBER = {"type": "integer"}
PROPOSAL = {
    "type": "object",
    "properties": {
        "id": _NUMBER,
        "kind": {"type": "string", "description": "What kind of deed: rule, role, connection, plan, hold, ..."},
        "subject": {"type": "string"},
        "title": {"type": "string", "description": "What is to be done, in words."},
        "state": {"enum": list(proposals.STATES)},
        "author": {"type": "string"},
        "reason": {"type": "string"},
        "created_at": {"type": "string", "format": "date-time"},
        "expires_at": {"type": "string", "format": "date-time"},
        "decided_at": {"type": ["string", "null"], "format": "date-time"},
        "decided_by": {"type": ["string", "null"]},
        "decision": {"type": "string", "description": "What was said with it."},
        "secrets": {"type": "array", "items": {"type": "string"}, "description": "Names of new secrets, never shown."},
    },
}
WHOLE = {
    "type": "object",
    "properties": {
        **PROPOSAL["properties"],  # type: ignore[dict-item]
        "before": {"type": "object", "description": "What differs, by its path: as it was when it was proposed."},
        "after": {"type": "object", "description": "The same, as it is to be."},
        "comments": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"at": {"type": "string"}, "author": {"type": "string"}, "text": {"type": "string"}},
            },
        },
    },
}
_SAID = {"type": "object", "properties": {"text": {**_TEXT, "default": ""}}, "additionalProperties": False}
_MUST_SAY = {**_SAID, "properties": {"text": {**_TEXT, "minLength": 1}}, "required": ["text"]}
_FILTER = {"filter": {"type": "string", "enum": list(inbox.FILTERS), "default": inbox.OPEN, "description": "Which."}}


class ApprovalsApi(RoomApi):
    """Proposals under /api/v1/approvals."""

    route_base = "/api/v1/approvals"

    @operation(
        "GET",
        "/",
        scope="approvals:read",
        summary="List proposals that need a second person",
        query={**PAGING, **_FILTER},
        response=listing(PROPOSAL),
    )
    def list(self) -> Any:
        """Return proposals, the newest first."""
        after, limit = str(self.query["after"] or "0"), self.query["limit"]
        if not after.isascii() or not after.isdigit() or len(after) > 18:
            raise ApiError(422, "The parameter 'after' is not the 'next' of an earlier page.")
        with self.house.db.read() as tx:
            found = inbox.listed(tx, self.query["filter"], self._reader(tx), int(after), limit + 1)
        return listed([_head(one) for one in found[:limit]], found[limit - 1].id if len(found) > limit else None)

    @operation("GET", "/<int:number>", scope="approvals:read", summary="Show a proposal", response=WHOLE)
    def get(self, number: int) -> Any:
        """Return a proposal with what differs and what was said."""
        with self.house.db.read() as tx:
            return _whole(tx, self._found(tx, number))

    @operation(
        "POST",
        "/<int:number>/approve",
        scope="approvals:approve",
        summary="Approve a proposal of somebody else, which does it",
        body=_SAID,
        response=PROPOSAL,
    )
    def approve(self, number: int) -> Any:
        """Approve a proposal; 409 with the reason where it cannot be."""
        said = self.body.get("text", "")
        return self._decided(number, lambda: deciding.approve(self.house, number, self.actor, said))

    @operation(
        "POST",
        "/<int:number>/reject",
        scope="approvals:approve",
        summary="Reject a proposal with a reason",
        body=_MUST_SAY,
        response=PROPOSAL,
    )
    def reject(self, number: int) -> Any:
        """Reject a proposal."""
        return self._decided(number, lambda: deciding.reject(self.house, number, self.actor, self.body["text"]))

    @operation(
        "POST",
        "/<int:number>/withdraw",
        scope="approvals:create",
        summary="Withdraw one's own proposal",
        response=PROPOSAL,
    )
    def withdraw(self, number: int) -> Any:
        """Withdraw a proposal."""
        return self._decided(number, lambda: deciding.withdraw(self.house, number, self.actor))

    @operation(
        "POST",
        "/<int:number>/comments",
        scope="approvals:create",
        summary="Comment on a proposal",
        body=_MUST_SAY,
        response=WHOLE,
        status=201,
    )
    def comment(self, number: int) -> Any:
        """Say something about a proposal."""
        with self.house.db.read() as tx:
            self._found(tx, number)
        try:
            proposals.comment(self.house, number, self.body["text"], self.actor)
        except ApprovalProblem as error:
            raise ApiError(422, error.message) from None
        with self.house.db.read() as tx:
            return _whole(tx, self._found(tx, number))

    def _found(self, tx: sa.Connection, number: int) -> Proposal:
        try:
            found = proposals.get(tx, number)
        except (ApprovalMissing, OverflowError):
            raise ApiError(404, f"There is no proposal {number}.") from None
        if found.kind not in appliers or not inbox.visible(found, self._reader(tx)):
            raise ApiError(404, f"There is no proposal {number}.")
        return found

    def _reader(self, tx: sa.Connection) -> inbox.Reader:
        return inbox.Reader(hooks.the_people().acting(tx, self.actor), can, self.house.clock())

    def _decided(self, number: int, work: Callable[[], Proposal]) -> Any:
        with self.house.db.read() as tx:
            self._found(tx, number)
        try:
            found = work()
        except ApprovalProblem as error:
            raise ApiError(409, error.message) from None
        announce(self.house.settings)
        return _head(found)


def _head(found: Proposal) -> dict[str, Any]:
    names = ("id", "kind", "subject", "state", "author", "reason", "created_at", "expires_at")
    more = ("decided_at", "decided_by", "decision")
    plain = {name: getattr(found, name) for name in (*names, *more)}
    return {**plain, "title": str(found.title), "secrets": list(found.secrets)}


def _whole(tx: sa.Connection, found: Proposal) -> dict[str, Any]:
    shown = plain_difference(found.before or {}, found.after or {})
    talk = [{"at": one.at, "author": one.author, "text": one.text} for one in proposals.comments(tx, found.id)]
    return {**_head(found), "before": shown.before, "after": shown.after, "comments": talk}


API = (ApprovalsApi,)
