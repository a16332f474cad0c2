"""Asking somebody who is signed in to show anew who they are, before what a stranger at the desk must not do.

What they had sent is in the page that asks, and is sent again with the proof, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, g, make_response, redirect, render_template, request, session, url_for
from flask_babel import gettext as _
from flask_login import current_user
from werkzeug.wrappers import Response

from webapp.access import (
    challenges,
    company,
    directory,
    factors,
    models,
    passkeys,
    passwords,
    recovery,
    security,
    services,
    sessions,
    throttle,
)
from webapp.access.ceremonies import WrongAnswer
from webapp.access.errors import Refused
from webapp.access.identities import NotAdmitted
from webapp.access.session_views import safe_target
from webapp.web import problems, proof
from webapp.web.protection import SENDING
from webapp.web.request import actor, house
from webapp.web.views import RoomView, expose, signed_in

_PASSWORD, _CODE, _ANSWER = "proof_password", "proof_code", "proof_answer"
_OURS = {_PASSWORD, _CODE, _ANSWER, "csrf_token"}
_PURPOSE = "proof"


def register(app: Flask) -> None:
    """Let pages ask for a fresh proof."""
    app.extensions[proof.KEY] = needed
    app.extensions[proof.PROVEN] = proven


def needed() -> Any:
    """Return a page that asks who somebody is, or None where they have shown it lately, or a key acts."""
    if proven():
        return None
    error = _tried() if request.method in SENDING and _OURS & set(request.form) - {"csrf_token"} else ""
    return None if error is None else _asking(error)


def proven() -> bool:
    """Tell whether nothing has to be asked."""
    minutes = house().settings.proof_minutes
    if not minutes or "api_user_id" in g or not current_user.is_authenticated:
        return True
    return bool(current_user.proven_at > house().clock() - timedelta(minutes=minutes))


def _asking(error: str) -> Any:
    here = request.full_path.rstrip("?")
    if request.headers.get("HX-Request") == "true":
        shown = urlsplit(request.headers.get("HX-Current-URL", "")).path or "/"
        return Response(status=204, headers={"HX-Redirect": url_for("ProofView.show", next=shown)})
    if request.is_json or "application/json" in request.headers.get("Accept", ""):
        return problems.shown(401, _("Show again who you are: open My account and confirm it."))
    if request.method not in SENDING:
        return redirect(url_for("ProofView.show", next=here))
    if request.files:  # a browser sends no file twice
        return redirect(url_for("ProofView.show", next=urlsplit(request.referrer or "").path or "/"))
    sent = [(name, value) for name, value in request.form.items(multi=True) if name not in _OURS]
    return page(here, sent, error)


def page(target: str, sent: list[tuple[str, str]], error: str, status: int = 401) -> Response:
    """Return the page that asks; it sends the proof, with what was sent before, to a target."""
    with house().db.read() as tx:
        row = tx.execute(models.users().where(models.user.c.id == current_user.id)).one()
        codes = row.second_factor_at is not None or recovery.left(tx, row.id) > 0
    by_password = current_user.has_password or current_user.signed_in_by == "directory"
    ways = {"password": by_password, "code": codes, "passkey": bool(row.has_passkeys)}
    away = {"company": "CompanyView.again", "saml": "SamlView.again"}.get(current_user.signed_in_by)
    context: dict[str, Any] = {"target": target, "sent": sent, "error": error, "ways": ways}
    return make_response(render_template("access/proof.html", away=away and url_for(away), **context), status)


def _tried() -> str | None:
    """Return why a proof does not count, or None where it does."""
    name, places = current_user.username, (request.remote_addr or "", "")
    wait = max(throttle.seconds_to_wait(house(), name, place) for place in places)
    if wait:
        return str(_("Too many failed attempts. Try again in %(seconds)s seconds.", seconds=wait))
    by = _shown(request.form)
    if by:
        prove(by)
        throttle.succeeded(house(), name, "")
        return None
    for place in places:
        throttle.failed(house(), name, place)
    services.wrong(house(), current_user.id, actor(), "wrong proof, signed in")
    return str(_("That is not right. Try again."))


def prove(by: str) -> None:
    """Note that who is signed in has just shown who they are."""
    security.hold(sessions.prove(house(), current_user.session_id, by, actor()))
    current_user.proven_at = house().clock()


def _shown(form: Mapping[str, str]) -> str:
    """Return by what somebody has shown who they are; an empty text where it was wrong."""
    if form.get(_ANSWER):
        try:
            passkeys.answered(house(), current_user.id, challenges.kept(_PURPOSE), form[_ANSWER])
        except WrongAnswer:
            return ""
        return "passkey"
    if form.get(_CODE):
        return factors.passes(house(), current_user.id, form[_CODE])
    return "password" if _knows_password(form.get(_PASSWORD, "")) else ""


def _knows_password(given: str) -> bool:
    if current_user.signed_in_by == "directory":
        return _known_there(given)
    if not current_user.has_password:
        return False
    with house().db.read() as tx:
        row = tx.execute(models.users().where(models.user.c.id == current_user.id)).one()
    return passwords.fits(row.password, given)


def _known_there(given: str) -> bool:
    """Tell whether the directory knows the password, for the same user."""
    try:
        found = directory.known(house(), str(session.get(security.TYPED, "")), given)
    except NotAdmitted:
        return False
    issuer = directory.issuer(house().settings)
    return found is not None and company.belongs(house(), current_user.id, issuer, company.subject_of(found[0]))


class ProofView(RoomView):
    """Showing again who one is."""

    route_base = "/account/proof"
    class_permission_name = "Account"

    @expose("/", methods=["GET", "POST"])
    @signed_in
    def show(self) -> Response:
        """Ask for a proof, and go on to where it was asked for."""
        onwards = safe_target(request.args.get("next"))
        if request.method == "GET":
            return page(request.full_path, [], "", 200)
        error = _tried()
        return redirect(onwards) if error is None else page(request.full_path, [], error)

    @expose("/begin", methods=["POST"])
    @signed_in
    def begin(self) -> Response:
        """Tell the browser what to ask a passkey for."""
        try:
            return challenges.asked(_PURPOSE, passkeys.begin_answer(self.house, current_user.id))
        except Refused as error:
            return challenges.refused(error)

    @expose("/done")
    @signed_in
    def done(self) -> Response:
        """Tell somebody who has come back from the identity provider that they can go on."""
        return self.page("access/proof_done.html")
