"""How the console takes part: deeds that wait for a second person, the number in the side bar, the banner."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.approvals import hooks, inbox, proposals, settings
from webapp.approvals.errors import ApprovalProblem, SecondPersonNeeded
from webapp.approvals.models import approval
from webapp.approvals.proposals import OVERRIDDEN, Proposal, latest
from webapp.web import problems
from webapp.web.language import translated
from webapp.web.menu import Item
from webapp.web.request import actor, house
from webapp.web.views import can

REASON = "X-Approval-Reason"
"""Header by which a program says why; a page's own note is taken otherwise."""


def register(app: Flask) -> None:
    """Turn deeds that need a second person into proposals, whatever page or operation they were asked by."""
    app.register_error_handler(SecondPersonNeeded, _waits)
    app.register_error_handler(ApprovalProblem, _refused)
    app.extensions["syncline_menu"].append(_menu)
    app.jinja_env.globals["second_person_for"] = second_person_for


def proposed(needed: SecondPersonNeeded) -> Proposal:
    """Store what the request at hand asked for as a proposal."""
    said = (request.headers.get(REASON) or request.form.get("note") or "").strip()
    deed = needed.deed if needed.deed.reason or not said else replace(needed.deed, reason=said)
    return proposals.propose(house(), deed, actor())


def _waits(needed: SecondPersonNeeded) -> Any:
    try:
        found = proposed(needed)
    except ApprovalProblem as error:
        return _refused(error)
    text = _("This waits for the approval of a second person, as proposal %(number)d.", number=found.id)
    if request.path.startswith("/api/"):
        return problems.problem(202, text, proposal=found.id, state=found.state)
    flash(text, "info")
    return _led(f"/approvals/{found.id}")


def _led(path: str) -> Response:
    if request.headers.get("HX-Request") == "true":
        return Response(status=204, headers={"HX-Redirect": path})
    return redirect(path)


def _refused(error: ApprovalProblem) -> Any:
    if request.path.startswith("/api/"):
        return problems.problem(403, translated(error.message))
    flash(translated(error.message), "danger")
    return _led("/approvals/")


def second_person_for(switch: str) -> bool:
    """Tell whether a kind of deed may need a second person, so that its page can say so beforehand."""
    with house().db.read() as tx:
        return switch in settings.current(tx).rules


def _menu() -> Iterator[Item]:
    if can("read", "Approvals"):
        with house().db.read() as tx:
            reader = inbox.Reader(hooks.the_people().acting(tx, actor()), can, house().clock())
            count = inbox.count(tx, inbox.FOR_ME, reader)
        yield Item("trust", _("Approvals"), "/approvals/", "check2-square", "Approvals", count=count)


def overridden(tx: sa.Connection, now: datetime) -> list[Proposal]:
    """Return the emergency overrides that the home page still tells of, the latest first."""
    since = now - timedelta(days=settings.current(tx).banner_days)
    return latest(tx, approval.c.state == OVERRIDDEN, approval.c.decided_at > since)
