"""Signing in by the company's identity provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from flask import abort, redirect, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from rules.text import msg
from webapp.access import assurance, company, oidc, proving, services, sessions, throttle
from webapp.access.identities import NotAdmitted
from webapp.access.session_views import let_in, safe_target, sign_in_page
from webapp.access.sessions import Entry
from webapp.web.language import translated
from webapp.web.protection import asked_by_another_site
from webapp.web.views import RoomView, expose, signed_in

_KEY, _PATIENCE = "company", 600
"""Where what is kept until the browser comes back lies in the cookie, and for how many seconds it counts."""


class CompanyView(RoomView):
    """The way to the identity provider and back."""

    route_base = "/login/company"
    class_permission_name = "Session"

    @expose("/")
    def begin(self) -> Response:
        """Send the browser to the identity provider."""
        if not self.house.settings.oidc_issuer:
            abort(404)
        if current_user.is_authenticated:
            return redirect(safe_target(request.args.get("next")))
        address = urlsplit(self.house.settings.console_url)
        if request.host != address.netloc:  # the cookie has to be there when the browser comes back
            return redirect(f"{address.geturl()}{request.full_path}")
        if asked_by_another_site():  # nobody is signed in by a link or a picture elsewhere
            return redirect(url_for("SessionView.login", next=request.args.get("next")))
        return self._begun(safe_target(request.args.get("next")))

    @expose("/again")
    @signed_in
    def again(self) -> Response:
        """Send the browser to the identity provider to show there anew who somebody is."""
        if not self.house.settings.oidc_issuer:
            abort(404)
        return self._begun(url_for("ProofView.done"), user_id=current_user.id)

    def _begun(self, onwards: str, user_id: int | None = None) -> Response:
        try:
            begun = oidc.begin(self.house, self._callback(), anew=user_id is not None)
        except NotAdmitted as error:
            return self._refused(error)
        told = {"next": onwards, "at": self.house.clock().timestamp(), "again": user_id}
        session[_KEY] = {**begun.kept, **told}
        return redirect(begun.url)

    @expose("/callback")
    def back(self) -> Response:
        """Let in whom the identity provider has sent back."""
        if not self.house.settings.oidc_issuer:
            abort(404)
        kept = session.pop(_KEY, {})
        if self.house.clock().timestamp() - kept.get("at", 0.0) > _PATIENCE:
            kept = {}
        if not kept or throttle.seconds_to_wait(self.house, "", request.remote_addr or ""):
            return sign_in_page(self, 401, error=translated(oidc.ELSEWHERE))
        try:
            claims = oidc.finish(self.house, kept, request.args.to_dict(), self._callback())
            if kept["again"]:
                self._shown_again(kept, claims)
                return redirect(kept["next"])
            issuer = self.house.settings.oidc_issuer
            user = company.admit(self.house, claims, oidc.roles_of(self.house, claims), issuer)
        except NotAdmitted as error:
            return self._refused(error)
        shown_at, asked = oidc.shown_at(claims) or sessions.NEVER, assurance.vouched(self.house.settings, claims)
        return let_in(self, user.id, Entry("company", claims[oidc.TOKEN], shown_at, asked), kept["next"])

    def _shown_again(self, kept: Mapping[str, Any], claims: Mapping[str, Any]) -> None:
        """Take what the provider says for a fresh proof; raises `NotAdmitted`."""
        issuer, subject = self.house.settings.oidc_issuer, company.subject_of(claims)
        mine = current_user.is_authenticated and current_user.id == kept["again"]
        if not mine or not company.belongs(self.house, kept["again"], issuer, subject):
            raise NotAdmitted(msg("You have signed in there as somebody else."))
        if not oidc.shown_since(claims, kept["at"]):
            raise NotAdmitted(msg("The identity provider does not say that it has just asked who you are."))
        proving.prove("company")

    def _refused(self, error: NotAdmitted) -> Response:
        throttle.failed(self.house, "", request.remote_addr or "")
        services.not_admitted(self.house, str(error.message), self.actor)
        return sign_in_page(self, 401, error=translated(error.message))

    def _callback(self) -> str:
        return f"{self.house.settings.console_url}/login/company/callback"
