"""The page of one record with its history, its form, and the files it holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from flask import abort, flash, jsonify, redirect, request, send_file
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.text import msg
from webapp.access.roles import CREATE, DELETE, READ, UPDATE
from webapp.entities import files, forms, history, listing, records, services
from webapp.entities.filters import Filter, Operator, operators
from webapp.entities.forms import Form
from webapp.entities.listing import Query
from webapp.entities.model import Kind
from webapp.entities.pages import EntityRoom, reference_titles
from webapp.entities.permitted import Permit
from webapp.policies.errors import NotPermitted
from webapp.policies.who import current_who
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.storable import natural
from webapp.web.views import expose, has_access, permission_name


class RecordView(EntityRoom):
    """One record."""

    route_base = "/records"
    class_permission_name = "Records"

    @expose("/<name>/<int:record_id>")
    @has_access
    @permission_name("read")
    def show(self, name: str, record_id: int) -> Response:
        """Show a record and what happened to it."""
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            permit = self.permit(tx, entity)
            told = history.of_record(tx, name, record_id)
            gone = bool(told) and told[0]["after"] is None
            entries = history.shown(permit, told)
            record = self._record(tx, permit, record_id, gone=gone and bool(entries))
            titles = reference_titles(tx, entity, [record] if record else [], permit.rights.who)
            deeds = {deed: self._allowed(tx, permit, record_id, deed) for deed in (UPDATE, DELETE)}
        if record is None:
            return self.page("entities/gone.html", 410, entity=entity, record_id=record_id, entries=entries)
        shown: dict[str, Any] = {"record": record, "entries": entries, "titles": titles, "allowed": deeds}
        return self.page("entities/record.html", entity=entity, permit=permit, **shown)

    @expose("/<name>/add", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def add(self, name: str) -> Any:
        """Add a record."""
        with self.house.db.read() as tx:
            permit = self.permit(tx, self.entity(tx, name), CREATE)
        if request.method == "GET":
            start = {f.name: records.default_value(f, self.house.clock()) for f in permit.writable}
            return self._form(permit, Form(texts=forms.texts_of(permit.writable, start, self.zone)), None)
        form = self._sent(permit)
        if not form.errors:
            try:
                who = permit.rights.who
                written = services.add_record(self.house, name, form.values, self.actor, _accepted(), who)
            except services.RecordRefused as refused:
                form.errors |= refused.errors
            except services.RecordDoubtful as doubtful:
                form.warnings = list(doubtful.warnings)
            else:
                flash(_("The record is added."), "success")
                more = request.form.get("then") == "more"
                return redirect(f"/records/{name}/add" if more else f"/records/{name}/{written.id}")
        return self._form(permit, form, None, 422)

    @expose("/<name>/<int:record_id>/edit", methods=["GET", "POST"])
    @has_access
    @permission_name("update")
    def edit(self, name: str, record_id: int) -> Any:
        """Change a record."""
        with self.house.db.read() as tx:
            permit = self.permit(tx, self.entity(tx, name), UPDATE)
            record = self._record(tx, permit.to(READ), record_id)
            if not self._allowed(tx, permit, record_id, UPDATE):
                raise NotPermitted(msg("Your roles do not permit to change record {id}.", id=record_id))
        before = forms.texts_of(permit.writable, record or {}, self.zone)
        if request.method == "GET":
            return self._form(permit, Form(texts=before), record)
        form = self._sent(permit)
        same = forms.unchanged(form, before)
        form.errors = {n: e for n, e in form.errors.items() if n not in same}
        if not form.errors:
            values = {n: v for n, v in form.values.items() if n not in same}
            version = request.form.get("version", type=whole_number)
            try:
                edit = services.Edit(name, record_id, values, version)
                services.change_record(self.house, edit, self.actor, _accepted(), permit.rights.who)
            except services.RecordRefused as refused:
                form.errors |= refused.errors
            except services.RecordDoubtful as doubtful:
                form.warnings = list(doubtful.warnings)
            else:
                flash(_("The record is saved."), "success")
                return redirect(f"/records/{name}/{record_id}")
        return self._form(permit, form, record, 422)

    @expose("/<name>/<int:record_id>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    def delete(self, name: str, record_id: int) -> Any:
        """Delete a record."""
        try:
            services.delete_record(self.house, name, record_id, self.actor, who=current_who())
        except services.RecordRefused as refused:
            flash(" ".join(translated(message) for message in refused.errors.values()), "danger")
            return redirect(f"/records/{name}/{record_id}")
        except (services.NoRecord, services.NoEntity):
            abort(404)
        flash(_("The record is deleted. Its history is kept."), "success")
        return redirect(f"/records/{name}/")

    @expose("/<name>/<int:record_id>/files/<field>")
    @has_access
    @permission_name("read")
    def file(self, name: str, record_id: int, field: str) -> Any:
        """Download the file that a record holds."""
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            permit = self.permit(tx, entity)
            record = self._record(tx, permit, record_id) or {}
        known = entity.by_name.get(field)
        if known is None or known.kind is not Kind.FILE or not permit.plain(field) or not record.get(field):
            abort(404)
        digest, file_name = files.split(record[field])
        path = files.path_of(self.house, digest)
        if not path.is_file():
            abort(404)
        return send_file(path, as_attachment=True, download_name=file_name, mimetype="application/octet-stream")

    @expose("/<name>/choices")
    @has_access
    @permission_name("read")
    def choices(self, name: str) -> Response:
        """Return records that a reference may point to, as `[{value, text}]`, for the search in forms."""
        text = request.args.get("q", "").strip()
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            found = listing.page(tx, entity, _choosing(self.permit(tx, entity), text), 20).records
        return jsonify([{"value": str(r["id"]), "text": listing.title(entity, r)} for r in found])

    def _record(
        self, tx: sa.Connection, permit: Permit, record_id: int, *, gone: bool = False
    ) -> dict[str, Any] | None:
        try:
            return services.get_record(tx, permit.entity, record_id, permit)
        except services.NoRecord:
            if gone:
                return None
            abort(404)

    def _allowed(self, tx: sa.Connection, permit: Permit, record_id: int, deed: str) -> bool:
        """Tell whether something may be done with a record that is seen."""
        if not permit.may(deed):
            return False
        query = Query((Filter("id", Operator.IS, str(record_id)),), permit=permit.to(deed))
        return permit.to(deed).rows is None or bool(listing.ids(tx, permit.entity, query, 1))

    def _sent(self, permit: Permit) -> Form:
        form = forms.read(permit.writable, request.form, request.files, self.zone)
        for field_name, upload in form.files.items():
            form.values[field_name] = files.store(self.house, upload.stream, upload.filename or "file", self.actor)
            form.texts[field_name] = form.values[field_name]
        return form

    def _form(self, permit: Permit, form: Form, record: Mapping[str, Any] | None, status: int = 200) -> Response:
        entity = permit.entity
        pointers = {f.name: str(form.texts.get(f.name)) for f in entity.fields if f.kind is Kind.REFERENCE}
        wanted = {name: number for name, text in pointers.items() if (number := natural(text)) is not None}
        with self.house.db.read() as tx:
            titles = reference_titles(tx, entity, [{**(record or {}), **wanted}], permit.rights.who)
        fields = [f for f in forms.editable(entity) if f in permit.writable or (record and f in permit.fields)]
        context = {"form": form, "fields": fields, "record": record, "titles": titles}
        return self.page("entities/form.html", status, entity=entity, permit=permit, **context)


def _accepted() -> set[str]:
    """Return the validations whose warnings stood on the form that was sent."""
    return set(request.form.get("accepted", "").split())


def _choosing(permit: Permit, text: str) -> Query:
    """Search where the entity can be searched, else look at the beginning of the title, or at the number."""
    entity = permit.entity
    title = entity.by_name.get(entity.title_field)
    if title is not None and permit.plain(title.name) and text:
        if any(map(permit.plain, entity.searchable)):
            return Query(search=text, permit=permit)
        if Operator.STARTS in operators(title):
            return Query((Filter(title.name, Operator.STARTS, text),), permit=permit)
    wanted = (Filter("id", Operator.IS, text),) if natural(text) is not None else ()
    return Query(wanted, permit=permit)
