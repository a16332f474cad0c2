"""The pages of connections: the list, a connection, its objects. The form is in form_views.py."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from connectors.spi import ConnectorSpec, ObjectInfo
from webapp.connections import consent, permitted, personal_marks, services, uploads
from webapp.connections.catalogue import connector_class
from webapp.connections.catalogue_views import ConnectorCatalogueView, language
from webapp.connections.cells import cells, is_number
from webapp.connections.consent_views import ConsentView
from webapp.connections.errors import ConnectionProblem, sentence
from webapp.connections.form_views import ConnectionFormView
from webapp.connections.pages import ConnectionRoom
from webapp.connections.personal_marks import LONGEST_NAME
from webapp.connections.preset_views import PresetView
from webapp.connections.preset_words import own_words
from webapp.connections.presets import made_with, newer
from webapp.connections.quality_views import ObjectQualityView
from webapp.connections.rest_builder_views import RestBuilderView
from webapp.connections.rest_import_views import RestImportView
from webapp.connections.store import ConnectionRow
from webapp.web.language import translated
from webapp.web.views import can, expose, has_access, permission_name

SHOWN = 200
"""Objects on one page; the search finds the others."""

PREVIEWED = 50


class ConnectionView(ConnectionRoom):
    """The list of connections and their pages."""

    default_view = "index"

    @expose("/")
    @has_access
    @permission_name("read")
    def index(self) -> Response:
        """Show all connections."""
        with self.house.db.read() as tx:
            rows = services.list_connections(tx)
            users = services.users(tx)
        specs = {row.connector: spec_of(row) for row in rows}
        presets = {row.name: made_with(row) for row in rows}
        context: dict[str, Any] = {"specs": specs, "presets": presets, "language": language()}
        return self.page("connections/list.html", rows=rows, users=users, **context)

    @expose("/<name>/")
    @has_access
    @permission_name("read")
    def detail(self, name: str) -> Response:
        """Show one connection."""
        row = self.row(name)
        with self.house.db.read() as tx:
            users = services.users(tx).get(name, [])
        known = row.discovered_at is not None
        context: dict[str, Any] = self._objects(row) if known else {"found": None}
        folder = {"endings": uploads.endings(row), "largest": uploads.LARGEST // 1024**2} if takes_files(row) else None
        context["last_check"] = own_words(made_with(row), row.last_check, language())
        context |= {"spec": spec_of(row), "newer": newer(row), "preset": made_with(row), "language": language()}
        return self.page("connections/detail.html", row=row, users=users, folder=folder, consent=consent, **context)

    @expose("/<name>/objects")
    @has_access
    @permission_name("read")
    def objects(self, name: str) -> Response:
        """Show the objects of a connection: the part of its page that may take a moment."""
        row = self.row(name)
        context = self._objects(row, refresh="refresh" in request.args)
        template = "connections/objects.html" if self.is_htmx else "connections/objects_page.html"
        return self.page(template, row=row, **context)

    @expose("/<name>/object")
    @has_access
    @permission_name("read")
    def object(self, name: str) -> Response:
        """Show the fields of one object; its first records follow."""
        row = self.row(name)
        object_name = request.args.get("name", "")
        if not object_name:
            return redirect(f"/connections/{name}/")
        context: dict[str, Any] = {
            "row": row,
            "object_name": object_name,
            "spec": spec_of(row),
            "schema": None,
            "error": None,
        }
        try:
            context["schema"] = services.object_schema(self.house, name, object_name, refresh="refresh" in request.args)
        except ConnectorError as error:
            context["error"] = sentence(error)
        with self.house.db.read() as tx:
            context["marks"] = personal_marks.marked(tx, name, object_name)
            context["may_mark"] = (
                can("update", "Connections") and not row.builtin and not permitted.withholds_personal(tx)
            )
        may_preview = can("read", "Records")
        if may_preview and "preview" in request.args:
            context |= self._preview(name, object_name)
        return self.page("connections/object.html", may_preview=may_preview, **context)

    @expose("/<name>/personal", methods=["POST"])
    @has_access
    @permission_name("update")
    def personal(self, name: str) -> Response:
        """Say which fields of an object are about a person."""
        object_name = request.form.get("name", "")
        if self.row(name).builtin or len(object_name) > LONGEST_NAME:
            abort(404)
        with self.house.db.read() as tx:
            withheld = permitted.withholds_personal(tx)
        fields = request.form.getlist("personal")
        personal_marks.mark(self.house, (name, object_name), fields, self.actor, withheld=withheld)
        flash(_("Saved. Roles that withhold personal data withhold these fields."), "success")
        return redirect(f"/connections/{name}/object?{urlencode({'name': object_name})}")

    @expose("/<name>/preview")
    @has_access
    @permission_name("read")
    def preview(self, name: str) -> Response:
        """Show the first records of an object: the part of its page that may take a moment."""
        row = self.row(name)
        if not can("read", "Records"):
            abort(403)
        object_name = request.args.get("name", "")
        found = self._preview(name, object_name)
        return self.page("connections/preview.html", row=row, object_name=object_name, **found)

    @expose("/<name>/check", methods=["POST"])
    @has_access
    @permission_name("read")
    def check(self, name: str) -> Response:
        """Test a connection."""
        row = self.row(name)
        steps = own_words(made_with(row), services.check(self.house, name, self.actor), language())
        if self.is_htmx:
            return self.page("connections/steps.html", steps=steps)
        if all(step.ok for step in steps):
            flash(_("The connection %(name)s works.", name=row.title), "success")
        else:
            flash(translated(steps[-1].detail), "danger")
        return redirect(url_for(".detail", name=name))

    @expose("/<name>/upload", methods=["POST"])
    @has_access
    @permission_name("update")
    def upload(self, name: str) -> Response:
        """Put files into the folder of a connection."""
        self.row(name)
        files = [f for f in request.files.getlist("file") if f.filename]
        if not files:
            flash(_("Choose a file first."), "warning")
        for file in files:
            try:
                content = (file.filename or "", file.stream)
                put = services.upload(self.house, name, content, self.actor, replace="replace" in request.form)
                flash(_("The file %(file)s is in the folder.", file=put), "success")
            except ConnectionProblem as error:
                flash(translated(error.message), "danger")
        if files:
            self._objects(self.row(name), refresh=True)
        return redirect(url_for(".detail", name=name))

    @expose("/<name>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    def delete(self, name: str) -> Response:
        """Delete a connection."""
        row = self.row(name)
        try:
            services.delete(self.house, name, self.actor)
        except ConnectionProblem as error:
            flash(translated(error.message), "danger")
            return redirect(url_for(".detail", name=name))
        flash(_("The connection %(name)s is deleted.", name=row.title), "success")
        return redirect(url_for(".index"))

    def _objects(self, row: ConnectionRow, refresh: bool = False) -> dict[str, Any]:
        wanted = request.args.get("q", "").strip()
        try:
            found = services.objects(self.house, row.name, refresh=refresh)
        except ConnectorError as error:
            return {"found": [], "total": 0, "q": wanted, "error": sentence(error), "more": 0}
        matching = [info for info in found if matches(info, wanted)]
        more = max(len(matching) - SHOWN, 0)
        return {"found": matching[:SHOWN], "total": len(found), "q": wanted, "error": None, "more": more}

    def _preview(self, name: str, object_name: str) -> dict[str, Any]:
        try:
            schema, rows, rejects = services.preview(self.house, name, object_name, PREVIEWED)
        except ConnectorError as error:
            return {"preview_error": sentence(error), "preview": None}
        numbers = [is_number(field.type) for field in schema.fields]
        table = {"schema": schema, "rows": cells(schema, rows), "numbers": numbers, "rejects": rejects}
        return {"preview": table, "preview_error": None, "limit": PREVIEWED}


def spec_of(row: ConnectionRow) -> ConnectorSpec | None:
    """Return the spec of a connection's connector, or None if its package is gone."""
    try:
        return connector_class(row.connector).spec
    except ConnectorError:
        return None


def takes_files(row: ConnectionRow) -> bool:
    """Tell whether files can be put into a connection."""
    return row.connector == uploads.CONNECTOR and row.settings.get("place", "local") == "local"


def matches(info: ObjectInfo, wanted: str) -> bool:
    """Tell whether an object's name or label holds what is searched for."""
    return wanted.casefold() in info.name.casefold() or wanted.casefold() in info.label.casefold()


VIEWS = (
    ConsentView,
    ConnectionView,
    ObjectQualityView,
    PresetView,
    RestImportView,
    RestBuilderView,
    ConnectionFormView,
    ConnectorCatalogueView,
)
