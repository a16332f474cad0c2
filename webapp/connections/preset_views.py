"""Making a connection from a preset, and bringing it to a newer version of its preset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort, flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.presets import Preset, find_preset
from connectors.spi import ConnectorSpec, Step
from rules.text import N_, msg
from webapp.connections import forms, presets, services
from webapp.connections.catalogue import connector_class
from webapp.connections.documents import KIND
from webapp.connections.errors import ConnectionInvalid, ConnectionProblem
from webapp.connections.pages import ConnectionRoom, seen_version
from webapp.connections.preset_words import own_words
from webapp.web.language import chosen_language, translated
from webapp.web.views import expose, has_access, permission_name


class PresetView(ConnectionRoom):
    """The form of a preset, with only its own few settings, and the change that a newer version offers."""

    default_view = "new"

    @expose("/new/preset/<preset>", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def new(self, preset: str) -> Response:
        """Show the form of a preset, test what it holds, or store the connection."""
        found = _found(preset)
        spec = presets.form_spec(found, chosen_language())
        if request.method == "GET":
            return self._form(found, forms.blank(spec, forms.suggested_name(found.name, self.taken_names()), {}))
        if request.form.get("action") == "test":
            return self._test(found, spec)
        return self._store(found, spec)

    @expose("/<name>/preset", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    def newer(self, name: str) -> Response:
        """Show what the newer version of a connection's preset would change, or change it."""
        row = self.row(name)
        offered = presets.newer(row)
        if offered is None:
            flash(_("The connection %(name)s is made from the newest version of its preset.", name=row.title), "info")
            return redirect(url_for("ConnectionView.detail", name=name))
        if request.method == "GET":
            return self.page("connections/preset_newer.html", row=row, offer=offered, preset=find_preset(row.preset))
        with self.house.db.read() as tx:
            document = services.to_document(tx, row)
        changed = {**document, "settings": dict(offered.settings), "preset": offered.reference}
        try:
            services.update(self.house, changed, self.actor, version=seen_version(row))
        except ConnectionProblem as error:
            flash(translated(error.message), "danger")
            return redirect(url_for("PresetView.newer", name=name))
        flash(_("The connection %(name)s is saved.", name=row.title), "success")
        return redirect(url_for("ConnectionView.detail", name=name))

    def _test(self, preset: Preset, spec: ConnectorSpec) -> Response:
        settings, wrong = presets.draft(preset, _answers(spec))
        labels = {setting.name: setting.label for setting in spec.settings}
        if wrong:
            steps = [
                Step(
                    N_("settings"), False, msg("{label}: {problem}", label=msg(labels.get(name, name)), problem=problem)
                )
                for name, problem in wrong.items()
            ]
        else:
            steps = services.check_draft(self.house, preset.connector, settings)
        steps = own_words(preset, steps, chosen_language())
        if self.is_htmx:
            return self.page("connections/steps.html", steps=steps)
        return self._form(preset, forms.of_request(spec, request.form, None, []), steps=steps)

    def _store(self, preset: Preset, spec: ConnectorSpec) -> Response:
        document = forms.document_of(spec, request.form, None)
        document.pop("connector")
        document |= {"preset": preset.reference, "kind": KIND, "settings": _answers(spec)}
        try:
            stored = services.create(self.house, document, self.actor)
        except ConnectionInvalid as error:
            return self._form(preset, forms.of_request(spec, request.form, None, list(error.problems)), 422)
        flash(_("The connection %(name)s is saved.", name=stored.title), "success")
        return redirect(url_for("ConnectionView.detail", name=stored.name))

    def _form(
        self, preset: Preset, form: forms.ConnectionForm, status: int = 200, steps: list[Step] | None = None
    ) -> Response:
        return self.page(
            "connections/preset.html", status, form=form, preset=preset, steps=steps, language=chosen_language(),
            base=connector_class(preset.connector).spec,
        )  # fmt: skip


def _found(name: str) -> Preset:
    preset = find_preset(name)
    if preset is None or preset.name != name:
        abort(404)
    return preset


def _answers(spec: ConnectorSpec) -> Mapping[str, Any]:
    """Return what was sent for the settings that the preset asks for."""
    sent = {setting.name: request.form.get(forms.PREFIX + setting.name, "").strip() for setting in spec.settings}
    return {name: value for name, value in sent.items() if value}
