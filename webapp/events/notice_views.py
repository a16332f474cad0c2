"""The page on which people choose what they are told of by e-mail."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.access import users
from webapp.access.security import granted
from webapp.events import notices, sending
from webapp.events.notices import Wish
from webapp.events.sight import seen_notice
from webapp.web.views import RoomView, expose, signed_in


class NoticeView(RoomView):
    """One's own notifications."""

    route_base = "/notices"
    class_permission_name = "Account"

    @expose("/")
    @signed_in
    def show(self) -> Response:
        """Show what one is told of, and the latest notices."""
        name = current_user.username
        with self.house.db.read() as tx:
            wishes = notices.wishes(tx).get(name, frozenset())
            sent = [seen_notice(tx, one) for one in notices.latest(tx, name, granted())]
            address = users.get_user(tx, current_user.id).email
        context: dict[str, Any] = {"wishes": wishes, "notices": sent, "address": address}
        return self.page("events/notices.html", choices=_choices(), mailing=sending.can_mail(self.house), **context)

    @expose("/", methods=["POST"])
    @signed_in
    def save(self) -> Any:
        """Keep what one wishes to be told of."""
        notices.wish(self.house, current_user.username, request.form.getlist("wish"))
        flash(_("Your notifications are saved."), "success")
        return redirect("/notices/")


def _choices() -> list[tuple[str, str, str]]:
    """Return value, label and explanation of each wish."""
    once = _("One e-mail a run, with the number of cases and where they are.")
    return [
        (Wish.ASSIGNED.value, _("Cases that are given to me"), _("When somebody else or a rule gives me a case.")),
        (Wish.OPENED.value, _("New cases of my rules"), once),
        (Wish.PARKED.value, _("New records in the quarantine of my rules"), _("One e-mail a run.")),
        (Wish.STOPPED.value, _("Runs of my rules that fail or wait for a person"), _("With the reason.")),
    ]
