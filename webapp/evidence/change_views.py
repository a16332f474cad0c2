"""Pages of what was configured when, by whom, and what differs between any two states; and of sign-ins."""

from __future__ import annotations

from typing import Any

from flask import abort, request, url_for
from werkzeug.wrappers import Response

from webapp.audit.differences import difference, flat
from webapp.audit.sentences import sentence
from webapp.evidence import changes, signins
from webapp.evidence.prover import Prover
from webapp.evidence.stored import opened
from webapp.web.request import whole_number
from webapp.web.views import RoomView, expose, has_access, permission_name

DAYS = (1, 7, 30, 90)
PAGE = 50


class ChangeView(RoomView):
    """The history of the configuration."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/changes")
    @has_access
    @permission_name("read")
    def changes(self) -> Response:
        """List what was configured."""
        kind, text = request.args.get("kind", ""), request.args.get("text", "").strip()
        with self.house.db.read() as tx:
            found = changes.things(tx, kind, text)
        return self.page("evidence/changes.html", things=found, kind=kind, text=text, kinds=list(changes.KINDS))

    @expose("/changes/<kind>/<path:name>")
    @has_access
    @permission_name("read")
    def states(self, kind: str, name: str) -> Response:
        """Show the states of one thing, and what differs between two of them."""
        if kind not in changes.KINDS:
            abort(404)
        with opened(self.house) as log:
            found = changes.states(log.tx, kind, name)
            prover = Prover(log.tx)
            newer, older = _chosen(found)
            seals = {state.number: prover.seal(_row(state.event)) for state in (newer, older) if state}
        if newer is None:
            abort(404)
        both = difference(older.document, newer.document) if older else None
        shown: dict[str, Any] = {"states": found, "newer": newer, "older": older, "changes": both, "seals": seals}
        return self.page("evidence/states.html", kind=kind, name=name, sentence=sentence, flat=flat, **shown)


def _chosen(found: list[changes.State]) -> tuple[changes.State | None, changes.State | None]:
    """Return the two states that are compared: those asked for, else the last one and the one before it."""
    by_number = {state.number: state for state in found}
    last = found[0] if found else None
    newer = by_number.get(request.args.get("to", type=whole_number) or 0, last)
    before = next((state for state in found if newer and state.number < newer.number), None)
    older = by_number.get(request.args.get("from", type=whole_number) or 0, before)
    return newer, older


def _row(event: Any) -> Any:
    """Return an event's row as it is stored, beneath the values that people see."""
    return getattr(event, "_event", event)


class SignInView(RoomView):
    """Sign-ins and sessions."""

    route_base = "/audit"
    class_permission_name = "Audit"

    @expose("/sign-ins")
    @has_access
    @permission_name("read")
    def sign_ins(self) -> Response:
        """Show who has signed in, who was refused, and who is signed in now."""
        asked = request.args.get("days", type=whole_number)
        days = asked if asked in DAYS else 30
        kind, text = request.args.get("kind", ""), request.args.get("text", "").strip()
        before = request.args.get("before", type=whole_number)
        with self.house.db.read() as tx:
            events = signins.page(tx, kind, text, PAGE + 1, before)
        args: dict[str, Any] = {"days": days, "kind": kind, "text": text}
        older = url_for("SignInView.sign_ins", **args, before=events[PAGE - 1].id) if len(events) > PAGE else None
        shown: dict[str, Any] = {"events": events[:PAGE], "older": older, "sentence": sentence, "all_days": DAYS}
        return self.page("evidence/sign_ins.html", it=signins.since(self.house, days), before=before, **args, **shown)
