"""The list of rules, the overview of one, and what is done with it as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, request, url_for
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.rulebook import approving, hooks, ownership, services, timetable
from webapp.rulebook.comparing import compared
from webapp.rulebook.editing import part_of
from webapp.rulebook.editor_views import BehaviourView, FieldsView, SourceView
from webapp.rulebook.errors import NotPublishable, RulebookError
from webapp.rulebook.expression_views import ExpressionView
from webapp.rulebook.findings import Findings
from webapp.rulebook.guarantee import guarantee
from webapp.rulebook.kinds import KINDS, kind_of
from webapp.rulebook.live_views import LiveView
from webapp.rulebook.pages import RulePage, home, refusal
from webapp.rulebook.reading import ACTIVE, RuleRow
from webapp.rulebook.setup_views import SetupView
from webapp.rulebook.tests_views import TestsView
from webapp.rulebook.validation_views import ValidationsView
from webapp.rulebook.version_views import VersionsView
from webapp.web.request import whole_number
from webapp.web.views import can, expose, has_access, permission_name

PAGE = 100


class RulesView(RulePage):
    """List, overview, publish, pause, resume, delete."""

    @expose("/")
    @has_access
    @permission_name("read")
    def list(self) -> Response:
        """Show rules, a page of them at a time."""
        chosen, words = request.args.get("kind", ""), request.args.get("q", "").strip().casefold()
        place = max(request.args.get("from", 0, type=whole_number), 0)
        with self.house.db.read() as tx:
            rules = services.list_rules(tx)
            found = [rule for rule in rules if chosen in ("", rule.kind) and words in _names(rule)]
            shown = found[place : place + PAGE]
            runs = hooks.runs_of(tx, [rule.name for rule in shown])
        numbers = Counter(rule.kind for rule in rules)
        context: dict[str, Any] = {"runs": runs, "kinds": KINDS, "timetable": timetable, "number": len(found)}
        context["long"] = len(rules) > PAGE
        context["before"] = _turned(max(place - PAGE, 0)) if place else None
        context["after"] = _turned(place + PAGE) if len(found) > place + PAGE else None
        return self.page("rulebook/list.html", rules=shown, tabs=_kind_tabs(numbers, chosen), **context)

    @expose("/<name>/")
    @has_access
    @permission_name("read")
    def overview(self, name: str) -> Response:
        """Show a rule in plain sentences, its problems and its last run."""
        rule = self.rule(name)
        if kind_of(rule.document).home:
            return redirect(home(name, kind_of(rule.document)))
        with self.house.db.read() as tx:
            run = hooks.runs_of(tx, [name]).get(name)
            history = hooks.history_of(tx, name, rule.id, self.house.clock())
            problem = ownership.refusal(tx, name, rule.published or rule.document, rule.owner)
            owners = ownership.candidates(tx) if can("read", "Users") else [self.actor.name]
            context: dict[str, Any] = {"owners": owners, "guarantee": guarantee(tx, rule.document)}
        schedule = part_of(rule.published or {}, "schedule")
        active = rule.published_version is not None and rule.state == ACTIVE
        zone = str(schedule.get("timezone", "UTC"))
        next_times = timetable.upcoming(str(schedule.get("cron", "")), zone, self.house.clock()) if active else []
        context |= {"run": run, "next_times": next_times, "history": history, "not_owned": problem}
        return self.frame("rulebook/overview.html", rule, "overview", **context)

    @expose("/<name>/publish")
    @has_access
    @permission_name("publish")
    def publish_page(self, name: str) -> Response:
        """Show what publishing would change."""
        return self._publish_page(name)

    @expose("/<name>/publish", methods=["POST"])
    @has_access
    @permission_name("publish")
    def publish(self, name: str) -> Response:
        """Publish the draft."""
        rule = self.rule(name)
        if request.form.get("draft_version", type=whole_number) not in {None, rule.draft_version}:
            flash(_("The draft has changed since you looked at it. Look at the changes again."), "warning")
            return redirect(f"/rules/{name}/publish")
        try:
            number = services.publish(self.house, name, self.actor, request.form.get("note", "").strip())
        except NotPublishable:
            return self._publish_page(name, 422)
        except RulebookError as error:
            flash(refusal(error), "danger")
            return redirect(f"/rules/{name}/publish")
        flash(_("Version %(number)d is published.", number=number), "success")
        return redirect(f"/rules/{name}/")

    def _publish_page(self, name: str, status: int = 200) -> Response:
        rule = self.rule(name)
        changes = compared(rule.published or {}, rule.document)
        findings = Findings(rule.document, services.check(self.house, rule.document))
        with self.house.db.read() as tx:
            taken = [version.version for version in services.versions(tx, name)]
            waits = approving.waits(tx, rule)
        context = {"waits": waits, "changes": changes, "findings": findings, "next_version": max(taken, default=0) + 1}
        return self.frame("rulebook/publish.html", rule, "", status, **context)

    @expose("/<name>/pause", methods=["POST"])
    @has_access
    @permission_name("update")
    def pause(self, name: str) -> Response:
        """Stop the rule's schedule."""
        kind = kind_of(self.rule(name).document)
        services.pause(self.house, name, self.actor)
        text = _("The rule is paused: it runs only when someone starts it.")
        flash(text if kind.runs else _("The rule is paused: it takes no events until you resume it."), "success")
        return redirect(f"/rules/{name}/")

    @expose("/<name>/resume", methods=["POST"])
    @has_access
    @permission_name("update")
    def resume(self, name: str) -> Response:
        """Let the schedule go on."""
        kind = kind_of(self.rule(name).document)
        services.resume(self.house, name, self.actor)
        flash(_("The rule runs by its schedule again.") if kind.runs else _("The rule takes events again."), "success")
        return redirect(f"/rules/{name}/")

    @expose("/<name>/discard", methods=["POST"])
    @has_access
    @permission_name("update")
    def discard(self, name: str) -> Response:
        """Go back to what is published."""
        self.rule(name)
        services.discard_draft(self.house, name, self.actor)
        flash(_("The draft is discarded. The rule is as it was published."), "success")
        return redirect(f"/rules/{name}/")

    @expose("/<name>/owner", methods=["POST"])
    @has_access
    @permission_name("update")
    def owner(self, name: str) -> Response:
        """Let another user own the rule."""
        self.rule(name)
        try:
            ownership.set_owner(self.house, name, request.form.get("owner", ""), self.actor)
        except RulebookError as error:
            flash(refusal(error), "danger")
        else:
            flash(_("The rule works with the rights of its new owner from now on."), "success")
        return redirect(f"/rules/{name}/")

    @expose("/<name>/delete", methods=["POST"])
    @has_access
    @permission_name("delete")
    def delete(self, name: str) -> Response:
        """Delete the rule."""
        self.rule(name)
        try:
            services.delete(self.house, name, self.actor)
        except RulebookError as error:
            flash(refusal(error), "danger")
            return redirect(f"/rules/{name}/")
        flash(_("The rule '%(name)s' is deleted. Its runs and versions stay in the log.", name=name), "success")
        return redirect("/rules/")


def _names(rule: RuleRow) -> str:
    return f"{rule.name} {rule.label}".casefold()


def _turned(place: int) -> str:
    kept: dict[str, Any] = {"kind": request.args.get("kind"), "q": request.args.get("q"), "from": place}
    return url_for("RulesView.list", **kept)


def _kind_tabs(numbers: Mapping[str, int], chosen: str) -> list[tuple[str, str, bool]]:
    """Return a tab for all rules and one for each kind that there is, with their numbers."""
    kinds = [(kind, _(KINDS[kind].label)) for kind in KINDS if kind in numbers]
    tabs = [(f"/rules/?kind={kind}", f"{label} ({numbers[kind]})", kind == chosen) for kind, label in kinds]
    return [("/rules/", _("All (%(count)d)", count=sum(numbers.values())), not chosen), *tabs] if numbers else []


VIEWS = (
    RulesView,
    SetupView,
    FieldsView,
    ValidationsView,
    BehaviourView,
    SourceView,
    TestsView,
    VersionsView,
    LiveView,
    ExpressionView,
)
