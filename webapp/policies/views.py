"""The pages of what a role permits to do with records: the matrix, one line of it, what a change comes to."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents.problems import DocumentError, DocumentProblem
from webapp.access import labels, role_editing
from webapp.access.errors import Missing, Refused
from webapp.access.role_editing import Role
from webapp.extensions import to_json
from webapp.policies import catalogue, difference, documents, hooks, line_form, matrix, services
from webapp.policies.documents import Policy
from webapp.policies.effective_views import EffectiveView
from webapp.policies.levels import PERSONAL
from webapp.policies.objects import ACTIONS, DataObject
from webapp.policies.trying import sample
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.storable import read_json
from webapp.web.views import RoomView, can, expose, has_access, permission_name

PAGE = 100


class PolicyView(RoomView):
    """A role's policy."""

    route_base = "/roles"
    class_permission_name = "Roles"

    @expose("/<int:role_id>/data")
    @has_access
    @permission_name("read")
    def matrix(self, role_id: int) -> Response:
        """Show what the role says of each data object."""
        role, policy = self._found(role_id)
        return self._matrix(role, policy, {})

    @expose("/<int:role_id>/data", methods=["POST"])
    @has_access
    @permission_name("update")
    def review_matrix(self, role_id: int) -> Response:
        """Show what changed cells come to."""
        role, policy = self._found(role_id)
        wanted = policy
        for on in request.form.getlist("on"):
            cells = {action: request.form.get(f"cell:{on}:{action}", "") for action in ACTIONS}
            wanted = matrix.changed(wanted, role.grants, on, cells)
        personal = PERSONAL.get(request.form.get("personal", ""), policy.personal)
        wanted = replace(wanted, personal=personal)
        problems = self._problems(wanted)
        if problems:
            return self._matrix(role, wanted, {"": problems[0].message}, status=422)
        return self._review(role, policy, wanted, request.full_path)

    @expose("/<int:role_id>/data/line")
    @has_access
    @permission_name("read")
    def line(self, role_id: int) -> Response:
        """Show what the role says of one data object."""
        role, policy = self._found(role_id)
        return self._line(role, policy, policy, _on(request.args.get("on", "")), {})

    @expose("/<int:role_id>/data/line", methods=["POST"])
    @has_access
    @permission_name("update")
    def review_line(self, role_id: int) -> Response:
        """Show what a changed line comes to, or try its conditions."""
        role, policy = self._found(role_id)
        on = _on(request.args.get("on", ""))
        new = line_form.line_from(request.form, matrix.own_line(policy, on), role.grants)
        wanted = matrix.with_line(policy, new)
        number = next(at for at, line in enumerate(wanted.data) if line.on == on)
        errors = line_form.errors_of(self._problems(wanted), number)
        if errors or request.form.get("deed") == "try":
            return self._line(role, policy, wanted, on, errors, status=422 if errors else 200)
        return self._review(role, policy, wanted, request.full_path)

    @expose("/<int:role_id>/data/remove", methods=["POST"])
    @has_access
    @permission_name("update")
    def review_removal(self, role_id: int) -> Response:
        """Show what is changed by the end of a line."""
        role, policy = self._found(role_id)
        on = _on(request.form.get("on", ""))
        return self._review(role, policy, matrix.without_line(policy, on), f"/roles/{role_id}/data/line?on={on}")

    @expose("/<int:role_id>/data/save", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def save(self, role_id: int) -> Response:
        """Put a reviewed policy in force."""
        role, policy = self._found(role_id)
        document = _sent(request.form.get("document", ""))
        if request.form.get("seen") != _plain(policy):
            flash(_("Somebody has changed this role meanwhile. Look at it again."), "danger")
            return redirect(url_for("PolicyView.matrix", role_id=role_id))
        try:
            services.set_policy(self.house, role_id, document, self.actor)
        except Refused as error:
            flash(translated(error.message), "danger")
        except DocumentError as error:
            flash(translated(error.problems[0].message), "danger")
        else:
            flash(_("What %(name)s permits is saved.", name=role.name), "success")
        return redirect(url_for("PolicyView.matrix", role_id=role_id))

    def _found(self, role_id: int) -> tuple[Role, Policy]:
        try:
            with self.house.db.read() as tx:
                return role_editing.get_role(tx, role_id), services.policy_of(tx, role_id)
        except Missing:
            abort(404)

    def _problems(self, policy: Policy) -> list[DocumentProblem]:
        with self.house.db.read() as tx:
            return list(documents.check(documents.to_document(policy), partial(hooks.known_fields, tx)))

    def _matrix(self, role: Role, policy: Policy, errors: dict[str, Any], status: int = 200) -> Response:
        with self.house.db.read() as tx:
            known = catalogue.every(tx)
        every = matrix.rows(policy, role.grants, known)
        search, lines_only = request.args.get("q", ""), request.args.get("show", "all") == "lines"
        found = matrix.chosen(every, search, lines_only=lines_only)
        shown = {"search": search, "lines_only": lines_only, "rows": found[:PAGE], "count": len(found), "every": every}
        words = {"labels": _words(), "personal": difference.personal_word(policy), "errors": errors}
        words["personal_labels"] = difference.PERSONAL_LABELS
        return self.page("policies/matrix.html", status, role=role, readonly=_readonly(role), **shown, **words)

    def _line(
        self, role: Role, stored: Policy, policy: Policy, on: str, errors: dict[str, Any], status: int = 200
    ) -> Response:
        new = matrix.own_line(policy, on)
        with self.house.db.read() as tx:
            named = next((one for one in catalogue.every(tx) if one.on == on), catalogue.Named(on, ""))
            known = None if on.endswith("*") else hooks.known_fields(tx, DataObject.of(on))
            tried = None if errors else sample(tx, role, new, known)
        words = _words()
        context = {
            "named": named,
            "row": matrix.row(stored, role.grants, named),
            "line": new,
            "states": matrix.states(new, role.grants, on),
            "permitted": ", ".join(text for a, text in words.items() if a in matrix.permitted(role.grants, on)),
            "fields": line_form.field_rows(new, policy, known),
            "spare": range(line_form.SPARE if known is None else 0),
            "choices": line_form.CHOICES,
            "tried": tried,
            "labels": words,
            "field_list": _field_list(known),
        }
        return self.page("policies/line.html", status, role=role, readonly=_readonly(role), errors=errors, **context)

    def _review(self, role: Role, before: Policy, after: Policy, back: str) -> Response:
        changes = difference.changes(before, after, role.grants)
        if not changes:
            flash(_("Nothing was changed."), "info")
            return redirect(back)
        with self.house.db.read() as tx:
            titles = {one.on: one.title for one in catalogue.every(tx)}
        sent: dict[str, Any] = {"document": to_json(documents.to_document(after)), "seen": _plain(before)}
        return self.page("policies/review.html", role=role, changes=changes, titles=titles, back=back, **sent)


def _readonly(role: Role) -> bool:
    return role.built_in or not can("update", "Roles")


def _words() -> dict[str, str]:
    known = labels.actions()
    return {action: known[action] for action in ACTIONS}


def _plain(policy: Policy) -> str:
    return to_json(documents.to_document(policy))


def _on(text: str) -> str:
    problems = documents.check({"data": [{"on": text}]})
    return abort(404) if any(problem.path == "data/0/on" for problem in problems) else text


def _sent(text: str) -> dict[str, Any]:
    try:
        found = read_json(text)
    except ValueError:
        abort(422)
    return found if isinstance(found, dict) else abort(422)


def _field_list(known: Any) -> list[dict[str, Any]]:
    """Return what an editor of conditions offers: the fields of the object, and what is known of a user."""
    own = [{"name": f.name, "type": f.type.value, "label": "", "nullable": not f.key} for f in known or ()]
    mine = {"username": _("User name"), "email": _("E-mail of the user"), "name": _("Name of the user")}
    return own + [{"name": f"user.{n}", "type": "text", "label": text, "nullable": True} for n, text in mine.items()]


VIEWS = (PolicyView, EffectiveView)
