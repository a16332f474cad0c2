"""Signing in by the company's identity provider with SAML."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from flask import abort, make_response, redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from rules.text import msg
from webapp.access import (
    assurance,
    company,
    identities,
    oidc,
    proving,
    saml,
    saml_answer,
    services,
    sessions,
    throttle,
)
from webapp.access.identities import NotAdmitted
from webapp.access.saml_answer import Answer
from webapp.access.session_views import let_in, safe_target, sign_in_page
from webapp.access.sessions import Entry
from webapp.web.language import translated
from webapp.web.protection import asked_by_another_site
from webapp.web.views import RoomView, expose, signed_in

_KEY, _PATIENCE, _LEEWAY = "saml", 600, 60
"""Where what is kept until the browser comes back lies in the cookie, and for how many seconds it counts."""


class SamlView(RoomView):
    """The way to the identity provider and back."""

    route_base = "/login/saml"
    class_permission_name = "Session"

    @expose("/")
    def begin(self) -> Response:
        """Send the browser to the identity provider."""
        self._configured()
        if current_user.is_authenticated:
            return redirect(safe_target(request.args.get("next")))
        address = urlsplit(self.house.settings.console_url)
        if request.host != address.netloc:  # the cookie has to be there when the browser comes back
            return redirect(f"{address.geturl()}{request.full_path}")
        if asked_by_another_site():  # nobody is signed in by a link or a picture elsewhere
            return redirect(url_for("SessionView.login", next=request.args.get("next")))
        return self._begun(safe_target(request.args.get("next")), None)

    @expose("/again")
    @signed_in
    def again(self) -> Response:
        """Send the browser to the identity provider to show there anew who somebody is."""
        self._configured()
        return self._begun(url_for("ProofView.done"), current_user.id)

    @expose("/metadata")
    def metadata(self) -> Response:
        """Tell the identity provider of this installation."""
        self._configured()
        return Response(saml.metadata(self.house.settings), mimetype="application/samlmetadata+xml")

    @expose("/back", methods=["POST"])
    def back(self) -> Response:
        """Let in whom the identity provider has sent back."""
        self._configured()
        posted = request.form.get("SAMLResponse", "")
        if _KEY not in session and "again" not in request.form:
            # another site has sent this, so the browser has kept the cookie back; our own page sends it with the cookie
            return make_response(render_template("access/saml_back.html", posted=posted))
        kept = session.pop(_KEY, {})
        late = self.house.clock().timestamp() - kept.get("at", 0.0) > _PATIENCE
        if late or throttle.seconds_to_wait(self.house, "", request.remote_addr or ""):
            return sign_in_page(self, 401, error=translated(oidc.ELSEWHERE))
        try:
            answer = saml_answer.judged(self.house, posted, kept["number"])
            return self._let_in(kept, answer)
        except NotAdmitted as error:
            return self._refused(error)

    def _let_in(self, kept: dict[str, Any], answer: Answer) -> Response:
        issuer = saml.provider(self.house).name[:255]
        if kept["again"]:
            self._shown_again(kept, answer, issuer)
            return redirect(kept["next"])
        roles = identities.roles_of(answer.groups, self.house.settings.saml_roles)
        user = company.admit(self.house, answer.claims, roles, issuer)
        asked = assurance.vouched(self.house.settings, answer.claims)
        return let_in(self, user.id, Entry("saml", None, answer.shown_at or sessions.NEVER, asked), kept["next"])

    def _shown_again(self, kept: dict[str, Any], answer: Answer, issuer: str) -> None:
        """Take what the provider says for a fresh proof; raises `NotAdmitted`."""
        mine = current_user.is_authenticated and current_user.id == kept["again"]
        if not mine or not company.belongs(self.house, kept["again"], issuer, company.subject_of(answer.claims)):
            raise NotAdmitted(msg("You have signed in there as somebody else."))
        if answer.shown_at is None or answer.shown_at.timestamp() < kept["at"] - _LEEWAY:
            raise NotAdmitted(msg("The identity provider does not say that it has just asked who you are."))
        proving.prove("saml")

    def _begun(self, onwards: str, user_id: int | None) -> Response:
        try:
            begun = saml.begin(self.house, anew=user_id is not None)
        except NotAdmitted as error:
            return self._refused(error)
        at = self.house.clock().timestamp()
        session[_KEY] = {"number": begun.number, "next": onwards, "at": at, "again": user_id}
        return redirect(begun.url)

    def _refused(self, error: NotAdmitted) -> Response:
        throttle.failed(self.house, "", request.remote_addr or "")
        services.not_admitted(self.house, str(error.message), self.actor)
        return sign_in_page(self, 401, error=translated(error.message))

    def _configured(self) -> None:
        if not self.house.settings.saml_metadata:
            abort(404)
