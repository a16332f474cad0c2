"""The pages below /events/: what came in, how rules stand, what is to be done and what failed."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents.event_rule import KIND
from webapp.events import intake, known, reading, services, words
from webapp.events.intake import EventRefused
from webapp.rulebook import reading as rulebook
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.storable import read_json
from webapp.web.views import RoomView, expose, has_access, permission_name

PAGE = 50


class EventsView(RoomView):
    """Events."""

    route_base = "/events"
    class_permission_name = "Events"
    default_view = "list"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the latest events."""
        type_, text = request.args.get("type", ""), request.args.get("text", "").strip()
        before = request.args.get("before", type=whole_number)
        with self.house.db.read() as tx:
            found = reading.events(tx, type_=type_ or None, before=before, limit=PAGE + 1, text=text)
            types = [("", _("All types")), *((one, one) for one in reading.event_types(tx))]
        more = found[PAGE - 1].id if len(found) > PAGE else None
        shown: dict[str, Any] = {
            "events": found[:PAGE],
            "more": more,
            "types": types,
            "chosen": {"type": type_, "text": text},
        }
        return self.page("events/list.html", tabs=tabs("events"), **shown)

    @expose("/send", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def send(self) -> Response:
        """Send one event by hand."""
        form, errors = request.form, {}
        if request.method == "POST":
            try:
                data = read_json(form.get("data", "").strip() or "{}")
                given = {"type": form.get("type", "").strip(), "data": data}
                intake.post(self.house, [given], f"console:{self.actor.name}", self.actor)
                flash(_("The event is stored. Rules take it in a moment."), "success")
                return redirect("/events/")
            except EventRefused as refusal:
                errors["type"] = translated(refusal.message)
            except ValueError as error:
                errors["data"] = _("This is not JSON: %(reason)s.", reason=error)
        types = known.choices(self.house)["types"]
        shown: dict[str, Any] = {"form": form or request.args, "errors": errors, "types": types}
        return self.page("events/send.html", 422 if errors else 200, **shown)

    @expose("/rules")
    @has_access
    @permission_name("read")
    def rules(self) -> Response:
        """Show how all event rules stand."""
        with self.house.db.read() as tx:
            rows = [row for row in rulebook.list_rules(tx) if row.kind == KIND]
            standings = {row.name: reading.standing(tx, row.name) for row in rows}
        return self.page("events/rules.html", tabs=tabs("rules"), rules=rows, standings=standings)

    @expose("/actions")
    @has_access
    @permission_name("read")
    def actions(self) -> Response:
        """Show actions, the failed ones first of all."""
        asked = request.args
        rule, state = asked.get("rule", ""), asked.get("state", "failed")
        wanted = reading.Wanted(rule or None, state or None, None, None, asked.get("before", type=whole_number))
        with self.house.db.read() as tx:
            found = reading.actions(tx, wanted, PAGE + 1)
            rules = [(row.name, row.label or row.name) for row in rulebook.list_rules(tx) if row.kind == KIND]
        more = found[PAGE - 1].id if len(found) > PAGE else None
        chosen = {"rule": rule, "state": state}
        shown: dict[str, Any] = {
            "actions": found[:PAGE],
            "more": more,
            "chosen": chosen,
            "rules": [("", _("All rules")), *rules],
        }
        states = [("", _("All states")), *words.action_states()]
        return self.page("events/actions.html", tabs=tabs("actions"), states=states, words=words, **shown)

    @expose("/actions/<int:number>/retry", methods=["POST"])
    @has_access
    @permission_name("update")
    def retry(self, number: int) -> Any:
        """Let a failed action be tried again."""
        try:
            services.retry(self.house, number, self.actor)
            flash(_("The action is tried again."), "success")
        except services.ActionRefused as refusal:
            flash(translated(refusal.message), "danger")
        back = request.form.get("back", "")
        return redirect(back if back.startswith(("/events/", "/rules/")) else "/events/actions")


def tabs(active: str) -> list[tuple[str, str, bool]]:
    """Return the tabs of the pages below /events/."""
    return [
        ("/events/", _("Events"), active == "events"),
        ("/events/rules", _("Rules"), active == "rules"),
        ("/events/actions", _("Actions"), active == "actions"),
        ("/events/hooks", _("Web hooks"), active == "hooks"),
    ]
