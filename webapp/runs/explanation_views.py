"""The page that says why a run did what it did to one record."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from werkzeug.wrappers import Response

from webapp.rulebook import wording
from webapp.runs import explanation, reading
from webapp.runs import explanation_words as words
from webapp.runs.explanation import Explanation, NotExplained
from webapp.web.language import translated
from webapp.web.views import RoomView, expose, has_access, permission_name


class ExplanationView(RoomView):
    """Explanations of records, below the page of their run."""

    route_base = "/runs"
    class_permission_name = "Runs"

    @expose("/<int:run_id>/explain")
    @has_access
    @permission_name("read")
    def by_key(self, run_id: int) -> Any:
        """Go to the explanation of the record with a key, also of one that was unchanged or skipped."""
        key = request.args.get("key", "").strip()
        if not key:
            return redirect(f"/runs/{run_id}")
        try:
            found = explanation.explain(self.house, run_id, key=key)
        except reading.RunMissing:
            abort(404)
        except NotExplained as refusal:
            flash(translated(refusal.message), "warning")
            return redirect(f"/runs/{run_id}")
        if not found.result.record_no:  # the source left it out, so it has no number
            return self._page(found)
        return redirect(f"/runs/{run_id}/records/{found.result.record_no}/explain")

    @expose("/<int:run_id>/records/<int:record_no>/explain")
    @has_access
    @permission_name("read")
    def explain(self, run_id: int, record_no: int) -> Response:
        """Show why the run did what it did to a record."""
        try:
            found = explanation.explain(self.house, run_id, record_no=record_no)
        except (reading.RunMissing, NotExplained):
            abort(404)
        return self._page(found)

    def _page(self, found: Explanation) -> Response:
        return self.page("runs/explain.html", it=found, run=found.run, words=words, wording=wording)
