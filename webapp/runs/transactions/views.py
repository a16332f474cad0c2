"""The page of transactions over several systems that are in doubt, and what can be done about them."""

from __future__ import annotations

from collections.abc import Callable

from flask import flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from rules.text import Message
from webapp.runs.sagas import reading as sagas
from webapp.runs.transactions import forcing, reading, recovery
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name


class TransactionsView(RoomView):
    """Transactions in doubt."""

    route_base = "/runs/transactions"
    class_permission_name = "Runs"

    @expose("/")
    @has_access
    @permission_name("read")
    def index(self) -> Response:
        """Show what is open; asked for, also what the systems themselves show."""
        asked = reading.ask(self.house) if request.args.get("ask") else None
        return self.page(
            "runs/transactions.html",
            rows=reading.listing(self.house, asked),
            strays=[] if asked is None else reading.strays(self.house, asked),
            problems={} if asked is None else asked.problems,
            asked=asked is not None,
            sagas=sagas.listing(self.house),
        )

    @expose("/finish", methods=["POST"])
    @has_access
    @permission_name("run")
    def finish(self) -> Response:
        """Let the coordinator carry out now what it has decided."""
        left = recovery.recover(self.house)
        recovery.sweep(self.house)
        if left:
            flash(_("Not all could be finished yet. What is in the way is named below; it is tried again."), "warning")
        else:
            flash(_("All that is decided is carried out."), "success")
        return redirect("/runs/transactions/?ask=1")

    @expose("/<int:number>/<side>/forget", methods=["POST"])
    @has_access
    @permission_name("approve")
    @fresh
    def forget(self, number: int, side: str) -> Response:
        """Take a part for done without telling its system."""
        reason = request.form.get("reason", "")
        return self._force(lambda: forcing.forget(self.house, number, side, reason, self.actor))

    @expose("/strays/end", methods=["POST"])
    @has_access
    @permission_name("approve")
    @fresh
    def end_stray(self) -> Response:
        """Commit or undo what a system shows and nothing is stored of."""
        form = request.form
        place = (form.get("connection", ""), form.get("gid", ""), form.get("reason", ""))
        return self._force(
            lambda: forcing.end_stray(self.house, *place, self.actor, commit=form.get("deed") == "commit")
        )

    def _force(self, deed: Callable[[], None]) -> Response:
        try:
            deed()
        except (forcing.NotForced, ConnectorError) as error:
            problem: Message = error.advice if isinstance(error, ConnectorError) else error.message
            flash(translated(problem), "danger")
        else:
            flash(_("Done by hand; the audit log has the reason."), "success")
        return redirect("/runs/transactions/?ask=1")
