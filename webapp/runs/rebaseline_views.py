"""The page that asks for a re-baseline of a two-way rule."""

from __future__ import annotations

from typing import Any

from flask import abort, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.extensions import Actor, House
from webapp.runs import rebaselines
from webapp.runs.part_views import HOW, asked, wanted
from webapp.runs.requests import RunRefused
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.views import RoomView, expose, has_access, permission_name


class RebaselineView(RoomView):
    """Re-baselines."""

    route_base = "/runs"
    class_permission_name = "Runs"

    @expose("/rebaseline")
    @has_access
    @permission_name("run")
    def rebaseline(self) -> Response:
        """Ask who is right where both sides differ, and for which records."""
        return self._form(request.args.to_dict())

    @expose("/rebaseline", methods=["POST"])
    @has_access
    @permission_name("run")
    def start_rebaseline(self) -> Any:
        """Start the simulation of a re-baseline and go to its page."""
        given = request.form.to_dict()
        try:
            run_id = _request(self.house, given, self.actor)
        except RunRefused as refusal:
            return self._form(given, translated(refusal.message))
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}")

    def _form(self, given: dict[str, str], error: str = "") -> Response:
        about = asked(self.house, given, ("all", *HOW))
        if len(about["sides"]) < len(("left", "right")):
            abort(404)
        (left, left_name), (right, right_name) = about["sides"]
        choices = [
            ("cases", _("As at the first meeting, else a case")),
            (left, _("%(side)s is right", side=left_name)),
            (right, _("%(side)s is right", side=right_name)),
        ]
        differing = given.get("differing") or "cases"
        status = 409 if error else 200
        return self.page("runs/rebaseline.html", status, error=error, choices=choices, differing=differing, **about)


def _request(house: House, given: dict[str, str], actor: Actor) -> int:
    which = None if given.get("how", "all") == "all" else wanted(given)
    return rebaselines.request(house, given.get("rule", ""), given.get("differing", ""), actor, which)
