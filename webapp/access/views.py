"""The pages of users and of one's own account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import abort, flash, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.access import (
    attributes,
    factors,
    groups,
    owners,
    passkeys,
    removal,
    role_editing,
    security,
    services,
    sessions,
    users,
)
from webapp.access.company_views import CompanyView
from webapp.access.confirming import confirmed
from webapp.access.errors import Missing, Refused
from webapp.access.factor_views import FactorView
from webapp.access.group_views import GroupView
from webapp.access.key_views import KeyView
from webapp.access.passkey_views import PasskeySignInView, PasskeyView
from webapp.access.proving import ProofView
from webapp.access.provisioning_views import ProvisioningView
from webapp.access.role_views import RoleView
from webapp.access.saml_views import SamlView
from webapp.access.service_account_views import ServiceAccountView
from webapp.access.sessions import Entry
from webapp.access.viewing_views import BackView, ViewingView
from webapp.approvals.console import proposed
from webapp.approvals.errors import SecondPersonNeeded
from webapp.web.language import LANGUAGES, translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name, signed_in

PAGE = 100


class UserView(RoomView):
    """Users."""

    route_base = "/users"
    class_permission_name = "Users"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show the users."""
        search, after = request.args.get("q", "").strip(), request.args.get("after", "")
        with self.house.db.read() as connection:
            found = users.list_users(connection, search, after, PAGE + 1)
        following = (
            url_for("UserView.list", q=search or None, after=found[PAGE - 1].username) if len(found) > PAGE else None
        )
        return self.page("access/users.html", users=found[:PAGE], search=search, next_url=following, first=not after)

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    @fresh
    def new(self) -> Response:
        """Add a user."""
        if request.method == "GET":
            return self._form(None, users.NewUser("", "", "", "", ()), {})
        wanted = _from_form(request.form.get("username", "").strip())
        try:
            user_id, password, waits = users.create_user(self.house, wanted, self.actor)
        except Refused as error:
            return self._form(None, wanted, {error.field: error.message}, 422)
        if waits:
            number = proposed(SecondPersonNeeded(waits)).id
            text = _("The roles wait for the approval of a second person, as proposal %(number)d.", number=number)
            flash(text, "info")
        return self.page("access/password_once.html", 201, username=wanted.username, password=password, user_id=user_id)

    @expose("/<int:user_id>", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    @fresh
    def edit(self, user_id: int) -> Response:
        """Change a user."""
        old = self._find(user_id)
        if request.method == "GET":
            wanted = users.NewUser(old.username, old.first_name, old.last_name, old.email, old.roles)
            return self._form(old, wanted, {})
        wanted = _from_form(old.username)
        try:
            users.update_user(self.house, user_id, wanted, self.actor)
        except Refused as error:
            return self._form(old, wanted, {error.field: error.message}, 422)
        flash(_("The user %(name)s is saved.", name=old.username), "success")
        return redirect(url_for("UserView.list"))

    @expose("/<int:user_id>/attributes", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def attributes(self, user_id: int) -> Response:
        """Change what is known of a user beside the names."""
        old = self._find(user_id)
        form = request.form
        pairs = zip(form.getlist("attribute"), form.getlist("value"), strict=False)
        wanted = {name.strip(): value for name, value in pairs if name.strip()}
        try:
            attributes.set_attributes(self.house, user_id, wanted, self.actor)
        except Refused as error:
            new = users.NewUser(old.username, old.first_name, old.last_name, old.email, old.roles)
            return self._form(old, new, {error.field: error.message}, 422, wanted)
        flash(_("What is known of %(name)s is saved.", name=old.username), "success")
        return redirect(url_for("UserView.edit", user_id=user_id))

    @expose("/<int:user_id>/<any(enable, disable):what>", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def switch(self, user_id: int, what: str) -> Response:
        """Enable or disable a user."""
        old = self._find(user_id)
        told = _("%(name)s can sign in again.") if what == "enable" else _("%(name)s can no longer sign in.")
        return self._done(
            lambda: users.set_active(self.house, user_id, what == "enable", self.actor), user_id,
            told % {"name": old.username},
        )  # fmt: skip

    @expose("/<int:user_id>/password", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def password(self, user_id: int) -> Response:
        """Give a user a new first password."""
        old = self._find(user_id)
        try:
            password = users.reset_password(self.house, user_id, self.actor)
        except Refused as error:
            flash(translated(error.message), "danger")
            return redirect(url_for("UserView.edit", user_id=user_id))
        return self.page("access/password_once.html", username=old.username, password=password, user_id=user_id)

    @expose("/<int:user_id>/second-factor/remove", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def remove_factor(self, user_id: int) -> Response:
        """Remove the second factor of a user who has lost it."""
        old = self._find(user_id)
        told = _("%(name)s signs in without a second factor now.", name=old.username)
        return self._done(lambda: factors.take_away(self.house, user_id, self.actor), user_id, told)

    @expose("/<int:user_id>/sessions/end", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def end_sessions(self, user_id: int) -> Response:
        """End all sessions of a user."""
        self._find(user_id)
        told = _("All sessions of the user have ended.")
        return self._done(lambda: users.end_sessions(self.house, user_id, self.actor), user_id, told)

    @expose("/<int:user_id>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    @fresh
    def delete(self, user_id: int) -> Response:
        """Delete a user."""
        self._find(user_id)
        try:
            name = removal.delete_user(self.house, user_id, self.actor)
        except Refused as error:
            flash(translated(error.message), "danger")
            return redirect(url_for("UserView.edit", user_id=user_id))
        flash(_("The user %(name)s is deleted.", name=name), "success")
        return redirect(url_for("UserView.list"))

    def _done(self, deed: Callable[[], object], user_id: int, told: str) -> Response:
        """Do something to a user, and tell on the user's page of it or why not."""
        try:
            deed()
        except Refused as error:
            flash(translated(error.message), "danger")
        else:
            flash(told, "success")
        return redirect(url_for("UserView.edit", user_id=user_id))

    def _find(self, user_id: int) -> users.User:
        try:
            with self.house.db.read() as connection:
                if owners.is_service_account(connection, user_id):
                    abort(404)
                return users.get_user(connection, user_id)
        except Missing:
            abort(404)

    def _form(
        self,
        old: users.User | None,
        wanted: users.NewUser,
        errors: dict[str, Any],
        status: int = 200,
        known_of: dict[str, str] | None = None,
    ) -> Response:
        with self.house.db.read() as connection:
            known = role_editing.list_roles(connection)
            in_use = sessions.of_user(self.house, connection, old.id) if old else []
            second = old is not None and factors.any_of(connection, old.id)
            own = attributes.attributes_of(connection, old.id) if old else {}
            brought = groups.roles_of(connection, old.id)[1] if old else {}
        context = {"second": second, "wanted": wanted, "roles": known, "sessions": in_use, "errors": errors}
        more = {"attributes": own if known_of is None else known_of, "brought": brought}
        return self.page("access/user.html", status, user=old, **context, **more)


def _from_form(username: str) -> users.NewUser:
    first, last, email = (request.form.get(name, "").strip() for name in ("first_name", "last_name", "email"))
    return users.NewUser(username, first, last, email, tuple(request.form.getlist("roles")))


class AccountView(RoomView):
    """One's own account."""

    route_base = "/account"
    class_permission_name = "Account"

    @expose("/")
    @signed_in
    def show(self) -> Response:
        """Show the account."""
        return self._page({})

    @expose("/password", methods=["POST"])
    @signed_in
    def password(self) -> Response:
        """Change the password; all other sessions end."""
        if not current_user.has_password:  # the company's provider or directory has it
            abort(404)
        new = request.form.get("password", "")
        if new != request.form.get("again", ""):
            return self._page({"again": _("The two new passwords differ. Enter the same twice.")}, 422)
        try:
            confirmed(lambda current: users.change_own_password(self.house, current_user.id, current, new, self.actor))
        except Refused as error:
            return self._page({error.field: error.message}, 422)
        security.enter(current_user.id, Entry(vouched=current_user.vouched))
        flash(_("The password is changed. All other sessions have ended."), "success")
        return redirect(url_for("AccountView.show"))

    @expose("/sessions/<int:session_id>/end", methods=["POST"])
    @signed_in
    @fresh
    def end_session(self, session_id: int) -> Response:
        """End another session of one's own."""
        if sessions.end(self.house, current_user.id, session_id, self.actor):
            flash(_("The session has ended."), "success")
        return redirect(url_for("AccountView.show"))

    @expose("/sessions/end", methods=["POST"])
    @signed_in
    @fresh
    def end_sessions(self) -> Response:
        """End all other sessions of one's own."""
        sessions.end_others(self.house, current_user.id, current_user.session_id, self.actor)
        flash(_("All other sessions have ended."), "success")
        return redirect(url_for("AccountView.show"))

    @expose("/language", methods=["POST"])
    @signed_in
    def language(self) -> Response:
        """Change the language."""
        code = request.form.get("language", "")
        if code not in LANGUAGES:
            abort(404)
        services.set_language(self.house, current_user.id, code)
        session["language"] = code
        return redirect(url_for("AccountView.show"))

    def _page(self, errors: dict[str, Any], status: int = 200) -> Response:
        with self.house.db.read() as connection:
            user = users.get_user(connection, current_user.id)
            known = sessions.of_user(self.house, connection, current_user.id)
            second = factors.is_set(connection, current_user.id)
            context = {"second": second, "passkeys": len(passkeys.of_user(connection, current_user.id))}
        return self.page("access/account.html", status, user=user, sessions=known, errors=errors, **context)


SIGN_IN = (CompanyView, SamlView, FactorView, PasskeyView, PasskeySignInView, ProofView)
VIEWS = (
    UserView, ServiceAccountView, AccountView, *SIGN_IN, RoleView, KeyView, ProvisioningView, ViewingView, BackView,
    GroupView,
)  # fmt: skip
