"""Pages that prove: both systems of a rule compared field by field, and where every record of a run went."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.documents import parse_sync
from webapp.runs import proof, reading, verification
from webapp.runs.labels import labels, situations
from webapp.runs.requests import RunRefused
from webapp.wake import announce
from webapp.web.language import translated
from webapp.web.views import RoomView, expose, has_access, permission_name

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
        name = request.form.get("rule", "")
        try:
            run_id = verification.request(self.house, name, self.actor)
        except RunRefused as refusal:
            flash(translated(refusal.message), "danger")
            return redirect(f"/rules/{name}" if name else "/rules/")
        announce(self.house.settings)
        return redirect(f"/runs/{run_id}/comparison")

    @expose("/<int:run_id>/comparison")
    @has_access
    @permission_name("read")
    def comparison(self, run_id: int) -> Response:
        """Show what a comparison of both systems has found."""
        kind, after = request.args.get("kind") or None, request.args.get("after", 0, type=int)
        with self.house.db.read() as tx:
            row = _found(tx, run_id)
            if row.kind != "verify":
                abort(404)
            rule = parse_sync(reading.document(tx, run_id))
            listed = verification.differences(tx, run_id, kind=kind, after=after, limit=PAGE + 1)
            found = verification.find(tx, run_id)
        sides = {
            side: f"{part.connection} · {part.object}" for side, part in (("left", rule.left), ("right", rule.right))
        }
        return self.page(
            "runs/verification.html",
            run=row,
            found=found,
            differences=listed[:PAGE],
            more=listed[PAGE - 1].no if len(listed) > PAGE else None,
            kind=kind or "",
            after=after,
            sides=sides,
            kinds=[("", _("All")), *((name, text) for name, text in _kinds(sides).items())],
            names=_kinds(sides),
            words=_words(),
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


def _kinds(sides: dict[str, str]) -> dict[str, str]:
    return {
        "differing": _("Differ"),
        "only_left": _("Only in %(side)s", side=sides["left"]),
        "only_right": _("Only in %(side)s", side=sides["right"]),
    }


def _words() -> dict[str, tuple[str, str, str]]:
    """Return what may be found for a record, in the reader's language: a name, a colour, what it means."""
    return {
        "equal": (_("Agree"), "ok", _("Both systems hold what the rule says.")),
        "differing": (_("Differ"), "bad", _("A partner is there, and at least one field has another value.")),
        "alone": (_("Only here"), "bad", _("The other system has no partner, although the rule wants one.")),
        "waiting": (_("Wait in a case"), "warn", _("They do not agree, and a person has been asked to decide.")),
        "quarantined": (_("In quarantine"), "warn", _("They failed, or cannot be read or mapped as they are now.")),
        "out_of_scope": (_("Out of scope"), "muted", _("The rule's condition or a validation leaves them out.")),
        "left_alone": (_("Left alone"), "muted", _("They have no partner, and the rule wants none.")),
    }


def _outcomes() -> dict[str, str]:
    return {"unchanged": _("Unchanged"), "skipped": _("Skipped"), "cases": _("In cases")}
