"""The pages of API keys."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.access import keys, labels, roles
from webapp.access.errors import Missing, Refused
from webapp.web.proof import fresh
from webapp.web.views import RoomView, can, expose, has_access, permission_name


class KeyView(RoomView):
    """API keys."""

    route_base = "/keys"
    class_permission_name = "Keys"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the keys."""
        with self.house.db.read() as connection:
            found = keys.list_keys(connection, self.house.clock())
        return self.page("access/keys.html", keys=found)

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def new(self) -> Response:
        """Make a key and show it, once."""
        if request.method == "GET":
            asked = tuple(scope for scope in keys.scopes() if scope in request.args.getlist("scope"))
            return self._form(keys.NewKey(request.args.get("name", "").strip(), asked, 365 if asked else 90), {})
        days = request.form.get("days", "")
        ticked = [*request.form.getlist("grants"), *request.form.getlist("more")]
        scopes = tuple(text.lower() for text in ticked)
        limit = int(days) if days.isascii() and days.isdigit() else None if days == "never" else 0
        wanted = keys.NewKey(request.form.get("name", "").strip(), scopes, limit)
        try:
            token = keys.create_key(self.house, wanted, self.actor)
        except Refused as error:
            return self._form(wanted, {error.field: error.message}, 422)
        return self.page("access/key_once.html", 201, name=wanted.name, token=token)

    @expose("/<int:key_id>/revoke", methods=["POST"])
    @has_access
    @permission_name("delete")
    @fresh
    def revoke(self, key_id: int) -> Response:
        """End a key."""
        try:
            name = keys.revoke_key(self.house, key_id, self.actor)
        except Missing:
            abort(404)
        flash(_("The key %(name)s is revoked. Programs that use it are refused from now on.", name=name), "success")
        return redirect(url_for("KeyView.list"))

    def _form(self, wanted: keys.NewKey, errors: dict[str, Any], status: int = 200) -> Response:
        offered = {room: tuple(a for a in roles.PERMISSIONS[room] if can(a, room)) for room in keys.API_ROOMS}
        grants = {(room, a) for room in offered for a in offered[room] if f"{room.lower()}:{a}" in wanted.scopes}
        shown = {"rooms": labels.rooms(), "actions": labels.actions(), "permissions": offered}
        shown["secrets"] = keys.SECRETS if can("update", "Connections") else ""
        return self.page("access/key.html", status, wanted=wanted, grants=grants, errors=errors, **shown)
