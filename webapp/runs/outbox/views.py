"""The page of deliveries, and what can be done about those that wait."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import flash, redirect, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from webapp.connections.services import list_connections
from webapp.rulebook.kinds import SYNC
from webapp.rulebook.reading import list_rules
from webapp.runs.outbox import deeds, reading
from webapp.runs.sight import Sights
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50
FILTERS = ("rule", "state", "connection", "key", "run")


def _offered(known: list[tuple[str, str]], chosen: str, everything: str) -> list[tuple[str, str]]:
    """Return what a filter offers: all, what there is, and what an address names that is there no more."""
    gone = [(chosen, chosen)] if chosen and chosen not in dict(known) else []
    return [("", everything), *known, *gone]


def _back() -> Response:
    """Lead back to the list as it was filtered."""
    chosen = {name: request.form[name] for name in FILTERS if request.form.get(name)}
    return redirect("/runs/deliveries/" + (f"?{urlencode(chosen)}" if chosen else ""))


class DeliveriesView(RoomView):
    """What waits to be delivered, what has been, and what has failed."""

    route_base = "/runs/deliveries"
    class_permission_name = "Runs"

    @expose("/")
    @has_access
    @permission_name("read")
    def index(self) -> Response:
        """List deliveries, filtered by rule, state, connection, run or key."""
        chosen = {name: request.args.get(name, "") for name in FILTERS}
        filters: dict[str, str | int | None] = {
            "rule_name": chosen["rule"],
            "state": None if chosen["state"] == "all" else chosen["state"] or "open",
            "connection": chosen["connection"],
            "key": chosen["key"],
            "run_id": request.args.get("run", 0, type=whole_number),
        }
        with self.house.db.read() as tx:
            before = request.args.get("before", 0, type=whole_number) or None
            rows = reading.listing(tx, filters, before=before, limit=PAGE + 1)
            counts, oldest = reading.counts(tx), reading.oldest(tx, self.house.clock())
            rules = [(row.name, row.label or row.name) for row in list_rules(tx) if row.kind == SYNC]
            known = [(row.name, row.label or row.name) for row in list_connections(tx)]
            sights = Sights(tx, doing=True)
            decides = {row.id for row in rows[:PAGE] if reading.decides(sights, row.run_id, row.rule_name)}
        more = rows[PAGE - 1].id if len(rows) > PAGE else None
        return self.page(
            "runs/deliveries.html",
            rows=rows[:PAGE],
            decides=decides,
            more=more,
            chosen=chosen,
            counts=counts,
            oldest=oldest,
            rules=_offered(rules, chosen["rule"], _("All rules")),
            connections=_offered(known, chosen["connection"], _("All connections")),
        )

    @expose("/retry", methods=["POST"])
    @has_access
    @permission_name("run")
    def retry(self) -> Response:
        """Let what waits be tried at once."""
        only: dict[str, str | int] = {name: request.form.get(name, "") for name in ("connection", "key")}
        only["run"] = request.form.get("run", 0, type=whole_number)
        number = deeds.retry(self.house, request.form.get("rule") or None, self.actor, only)
        flash(ngettext("%(num)d delivery is tried now.", "%(num)d deliveries are tried now.", number), "success")
        return _back()

    @expose("/<int:number>/drop", methods=["POST"])
    @has_access
    @permission_name("approve")
    @fresh
    def drop(self, number: int) -> Response:
        """Take a delivery out of the outbox unsent."""
        try:
            form = request.form
            deeds.drop(self.house, [number], form.get("reason", ""), self.actor, form.get("seen", ""))
        except deeds.NotDone as error:
            flash(translated(error.message), "danger")
        else:
            flash(_("Dropped; the audit log has the reason."), "success")
        return _back()
