"""The pages that take a web service over from its OpenAPI or Swagger document into the form of a connection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import abort, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.builtin.document_text import LARGEST
from connectors.errors import ConnectorError
from rules.text import Message
from webapp.connections import forms, rest_import
from webapp.connections.catalogue import connector_class
from webapp.connections.errors import sentence
from webapp.connections.pages import ConnectionRoom
from webapp.connections.rest_builder_views import builder_of
from webapp.connections.store import ConnectionRow
from webapp.web.views import expose, has_access, permission_name


class RestImportView(ConnectionRoom):
    """Read a document, choose what to take over, and go on in the form; nothing is stored here."""

    default_view = "new"

    @expose("/new/rest/import", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def new(self) -> Response:
        """Take a service over into a new connection."""
        return self._answer(None)

    @expose("/<name>/import", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    def more(self, name: str) -> Response:
        """Take more objects over into a connection."""
        row = self.row(name)
        if row.connector != rest_import.CONNECTOR:
            abort(404)
        return self._answer(row)

    def _answer(self, row: ConnectionRow | None) -> Response:
        if request.method == "GET":
            return self._ask(row)
        try:
            return self._take(row) if request.form.get("action") == "take" else self._show(row)
        except ConnectorError as error:
            return self._ask(row, sentence(error), 422)

    def _ask(self, row: ConnectionRow | None, problem: Message | None = None, status: int = 200) -> Response:
        address = request.form.get("address", "")
        return self.page("connections/rest_import.html", status, row=row, problem=problem, address=address)

    def _show(self, row: ConnectionRow | None) -> Response:
        address = request.form.get("address", "").strip()
        file = request.files.get("file")
        if file is not None and file.filename:
            found = rest_import.read_text(file.stream.read(LARGEST + 1), address)
        elif request.form.get("text", "").strip():
            found = rest_import.read_text(request.form["text"], address)
        elif address:
            found = rest_import.read_text(rest_import.fetched(self.house, address), address)
        else:
            found = rest_import.read_text("")
        taken = {one.get("name") for one in _objects(row) if isinstance(one, dict)}
        return self.page("connections/rest_found.html", row=row, found=found, taken=taken, as_text=rest_import.as_text)

    def _take(self, row: ConnectionRow | None) -> Response:
        texts = request.form.getlist("object")
        settings, objects = rest_import.chosen(request.form.get("settings", ""), texts, _objects(row))
        spec = connector_class(rest_import.CONNECTOR).spec
        if row is None:
            title = request.form.get("title", "").strip()[:200]
            name = forms.suggested_name(title or rest_import.CONNECTOR, self.taken_names())
            form = replace(forms.blank(spec, name, {**settings, "objects": objects}), label=title)
        else:
            form = forms.of_row(spec, replace(row, settings={**row.settings, "objects": objects}))
        notice = _("Objects taken over: %(count)s. Look at them, add what is missing, test and save.", count=len(texts))
        action = (
            url_for("ConnectionFormView.edit", name=row.name)
            if row
            else url_for("ConnectionFormView.new", connector=spec.name)
        )
        context: dict[str, Any] = {"form": form, "row": row, "steps": None, "folders": [], **builder_of(form)}
        return self.page("connections/form.html", action=action, notice=notice, **context)


def _objects(row: ConnectionRow | None) -> list[Any]:
    found = row.settings.get("objects") if row else None
    return found if isinstance(found, list) else []
