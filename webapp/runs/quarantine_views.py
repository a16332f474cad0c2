"""Pages of the quarantine: what is parked and why, correcting, replaying, discarding."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from rules.documents import parse_sync
from webapp.connections.probing import object_schema
from webapp.rulebook import reading as rulebook
from webapp.rulebook.kinds import SYNC
from webapp.runs import quarantine, reading
from webapp.runs.labels import choices, labels, place_words
from webapp.runs.pipeline.sides import Sides
from webapp.runs.requests import RunRefused
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.views import RoomView, expose, has_access, permission_name

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
        rule, state = request.args.get("rule"), request.args.get("state", "open")
        run_id, before = request.args.get("run", type=int), request.args.get("before", type=int)
        with self.house.db.read() as tx:
            found = quarantine.listing(tx, rule=rule, state=state, run_id=run_id, before=before, limit=PAGE + 1)
            groups = quarantine.reasons(tx, rule)
            rules = [
                ("", _("All rules")),
                *((row.name, row.name) for row in rulebook.list_rules(tx) if row.kind == SYNC),
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
            chosen={"rule": rule or "", "state": state, "run": run_id or ""},
        )

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
            quarantine.edit(self.house, entry_id, values, request.form.get("version", 0, type=int), self.actor)
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
        """Replay the chosen records of a rule, or (`which=all`) all that wait."""
        rule = request.form.get("rule", "")
        chosen = None if request.form.get("which") == "all" else request.form.getlist("entry", type=int)
        try:
            run_id = quarantine.replay(self.house, rule, chosen, self.actor)
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
            number = quarantine.discard(self.house, request.form.getlist("entry", type=int), self.actor)
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
        values = entry.values or self._blank(entry)
        context = {"entry": entry, "values": values, "original": entry.original, "history": past, "error": error}
        context["place"] = place_words(entry.place)
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
