"""Pages of the quarantine: what is parked and why, correcting, replaying, discarding."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from rules.documents import parse_sync
from webapp.connections.probing import object_schema
from webapp.rulebook import reading as rulebook
from webapp.rulebook.kinds import SYNC
from webapp.rulebook.titles import side_title
from webapp.runs import quarantine, reading
from webapp.runs import quarantine_remap as remapping
from webapp.runs.labels import choices, labels, place_words
from webapp.runs.pipeline.sides import Sides
from webapp.runs.quarantine_export import csv_lines, json_lines
from webapp.runs.quarantine_remap import Remap
from webapp.runs.quarantine_waiting import dependants, waits_for
from webapp.runs.requests import RunRefused
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.views import RoomView, can, expose, has_access, permission_name

PAGE = 50


class QuarantineView(RoomView):
    """Parked records."""

    route_base = "/quarantine"
    class_permission_name = "Quarantine"
    default_view = "list"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show what is parked."""
        asked, before = _asked(), request.args.get("before", type=whole_number)
        rule = asked["rule"]
        with self.house.db.read() as tx:
            found = quarantine.listing(tx, **asked, before=before, limit=PAGE + 1)
            groups = quarantine.reasons(tx, rule)
            rules = [
                ("", _("All rules")),
                *((row.name, row.label or row.name) for row in rulebook.list_rules(tx) if row.kind == SYNC),
            ]
        return self.page(
            "quarantine/list.html",
            entries=found[:PAGE],
            more=found[PAGE - 1].id if len(found) > PAGE else None,
            groups=groups,
            total=sum(number for *_rest, number in groups),
            rules=rules,
            states=choices(quarantine.STATES),
            words=labels(),
            sides=[("", _("Both sides")), *((side, side_title(rule or "", side) or label) for side, label in _sides())],
            chosen={name: value or "" for name, value in asked.items()},
        )

    @expose("/export.csv")
    @has_access
    @permission_name("export")
    def export_csv(self) -> Response:
        """Download what the filter finds, for a spreadsheet."""
        lines = csv_lines(self.house, _asked(), self.actor, translated)
        return _file(lines, "csv", "text/csv; charset=utf-8")

    @expose("/export.jsonl")
    @has_access
    @permission_name("export")
    def export_json(self) -> Response:
        """Download what the filter finds, a JSON object a line."""
        lines = json_lines(self.house, _asked(), self.actor, translated)
        return _file(lines, "jsonl", "application/x-ndjson; charset=utf-8")

    @expose("/change")
    @has_access
    @permission_name("update")
    def change(self) -> Response:
        """Ask which field of many records gets which value, and show what that would alter."""
        change, asked = _remap(request.args), request.args.get("field") is not None
        with self.house.db.read() as tx:
            names = remapping.fields(tx, change.rule)
            found = remapping.affected(tx, change) if asked else []
        return self.page(
            "quarantine/change.html",
            change=change,
            asked=asked,
            found=found[:PAGE],
            total=len(found),
            fields=[(name, name) for name in names],
            whatever=change.only is None,
        )

    @expose("/change", methods=["POST"])
    @has_access
    @permission_name("update")
    def do_change(self) -> Any:
        """Change the field of all of them and, if asked to, replay them at once."""
        change = _remap(request.form)
        if not change.field:
            return redirect(
                f"/quarantine/change?{urlencode({'rule': change.rule, 'entry': change.entries or ()}, True)}"
            )
        try:
            done = remapping.remap(self.house, change, self.actor)
            if request.form.get("then") == "replay" and can("run", "Quarantine"):
                run_id = quarantine.replay(self.house, change.rule, done, self.actor)
                announce(self.house.settings)
                return redirect(f"/runs/{run_id}")
        except (quarantine.EntryRefused, RunRefused) as refusal:
            flash(translated(refusal.message), "danger")
        else:
            flash(ngettext("%(num)d record is corrected.", "%(num)d records are corrected.", len(done)), "success")
        return redirect(f"/quarantine/?rule={change.rule}")

    @expose("/<int:entry_id>")
    @has_access
    @permission_name("read")
    def show(self, entry_id: int) -> Response:
        """Show one parked record with what can be done about it."""
        return self._show(entry_id)

    @expose("/<int:entry_id>/edit", methods=["POST"])
    @has_access
    @permission_name("update")
    def edit(self, entry_id: int) -> Any:
        """Keep a correction and, if asked to, replay the record at once."""
        entry = self._entry(entry_id)
        values = _corrected(entry, request.form)
        try:
            quarantine.edit(self.house, entry_id, values, request.form.get("version", 0, type=whole_number), self.actor)
            if request.form.get("then") != "replay":
                flash(_("The correction is kept. It takes effect when the record is replayed."), "success")
                return redirect(f"/quarantine/{entry_id}")
            run_id = quarantine.replay(self.house, entry.rule_name, [entry_id], self.actor)
        except (quarantine.EntryRefused, RunRefused) as refusal:
            return self._show(entry_id, error=translated(refusal.message))
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}")

    @expose("/replay", methods=["POST"])
    @has_access
    @permission_name("run")
    def replay(self) -> Any:
        """Replay the chosen records of a rule, (`which=all`) all that wait or (`which=group`) those of one reason."""
        rule, which = request.form.get("rule", ""), request.form.get("which")
        chosen = None if which in ("all", "group") else request.form.getlist("entry", type=whole_number)
        group = (request.form.get("stage", ""), request.form.get("field") or None) if which == "group" else None
        try:
            run_id = quarantine.replay(self.house, rule, chosen, self.actor, group)
        except (quarantine.EntryRefused, RunRefused) as refusal:
            flash(translated(refusal.message), "danger")
            return redirect("/quarantine/")
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}")

    @expose("/discard", methods=["POST"])
    @has_access
    @permission_name("delete")
    def discard(self) -> Any:
        """Give up on the chosen records."""
        try:
            number = quarantine.discard(self.house, request.form.getlist("entry", type=whole_number), self.actor)
        except quarantine.EntryRefused as refusal:
            flash(translated(refusal.message), "danger")
        else:
            flash(ngettext("%(num)d record is discarded.", "%(num)d records are discarded.", number), "success")
        return redirect("/quarantine/")

    def _entry(self, entry_id: int) -> quarantine.Entry:
        try:
            with self.house.db.read() as tx:
                return quarantine.get(tx, entry_id)
        except quarantine.EntryRefused:
            abort(404)

    def _show(self, entry_id: int, error: str = "") -> Response:
        entry = self._entry(entry_id)
        with self.house.db.read() as tx:
            past = [reading.with_differences(row) for row in reading.history(tx, entry.rule_name, entry.left_key, 20)]
            awaited, (waiting, number) = waits_for(tx, entry), dependants(tx, entry)
        values = entry.values or self._blank(entry)
        context = {"entry": entry, "values": values, "original": entry.original, "history": past, "error": error}
        context |= {"place": place_words(entry.place), "awaited": awaited, "waiting": waiting, "waiting_number": number}
        return self.page("quarantine/show.html", 409 if error else 200, **context)

    def _blank(self, entry: quarantine.Entry) -> dict[str, Any]:
        """Return the fields of the source, empty: for a record that could not be read."""
        with self.house.db.read() as tx:
            row = rulebook.find(tx, entry.rule_name)
        if row is None or row.published is None:
            return {}
        source = Sides.of(parse_sync(row.published)).source
        try:
            return dict.fromkeys(object_schema(self.house, source.connection, source.object).names)
        except ConnectorError:
            return {}


def _sides() -> list[tuple[str, str]]:
    return [("left", _("Left side")), ("right", _("Right side"))]


def _asked() -> dict[str, Any]:
    """Return the filter of the address."""
    texts = {name: request.args.get(name) or None for name in ("rule", "side")}
    return {**texts, "state": request.args.get("state", "open"), "run_id": request.args.get("run", type=whole_number)}


def _remap(given: MultiDict[str, str]) -> Remap:
    """Return the change of a form; ids of entries limit it to these."""
    entries = tuple(given.getlist("entry", type=whole_number)) or None
    only = given.get("only", "") if given.get("which") == "only" else None
    return Remap(given.get("rule", ""), given.get("field", ""), given.get("to", ""), only, entries)


def _file(lines: Iterator[str], ending: str, kind: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="quarantine.{ending}"'}
    return Response(lines, content_type=kind, headers=headers)


def _corrected(entry: quarantine.Entry, form: Mapping[str, str]) -> dict[str, Any]:
    """Return the record of the form; an empty input is null, unless the record held an empty text there."""
    before = entry.values
    values: dict[str, Any] = {}
    for name, text in form.items():
        if not name.startswith("value:"):
            continue
        field = name.removeprefix("value:")
        old = before.get(field)
        same = _as_sent(text) == _as_sent(old if isinstance(old, str) else json.dumps(old, ensure_ascii=False))
        values[field] = old if same else (text if text else None)
    return values


def _as_sent(text: str) -> str:
    """Return a text as a browser sends it back from an input: on one line."""
    return text.replace("\r", "").replace("\n", "")
