"""The pages of cases: what waits for a person, one case with what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flask import Flask, abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.access.users import list_users
from webapp.cases import services
from webapp.cases.services import CaseMissing, CaseRefused, NewCase, Wanted
from webapp.web.language import translated
from webapp.web.menu import Item
from webapp.web.request import house
from webapp.web.views import RoomView, can, expose, has_access, permission_name

PAGE = 50


class CasesView(RoomView):
    """Cases."""

    route_base = "/cases"
    class_permission_name = "Cases"
    default_view = "list"

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show open or closed cases, those of everybody or one's own."""
        state = "closed" if request.args.get("state") == "closed" else "open"
        mine, before = request.args.get("mine") == "1", request.args.get("before", type=int)
        who = self.actor.name if mine else None
        with self.house.db.read() as tx:
            found = services.listing(tx, Wanted(state, assignee=who, before=before), PAGE + 1)
            counts = {
                "open": services.count(tx, Wanted("open")),
                "mine": services.count(tx, Wanted("open", assignee=self.actor.name)),
            }
        more = found[PAGE - 1].id if len(found) > PAGE else None
        tabs = [
            ("/cases/", _("Open (%(count)d)", count=counts["open"]), state == "open" and not mine),
            ("/cases/?mine=1", _("Mine (%(count)d)", count=counts["mine"]), mine),
            ("/cases/?state=closed", _("Closed"), state == "closed"),
        ]
        return self.page("cases/list.html", cases=found[:PAGE], more=more, tabs=tabs, state=state, mine=mine)

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
        return self.page("cases/new.html", 422 if error else 200, form=form, error=error, users=self._users())

    @expose("/<int:number>")
    @has_access
    @permission_name("read")
    def show(self, number: int) -> Response:
        """Show a case."""
        return self._case(number)

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
            return self._case(number, 422, problem=_("Say in a few words what was decided."))
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
            return self._case(number, 422, problem=translated(refusal.message))
        if told:
            flash(told, "success")
        return redirect(f"/cases/{number}")

    def _case(self, number: int, status: int = 200, **context: Any) -> Response:
        try:
            with self.house.db.read() as tx:
                case, said = services.get(tx, number), services.comments(tx, number)
        except CaseMissing:
            abort(404)
        users = self._users(case.assignee)
        return self.page(
            "cases/show.html", status, case=case, comments=said, users=users, me=self.actor.name, **context
        )

    def _users(self, assignee: str | None = None) -> Any:
        with self.house.db.read() as tx:
            names = {user.username: user.name for user in list_users(tx) if user.active}
        if assignee:
            names.setdefault(assignee, assignee)
        shown = ((name, f"{full} ({name})" if full != name else name) for name, full in names.items())
        return [("", _("Nobody")), *shown]


def register(app: Flask) -> None:
    """Show the number of open cases in the side bar."""
    app.extensions["syncline_menu"].append(_menu)


def _menu() -> Iterator[Item]:
    if can("read", "Cases"):
        with house().db.read() as tx:
            count = services.count(tx, Wanted("open"))
        yield Item("automation", _("Cases"), "/cases/", "inbox", "Cases", count=count)


VIEWS = (CasesView,)
