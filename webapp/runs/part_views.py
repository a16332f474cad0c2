"""Pages of runs over some of a rule's records: named ones, or a part of a side."""

from __future__ import annotations

from collections.abc import Sequence
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
        modes = [("live", _("Write the changes")), ("simulate", _("Only show what would change"))]
        return self.page("runs/part.html", 409 if error else 200, error=error, modes=modes, **asked(self.house, given))


def asked(house: House, given: dict[str, str], ways: Sequence[str] = HOW) -> dict[str, Any]:
    """Return what a form needs that asks for some records of a rule; `ways` are those of naming them."""
    with house.db.read() as tx:
        row = rulebook.find(tx, given.get("rule", ""))
    if row is None or row.published is None:
        abort(404)
    rule = parse_sync(row.published)
    sides = parts.sides(rule)
    values = {name: given.get(name, "") for name in FIELDS}
    values["how"] = values["how"] if values["how"] in ways else ways[0]
    names = {"left": _("Left: %(object)s", object=rule.left.object)}
    names["right"] = _("Right: %(object)s", object=rule.right.object)
    return {
        "rule": row,
        "values": values,
        "sides": [(side, names[side]) for side in sides],
        "fields": [("", _("Choose a field")), *((n, n) for n in _fields(house, row, values["side"] or sides[0]))],
    }


def _fields(house: House, row: rulebook.RuleRow, side: str) -> list[str]:
    try:
        return list(parts.schema_of(house, parse_sync(row.published or {}), side).names)
    except ConnectorError:
        return []


def wanted(given: dict[str, str]) -> parts.Wanted | list[dict[str, str]]:
    """Return which records a form names: by key, by a condition or by a range; raises `RunRefused`."""
    how, side = given.get("how", "keys"), given.get("side") or None
    if how == "where":
        return parts.Wanted(side, where=given.get("where", "").strip() or None)
    if how == "range":
        return parts.Wanted(side, None, *((given.get(name, "").strip() or None) for name in ("field", "start", "end")))
    named = parts.named(given.get("keys", ""), side or "left")
    if not named:
        raise RunRefused(msg("Name at least one key."))
    return named


def _start(house: House, given: dict[str, str], actor: Actor) -> int:
    rule, which = given.get("rule", ""), wanted(given)
    if isinstance(which, parts.Wanted):
        return parts.run_part(house, rule, which, given.get("mode", "live"), actor)
    return parts.run_records(house, rule, which, actor)
