"""Pages that prove: both systems of a rule compared field by field, and where every record of a run went."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from connectors.errors import ConnectorError
from rules.documents import parse_sync
from webapp.extensions import Actor, House
from webapp.rulebook import reading as rulebook
from webapp.rulebook.kinds import kind_of
from webapp.runs import parts, proof, reading, verification
from webapp.runs.labels import labels, side_names, situations
from webapp.runs.requests import RunRefused
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.request import whole_number
from webapp.web.storable import natural
from webapp.web.views import RoomView, expose, has_access, permission_name

FIELDS = ("how", "sample", "where", "field", "start", "end")
HOW = ("all", "sample", "where", "range")
PAGE = 50
AT_ONCE = 50
"""A run of so many parts is counted anew whenever its page is opened; a longer one when somebody asks for it."""


class VerificationView(RoomView):
    """Comparisons of both systems, and proofs of completeness."""

    route_base = "/runs"
    class_permission_name = "Runs"

    @expose("/verify", methods=["POST"])
    @has_access
    @permission_name("run")
    def verify(self) -> Any:
        """Compare both systems of a rule and go to the page of the run that does."""
        given = request.form.to_dict()
        name = given.get("rule", "")
        try:
            run_id = _start(self.house, given, self.actor)
        except RunRefused as refusal:
            if given.get("how", "all") != "all":
                return self._form(given, translated(refusal.message))
            flash(translated(refusal.message), "danger")
            return redirect(f"/rules/{name}" if name else "/rules/")
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}/comparison")

    @expose("/verify")
    @has_access
    @permission_name("run")
    def ask(self) -> Response:
        """Ask what of both systems is to be compared."""
        return self._form(request.args.to_dict())

    def _form(self, given: dict[str, str], error: str = "") -> Response:
        with self.house.db.read() as tx:
            row = rulebook.find(tx, given.get("rule", ""))
            if row is None or row.published is None or not kind_of(row.document).runs:
                abort(404)
            earlier = verification.history(tx, row.id)
        rule = parse_sync(row.published)
        values = {name: given.get(name, "") for name in FIELDS}
        values["how"] = values["how"] if values["how"] in HOW else "all"
        first = parts.sides(rule)[0]
        try:
            fields = parts.schema_of(self.house, rule, first).names
        except ConnectorError:
            fields = ()
        return self.page(
            "runs/verify.html",
            409 if error else 200,
            rule=row,
            values=values,
            error=error,
            read_first=(first, side_names(rule)[first]),
            fields=[("", _("Choose a field")), *((name, name) for name in fields)],
            earlier=earlier,
        )

    @expose("/<int:run_id>/comparison/run", methods=["POST"])
    @has_access
    @permission_name("run")
    def settle(self, run_id: int) -> Any:
        """Run the rule for the listed records that do not agree and go to the page of that run."""
        with self.house.db.read() as tx:
            if _found(tx, run_id).kind != "verify":
                abort(404)
        try:
            new = verification.settle(self.house, run_id, self.actor)
        except RunRefused as refusal:
            flash(translated(refusal.message), "danger")
            return redirect(f"/runs/{run_id}/comparison")
        announce(self.house.settings)
        return redirect(f"/runs/{new}")

    @expose("/<int:run_id>/comparison")
    @has_access
    @permission_name("read")
    def comparison(self, run_id: int) -> Response:
        """Show what a comparison of both systems has found."""
        kind, after = request.args.get("kind") or None, request.args.get("after", 0, type=whole_number)
        with self.house.db.read() as tx:
            row = _found(tx, run_id)
            if row.kind != "verify":
                abort(404)
            rule = parse_sync(reading.document(tx, run_id))
            listed = verification.differences(tx, run_id, kind=kind, after=after, limit=PAGE + 1)
            found = verification.find(tx, run_id)
            cases = verification.cases(tx, row, listed[:PAGE])
            again = len(verification.disagreeing(tx, row)) if found is not None else 0
            earlier = [one for one in verification.history(tx, row.rule_id) if one[0].id != run_id]
        sides = side_names(rule)
        return self.page(
            "runs/verification.html",
            run=row,
            found=found,
            differences=listed[:PAGE],
            cases=cases,
            more=listed[PAGE - 1].no if len(listed) > PAGE else None,
            kind=kind or "",
            after=after,
            sides=sides,
            kinds=[("", _("All")), *((name, text) for name, text in _kinds(sides).items())],
            names=_kinds(sides),
            words=_words(),
            again=again,
            earlier=earlier,
        )

    @expose("/<int:run_id>/proof")
    @has_access
    @permission_name("read")
    def proof(self, run_id: int) -> Response:
        """Show where every record of a run went, and the digests of what is stored."""
        with self.house.db.read() as tx:
            row = _found(tx, run_id)
            known = proof.proof(tx, row)
            asked = "recompute" in request.args
            counted = proof.recount(tx, row) if asked or len(known.chunks) <= AT_ONCE else None
        return self.page(
            "runs/proof.html",
            run=row,
            proof=known,
            counted=counted,
            asked=asked,
            added=proof.ADDED,
            words=situations(),
            outcomes={**labels(), **_outcomes()},
        )


def _found(tx: Any, run_id: int) -> reading.RunRow:
    try:
        return reading.get(tx, run_id)
    except reading.RunMissing:
        abort(404)


def _start(house: House, given: dict[str, str], actor: Actor) -> int:
    rule, how = given.get("rule", ""), given.get("how", "all")
    if how == "sample":
        text = given.get("sample", "").strip()
        return verification.request(house, rule, actor, sample=natural(text) or 0)
    if how == "where":
        part = parts.Wanted(where=given.get("where", "").strip() or None)
        return verification.request(house, rule, actor, part=part)
    if how == "range":
        span = ((given.get(name, "").strip() or None) for name in ("field", "start", "end"))
        return verification.request(house, rule, actor, part=parts.Wanted(None, None, *span))
    return verification.request(house, rule, actor)


def _kinds(sides: dict[str, str]) -> dict[str, str]:
    return {
        "differing": _("Differ"),
        "only_left": _("Only in %(side)s", side=sides["left"]),
        "only_right": _("Only in %(side)s", side=sides["right"]),
        verification.WAITING: _("Wait for a decision"),
    }


def _words() -> dict[str, tuple[str, str, str]]:
    """Return what may be found for a record, in the reader's language: a name, a colour, what it means."""
    return {
        "equal": (_("Agree"), "ok", _("Both systems hold what the rule says.")),
        "differing": (_("Differ"), "bad", _("A partner is there, and at least one field has another value.")),
        "alone": (_("Only here"), "bad", _("The other system has no partner, although the rule wants one.")),
        "waiting": (_("Wait for a decision"), "warn", _("They do not agree, and a person has been asked to decide.")),
        "quarantined": (_("In quarantine"), "warn", _("They failed, or cannot be read or mapped as they are now.")),
        "out_of_scope": (_("Out of scope"), "muted", _("The rule's condition or a validation leaves them out.")),
        "left_alone": (_("Left alone"), "muted", _("They have no partner, and the rule wants none.")),
    }


def _outcomes() -> dict[str, str]:
    return {"unchanged": _("Unchanged"), "skipped": _("Skipped"), "cases": _("In cases")}
