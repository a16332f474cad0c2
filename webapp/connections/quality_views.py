"""The page "Data quality" of an object of a connection."""

from __future__ import annotations

from flask import abort, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from rules.text import Message
from webapp.connections import quality
from webapp.connections.errors import ConnectionProblem, sentence
from webapp.connections.pages import ConnectionRoom
from webapp.web import validation_words
from webapp.web.views import expose, has_access, permission_name


class ObjectQualityView(ConnectionRoom):
    """How complete the records of an object are."""

    class_permission_name = "Records"

    @expose("/<name>/quality", methods=["GET", "POST"])
    @has_access
    @permission_name("read")
    def quality(self, name: str) -> Response:
        """Measure the records of an object when asked; nothing is kept."""
        row = self.row(name)
        object_name = request.args.get("name", "")
        if not object_name:
            abort(404)
        found: quality.Sampled | None = None
        error: Message | None = None
        if request.method == "POST":
            limit = None if request.form.get("how") == "all" else quality.SAMPLE
            try:
                found = quality.measure(self.house, name, object_name, limit)
            except ConnectionProblem as problem:
                error = problem.message
            except ConnectorError as problem:
                error = sentence(problem)
        return self.page(
            "connections/quality.html",
            row=row,
            object_name=object_name,
            found=found,
            error=error,
            sample=quality.SAMPLE,
            deeds=validation_words.short(),
            forms={"email": _("e-mail addresses"), "phone": _("phone numbers"), "url": _("web addresses")},
        )
