"""The pages of approvals: the inbox, a proposal with its difference, and the settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.approvals import deciding, hooks, inbox, proposals, words
from webapp.approvals.deciding import OVERRIDE
from webapp.approvals.deeds import Shown, appliers
from webapp.approvals.errors import ApprovalMissing, ApprovalProblem
from webapp.approvals.hooks import Person
from webapp.approvals.independence import require_second
from webapp.approvals.proposals import EXPIRED, STALE, WAITING, Proposal, is_author
from webapp.approvals.setting_views import ApprovalSettingsView
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.request import whole_number
from webapp.web.views import RoomView, can, expose, has_access, permission_name

PAGE = 50


class ApprovalsView(RoomView):
    """Proposals."""

    route_base = "/approvals"
    class_permission_name = "Approvals"
    default_view = "list"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show what waits for one, one's own proposals, all that wait, or those that were decided."""
        asked = request.args.get("filter", inbox.FOR_ME)
        chosen = asked if asked in inbox.FILTERS else inbox.FOR_ME
        after = request.args.get("after", 0, type=whole_number)
        with self.house.db.read() as tx:
            reader = self._reader(tx)
            found = inbox.listed(tx, chosen, reader, after, PAGE + 1)
            counts = {name: inbox.count(tx, name, reader) for name in inbox.FILTERS}
        more = f"/approvals/?filter={chosen}&after={found[PAGE - 1].id}" if len(found) > PAGE else None
        context: dict[str, Any] = {"chosen": chosen, "more": more, "total": counts[chosen], "state_of": self._state}
        return self.page("approvals/list.html", proposals=found[:PAGE], tabs=_tabs(chosen, counts), **context)

    @expose("/<int:number>")
    @has_access
    @permission_name("read")
    def show(self, number: int) -> Response:
        """Show a proposal: what would change, what was said about it, what can be done."""
        return self._show(number)

    @expose("/<int:number>/approve", methods=["POST"])
    @has_access
    @permission_name("approve")
    def approve(self, number: int) -> Response:
        """Approve a proposal, which does the deed."""
        said = request.form.get("text", "")
        done = _("Approved, and done exactly as proposed.")
        return self._decide(number, lambda: deciding.approve(self.house, number, self.actor, said), done)

    @expose("/<int:number>/reject", methods=["POST"])
    @has_access
    @permission_name("approve")
    def reject(self, number: int) -> Response:
        """Reject a proposal with a reason."""
        said = request.form.get("text", "")
        done = _("Rejected. Nothing was changed.")
        return self._decide(number, lambda: deciding.reject(self.house, number, self.actor, said), done)

    @expose("/<int:number>/withdraw", methods=["POST"])
    @has_access
    @permission_name("read")
    def withdraw(self, number: int) -> Response:
        """Withdraw one's own proposal."""
        done = _("Withdrawn. Nothing was changed.")
        return self._decide(number, lambda: deciding.withdraw(self.house, number, self.actor), done)

    @expose("/<int:number>/again", methods=["POST"])
    @has_access
    @permission_name("create")
    def again(self, number: int) -> Response:
        """Propose once more what has become out of date or expired."""
        self._found(number)
        try:
            made = deciding.again(self.house, number, self.actor)
        except ApprovalProblem as error:
            flash(translated(error.message), "danger")
            return redirect(f"/approvals/{number}")
        flash(_("Proposed again, on what holds now."), "success")
        return redirect(f"/approvals/{made.id}")

    @expose("/<int:number>/override", methods=["POST"])
    @has_access
    @permission_name("override")
    @fresh
    def override(self, number: int) -> Response:
        """Do the deed in an emergency, without a second person."""
        said = request.form.get("reason", "")
        done = _("Done without a second person. Everybody who may approve is told, and the audit log has the reason.")
        return self._decide(number, lambda: deciding.override(self.house, number, self.actor, said), done)

    @expose("/<int:number>/comment", methods=["POST"])
    @has_access
    @permission_name("read")
    def comment(self, number: int) -> Response:
        """Say something about a proposal."""
        self._found(number)
        try:
            proposals.comment(self.house, number, request.form.get("text", ""), self.actor)
        except ApprovalProblem as error:
            return self._show(number, {"comment": error.message}, 422)
        return redirect(f"/approvals/{number}#comments")

    def _decide(self, number: int, work: Callable[[], Proposal], done: str) -> Response:
        self._found(number)
        try:
            work()
        except ApprovalProblem as error:
            return self._show(number, {"": error.message}, 409)
        announce(self.house.settings)  # what was approved may be a run that waits
        flash(done, "success")
        return redirect(f"/approvals/{number}")

    def _show(self, number: int, errors: dict[str, Any] | None = None, status: int = 200) -> Response:
        with self.house.db.read() as tx:
            found, me = self._find(tx, number), self._me(tx)
            talk = proposals.comments(tx, number)
            hindrance = _hindrance(tx, found, me)
        open_ = found.state == WAITING and not self._expired(found)
        mine = me is not None and is_author(found, me)
        over = found.state in {STALE, EXPIRED} or self._expired(found)
        context: dict[str, Any] = {
            "hindrance": hindrance,
            "mine": mine,
            "open": open_,
            "may_override": open_ and can(*OVERRIDE) and can(*found.applier.permission),
            "may_repeat": mine and over and not found.secrets and can("create", "Approvals"),
            "outcome": words.outcome(found),
            "changes": _in_words(found.shown()),
            "errors": errors or {},
        }
        state = self._state(found)
        return self.page("approvals/show.html", status, proposal=found, state=state, comments=talk, **context)

    def _found(self, number: int) -> None:
        with self.house.db.read() as tx:
            self._find(tx, number)

    def _find(self, tx: sa.Connection, number: int) -> Proposal:
        """Return a proposal that may be seen, or show that there is none."""
        try:
            found = proposals.get(tx, number)
        except ApprovalMissing:
            abort(404)
        if found.kind not in appliers or not inbox.visible(found, self._reader(tx)):
            abort(404)
        return found

    def _me(self, tx: sa.Connection) -> Person | None:
        return hooks.the_people().acting(tx, self.actor)

    def _reader(self, tx: sa.Connection) -> inbox.Reader:
        return inbox.Reader(self._me(tx), can, self.house.clock())

    def _expired(self, found: Proposal) -> bool:
        return found.state == WAITING and found.expires_at <= self.house.clock()

    def _state(self, found: Proposal) -> tuple[str, str]:
        return words.state_of(found, expired=self._expired(found))


def _hindrance(tx: sa.Connection, found: Proposal, me: Person | None) -> Any:
    """Say why who looks cannot approve the proposal; None if they can."""
    try:
        require_second(tx, found, me)
    except ApprovalProblem as error:
        return error.message
    return None


def _in_words(shown: Shown) -> Shown:
    """Return a difference in the reader's language, with what nobody would see of it made visible."""

    def told(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            path: words.visible(translated(one) if isinstance(one, Message) else one) for path, one in values.items()
        }

    labels = {path: translated(one) if isinstance(one, Message) else _(one) for path, one in shown.labels.items()}
    return Shown(told(shown.before), told(shown.after), labels)


def _tabs(chosen: str, counts: dict[str, int]) -> Any:
    labels = {
        inbox.FOR_ME: _("Waiting for me (%(count)d)", count=counts[inbox.FOR_ME]),
        inbox.MINE: _("Mine (%(count)d)", count=counts[inbox.MINE]),
        inbox.OPEN: _("All waiting (%(count)d)", count=counts[inbox.OPEN]),
        inbox.DECIDED: _("Decided"),
    }
    return [(f"/approvals/?filter={name}", label, name == chosen) for name, label in labels.items()]


VIEWS = (ApprovalSettingsView, ApprovalsView)
