"""The home page."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.approvals import hooks, inbox
from webapp.approvals.console import overridden
from webapp.dashboard import services
from webapp.dashboard.probes import PROBES
from webapp.extensions import Actor
from webapp.runs import service_levels
from webapp.runs.demand import shortage
from webapp.web.views import RoomView, can, expose, signed_in


class HomeView(RoomView):
    """What to do next, what runs, what needs attention."""

    route_base = ""
    class_permission_name = "Home"
    default_view = "index"

    @expose("/")
    @signed_in
    def index(self) -> Response:
        """Show the home page."""
        with self.house.db.read() as tx:
            progress = services.progress(tx)
            shown = {
                **_runs(tx),
                **_attention(tx, self.actor.name, self.house.clock()),
                "short": shortage(self.house, tx) if can("read", "Runs") else None,
                "week": services.week(tx, self.house.clock()),
                "overrides": overridden(tx, self.house.clock()) if can("read", "Approvals") else [],
                "approvals": _approvals(tx, self.actor, self.house.clock()),
            }
        steps = _steps(progress) if not progress.complete and can("read", "Rules") else []
        return self.page("dashboard/home.html", progress=progress, steps=steps, **shown)

    @expose("/home/now")
    @signed_in
    def now(self) -> Response:
        """Show what runs now; the page asks for it every few seconds while something runs."""
        with self.house.db.read() as tx:
            return self.page("dashboard/_now.html", **_runs(tx))


def _runs(tx: Any) -> dict[str, Any]:
    allowed = can("read", "Runs")
    return {"going": services.going(tx) if allowed else [], "latest": services.latest(tx) if allowed else []}


def _attention(tx: Any, me: str, now: datetime) -> dict[str, Any]:
    mine, nobodys = services.waiting(tx, me) if can("read", "Cases") else (0, [])
    return {
        "my_cases": mine,
        "cases": nobodys,
        "failing": services.failing(tx) if can("read", "Runs") else [],
        "levels": service_levels.broken(tx, now) if can("read", "Rules") else [],
        "parked": services.parked(tx) if can("read", "Quarantine") else [],
        "unreachable": services.unreachable(tx) if can("read", "Connections") else [],
    }


def _approvals(tx: Any, actor: Actor, now: datetime) -> int:
    """Return how many proposals wait for who looks."""
    if not can("approve", "Approvals"):
        return 0
    return inbox.count(tx, inbox.FOR_ME, inbox.Reader(hooks.the_people().acting(tx, actor), can, now))


def _steps(progress: services.Progress) -> list[dict[str, Any]]:
    """Return the newcomer's list; the first step that is not done is the next one."""
    mine = progress.at_work_on
    rule, open_it = (f"/rules/{mine}/", _("Open the rule")) if mine else ("/rules/", _("Open the rules"))
    texts = [
        (
            _("Connect a system"),
            _("A database, a folder of files or a web service."),
            "/connections/new/",
            _("Connect"),
            can("create", "Connections"),
        ),
        (
            _("Add the other side"),
            _("A second system, or an entity: a record type of your own that lives in Syncline."),
            "/entities/new-entity" if can("create", "Entities") else "/connections/new/",
            _("Design an entity") if can("create", "Entities") else _("Connect"),
            can("create", "Entities") or can("create", "Connections"),
        ),
        (
            _("Write a rule"),
            _("Choose both sides and pick which field goes where."),
            "/rules/new",
            _("New rule"),
            can("create", "Rules"),
        ),
        (
            _("Simulate it"),
            _("See every change that the rule would make, before it touches anything."),
            rule,
            open_it,
            can("run", "Rules"),
        ),
        (
            _("Publish and run it"),
            _("Let it write, and watch the counts. A schedule can repeat it."),
            rule,
            open_it,
            can("publish", "Rules"),
        ),
    ]
    done = progress.steps
    following = done.index(False) if False in done else len(done)
    names = ("title", "text", "url", "label", "allowed")
    return [
        {**dict(zip(names, text, strict=True)), "done": done[i], "next": i == following} for i, text in enumerate(texts)
    ]


VIEWS = (HomeView, *PROBES)
