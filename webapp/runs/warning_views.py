"""The page of the records that a run wrote although they do not meet a validation."""

from __future__ import annotations

from flask import abort, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.runs import reading, validations
from webapp.web import validation_words
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50


class WarningsView(RoomView):
    """Warnings of a run."""

    route_base = "/runs"
    class_permission_name = "Runs"

    @expose("/<int:run_id>/warnings")
    @has_access
    @permission_name("read")
    def warnings(self, run_id: int) -> Response:
        """Show the warnings of a run, of one validation or of all."""
        chosen, after = request.args.get("validation", ""), request.args.get("after", 0, type=whole_number)
        with self.house.db.read() as tx:
            try:
                run = reading.get(tx, run_id)
            except reading.RunMissing:
                abort(404)
            tallies = [t for t in validations.tallies(tx, run_id) if t.severity == "warn"]
            titles = validation_words.titles(reading.document(tx, run_id))
            found = validations.warnings(tx, run_id, chosen or None, after=after, limit=PAGE + 1)
        told = [t for t in tallies if chosen in ("", t.validation)]
        return self.page(
            "runs/warnings.html",
            run=run,
            warnings=found[:PAGE],
            more=found[PAGE - 1].id if len(found) > PAGE else None,
            chosen=chosen,
            titles=titles,
            choices=[("", _("All")), *((t.validation, titles.get(t.validation, t.validation)) for t in tallies)],
            hidden=any(t.failed > t.listed for t in told),
            failed=sum(t.failed for t in told),
            listed=max((t.listed for t in told), default=0),
        )
