"""View as a role or a user, and back."""

from __future__ import annotations

from flask import abort, flash, redirect, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.access import viewing
from webapp.access.errors import Missing, Refused
from webapp.web.language import translated
from webapp.web.views import RoomView, expose, has_access, permission_name, signed_in


class ViewingView(RoomView):
    """View as."""

    route_base = "/view-as"
    class_permission_name = "Roles"

    @expose("/<any(role, user):kind>/<int:number>", methods=["POST"])
    @has_access
    @permission_name("update")
    def begin(self, kind: str, number: int) -> Response:
        """See the console as a role or a user does."""
        try:
            viewing.begin(self.house, current_user, f"{kind}:{number}", self.actor)
        except Missing:
            abort(404)
        except Refused as error:
            flash(translated(error.message), "danger")
        return redirect("/")


class BackView(RoomView):
    """The way back to oneself, which is open whatever one may do as the other."""

    route_base = "/view-as"
    class_permission_name = "Account"

    @expose("/end", methods=["POST"])
    @signed_in
    def end(self) -> Response:
        """Be oneself again."""
        target = viewing.seen_as()
        viewing.end(self.house, current_user, self.actor)
        if target is None:
            return redirect("/")
        flash(_("You see the console as yourself again."), "success")
        if target.kind == viewing.ROLE:
            return redirect(url_for("RoleView.show", role_id=target.id))
        return redirect(url_for("UserView.edit", user_id=target.id))
