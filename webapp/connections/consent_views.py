"""The way to a service and back, on which a person consents to a connection."""

from __future__ import annotations

from flask import abort, flash, redirect, request, session, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from webapp.connections import consent
from webapp.connections.errors import ConnectionProblem, sentence
from webapp.connections.pages import ConnectionRoom
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name

_KEPT = "consent"


class ConsentView(ConnectionRoom):
    """Connects a connection with its service."""

    default_view = "callback"

    @expose("/<name>/connect")
    @has_access
    @permission_name("update")
    def connect(self, name: str) -> Response:
        """Lead to the service's page for consent."""
        row = self.row(name)
        if not consent.needs_consent(row):
            abort(404)
        try:
            asked = consent.begin(row, self._callback())
        except ConnectorError as error:
            flash(translated(sentence(error)), "danger")
            return redirect(url_for("ConnectionView.detail", name=name))
        session[_KEPT] = {"name": name, "expected": asked.state, "verifier": asked.verifier}
        return redirect(asked.address)

    @expose("/oauth/callback")
    @has_access
    @permission_name("update")
    def callback(self) -> Response:
        """Take what the service sends back."""
        kept = session.pop(_KEPT, None)
        if kept is None:
            flash(_("This answer does not belong to a request of yours. Choose Connect once more."), "danger")
            return redirect(url_for("ConnectionView.index"))
        row = self.row(kept["name"])
        sent = {name: request.args.get(name, "") for name in ("state", "code", "error", "error_description")}
        try:
            consent.finish(self.house, row, {**sent, **kept}, self._callback(), self.actor)
            flash(_("%(name)s is connected.", name=row.title), "success")
        except ConnectorError as error:
            flash(translated(sentence(error)), "danger")
        except ConnectionProblem as error:
            flash(translated(error.message), "danger")
        return redirect(url_for("ConnectionView.detail", name=row.name))

    def _callback(self) -> str:
        return url_for("ConsentView.callback", _external=True)
