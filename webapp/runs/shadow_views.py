"""The page that compares a shadow run with a live run of the same rule."""

from __future__ import annotations

from typing import Any

from flask import abort, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.runs import reading, shadows
from webapp.runs.labels import choices
from webapp.runs.shadows import Kind, Wanted
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50
OUTCOMES = ("created", "updated", "unchanged", "deleted", "skipped", "quarantined", "cases")


class ShadowView(RoomView):
    """Shadow runs against live runs."""

    route_base = "/runs"
    class_permission_name = "Runs"

    @expose("/<int:run_id>/shadow")
    @has_access
    @permission_name("read")
    def shadow(self, run_id: int) -> Response:
        """Show what a shadow run would have done beside what a live run behind it did."""
        page = max(request.args.get("page", 1, type=whole_number), 1)
        kind = request.args.get("kind", "")
        wanted = Wanted(kind if kind in _words() else "", request.args.get("key", ""), (page - 1) * PAGE, PAGE)
        with self.house.db.read() as tx:
            try:
                row = reading.get(tx, run_id)
            except reading.RunMissing:
                abort(404)
            if shadows.hindrance(row) is not None:
                abort(404)
            runs = shadows.candidates(tx, row)
            asked = request.args.get("live", type=whole_number)
            live = next((one for one in runs if one.id == asked), runs[0] if runs else None)
            found = shadows.compared(tx, row, live, wanted) if live else None
            both_ways = reading.document(tx, run_id).get("direction") == "two_way"
        context: dict[str, Any] = {"run": row, "live": live, "runs": runs, "found": found, "wanted": wanted}
        context |= {"both_ways": both_ways}
        more = found is not None and min(found.matching, shadows.MOST) > page * PAGE
        kinds = [
            ("", _("All that are not the same")),
            *((name, text) for name, (text, _tone, _hint) in _words().items()),
        ]
        outcomes = dict(choices(OUTCOMES)) | {
            "unchanged": _("Unchanged"),
            "skipped": _("Left alone"),
            "cases": _("Waits for a person"),
        }
        return self.page(
            "runs/shadow.html", words=_words(), kinds=kinds, outcomes=outcomes, page=page, more=more, **context
        )


def _words() -> dict[str, tuple[str, str, str]]:
    """Return label, tone and explanation of each kind."""
    return {
        Kind.SAME.value: (_("Same"), "ok", _("the live run did what the shadow run had shown")),
        Kind.DIFFERS.value: (_("Differs"), "warn", _("another outcome, other values or another reason")),
        Kind.ONLY_SHADOW.value: (
            _("Only in the shadow run"),
            "warn",
            _("the live run did not meet it any more"),
        ),
        Kind.ONLY_LIVE.value: (_("Only in the live run"), "info", _("the record was new, or came in by then")),
        Kind.IDLE.value: (
            _("Met by one, left alone"),
            "muted",
            _("one run only met the record and had nothing to do, as where a live run meets what it has just created"),
        ),
    }
