"""Pages of runs: the list, one run with its progress, its records with differences, its log, downloads."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import dump_document
from rules.documents.policies import Priority
from webapp.rulebook import hooks
from webapp.rulebook import reading as rulebook
from webapp.rulebook.kinds import SYNC
from webapp.runs import admission, followups, ordering, plans, reading, sight_audit, trends, validations
from webapp.runs.comparison_views import ComparisonView
from webapp.runs.dependencies import start_in_order
from webapp.runs.downloads import failed_lines, outcome_lines
from webapp.runs.explanation_views import ExplanationView
from webapp.runs.labels import choices
from webapp.runs.links import hindrance, last_runs, table_hits
from webapp.runs.log_views import LogsView
from webapp.runs.outbox.reading import of_run
from webapp.runs.outbox.views import DeliveriesView
from webapp.runs.part_views import PartView
from webapp.runs.pipeline.journal import LISTED
from webapp.runs.plan_views import PlanView
from webapp.runs.quarantine_views import QuarantineView
from webapp.runs.rebaseline_views import RebaselineView
from webapp.runs.requests import RunRefused, cancel, pause, prioritise, resume, start
from webapp.runs.sagas.views import SagasView
from webapp.runs.shadow_views import ShadowView
from webapp.runs.slices import leases
from webapp.runs.transactions.views import TransactionsView
from webapp.runs.verification_views import VerificationView
from webapp.runs.warning_views import WarningsView
from webapp.wake import announce
from webapp.web import validation_words
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50
SHORT = timedelta(seconds=20)
"""A run that is older is asked for every three seconds: many people watch long runs."""
OUTCOMES = ("created", "updated", "deleted", "quarantined", "rejected", "moved", "refused")

sight_audit.register()
hooks.last_runs.append(last_runs)
hooks.deletion.append(hindrance)
hooks.table_hits.append(table_hits)
hooks.history.append(trends.panel)


class RunsView(RoomView):
    """Runs."""

    route_base = "/runs"
    class_permission_name = "Runs"
    default_view = "list"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the latest runs."""
        rule, state = request.args.get("rule"), request.args.get("state")
        with self.house.db.read() as tx:
            found = reading.listing(
                tx, rule=rule, state=state, before=request.args.get("before", type=whole_number), limit=PAGE + 1
            )
            rules = [(row.name, row.label or row.name) for row in rulebook.list_rules(tx) if row.kind == SYNC]
        chosen = {"rule": rule or "", "state": state or ""}
        more = found[PAGE - 1].id if len(found) > PAGE else None
        states = choices(reading.STATES, _("All states"))
        rules.insert(0, ("", _("All rules")))
        return self.page("runs/list.html", runs=found[:PAGE], rules=rules, states=states, chosen=chosen, more=more)

    @expose("/start", methods=["POST"])
    @has_access
    @permission_name("run")
    def start(self) -> Any:
        """Start a run and go to its page."""
        name, mode = request.form.get("rule", ""), request.form.get("mode", "live")
        try:
            if request.form.get("dependencies") and mode == "live":
                run_id = start_in_order(self.house, name, mode, self.actor)[-1]
            else:
                run_id = start(self.house, name, mode, self.actor, draft=mode == "simulate")
        except RunRefused as refusal:
            flash(translated(refusal.message), "danger")
            return redirect(f"/rules/{name}" if name else "/rules/")
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}")

    @expose("/<int:run_id>")
    @has_access
    @permission_name("read")
    def show(self, run_id: int) -> Any:
        """Show one run: how far it is, its counts, what it changed."""
        outcome, key = request.args.get("outcome") or None, request.args.get("key") or None
        after = request.args.get("after", 0, type=whole_number)
        with self.house.db.read() as tx:
            row = self._run(tx, run_id)
            if row.kind == "verify":
                return redirect(f"/runs/{run_id}/comparison")
            found = reading.records(tx, run_id, outcome=outcome, key=key, after=after, limit=PAGE + 1)
            tallies = validations.tallies(tx, run_id)
            waits, full = ordering.awaited(tx, run_id), admission.full(tx, run_id)
            slices = leases.of_run(tx, run_id)
            outbox = of_run(tx, run_id)
            about = {kind: plans.about(tx, row, kind) for kind in ("approved", "undo")}
            left = {name: plans.count(tx, run_id, plans.Wanted(name)) for name in ("moved", "refused")}
            repeats = row.kind == "undo" and followups.repeats(reading.document(tx, run_id))
            source = "right" if reading.document(tx, run_id).get("direction") == "right_to_left" else "left"
            titles = validation_words.titles(reading.document(tx, run_id)) if tallies else {}
        return self.page(
            "runs/show.html",
            run=row,
            records=[reading.with_differences(record) for record in found[:PAGE]],
            listed=LISTED if reading.unlisted(row.counts) else None,
            more=found[PAGE - 1].id if len(found) > PAGE else None,
            chosen={"outcome": outcome or "", "key": key or ""},
            outcomes=choices(OUTCOMES, _("All")),
            after=after,
            tallies=tallies,
            waits=waits,
            full=full,
            slices=slices,
            outbox=outbox,
            about=about,
            left=left,
            repeats=repeats,
            titles=titles,
            source=source,
        )

    @expose("/<int:run_id>/progress")
    @has_access
    @permission_name("read")
    def progress(self, run_id: int) -> Response:
        """Return the moving part of a run's page; the whole page is loaded again once the run has ended."""
        with self.house.db.read() as tx:
            row = self._run(tx, run_id)
            waits, full = ordering.awaited(tx, run_id), admission.full(tx, run_id)
            slices = leases.of_run(tx, run_id)
        long = self.house.clock() - row.requested_at > SHORT
        answer = self.page("runs/progress.html", run=row, waits=waits, full=full, slices=slices, long=long)
        if not row.active:
            answer.headers["HX-Refresh"] = "true"
        return answer

    @expose("/<int:run_id>/log")
    @has_access
    @permission_name("read")
    def log(self, run_id: int) -> Response:
        """Show a run's log."""
        with self.house.db.read() as tx:
            return self.page("runs/log.html", run=self._run(tx, run_id), lines=reading.log_lines(tx, run_id))

    @expose("/<int:run_id>/rule")
    @has_access
    @permission_name("read")
    def rule(self, run_id: int) -> Response:
        """Show the rule as it was executed."""
        with self.house.db.read() as tx:
            text = dump_document(reading.document(tx, run_id))
            return self.page("runs/rule.html", run=self._run(tx, run_id), text=text)

    @expose("/<int:run_id>/cancel", methods=["POST"])
    @has_access
    @permission_name("run")
    def cancel(self, run_id: int) -> Any:
        """Cancel a run."""
        return self._done(run_id, cancel, _("The run stops behind the records it has at hand."))

    @expose("/<int:run_id>/pause", methods=["POST"])
    @has_access
    @permission_name("run")
    def pause(self, run_id: int) -> Any:
        """Let a run stop and keep its place."""
        return self._done(run_id, pause, _("The run stops behind the records it has at hand, and keeps its place."))

    @expose("/<int:run_id>/first", methods=["POST"])
    @has_access
    @permission_name("run")
    def first(self, run_id: int) -> Any:
        """Let a run that waits go before others."""
        hurry = partial(prioritise, priority=Priority.URGENT)
        return self._done(run_id, hurry, _("The run gets the next worker that is free."))

    @expose("/<int:run_id>/resume", methods=["POST"])
    @has_access
    @permission_name("run")
    def resume(self, run_id: int) -> Any:
        """Let a stopped run go on."""
        return self._done(run_id, resume, _("The run goes on where it stopped."))

    @expose("/<int:run_id>/outcomes.csv")
    @has_access
    @permission_name("export")
    def outcomes(self, run_id: int) -> Response:
        """Download what became of every record."""
        return self._download(run_id, outcome_lines, "csv", "text/csv; charset=utf-8")

    @expose("/<int:run_id>/failed.jsonl")
    @has_access
    @permission_name("export")
    def failed(self, run_id: int) -> Response:
        """Download the records that failed, with their reasons."""
        return self._download(run_id, failed_lines, "jsonl", "application/x-ndjson; charset=utf-8")

    def _done(self, run_id: int, deed: Any, text: str) -> Any:
        try:
            deed(self.house, run_id, actor=self.actor)
        except (RunRefused, reading.RunMissing) as refusal:
            flash(translated(refusal.message), "danger")
        else:
            flash(text, "success")
            announce(self.house.settings)
        return redirect(f"/runs/{run_id}")

    def _download(self, run_id: int, lines: Any, ending: str, kind: str) -> Response:
        with self.house.db.read() as tx:
            row = self._run(tx, run_id)
        body = lines(self.house, row, self.actor, translated)
        name = f"run-{run_id}-{row.rule_name}.{ending}"
        return Response(body, content_type=kind, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @staticmethod
    def _run(tx: Any, run_id: int) -> reading.RunRow:
        try:
            return reading.get(tx, run_id)
        except reading.RunMissing:
            abort(404)


VIEWS = (
    RunsView,
    PartView,
    RebaselineView,
    PlanView,
    ShadowView,
    VerificationView,
    WarningsView,
    ExplanationView,
    ComparisonView,
    QuarantineView,
    LogsView,
    TransactionsView,
    DeliveriesView,
    SagasView,
)
