"""Pages of forwarding: where audit events go, how far each target is, and a test message."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.evidence import forwarding, forwards
from webapp.evidence.forwards import Form, Forward, Wrong
from webapp.evidence.wholly import require_forwarding
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name

_TEXTS = ("name", "address", "format", "sign", "certificates", "only", "start")


class ForwardView(RoomView):
    """Forwarding of audit events."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/forwarding")
    @has_access
    @permission_name("read")
    def targets(self) -> Response:
        """List targets with their state."""
        with self.house.db.read() as tx:
            found = forwards.listing(tx)
        return self.page("evidence/forwarding.html", targets=found)

    @expose("/forwarding/add", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    @fresh
    def add(self) -> Any:
        """Add a target."""
        return self._save(None)

    @expose("/forwarding/<int:number>", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    @fresh
    def change(self, number: int) -> Any:
        """Change a target."""
        return self._save(self._target(number))

    @expose("/forwarding/<int:number>/test", methods=["POST"])
    @has_access
    @permission_name("update")
    def test(self, number: int) -> Any:
        """Send a test message."""
        target = self._target(number)
        problem = forwarding.try_out(self.house, number, self.actor)
        if problem is None:
            flash(_("The test message was sent to %(name)s.", name=target.name), "success")
        else:
            flash(translated(problem), "danger")
        return redirect("/audit/forwarding")

    @expose("/forwarding/<int:number>/delete", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def delete(self, number: int) -> Any:
        """Stop forwarding to a target and forget it."""
        target = self._target(number)
        forwards.delete(self.house, number, self.actor)
        flash(_("Nothing is forwarded to %(name)s any more.", name=target.name), "success")
        return redirect("/audit/forwarding")

    def _target(self, number: int) -> Forward:
        with self.house.db.read() as tx:
            found = forwards.get(tx, number)
        if found is None:
            abort(404)
        return found

    def _save(self, target: Forward | None) -> Any:
        if request.method == "GET":
            return self._form(_of(target), target)
        with self.house.db.read() as tx:
            require_forwarding(tx)
        texts: dict[str, Any] = {name: request.form.get(name, "").strip() for name in _TEXTS}
        texts["start"] = texts["start"] or "now"
        form = Form(**texts, enabled=request.form.get("enabled") == "true", secret=request.form.get("secret") or None)
        try:
            forwards.save(self.house, form, self.actor, target.id if target else None)
        except Wrong as refused:
            return self._form(form, target, dict(refused.errors), 422)
        flash(_("Forwarding to %(name)s is set.", name=form.name), "success")
        return redirect("/audit/forwarding")

    def _form(
        self, form: Form, target: Forward | None, errors: dict[str, Message] | None = None, status: int = 200
    ) -> Response:
        shown: dict[str, Any] = {"form": replace(form, secret=None), "target": target, "errors": errors or {}}
        return self.page("evidence/forward_form.html", status, **shown)


def _of(target: Forward | None) -> Form:
    if target is None:
        return Form("", "")
    settings = {name: str(target.settings.get(name) or "") for name in ("certificates", "only")}
    sign = str(target.settings.get("sign") or "none")
    return Form(target.name, target.address, target.format, sign, enabled=target.enabled, **settings)
