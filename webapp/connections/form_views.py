"""The catalogue of connectors, and the form that makes or changes a connection."""

from __future__ import annotations

from collections.abc import Mapping

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from connectors.spi import ConnectorSpec, Step
from webapp.connections import documents, forms, services, uploads
from webapp.connections.catalogue import HUB, connector_class
from webapp.connections.catalogue_views import catalogue_page
from webapp.connections.errors import ConnectionInvalid, ConnectionProblem
from webapp.connections.pages import ConnectionRoom, seen_version
from webapp.connections.rest_builder_views import builder_of, settled
from webapp.connections.store import ConnectionRow
from webapp.web import proof
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name


class ConnectionFormView(ConnectionRoom):
    """Making and changing connections."""

    default_view = "catalogue"

    @expose("/new/")
    @has_access
    @permission_name("create")
    def catalogue(self) -> Response:
        """Show the connectors to choose from."""
        return self.page("connections/catalogue.html", **catalogue_page(request.args))

    @expose("/new/<connector>", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def new(self, connector: str) -> Response:
        """Show the form of a new connection, test what it holds, or store it."""
        spec = _spec(connector)
        if request.method == "GET":
            folder = uploads.proposed_folder(self.house, connector)
            values = {"path": folder} if folder else {}
            return self._form(forms.blank(spec, forms.suggested_name(connector, self.taken_names()), values), None)
        return self._sent(spec, None)

    @expose("/<name>/edit", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    def edit(self, name: str) -> Response:
        """Show the form of a connection, test what it holds, or store it."""
        row = self.row(name)
        if row.builtin:
            abort(404)
        spec = _spec(row.connector)
        if request.method == "GET":
            return self._form(forms.of_row(spec, row), row)
        return self._sent(spec, row)

    def _sent(self, spec: ConnectorSpec, row: ConnectionRow | None) -> Response:
        sent = settled(spec, request.form)
        document = forms.document_of(spec, sent, row)
        if "make_folder" in request.form and spec.name in uploads.FOLDERS:
            uploads.make_folder(self.house, row, document["settings"])
        if request.form.get("action") == "test":
            return self._test(spec, row, document["settings"], sent)
        if documents.checked(document)[0].values and (page := proof.asked()):
            return page  # type: ignore[no-any-return]
        try:
            return self._store(document, row)
        except ConnectionInvalid as error:
            form = forms.of_request(spec, sent, row, list(error.problems))
            return self._form(form, row, status=422)
        except ConnectionProblem as error:
            flash(translated(error.message), "danger")
            form = forms.of_request(spec, sent, row, [])
            return self._form(form, row, status=409)

    def _store(self, document: dict[str, object], row: ConnectionRow | None) -> Response:
        if row is None:
            stored = services.create(self.house, document, self.actor)
        else:
            stored = services.update(self.house, document, self.actor, version=seen_version(row))
        flash(_("The connection %(name)s is saved.", name=stored.title), "success")
        return redirect(url_for("ConnectionView.detail", name=stored.name))

    def _test(
        self, spec: ConnectorSpec, row: ConnectionRow | None, settings: dict[str, object], sent: Mapping[str, str]
    ) -> Response:
        steps = services.check_draft(self.house, spec.name, settings, row.name if row else None)
        if self.is_htmx:
            return self.page("connections/steps.html", steps=steps)
        return self._form(forms.of_request(spec, sent, row, []), row, steps=steps)

    def _form(
        self, form: forms.ConnectionForm, row: ConnectionRow | None, status: int = 200, steps: list[Step] | None = None
    ) -> Response:
        folders = uploads.allowed_folders(self.house, row)
        context = {"form": form, "row": row, "steps": steps, "folders": folders, **builder_of(form)}
        return self.page("connections/form.html", status, **context)


def _spec(connector: str) -> ConnectorSpec:
    """Return the spec of a connector that a form can be made for; there is no page for another one."""
    if connector == HUB:
        abort(404)
    try:
        return connector_class(connector).spec
    except ConnectorError:
        abort(404)
