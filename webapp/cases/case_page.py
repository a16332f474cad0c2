"""What the pages of one case share: the case with what is said about it, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import abort
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.access.users import list_users
from webapp.cases import history, rule_changes, seen, services, words
from webapp.cases.pair_page import PairView, view
from webapp.cases.pairs import titled
from webapp.cases.services import Case, CaseMissing
from webapp.rulebook import reading as rulebook
from webapp.rulebook.wording import type_name
from webapp.runs import sight_pairs
from webapp.runs.pair_cases import AnswerRefused
from webapp.runs.pair_choices import OPTIONS, RECORD
from webapp.web.views import RoomView


class CasePage(RoomView):
    """A page below `/cases/`."""

    route_base = "/cases"
    class_permission_name = "Cases"

    def case(self, number: int) -> Case:
        """Return the case of the address, or show that there is none."""
        try:
            with self.house.db.read() as tx:
                return services.get(tx, number)
        except CaseMissing:
            abort(404)

    def pair_of(self, number: int) -> tuple[Case, PairView]:
        """Return a case whose record waits, with all that its page is made of."""
        case = self.case(number)
        if case.pair_id is None:
            abort(404)
        try:
            with self.house.db.read() as tx:
                return case, view(self.house, tx, sight_pairs.get(tx, case.pair_id))
        except AnswerRefused:
            abort(404)

    def case_page(self, number: int, status: int = 200, **context: Any) -> Response:
        """Show a case; that of a record that waits with its values side by side."""
        case = self.case(number)
        with self.house.db.read() as tx:
            said, told = services.comments(tx, number), seen.deeds(tx, case, history.of_case(tx, number))
        shared = {
            "case": case,
            "title": titled(case.details, case.title),
            "comments": said,
            "history": told,
            "users": self.users(case.assignee),
            "me": self.actor.name,
        }
        if case.pair_id is None:
            return self.page("cases/show.html", status, **shared, **context)
        return self._pair_page(number, status, shared, context)

    def _pair_page(self, number: int, status: int, shared: dict[str, Any], context: dict[str, Any]) -> Response:
        _case, pair = self.pair_of(number)
        chosen = context.pop("chosen", None) or pair.pair.answer
        error = context.pop("field_error", ("", ""))
        with self.house.db.read() as tx:
            following = services.next_open(tx, number, pair.pair.rule_name)
            changes = rule_changes.propose(tx, pair.pair, pair.known.document, pair.names)
            rule_known = rulebook.find(tx, pair.pair.rule_name) is not None
        shown = {
            "view": pair,
            "pair": pair.pair,
            "names": pair.names,
            "chosen": chosen or {},
            "rows": pair.rows(chosen, error) if pair.by_field else [],
            "decided": words.answer_told(pair.pair.answer, pair.pair, pair.names),
            "told": lambda answer: words.answer_told(answer, pair.pair, pair.names),
            "following": following,
            "changes": changes,
            "rule_known": rule_known,
            "type_name": type_name,
            "allowed": OPTIONS.get(pair.pair.situation, ()),
            "picked": _picked(chosen),
        }
        return self.page("cases/pair.html", status, **shared, **shown, **context)

    def users(self, assignee: str | None = None) -> list[tuple[str, str]]:
        """Return the people a case can be given to."""
        with self.house.db.read() as tx:
            names = {user.username: user.name for user in list_users(tx) if user.active}
        if assignee:
            names.setdefault(assignee, assignee)
        shown = ((name, f"{full} ({name})" if full != name else name) for name, full in names.items())
        return [("", _("Nobody")), *shown]


def _picked(chosen: Mapping[str, Any] | None) -> str:
    """Return the choice for the record as the form calls it."""
    deed = str((chosen or {}).get(RECORD) or "")
    return f"link:{(chosen or {}).get('key')}" if deed == "link" else deed
