"""Pages of evidence packages, and of the seal: how far it is, where checkpoints are, what the last check has found."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import abort, flash, redirect, request, send_file
from flask_babel import get_locale
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.audit import queries
from webapp.audit.models import audit_checkpoint, audit_event
from webapp.audit.sentences import AREAS
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.audit.views import instant
from webapp.evidence import deliveries, jobs, package
from webapp.evidence.stored import opened
from webapp.evidence.wholly import require_whole
from webapp.web.proof import fresh_export
from webapp.web.views import RoomView, expose, has_access, permission_name

_TEXTS = ("actor", "tag", "kind", "subject", "record", "text")
SHOWN = 10


class PackageView(RoomView):
    """Evidence packages."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/packages")
    @has_access
    @permission_name("read")
    def packages(self) -> Response:
        """List packages and show the form that asks for one."""
        return self._page({name: request.args.get(name, "") for name in (*_TEXTS, "since", "until", "run", "title")})

    @expose("/packages", methods=["POST"])
    @has_access
    @permission_name("export")
    @fresh_export
    def ask(self) -> Any:
        """Ask for a package."""
        asked = {name: request.form.get(name, "").strip() for name in (*_TEXTS, "since", "until", "run", "title")}
        wanted, errors = _filter(asked, self.house.settings.timezone)
        if errors:
            return self._page(asked, errors, 422)
        runs = request.form.get("runs") == "true"
        order = package.Wanted(wanted, asked["title"][:200], runs, str(get_locale() or "en"))
        with self.house.db.read() as tx:
            require_whole(tx, runs=runs)
        told = Event(Tag.PACKAGE_ASKED, Subject("package", asked["title"][:200] or "-"), after=order.to_json())
        jobs.request(self.house, jobs.PACKAGE, order.to_json(), self.actor, told)
        flash(_("The package is being made. It appears below."), "success")
        return redirect("/audit/packages")

    @expose("/packages/list")
    @has_access
    @permission_name("read")
    def part(self) -> Response:
        """Return the list alone, which asks for itself again while something is being made."""
        with self.house.db.read() as tx:
            found = jobs.listing(tx, jobs.PACKAGE)
        return self.page("evidence/package_list.html", packages=found)

    @expose("/packages/<int:number>/download", methods=["POST"])
    @has_access
    @permission_name("export")
    @fresh_export
    def download(self, number: int) -> Any:
        """Send a package; the log tells who has taken it."""
        with self.house.db.begin() as tx:
            found = jobs.get(tx, number)
            if found is None or found.kind != jobs.PACKAGE or not found.file:
                abort(404)
            require_whole(tx, runs=bool(found.wanted.get("runs")))
            path = package.folder(self.house) / found.file
            if not path.is_file():
                abort(404)
            told = Event(Tag.PACKAGE_DOWNLOADED, Subject("package", str(number)), after={"digest": found.digest})
            record(tx, self.actor, self.house.clock(), told)
        return send_file(path, as_attachment=True, download_name=path.name, mimetype="application/zip")

    def _page(self, asked: dict[str, str], errors: dict[str, str] | None = None, status: int = 200) -> Response:
        with self.house.db.read() as tx:
            found = jobs.listing(tx, jobs.PACKAGE)
        shown: dict[str, Any] = {"asked": asked, "errors": errors or {}, "packages": found, "areas": AREAS}
        return self.page("evidence/packages.html", status, **shown)


def _filter(asked: dict[str, str], timezone: str) -> tuple[queries.Filter, dict[str, str]]:
    errors, values = {}, dict[str, Any]({name: asked[name] for name in _TEXTS})
    for name in ("since", "until"):
        try:
            values[name] = instant(asked[name], timezone, end=name == "until")
        except ValueError:
            errors[name] = _("Enter a date such as 2026-01-31.")
    run = asked["run"]
    if run and not (run.isascii() and run.isdigit() and len(run) < 18):
        errors["run"] = _("Enter the number of a run.")
    elif run:
        values["run"] = int(run)
    return queries.Filter(**values), errors


class SealView(RoomView):
    """The seal of the log."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/seal")
    @has_access
    @permission_name("read")
    def seal(self) -> Response:
        """Show how far the log is sealed, where its checkpoints are, and what the last checks have found."""
        newest = sa.select(audit_checkpoint).order_by(audit_checkpoint.c.size.desc()).limit(1)
        with opened(self.house) as log:
            shown: dict[str, Any] = {"sealed": log.size, "waits": log.pending(), "keys": log.keys()}
            shown["checkpoint"] = log.tx.execute(newest).one_or_none()
            shown["checks"] = jobs.listing(log.tx, jobs.VERIFY, SHOWN)
            verified = sa.select(audit_event).where(audit_event.c.tag == Tag.AUDIT_VERIFIED)
            shown["last"] = log.tx.execute(verified.order_by(audit_event.c.id.desc()).limit(1)).one_or_none()
        return self.page("evidence/seal.html", targets=deliveries.state(self.house), **shown)

    @expose("/seal/check", methods=["POST"])
    @has_access
    @permission_name("read")
    def check(self) -> Any:
        """Ask for a check of the whole log."""
        with self.house.db.read() as tx:
            busy = any(job.active for job in jobs.listing(tx, jobs.VERIFY, 1))
        if busy:
            flash(_("The log is being checked already."), "info")
        else:
            jobs.request(self.house, jobs.VERIFY, {}, self.actor)
            flash(_("The whole log is being checked. What is found appears below."), "success")
        return redirect("/audit/seal")

    @expose("/seal/checks")
    @has_access
    @permission_name("read")
    def checks(self) -> Response:
        """Return the list of checks alone."""
        with self.house.db.read() as tx:
            found = jobs.listing(tx, jobs.VERIFY, SHOWN)
        return self.page("evidence/check_list.html", checks=found)
