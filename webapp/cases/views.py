"""The pages of cases: what waits for a person, one case with what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import sqlalchemy as sa
from flask import Flask, abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.cases import pairs, services, words
from webapp.cases.bulk_views import BulkView
from webapp.cases.case_page import CasePage
from webapp.cases.deciding_views import DecidingView
from webapp.cases.listing import NOBODY, Filter
from webapp.cases.services import CaseMissing, CaseRefused, NewCase, Wanted
from webapp.rulebook.titles import rule_title
from webapp.web.language import translated
from webapp.web.menu import Item
from webapp.web.request import house
from webapp.web.views import can, expose, has_access, permission_name

PAGE = 50


class CasesView(CasePage):
    """Cases."""

    default_view = "list"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show open or closed cases, those of everybody or one's own."""
        chosen, now = Filter.of(request.args), self.house.clock()
        wanted = chosen.wanted(self.actor.name, now)
        with self.house.db.read() as tx:
            found = services.listing(tx, wanted, PAGE + 1)
            shown: dict[str, Any] = {
                "cases": found[:PAGE],
                "undecided": services.undecided(tx, found),
                "total": services.count(tx, Filter.of({**request.args, "before": ""}).wanted(self.actor.name, now)),
                "groups": _groups(tx, chosen, self.actor.name, now),
                "rules": _rules(tx, chosen),
                "tabs": self._tabs(tx, chosen),
            }
        more = chosen.address(before=found[PAGE - 1].id) if len(found) > PAGE else None
        people = self.users()
        users = [("", _("Everybody")), (NOBODY, _("Nobody")), *people[1:]]
        shown |= {"people": people, "me": self.actor.name, "newest": max((case.id for case in found), default=0)}
        words_: dict[str, Any] = {"ages": _ages(), "situations": words.SITUATIONS, "titled": pairs.titled}
        return self.page("cases/list.html", chosen=chosen, more=more, users=users, now=now, **words_, **shown)

    @expose("/new", methods=["GET", "POST"])
    @has_access
    @permission_name("create")
    def new(self) -> Response:
        """Open a case by hand."""
        form, error = request.form, ""
        if request.method == "POST":
            new = NewCase("manual", form.get("title", "").strip(), form.get("subject", "").strip())
            details = {_("Description"): form["text"].strip()} if form.get("text", "").strip() else {}
            wanted = NewCase(new.kind, new.title, new.subject, details, None, form.get("assignee") or None)
            try:
                return redirect(f"/cases/{services.open_case(self.house, wanted, self.actor)}")
            except CaseRefused as refusal:
                error = translated(refusal.message)
        return self.page("cases/new.html", 422 if error else 200, form=form, error=error, users=self.users())

    @expose("/<int:number>")
    @has_access
    @permission_name("read")
    def show(self, number: int) -> Response:
        """Show a case."""
        return self.case_page(number)

    @expose("/pair/<int:pair>")
    @has_access
    @permission_name("read")
    def of_pair(self, pair: int) -> Any:
        """Go to the case of a pair of records that waits, or has waited."""
        with self.house.db.read() as tx:
            number = services.of_pair(tx, pair)
        return redirect(f"/cases/{number}") if number is not None else abort(404)

    @expose("/<int:number>/comment", methods=["POST"])
    @has_access
    @permission_name("update")
    def comment(self, number: int) -> Any:
        """Say something about a case."""
        text = request.form.get("text", "")
        return self._do(number, lambda: services.comment(self.house, number, text, self.actor))

    @expose("/<int:number>/assign", methods=["POST"])
    @has_access
    @permission_name("update")
    def assign(self, number: int) -> Any:
        """Give a case to somebody."""
        who = request.form.get("assignee") or None
        return self._do(number, lambda: services.assign(self.house, number, who, self.actor))

    @expose("/<int:number>/close", methods=["POST"])
    @has_access
    @permission_name("update")
    def close(self, number: int) -> Any:
        """Close a case with what was decided."""
        text = request.form.get("resolution", "").strip()
        if not text:
            return self.case_page(number, 422, problem=_("Say in a few words what was decided."))
        return self._do(number, lambda: services.close(self.house, number, text, self.actor), _("The case is closed."))

    @expose("/<int:number>/reopen", methods=["POST"])
    @has_access
    @permission_name("update")
    def reopen(self, number: int) -> Any:
        """Open a case again."""
        return self._do(number, lambda: services.reopen(self.house, number, self.actor), _("The case is open again."))

    def _do(self, number: int, deed: Callable[[], Any], told: str = "") -> Any:
        try:
            deed()
        except CaseMissing:
            abort(404)
        except CaseRefused as refusal:
            return self.case_page(number, 422, problem=translated(refusal.message))
        if told:
            flash(told, "success")
        return redirect(f"/cases/{number}")

    def _tabs(self, tx: sa.Connection, chosen: Filter) -> Any:
        everybody = services.count(tx, Wanted("open"))
        mine = services.count(tx, Wanted("open", assignee=self.actor.name))
        closed = chosen.state == "closed"
        return [
            ("/cases/", _("Open (%(count)d)", count=everybody), not closed and not chosen.mine),
            ("/cases/?mine=1", _("Mine (%(count)d)", count=mine), chosen.mine and not closed),
            ("/cases/?state=closed", _("Closed"), closed),
        ]


def _groups(tx: sa.Connection, chosen: Filter, me: str, now: Any) -> list[tuple[str, str, int, bool]]:
    """Return address, name, number and whether it is chosen, of all situations that the rest of the filter finds."""
    wanted = Filter.of({**_plain(chosen), "situation": ""}).wanted(me, now)
    found = services.counts(tx, wanted, "situation")
    return [
        (chosen.address(situation=name if name != chosen.situation else ""), name, number, name == chosen.situation)
        for name, number in found.items()
        if name
    ]


def _plain(chosen: Filter) -> Mapping[str, str]:
    head = {"state": chosen.state, "rule": chosen.rule, "assignee": chosen.assignee, "age": chosen.age}
    return {**head, "mine": "1" if chosen.mine else ""}


def _rules(tx: sa.Connection, chosen: Filter) -> list[tuple[str, str]]:
    """Return the rules that have cases, for a select."""
    found = [name for name in services.counts(tx, Wanted(chosen.state), "rule_name") if name]
    names = sorted({*found, *([chosen.rule] if chosen.rule else [])})
    return [("", _("All rules")), *((name, rule_title(name)) for name in names)]


def _ages() -> list[tuple[str, str]]:
    return [
        ("", _("Any age")),
        ("1d", _("More than a day")),
        ("7d", _("More than a week")),
        ("30d", _("More than a month")),
    ]


def register(app: Flask) -> None:
    """Show the number of open cases in the side bar, and keep cases in step with the records that wait."""
    app.extensions["syncline_menu"].append(_menu)
    pairs.register()


def _menu() -> Iterator[Item]:
    if can("read", "Cases"):
        with house().db.read() as tx:
            count = services.count(tx, Wanted("open"))
        yield Item("automation", _("Cases"), "/cases/", "inbox", "Cases", count=count)


VIEWS = (CasesView, DecidingView, BulkView)
