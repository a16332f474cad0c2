"""Export and import of records in the browser."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.access.roles import EXPORT, IMPORT
from webapp.entities import exporting, importing, listing, sheets
from webapp.entities.exporting import Export
from webapp.entities.filters import BadFilter
from webapp.entities.import_rows import Options
from webapp.entities.importing import ImportRefused, Job
from webapp.entities.model import Entity
from webapp.entities.pages import EntityRoom
from webapp.entities.permitted import Permit
from webapp.entities.record_list import asked
from webapp.policies.who import current_who
from webapp.web.language import translated
from webapp.web.views import expose, has_access, permission_name


class ExportView(EntityRoom):
    """Exports."""

    route_base = "/records"
    class_permission_name = "Records"

    @expose("/<name>/export/<kind>", methods=["POST"])
    @has_access
    @permission_name("export")
    def export(self, name: str, kind: str) -> Response:
        """Download the records that the list shows, all pages of them."""
        if kind not in exporting.FORMATS:
            abort(404)
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            permit = self.permit(tx, entity, EXPORT)
            wanted = asked(permit, request.args, self.zone)
            try:
                listing.ids(tx, entity, wanted.query, 1)
            except BadFilter:
                return redirect(f"/records/{name}/?{urlencode(wanted.parts())}")  # the list says what is wrong
        columns = wanted.columns or tuple(n for n in permit.columns if n != "version")
        export = Export(entity, wanted.query, columns, kind)
        exporting.note(self.house, export, self.actor)
        with self.house.db.read() as tx:
            permit.looked((), columns, listing.count(tx, entity, wanted.query).records)
        stamp = self.house.clock().astimezone(self.zone).strftime("%Y%m%d-%H%M")
        headers = {"Content-Disposition": f'attachment; filename="{name}-{stamp}.{kind}"'}
        return Response(exporting.stream(self.house, export), mimetype=exporting.FORMATS[kind], headers=headers)


class ImportView(EntityRoom):
    """Imports."""

    route_base = "/records"
    class_permission_name = "Records"

    @expose("/<name>/import", methods=["GET", "POST"])
    @has_access
    @permission_name(IMPORT)
    def start(self, name: str) -> Any:
        """Take a file."""
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            jobs = importing.latest(tx, name, owner=self._owner(self.permit(tx, entity, IMPORT)))
        upload = request.files.get("file")
        if request.method == "GET" or upload is None or not upload.filename:
            error = Message("Choose a file first.") if request.method == "POST" else None
            return self.page("entities/import.html", 422 if error else 200, entity=entity, jobs=jobs, error=error)
        try:
            job = importing.begin(self.house, entity, upload.stream, upload.filename, self.actor)
        except sheets.Unreadable as problem:
            return self.page("entities/import.html", 422, entity=entity, jobs=jobs, error=problem.message)
        return redirect(f"/records/{name}/import/{job}")

    @expose("/<name>/import/<int:job_id>")
    @has_access
    @permission_name(IMPORT)
    def show(self, name: str, job_id: int) -> Response:
        """Show how columns and fields belong together, or how far the import is."""
        entity, job = self._found(name, job_id)
        if job.state == "uploaded":
            return self._mapping(entity, job)
        return self.page("entities/import_progress.html", entity=entity, job=job, errors=self._errors(job))

    @expose("/<name>/import/<int:job_id>/run", methods=["POST"])
    @has_access
    @permission_name(IMPORT)
    def run(self, name: str, job_id: int) -> Any:
        """Start an import as the form says."""
        entity, job = self._found(name, job_id)
        options = Options(
            mapping={c: request.form.get(f"column-{n}", "") for n, c in enumerate(job.columns)},
            key=request.form.get("key", ""),
            mode=request.form.get("mode", "create"),
            dry_run=bool(request.form.get("dry_run")),
        )
        try:
            importing.choose(self.house, entity, job, options, current_who())
        except ImportRefused as refused:
            return self._mapping(entity, job, options, refused.message)
        return redirect(f"/records/{name}/import/{job_id}")

    @expose("/<name>/import/<int:job_id>/step", methods=["POST"])
    @has_access
    @permission_name(IMPORT)
    def step(self, name: str, job_id: int) -> Response:
        """Do one chunk and show how far it is; the page asks for one after the other."""
        entity, job = self._found(name, job_id)
        job = importing.step(self.house, job, self.actor, current_who())
        return self.page("entities/import_state.html", entity=entity, job=job, errors=self._errors(job))

    @expose("/<name>/import/<int:job_id>/again", methods=["POST"])
    @has_access
    @permission_name(IMPORT)
    def again(self, name: str, job_id: int) -> Any:
        """Go back to the mapping: after a dry run, or to import the file once more."""
        _entity, job = self._found(name, job_id)
        importing.reopen(self.house, job)
        return redirect(f"/records/{name}/import/{job_id}")

    @expose("/<name>/import/<int:job_id>/cancel", methods=["POST"])
    @has_access
    @permission_name(IMPORT)
    def cancel(self, name: str, job_id: int) -> Any:
        """Stop an import; what has been written stays."""
        _entity, job = self._found(name, job_id)
        importing.cancel(self.house, job)
        flash(_("The import is stopped. Records that were written stay."), "info")
        return redirect(f"/records/{name}/import/{job_id}")

    @expose("/<name>/import/<int:job_id>/errors.csv")
    @has_access
    @permission_name(IMPORT)
    def errors(self, name: str, job_id: int) -> Response:
        """Download the refused rows with the reason of each, to be corrected and imported again."""
        _entity, job = self._found(name, job_id)
        headers = {"Content-Disposition": f'attachment; filename="{name}-import-{job_id}-errors.csv"'}
        return Response(self._error_rows(job), mimetype="text/csv; charset=utf-8", headers=headers)

    def _error_rows(self, job: Job) -> Iterator[bytes]:
        with self.house.db.read() as tx:
            found = importing.errors(tx, job.id)
        rows = [(e.line, e.field, translated(dict(e.message)), e.row) for e in found if e.severity != "warn"]
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow([_("Line"), _("Field"), _("Problem"), *job.columns])
        for line, field, message, row in rows:
            writer.writerow(
                [
                    line,
                    field or "",
                    exporting.safe(message),
                    *(exporting.safe(str(row.get(c, ""))) for c in job.columns),
                ]
            )
        return iter([b"\xef\xbb\xbf", buffer.getvalue().encode()])

    def _errors(self, job: Job) -> list[Any]:
        with self.house.db.read() as tx:
            return importing.errors(tx, job.id, limit=20)

    def _found(self, name: str, job_id: int) -> tuple[Entity, Job]:
        with self.house.db.read() as tx:
            entity = self.entity(tx, name)
            owner = self._owner(self.permit(tx, entity, IMPORT))
            job = importing.find(tx, name, job_id)
        if job is None or owner not in (None, job.actor):
            abort(404)
        return entity, job

    def _owner(self, permit: Permit) -> str | None:
        """Return whose imports the reader sees: a file of somebody else may hold what is hidden from them."""
        return None if permit.unrestricted else self.actor.name[:128]

    def _mapping(
        self, entity: Entity, job: Job, options: Options | None = None, error: Message | None = None
    ) -> Response:
        with self.house.db.read() as tx:
            permit = self.permit(tx, entity, IMPORT)
        fields = importing.targets(entity, permit)
        context = {
            "options": options or job.options,
            "fields": fields,
            "keys": [f for f in fields if f == "id" or (f in entity.by_name and entity.by_name[f].unique)],
            "permit": permit,
            "sample": importing.sample(self.house, job),
        }
        return self.page(
            "entities/import_mapping.html", 422 if error else 200, entity=entity, job=job, error=error, **context
        )
