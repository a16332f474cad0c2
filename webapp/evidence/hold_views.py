"""Pages of legal holds, and of what the log holds of persons: given out, and erased behind a preview of what goes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from flask import Response as FlaskResponse
from flask import flash, redirect, request, stream_with_context, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.audit import export
from webapp.audit.sentences import sentence
from webapp.evidence import holds, persons, related
from webapp.evidence.holds import Held, Scope
from webapp.evidence.persons import Person
from webapp.web.language import translated
from webapp.web.proof import fresh
from webapp.web.views import RoomView, expose, has_access, permission_name

KINDS = ("user", "entity", "rule", "case")
_WITH_KEY = ("entity", "rule")


class HoldView(RoomView):
    """Legal holds."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/holds")
    @has_access
    @permission_name("read")
    def holds(self) -> Response:
        """List holds."""
        return self._page({})

    @expose("/holds", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def place(self) -> Any:
        """Place a hold."""
        asked = {name: request.form.get(name, "").strip() for name in ("name", "reason", "kind", "subject", "record")}
        scope = Scope(asked["kind"] or None, asked["subject"] or None, asked["record"] or None)
        try:
            holds.place(self.house, asked["name"][:64], asked["reason"], scope, self.actor)
        except Held as refused:
            return self._page(asked, translated(refused.message), 422)
        flash(_("The legal hold '%(name)s' is in force.", name=asked["name"]), "success")
        return redirect("/audit/holds")

    @expose("/holds/release", methods=["POST"])
    @has_access
    @permission_name("update")
    @fresh
    def release(self) -> Any:
        """Release a hold."""
        name = request.form.get("name", "")
        try:
            holds.release(self.house, name, self.actor)
        except Held as refused:
            flash(translated(refused.message), "danger")
        else:
            flash(_("The legal hold '%(name)s' is released.", name=name), "success")
        return redirect("/audit/holds")

    def _page(self, asked: dict[str, str], error: str = "", status: int = 200) -> Response:
        with self.house.db.read() as tx:
            found = holds.listing(tx)
        days = self.house.settings.audit_days
        return self.page("evidence/holds.html", status, holds=found, asked=asked, error=error, days=days)


class PersonView(RoomView):
    """What the log holds of persons."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/persons")
    @has_access
    @permission_name("read")
    def persons(self) -> Response:
        """Ask of whom, and show what the log holds of them and what erasing would take."""
        who = _named(request.args)
        found: list[persons.Preview] = []
        if who is not None:
            people = related.of_person(self.house, who)
            with self.house.db.read() as tx:
                found = [persons.preview(tx, person) for person in people]
        asked = {name: request.args.get(name, "").strip() for name in ("kind", "name", "record")}
        return self.page("evidence/persons.html", asked=asked, who=who, found=found, sentence=sentence)

    @expose("/persons/erase", methods=["POST"])
    @has_access
    @permission_name("delete")
    @fresh
    def erase(self) -> Any:
        """Destroy the keys of the chosen persons."""
        chosen = [who for text in request.form.getlist("who") if (who := _parsed(text)) is not None]
        reason = request.form.get("reason", "").strip()
        if not chosen or not reason:
            flash(_("Choose what to erase, and say why: the number of the request, for example."), "danger")
            return redirect("/audit/persons")
        try:
            gone = persons.erase_all(self.house, chosen, self.actor, reason)
        except Held as refused:
            flash(translated(refused.message), "danger")
        else:
            flash(_("Erased: the personal values of %(gone)s of %(all)s.", gone=gone, all=len(chosen)), "success")
        first = chosen[0]
        return redirect(url_for("PersonView.persons", kind=first.kind, name=first.name, record=first.record))

    @expose("/persons/export", methods=["POST"])
    @has_access
    @permission_name("export")
    @fresh
    def export(self) -> Any:
        """Send what the log holds of a person, one JSON object a line."""
        who = _named(request.form)
        if who is None:
            return redirect("/audit/persons")
        events = persons.export(self.house, who, self.actor)

        def lines() -> Iterator[str]:
            yield from export.jsonl(events)

        headers = {"Content-Disposition": 'attachment; filename="person.jsonl"'}
        return FlaskResponse(stream_with_context(lines()), mimetype="application/x-ndjson", headers=headers)


def _named(values: Any) -> Person | None:
    kind, name, record = (str(values.get(part) or "").strip() for part in ("kind", "name", "record"))
    if kind not in KINDS or not name or (kind in _WITH_KEY and not record):
        return None
    return Person(kind, name, record if kind in _WITH_KEY else None)


def _parsed(text: str) -> Person | None:
    parts = [*text.split("\t", 2), "", ""][:3]
    return _named(dict(zip(("kind", "name", "record"), parts, strict=True)))
