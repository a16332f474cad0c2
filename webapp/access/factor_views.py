"""The pages of one's second factor."""

from __future__ import annotations

import segno
from flask import flash, redirect, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user
from markupsafe import Markup
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.access import factors, recovery
from webapp.access.confirming import confirmed
from webapp.access.errors import Refused
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, signed_in

_KEY = "factor"


class FactorView(RoomView):
    """Setting up and removing a second factor, and recovery codes."""

    route_base = "/account/second-factor"
    class_permission_name = "Account"

    @expose("/", methods=["GET", "POST"])
    @signed_in
    @fresh
    def show(self) -> Response:
        """Set a second factor up, or show that there is one."""
        with self.house.db.read() as tx:
            known, left = factors.is_set(tx, current_user.id), recovery.left(tx, current_user.id)
        if known:
            return self._known(left, {})
        key = session.setdefault(_KEY, factors.new_key())
        if request.method == "GET":
            return self._set_up(key, {})
        try:
            code = request.form.get("code", "")
            codes = confirmed(
                lambda password: factors.set_up(self.house, current_user.id, (password, key, code), self.actor)
            )
        except Refused as error:
            return self._set_up(key, {error.field: error.message}, 422)
        session.pop(_KEY)
        return self.page("access/recovery_once.html", 201, codes=codes)

    @expose("/recovery", methods=["GET", "POST"])
    @signed_in
    @fresh
    def recovery(self) -> Response:
        """Make new recovery codes."""
        if request.method == "GET":
            return self.page("access/recovery_new.html", errors={})
        try:
            codes = confirmed(
                lambda password: factors.renew_recovery(self.house, current_user.id, password, self.actor)
            )
        except Refused as error:
            return self.page("access/recovery_new.html", 422, errors={error.field: error.message})
        return self.page("access/recovery_once.html", 201, codes=codes)

    @expose("/remove", methods=["POST"])
    @signed_in
    @fresh
    def remove(self) -> Response:
        """Remove the second factor."""
        try:
            confirmed(lambda password: factors.remove(self.house, current_user.id, password, self.actor))
        except Refused as error:
            return self._refused(error)
        flash(_("The second factor is removed."), "success")
        return redirect(url_for("AccountView.show"))

    def _refused(self, error: Refused) -> Response:
        with self.house.db.read() as tx:
            left = recovery.left(tx, current_user.id)
        return self._known(left, {error.field: error.message}, 422)

    def _known(self, left: int, errors: dict[str, Message], status: int = 200) -> Response:
        return self.page("access/factor_known.html", status, left=left, errors=errors)

    def _set_up(self, key: str, errors: dict[str, Message], status: int = 200) -> Response:
        picture = segno.make(factors.address(current_user.username, key), error="m").svg_inline(scale=5, border=2)
        grouped = " ".join(key[at : at + 4] for at in range(0, len(key), 4))
        context = {"picture": Markup(picture), "key": grouped, "errors": errors}  # noqa: S704 - made by ourselves
        return self.page("access/factor.html", status, **context)
