"""The pages of service accounts."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.access import removal, role_editing, service_accounts, users
from webapp.access.errors import Missing, Refused
from webapp.access.service_accounts import ServiceAccount, Wanted
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name

_MOST = 500
"""Users to choose an owner of; of more the name is typed."""


class ServiceAccountView(RoomView):
    """Service accounts: programs with roles and keys, each owned by a person."""

    route_base = "/service-accounts"
    class_permission_name = "Keys"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the accounts."""
        with self.house.db.read() as tx:
            found = service_accounts.list_all(tx, self.house.clock())
        follow = self.house.settings.service_accounts_follow_owner
        return self.page("access/service_accounts.html", accounts=found, follow=follow)

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def new(self) -> Response:
        """Add an account."""
        if request.method == "GET":
            return self._form(None, Wanted("", "", current_user.username, ()), {})
        wanted = _from_form(request.form.get("name", "").strip())
        try:
            account_id = service_accounts.create(self.house, wanted, self.actor)
        except Refused as error:
            field = "name" if error.field in ("username", "email") else error.field
            return self._form(None, wanted, {field: error.message}, 422)
        flash(_("The service account %(name)s is added. Make a key for it.", name=wanted.name), "success")
        return redirect(url_for("ServiceAccountView.edit", account_id=account_id))

    @expose("/<int:account_id>", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def edit(self, account_id: int) -> Response:
        """Change an account, and show its keys."""
        found = self._find(account_id)
        if request.method == "GET":
            return self._form(found, Wanted(found.name, found.purpose, found.owner, found.roles), {})
        wanted = _from_form(found.name)
        try:
            service_accounts.update(self.house, account_id, wanted, self.actor)
        except Refused as error:
            return self._form(found, wanted, {error.field: error.message}, 422)
        flash(_("The service account %(name)s is saved.", name=found.name), "success")
        return redirect(url_for("ServiceAccountView.list"))

    @expose("/<int:account_id>/<any(enable, disable):what>", methods=["POST"])
    @has_access
    @permission_name("create")
    @fresh
    def switch(self, account_id: int, what: str) -> Response:
        """Let the keys of an account work, or not."""
        found = self._find(account_id)
        try:
            users.set_active(self.house, account_id, what == "enable", self.actor)
        except Refused as error:
            flash(translated(error.message), "danger")
        else:
            told = _("The keys of %(name)s work.") if what == "enable" else _("The keys of %(name)s work no more.")
            flash(told % {"name": found.name}, "success")
        return redirect(url_for("ServiceAccountView.edit", account_id=account_id))

    @expose("/<int:account_id>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    @fresh
    def delete(self, account_id: int) -> Response:
        """Delete an account with its keys."""
        self._find(account_id)
        try:
            name = removal.delete_user(self.house, account_id, self.actor)
        except Refused as error:
            flash(translated(error.message), "danger")
            return redirect(url_for("ServiceAccountView.edit", account_id=account_id))
        flash(_("The service account %(name)s is deleted.", name=name), "success")
        return redirect(url_for("ServiceAccountView.list"))

    def _find(self, account_id: int) -> ServiceAccount:
        try:
            with self.house.db.read() as tx:
                return service_accounts.get(tx, account_id, self.house.clock())
        except Missing:
            abort(404)

    def _form(
        self, found: ServiceAccount | None, wanted: Wanted, errors: dict[str, Any], status: int = 200
    ) -> Response:
        with self.house.db.read() as tx:
            roles = role_editing.list_roles(tx)
            people = [one for one in users.list_users(tx, limit=_MOST + 1) if one.active]
        owners = [(one.username, f"{one.name} ({one.username})") for one in people] if len(people) <= _MOST else []
        context = {"wanted": wanted, "roles": roles, "owners": owners, "errors": errors}
        return self.page("access/service_account.html", status, account=found, **context)


def _from_form(name: str) -> Wanted:
    purpose, owner = (request.form.get(field, "").strip() for field in ("purpose", "owner"))
    return Wanted(name, purpose, owner, tuple(request.form.getlist("roles")))
