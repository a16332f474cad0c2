"""What can be done in the browser about records whose steps could not be taken back."""

from __future__ import annotations

from collections.abc import Callable

from flask import flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.runs.sagas import deeds
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name


class SagasView(RoomView):
    """Deeds about records that wait; the page of transactions lists them."""

    route_base = "/runs/sagas"
    class_permission_name = "Runs"

    @expose("/<int:number>/again", methods=["POST"])
    @has_access
    @permission_name("run")
    def again(self, number: int) -> Response:
        """Try once more to take the steps back."""
        return self._done(lambda: deeds.again(self.house, number, self.actor, request.form.get("seen", "")))

    @expose("/<int:number>/end", methods=["POST"])
    @has_access
    @permission_name("approve")
    @fresh
    def end(self, number: int) -> Response:
        """Take the step for taken back, or leave all as it is."""
        reason, seen = request.form.get("reason", ""), request.form.get("seen", "")
        if request.form.get("deed") == "give_up":
            return self._done(lambda: deeds.give_up(self.house, number, reason, self.actor, seen))
        return self._done(lambda: deeds.take_for_done(self.house, number, reason, self.actor, seen))

    def _done(self, deed: Callable[[], bool | None]) -> Response:
        try:
            ended = deed()
        except deeds.NotDone as error:
            flash(translated(error.message), "danger")
        else:
            if ended is False:
                flash(_("Not all steps could be taken back. What is in the way is named below."), "warning")
            else:
                flash(_("Done. Replay the record from the quarantine to do its steps anew."), "success")
        return redirect("/runs/transactions/")
