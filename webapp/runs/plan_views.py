"""Pages of what follows a run: the plan of a simulation and its approval, the undoing of a run with its preview."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import parse_sync
from webapp.runs import followups, plan_cases, plans, reading, undo_preview
from webapp.runs.labels import choices, side_names, situations
from webapp.runs.pipeline.journal import LISTED
from webapp.runs.plan_cases import CASES, PlanCase
from webapp.runs.plans import Wanted
from webapp.runs.requests import RunRefused
from webapp.runs.undo_preview import NotPreviewed
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50
SAMPLES = 3
OUTCOMES = ("created", "updated", "deleted", "quarantined")


class PlanView(RoomView):
    """Plans, approvals and undoing."""

    route_base = "/runs"
    class_permission_name = "Runs"

    @expose("/<int:run_id>/plan")
    @has_access
    @permission_name("read")
    def plan(self, run_id: int) -> Any:
        """Show the plan of a simulation: how many records by what was found, samples, all of one kind or field."""
        wanted = Wanted(*(request.args.get(name, "") for name in ("situation", "outcome", "field")))
        after, days = request.args.get("after", 0, type=whole_number), self.house.settings.plan_days
        with self.house.db.read() as tx:
            row = _found(tx, run_id)
            if row.mode != "simulate":
                abort(404)
            if row.active:
                return redirect(f"/runs/{run_id}")
            context = {
                "groups": plans.groups(tx, run_id),
                "approvals": plans.about(tx, row, "approved"),
                "hindrance": plans.hindrance(tx, row, self.house.clock(), days),
                "fields": [("", _("All fields")), *((n, n) for n in plans.fields(reading.document(tx, run_id)))],
                **(_asked(tx, run_id, wanted, after) if wanted != Wanted() or after else _samples(tx, run_id)),
                "sides": side_names(parse_sync(reading.document(tx, run_id))),
            }
        return self.page(
            "runs/plan.html",
            run=row,
            wanted=wanted,
            after=after,
            until=plans.expires(row, days),
            listed=LISTED if reading.unlisted(row.counts) else None,
            words=situations(),
            outcomes=[
                *choices(("created", "updated", "deleted", "quarantined"), _("All")),
                (CASES, _("Wait for a person")),
            ],
            **context,
        )

    @expose("/<int:run_id>/approve", methods=["POST"])
    @has_access
    @permission_name("approve")
    def approve(self, run_id: int) -> Any:
        """Carry out the plan of a simulation and go to the page of the run that does."""
        return self._followed(run_id, followups.approve, f"/runs/{run_id}/plan")

    @expose("/<int:run_id>/undo")
    @has_access
    @permission_name("read")
    def undo_preview(self, run_id: int) -> Response:
        """Show what undoing a run would do now, what stays and why."""
        with self.house.db.read() as tx:
            row = _found(tx, run_id)
            context: dict[str, Any] = {
                "hindrance": followups.undo_hindrance(row),
                "earlier": plans.about(tx, row, "undo"),
                "pauses": followups.pauses(tx, row),
                "repeats": followups.repeats(reading.document(tx, run_id)),
            }
        found, problem = None, None
        if context["hindrance"] is None:
            try:
                found = undo_preview.preview(self.house, row)
            except NotPreviewed as error:
                problem = error.message
        return self.page("runs/undo.html", run=row, preview=found, problem=problem, **context)

    @expose("/<int:run_id>/undo", methods=["POST"])
    @has_access
    @permission_name("run")
    def undo(self, run_id: int) -> Any:
        """Undo a run and go to the page of the run that does."""
        return self._followed(run_id, followups.undo, f"/runs/{run_id}/undo")

    def _followed(self, run_id: int, deed: Any, back: str) -> Any:
        try:
            new = deed(self.house, run_id, self.actor)
        except RunRefused as refusal:
            flash(translated(refusal.message), "danger")
            return redirect(back)
        except reading.RunMissing:
            abort(404)
        announce(self.house.settings)
        return redirect(f"/runs/{new}")


def _asked(tx: sa.Connection, run_id: int, wanted: Wanted, after: int) -> dict[str, Any]:
    """Return all records asked for, a page of them, and behind the last one a few of the pairs that would wait."""
    none = {"records": [], "samples": [], "cases": [], "waiting": 0}
    about = (wanted.situation, wanted.field)
    waiting = plan_cases.count(tx, run_id, *about) if wanted.outcome in ("", CASES) else 0
    if wanted.outcome == CASES:
        cases = _cases(tx, run_id, wanted, PAGE + 1, after)
        more = cases[PAGE - 1].place if len(cases) > PAGE else None
        return {**none, "cases": cases[:PAGE], "more": more, "total": waiting, "waiting": waiting}
    found = plans.records(tx, run_id, wanted, after, PAGE + 1)
    more = found[PAGE - 1].id if len(found) > PAGE else None
    cases = _cases(tx, run_id, wanted, SAMPLES) if waiting and more is None else []
    shown = {"records": [reading.with_differences(record) for record in found[:PAGE]], "more": more}
    return {**none, **shown, "total": plans.count(tx, run_id, wanted), "cases": cases, "waiting": waiting}


def _cases(tx: sa.Connection, run_id: int, wanted: Wanted, limit: int, after: int = 0) -> list[PlanCase]:
    about = {"situation": wanted.situation, "name": wanted.field}
    return plan_cases.listing(tx, run_id, **about, after=after, limit=limit)


def _samples(tx: sa.Connection, run_id: int) -> dict[str, Any]:
    """Return a few records of each kind."""
    samples: list[tuple[Any, ...]] = []
    for group in plans.groups(tx, run_id):
        asked = Wanted(group.situation or "none", group.outcome)
        if group.outcome == CASES:
            samples.append((group, asked, _cases(tx, run_id, asked, SAMPLES)))
            continue
        some = plans.records(tx, run_id, asked, limit=SAMPLES)
        samples.append((group, asked, [reading.with_differences(record) for record in some]))
    return {"records": [], "cases": [], "more": None, "total": 0, "waiting": 0, "samples": samples}


def _found(tx: sa.Connection, run_id: int) -> reading.RunRow:
    try:
        return reading.get(tx, run_id)
    except reading.RunMissing:
        abort(404)
