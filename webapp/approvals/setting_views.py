"""The page on which an administrator says what needs a second person."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.approvals import hooks, settings, settings_deed
from webapp.approvals.deeds import LIMITED, SWITCHES
from webapp.approvals.errors import BadSettings
from webapp.approvals.proposals import APPROVE
from webapp.approvals.settings import PROFILES
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name


class ApprovalSettingsView(RoomView):
    """What needs a second person."""

    route_base = "/approvals/settings"
    class_permission_name = "Approvals"
    default_view = "show"

    @expose("/")
    @has_access
    @permission_name("read")
    def show(self) -> Response:
        """Show the settings."""
        with self.house.db.read() as tx:
            document = settings.to_document(settings.current(tx))
        return self._page(document)

    @expose("/", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def save(self) -> Response:
        """Change the settings, or propose to."""
        document = _sent()
        try:
            settings_deed.save(self.house, document, self.actor)
        except BadSettings as error:
            return self._page(document, translated(error.message), 422)
        flash(_("Saved. From now on these deeds need a second person."), "success")
        return redirect("/approvals/settings/")

    def _page(self, document: dict[str, Any], error: str = "", status: int = 200) -> Response:
        with self.house.db.read() as tx:
            people = hooks.the_people().holders(tx, (APPROVE,))
            waits = bool(settings.current(tx).rules)
            known = {name for each in hooks.connections for name in each(tx)}
        context: dict[str, Any] = {"waits": waits, "error": error, "approvers": people}
        named = {name for deed in document["deeds"].values() for name in deed.get("connections", ())}
        context |= {"switches": SWITCHES, "limited": LIMITED, "known": [(name, name) for name in sorted(known | named)]}
        profiles = [("", _("In every installation")), *((one, _profiles()[one]) for one in PROFILES)]
        return self.page("approvals/settings.html", status, document=document, profiles=profiles, **context)


def _profiles() -> dict[str, str]:
    return {"evaluation": _("In evaluation only"), "production": _("In production only")}


def _sent() -> dict[str, Any]:
    """Return the document that was sent."""
    form = request.form
    deeds: dict[str, Any] = {}
    for switch in SWITCHES:
        if form.get(switch):
            limits = {"connections": form.getlist(f"connections-{switch}"), "only": form.get(f"only-{switch}", "")}
            deeds[switch] = {name: value for name, value in limits.items() if value}
    document: dict[str, Any] = {"kind": settings.KIND, "name": settings.NAME, "deeds": deeds}
    for name in ("days", "banner_days"):
        given = form.get(name, "").strip()
        document[name] = int(given) if given.isascii() and given.isdigit() and len(given) < 6 else given
    return document
