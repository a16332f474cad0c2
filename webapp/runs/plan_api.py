"""The API of plans, their approval and the undoing of runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from webapp.extensions import Actor, House
from webapp.runs import followups, plan_cases, plans, reading, undo_preview
from webapp.runs.requests import RunRefused
from webapp.runs.shapes import RECORD, RUN, number_of, record_json, run_json
from webapp.runs.undo_preview import NotPreviewed
from webapp.wake import announce
from webapp.web.api import PAGING, ApiError, RoomApi, listed, listing, operation

PLAN = {
    "type": "object",
    "properties": {
        "run": {"type": "integer"},
        "rule": {"type": "string"},
        "can_be_approved": {"type": "boolean"},
        "reason": {"type": ["string", "null"], "description": "Why it cannot be approved."},
        "until": {"type": "string", "description": "When it can no longer be approved."},
        "approved_by_run": {"type": ["integer", "null"]},
        "groups": {"type": "array", "items": RECORD},
    },
}


class PlanApi(RoomApi):
    """Plans and undoing."""

    route_base = "/api/v1/runs"

    @operation("GET", "/<int:run_id>/plan", scope="runs:read", summary="Get the plan of a simulation", response=PLAN)
    def plan(self, run_id: int) -> Any:
        """Return what a plan holds, by what was found, and whether it can be approved."""
        days = self.house.settings.plan_days
        with self.house.db.read() as tx:
            row = self._simulation(tx, run_id)
            reason = plans.hindrance(tx, row, self.house.clock(), days)
            approvals = plans.about(tx, row, "approved")
            groups = [
                {"situation": group.situation, "outcome": group.outcome, "records": group.records}
                for group in plans.groups(tx, run_id)
            ]
        head = {"run": run_id, "rule": row.rule_name, "can_be_approved": reason is None}
        told = {"reason": str(reason) if reason else None, "until": plans.expires(row, days)}
        return {**head, **told, "approved_by_run": approvals[0] if approvals else None, "groups": groups}

    @operation(
        "GET",
        "/<int:run_id>/plan/records",
        scope="runs:read",
        summary="List the records of a plan with their differences",
        query={
            **PAGING,
            "situation": {"type": "string", "default": "", "description": "Only records for which this was found."},
            "outcome": {"type": "string", "default": "", "description": "Only what would be created, updated ..."},
            "field": {"type": "string", "default": "", "description": "Only records that change this field."},
        },
        response=listing(RECORD),
    )
    def plan_records(self, run_id: int) -> Any:
        """Return records of a plan in the order read."""
        query = self.query
        wanted = plans.Wanted(query["situation"], query["outcome"], query["field"])
        with self.house.db.read() as tx:
            self._simulation(tx, run_id)
            rows = plans.records(tx, run_id, wanted, number_of(query["after"]) or 0, query["limit"] + 1)
        shown = rows[: query["limit"]]
        return listed([record_json(row) for row in shown], shown[-1].id if len(rows) > len(shown) else None)

    @operation(
        "GET",
        "/<int:run_id>/plan/cases",
        scope="runs:read",
        summary="List the pairs of a plan that would wait for a person",
        query={
            **PAGING,
            "situation": {"type": "string", "default": "", "description": "Only pairs for which this was found."},
            "field": {"type": "string", "default": "", "description": "Only pairs with this field in question."},
        },
        response=listing(RECORD),
    )
    def plan_cases(self, run_id: int) -> Any:
        """Return pairs of a plan with the fields in question, or the possible partners."""
        query = self.query
        about = {"situation": query["situation"], "name": query["field"]}
        with self.house.db.read() as tx:
            self._simulation(tx, run_id)
            after = number_of(query["after"]) or 0
            found = plan_cases.listing(tx, run_id, **about, after=after, limit=query["limit"] + 1)
        shown = found[: query["limit"]]
        return listed([one.to_json() for one in shown], shown[-1].place if len(found) > len(shown) else None)

    @operation(
        "POST",
        "/<int:run_id>/approve",
        scope="runs:approve",
        summary="Carry out the plan of a simulation as shown",
        response=RUN,
        status=201,
    )
    def approve(self, run_id: int) -> Any:
        """Start the run that carries out a plan."""
        return self._followed(run_id, followups.approve)

    @operation(
        "GET",
        "/<int:run_id>/undo",
        scope="runs:read",
        summary="Preview what undoing a run would do now",
        response=RECORD,
    )
    def undo_preview(self, run_id: int) -> Any:
        """Return what would be undone, and what stays and why."""
        with self.house.db.read() as tx:
            row = self._run(tx, run_id)
        reason = followups.undo_hindrance(row)
        if reason is not None:
            raise ApiError(409, reason)
        try:
            return undo_preview.preview(self.house, row).to_json()
        except NotPreviewed as error:
            raise ApiError(502, error.message) from None

    @operation("POST", "/<int:run_id>/undo", scope="runs:run", summary="Undo a run", response=RUN, status=201)
    def undo(self, run_id: int) -> Any:
        """Start the run that undoes a run."""
        return self._followed(run_id, followups.undo)

    def _followed(self, run_id: int, deed: Callable[[House, int, Actor], int]) -> Any:
        with self.house.db.read() as tx:
            self._run(tx, run_id)
        try:
            new = deed(self.house, run_id, self.actor)
        except RunRefused as refusal:
            raise ApiError(409, refusal.message) from None
        announce(self.house.settings)
        with self.house.db.read() as tx:
            return run_json(self._run(tx, new))

    def _simulation(self, tx: Any, run_id: int) -> reading.RunRow:
        row = self._run(tx, run_id)
        if row.mode != "simulate":
            raise ApiError(404, f"Run {run_id} is not a simulation, so it has no plan.")
        return row

    @staticmethod
    def _run(tx: Any, run_id: int) -> reading.RunRow:
        try:
            return reading.get(tx, run_id)
        except reading.RunMissing as missing:
            raise ApiError(404, missing.message) from None
