"""The tab "At work": what is open for a rule, one process with its history, and stopping and starting again."""

from __future__ import annotations

from typing import Any

from flask import abort, flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from webapp.events import reading, services, words
from webapp.events.drawing import drawn
from webapp.events.editor_views import EventRulePage
from webapp.events.examples import labels
from webapp.events.reading import MatchRow, ProcessRow
from webapp.rulebook import reading as rulebook
from webapp.web.request import whole_number
from webapp.web.views import expose, has_access, permission_name

PAGE = 50
TAB = "work"


class WorkView(EventRulePage):
    """A rule at work."""

    class_permission_name = "Events"

    @expose("/<name>/work")
    @has_access
    @permission_name("read")
    def work(self, name: str) -> Response:
        """Show what is open, where, and how the rule stands."""
        rule = self.event_rule(name)
        ended, before = request.args.get("ended") == "1", request.args.get("before", type=whole_number)
        with self.house.db.read() as tx:
            found = reading.processes(tx, name, live=not ended, before=before, limit=PAGE + 1)
            counts = reading.state_counts(tx, name)
            published = rulebook.published(tx, name)
            standing = reading.standing(tx, name)
        document = published.document if published else rule.document
        more = found[PAGE - 1].id if len(found) > PAGE else None
        shown: dict[str, Any] = {
            "processes": found[:PAGE],
            "more": more,
            "ended": ended,
            "standing": standing,
            "words": words,
        }
        drawing = drawn(document, counts)
        return self.framed("events/work.html", rule, TAB, drawing=drawing, labels=labels(document), **shown)

    @expose("/<name>/work/<int:number>")
    @has_access
    @permission_name("read")
    def process(self, name: str, number: int) -> Response:
        """Show one process: where it is, and how it came there."""
        rule = self.event_rule(name)
        with self.house.db.read() as tx:
            found = reading.processes(tx, name, live=None, before=number + 1, limit=1)
            if not found or found[0].id != number:
                abort(404)
            one = found[0]
            version = rulebook.version(tx, name, one.version)
            steps = [step for step in reading.matches(tx, name, key=one.key, limit=500) if _belongs(step, one)]
            done = reading.actions(tx, reading.Wanted(name, key=one.key), 500)
            events = reading.by_uids(
                tx, [uid for step in steps for uids in step.events.values() for uid in uids] or _ids(one)
            )
        document = version.document if version else rule.document
        seen = {place for step in steps for place in (step.before, step.after) if place}
        shown: dict[str, Any] = {
            "process": one,
            "history": steps[::-1],
            "actions": {step.id: [a for a in done[::-1] if a.match_id == step.id] for step in steps},
            "events": {event.uid: event for event in events},
            "drawing": drawn(document, None, one.state, seen),
            "labels": labels(document),
            "words": words,
        }
        return self.framed("events/process.html", rule, TAB, **shown)

    @expose("/<name>/work/restart", methods=["POST"])
    @has_access
    @permission_name("update")
    def restart(self, name: str) -> Any:
        """Let a rule that was stopped work again."""
        self.event_rule(name)
        services.restart(self.house, name, self.actor)
        flash(_("The rule works again. It goes on where it was stopped."), "success")
        return redirect(f"/rules/{name}/{TAB}")


def _belongs(step: MatchRow, process: ProcessRow) -> bool:
    ended = process.ended_at is None or step.at <= process.ended_at
    return step.version == process.version and step.at >= process.since and ended


def _ids(process: ProcessRow) -> list[str]:
    return [uid for uids in process.events.values() for uid in uids]
