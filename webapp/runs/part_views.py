"""Pages of runs over some of a rule's records: named ones, or a part of a side."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from rules.documents import parse_sync
from rules.text import msg
from webapp.extensions import Actor, House
from webapp.rulebook import reading as rulebook
from webapp.runs import parts
from webapp.runs.requests import RunRefused
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.views import RoomView, expose, has_access, permission_name

FIELDS = ("rule", "how", "side", "keys", "where", "field", "start", "end", "mode")
HOW = ("keys", "where", "range")


class PartView(RoomView):
    """Runs over some records."""

    route_base = "/runs"
    class_permission_name = "Runs"

    @expose("/part")
    @has_access
    @permission_name("run")
    def part(self) -> Response:
        """Ask which records a rule is to run for."""
        return self._form(request.args.to_dict())

    @expose("/part", methods=["POST"])
    @has_access
    @permission_name("run")
    def start_part(self) -> Any:
        """Start a run over the records that were chosen."""
        given = request.form.to_dict()
        try:
            run_id = _start(self.house, given, self.actor)
        except RunRefused as refusal:
            return self._form(given, translated(refusal.message))
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}")

    @expose("/records", methods=["POST"])
    @has_access
    @permission_name("run")
    def run_record(self) -> Any:
        """Run a rule now for one record, as its source holds it."""
        wanted = [{"side": request.form.get("side", "left"), "key": request.form.get("key", "")}]
        try:
            run_id = parts.run_records(self.house, request.form.get("rule", ""), wanted, self.actor)
        except RunRefused as refusal:
            flash(translated(refusal.message), "danger")
            return redirect("/runs/")
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}")

    def _form(self, given: dict[str, str], error: str = "") -> Response:
        with self.house.db.read() as tx:
            row = rulebook.find(tx, given.get("rule", ""))
        if row is None or row.published is None:
            abort(404)
        rule = parse_sync(row.published)
        sides = parts.sides(rule)
        values = {name: given.get(name, "") for name in FIELDS}
        values["how"] = values["how"] if values["how"] in HOW else "keys"
        names = {"left": _("Left: %(object)s", object=rule.left.object)}
        names["right"] = _("Right: %(object)s", object=rule.right.object)
        return self.page(
            "runs/part.html",
            409 if error else 200,
            rule=row,
            values=values,
            error=error,
            sides=[(side, names[side]) for side in sides],
            fields=[("", _("Choose a field")), *((n, n) for n in self._fields(row, values["side"] or sides[0]))],
            modes=[("live", _("Write the changes")), ("simulate", _("Only show what would change"))],
        )

    def _fields(self, row: rulebook.RuleRow, side: str) -> list[str]:
        try:
            return list(parts.schema_of(self.house, parse_sync(row.published or {}), side).names)
        except ConnectorError:
            return []


def _start(house: House, given: dict[str, str], actor: Actor) -> int:
    rule, how = given.get("rule", ""), given.get("how", "keys")
    side = given.get("side") or None
    if how == "keys":
        wanted = parts.named(given.get("keys", ""), side or "left")
        if not wanted:
            raise RunRefused(msg("Name at least one key."))
        return parts.run_records(house, rule, wanted, actor)
    if how == "where":
        part = parts.Wanted(side, where=given.get("where", "").strip() or None)
    else:
        part = parts.Wanted(side, None, *((given.get(name, "").strip() or None) for name in ("field", "start", "end")))
    return parts.run_part(house, rule, part, given.get("mode", "live"), actor)
