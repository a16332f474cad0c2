"""The pages of API keys."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.text import msg
from webapp.access import keys, labels, roles, service_accounts
from webapp.access.errors import Missing, Refused
from webapp.access.service_accounts import ServiceAccount
from webapp.web.proof import fresh
from webapp.web.request import whole_number
from webapp.web.views import RoomView, can, expose, has_access, permission_name

OVERLAPS = {"0": timedelta(0), "1": timedelta(hours=1), "24": timedelta(days=1), "168": timedelta(days=7)}
"""For how long a key that is replaced can go on, by hours."""


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
            found = keys.list_keys(connection, self.house.clock(), keys.waiting(self.house))
        return self.page("access/keys.html", keys=found)

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def new(self) -> Response:
        """Make a key and show it, once."""
        if request.method == "GET":
            asked = tuple(scope for scope in keys.scopes() if scope in request.args.getlist("scope"))
            self._account()
            return self._form(keys.NewKey(request.args.get("name", "").strip(), asked, 365 if asked else 90), {})
        days = request.form.get("days", "")
        ticked = [*request.form.getlist("grants"), *request.form.getlist("more")]
        scopes = tuple(text.lower() for text in ticked)
        limit = int(days) if days.isascii() and days.isdigit() else None if days == "never" else 0
        wanted = keys.NewKey(request.form.get("name", "").strip(), scopes, limit)
        try:
            account = self._account()
            token = keys.create_key(self.house, wanted, self.actor, account.id if account else None)
        except Refused as error:
            return self._form(wanted, {error.field: error.message}, 422)
        return self.page("access/key_once.html", 201, name=wanted.name, token=token)

    @expose("/<int:key_id>/rotate", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def rotate(self, key_id: int) -> Response:
        """Make a key in the place of another, which goes on for a while."""
        with self.house.db.read() as tx:
            known = keys.list_keys(tx, self.house.clock(), keys.waiting(self.house))
        found = next((key for key in known if key.id == key_id), None)
        if found is None:
            abort(404)
        if request.method == "GET":
            return self.page("access/key_rotate.html", key=found, error="")
        overlap = OVERLAPS.get(request.form.get("overlap", ""))
        if overlap is None:
            text = msg("Choose for how long the old key goes on.")
            return self.page("access/key_rotate.html", 422, key=found, error=text)
        try:
            name, token = keys.rotate_key(self.house, key_id, overlap, self.actor)
        except Refused as error:
            return self.page("access/key_rotate.html", 422, key=found, error=error.message)
        return self.page("access/key_once.html", 201, name=name, token=token)

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

    def _account(self) -> ServiceAccount | None:
        """Return the service account that a key is for, where the address names one."""
        account_id = request.args.get("for", type=whole_number)
        if account_id is None:
            return None
        try:
            with self.house.db.read() as tx:
                return service_accounts.get(tx, account_id, self.house.clock())
        except Missing:
            abort(404)

    def _form(self, wanted: keys.NewKey, errors: dict[str, Any], status: int = 200) -> Response:
        offered = {room: tuple(a for a in roles.PERMISSIONS[room] if can(a, room)) for room in keys.API_ROOMS}
        grants = {(room, a) for room in offered for a in offered[room] if f"{room.lower()}:{a}" in wanted.scopes}
        shown = {"rooms": labels.rooms(), "actions": labels.actions(), "permissions": offered}
        shown["account"] = self._account()
        shown["secrets"] = keys.SECRETS if can("update", "Connections") else ""
        return self.page("access/key.html", status, wanted=wanted, grants=grants, errors=errors, **shown)
