"""The pages of groups: who is in one has its roles."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.access import group_editing, role_editing, users
from webapp.access.errors import Missing, Refused
from webapp.access.group_editing import Group
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name

MOST_MEMBERS = 5_000


class GroupView(RoomView):
    """Groups."""

    route_base = "/groups"
    class_permission_name = "Users"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the groups."""
        with self.house.db.read() as tx:
            found = group_editing.list_groups(tx)
        return self.page("access/groups.html", groups=found)

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def new(self) -> Response:
        """Add a group."""
        return self._save(Group(), None) if request.method == "POST" else self._form(Group(), {})

    @expose("/<int:group_id>", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    @fresh
    def edit(self, group_id: int) -> Response:
        """Change a group: its name, its members, the roles that it brings."""
        old = self._find(group_id)
        return self._save(old, group_id) if request.method == "POST" else self._form(old, {})

    @expose("/<int:group_id>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    @fresh
    def delete(self, group_id: int) -> Response:
        """Delete a group."""
        self._find(group_id)
        try:
            name = group_editing.delete_group(self.house, group_id, self.actor)
        except Refused as error:
            flash(translated(error.message), "danger")
            return redirect(url_for("GroupView.edit", group_id=group_id))
        flash(_("The group %(name)s is deleted.", name=name), "success")
        return redirect(url_for("GroupView.list"))

    def _find(self, group_id: int) -> Group:
        try:
            with self.house.db.read() as tx:
                return group_editing.get_group(tx, group_id)
        except Missing:
            abort(404)

    def _save(self, old: Group, group_id: int | None) -> Response:
        form = request.form
        names = (form.get("name", "").strip(), form.get("description", "").strip())
        wanted = Group(group_id, *names, tuple(form.getlist("roles")), tuple(form.getlist("members")))
        try:
            group_editing.save_group(self.house, wanted, self.actor)
        except Refused as error:
            return self._form(wanted, {error.field: error.message}, old.name, 422)
        flash(_("The group %(name)s is saved.", name=wanted.name), "success")
        return redirect(url_for("GroupView.list"))

    def _form(self, group: Group, errors: dict[str, Any], called: str = "", status: int = 200) -> Response:
        with self.house.db.read() as tx:
            known = role_editing.list_roles(tx)
            people = users.list_users(tx, limit=MOST_MEMBERS)
        names = {one.username: f"{one.username} · {one.name}" if one.name else one.username for one in people}
        choices = [*names.items(), *((name, name) for name in group.members if name not in names)]
        context = {"group": group, "called": called or group.name, "roles": known, "choices": choices, "errors": errors}
        return self.page("access/group.html", status, **context)
