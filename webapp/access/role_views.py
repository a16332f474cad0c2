"""The pages of roles."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.access import hooks, labels, role_editing, roles
from webapp.access.errors import Missing, Refused
from webapp.access.role_editing import Role
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name


class RoleView(RoomView):
    """Roles."""

    route_base = "/roles"
    class_permission_name = "Roles"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the roles."""
        with self.house.db.read() as connection:
            found = role_editing.list_roles(connection)
        return self.page("access/roles.html", roles=found)

    @expose("/<int:role_id>")
    @has_access
    @permission_name("read")
    def show(self, role_id: int) -> Response:
        """Show what a role may do."""
        return self._form(self._find(role_id), {}, readonly=True)

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def new(self) -> Response:
        """Add a role, perhaps as a copy of another."""
        if request.method == "POST":
            return self._save(None)
        copied = self._find(request.args.get("copy", type=whole_number)) if "copy" in request.args else Role()
        name = _("%(name)s copy", name=copied.name) if copied.name else ""
        return self._form(Role(None, name, copied.description, 0, copied.grants), {})

    @expose("/<int:role_id>/edit", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    @fresh
    def edit(self, role_id: int) -> Response:
        """Change a role."""
        old = self._find(role_id)
        if old.built_in:
            return redirect(url_for("RoleView.show", role_id=role_id))
        return self._save(role_id) if request.method == "POST" else self._form(old, {})

    @expose("/<int:role_id>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    @fresh
    def delete(self, role_id: int) -> Response:
        """Delete a role."""
        self._find(role_id)
        try:
            name = role_editing.delete_role(self.house, role_id, self.actor)
        except Refused as error:
            flash(translated(error.message), "danger")
            return redirect(url_for("RoleView.show", role_id=role_id))
        flash(_("The role %(name)s is deleted.", name=name), "success")
        return redirect(url_for("RoleView.list"))

    def _find(self, role_id: int | None) -> Role:
        try:
            with self.house.db.read() as connection:
                return role_editing.get_role(connection, role_id or 0)
        except Missing:
            abort(404)

    def _save(self, role_id: int | None) -> Response:
        pairs = (text.partition(":") for text in request.form.getlist("grants"))
        grants = frozenset((room, action) for room, _colon, action in pairs)
        form = request.form
        wanted = Role(role_id, form.get("name", "").strip(), form.get("description", "").strip(), 0, grants)
        try:
            saved = self._stored(wanted)
        except Refused as error:
            return self._form(wanted, {error.field: error.message}, status=422)
        flash(_("The role %(name)s is saved.", name=wanted.name), "success")
        return redirect(url_for("RoleView.show", role_id=saved))

    def _stored(self, wanted: Role) -> int:
        """Store a role; a copy permits with records what its model permits."""
        model = request.form.get("copy", type=whole_number) if wanted.id is None else None
        with self.house.db.begin() as tx:
            parts = hooks.parts_of(tx, model) if model is not None else None
            return role_editing.save_role_in(tx, wanted, self.actor, self.house.clock(), parts)

    def _form(self, role: Role, errors: dict[str, Any], *, readonly: bool = False, status: int = 200) -> Response:
        shown = {"rooms": labels.rooms(), "actions": labels.actions(), "permissions": roles.PERMISSIONS}
        return self.page("access/role.html", status, role=role, errors=errors, readonly=readonly, **shown)
