"""The page of one's passkeys, and signing in by them."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.access import ceremonies, challenges, passkeys, recovery, security, services, throttle
from webapp.access.ceremonies import WrongAnswer
from webapp.access.confirming import confirmed
from webapp.access.errors import Missing, Refused
from webapp.access.passkeys import Wanted
from webapp.access.session_views import safe_target, sign_in_page
from webapp.access.sessions import Entry
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, signed_in


class PasskeyView(RoomView):
    """One's passkeys and security keys."""

    route_base = "/account/passkeys"
    class_permission_name = "Account"

    @expose("/")
    @signed_in
    def show(self) -> Response:
        """Show the passkeys and a form for another."""
        return self._page({})

    @expose("/begin", methods=["POST"])
    @signed_in
    @fresh
    def begin(self) -> Response:
        """Tell the browser what to ask a new passkey for."""
        alone = bool(request.form.get("alone"))
        try:
            return challenges.asked(f"add {alone}", passkeys.begin_adding(self.house, current_user.id, alone=alone))
        except Refused as error:
            return challenges.refused(error)

    @expose("/", methods=["POST"])
    @signed_in
    @fresh
    def add(self) -> Response:
        """Keep a new passkey."""
        alone = bool(request.form.get("alone"))
        name, challenge = request.form.get("name", ""), challenges.kept(f"add {alone}")
        wanted = Wanted(name, alone, challenge, request.form.get("answer", ""))
        try:
            codes = passkeys.add(self.house, current_user.id, wanted, self.actor)
        except Refused as error:
            return self._page({error.field: error.message}, 422)
        if codes:
            return self.page("access/recovery_once.html", 201, codes=codes)
        flash(_("The passkey %(name)s is added.", name=name.strip()), "success")
        return redirect(url_for("PasskeyView.show"))

    @expose("/<int:passkey_id>/remove", methods=["GET", "POST"])
    @signed_in
    @fresh
    def remove(self, passkey_id: int) -> Response:
        """Ask for the password, and remove a passkey."""
        with self.house.db.read() as tx:
            found = next((known for known in passkeys.of_user(tx, current_user.id) if known.id == passkey_id), None)
        if found is None:
            abort(404)
        if request.method == "GET":
            return self.page("access/passkey_remove.html", passkey=found, errors={})
        try:
            name = confirmed(
                lambda password: passkeys.remove(self.house, current_user.id, passkey_id, password, self.actor)
            )
        except Refused as error:
            return self.page("access/passkey_remove.html", 422, passkey=found, errors={error.field: error.message})
        except Missing:
            abort(404)
        flash(_("The passkey %(name)s is removed.", name=name), "success")
        return redirect(url_for("PasskeyView.show"))

    def _page(self, errors: dict[str, Message], status: int = 200) -> Response:
        with self.house.db.read() as tx:
            known, left = passkeys.of_user(tx, current_user.id), recovery.left(tx, current_user.id)
        where = ceremonies.place(self.house.settings)
        here = where is not None and request.host_url.rstrip("/") == where.origin
        context: dict[str, Any] = {"passkeys": known, "left": left, "place": where, "here": here, "errors": errors}
        return self.page("access/passkeys.html", status, **context)


class PasskeySignInView(RoomView):
    """Signing in by a passkey alone."""

    route_base = "/login/passkey"
    class_permission_name = "Session"

    @expose("/begin", methods=["POST"])
    def begin(self) -> Response:
        """Tell the browser what to ask a passkey for."""
        try:
            return challenges.asked("alone", passkeys.begin_answer(self.house, None))
        except Refused as error:
            return challenges.refused(error)

    @expose("/", methods=["POST"])
    def back(self) -> Response:
        """Let in whose passkey has answered."""
        address = request.remote_addr or ""
        wait = throttle.seconds_to_wait(self.house, "", address)
        if wait:
            text = _("Too many failed attempts. Try again in %(seconds)s seconds.", seconds=wait)
            return sign_in_page(self, 429, error=text)
        try:
            row = passkeys.answered(self.house, None, challenges.kept("alone"), request.form.get("answer", ""))
        except WrongAnswer as error:
            throttle.failed(self.house, "", address)
            services.not_admitted(self.house, f"passkey: {error}", self.actor)
            if isinstance(error, passkeys.Lapsed):
                days = self.house.settings.company_days
                text = _("Sign in by your company first. You have not done so for %(count)s days.", count=days)
                return sign_in_page(self, 401, error=text)
            return sign_in_page(self, 401, error=_("The passkey does not let you in. Try again, or use your password."))
        services.admitted(self.house, row.id, self.actor, "passkey")
        security.enter(row.id, Entry("passkey"))
        return redirect(safe_target(request.args.get("next")))
