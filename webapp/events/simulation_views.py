"""The tab "Simulation": what a rule would do about pasted events; nothing is carried out."""

from __future__ import annotations

import json
from copy import deepcopy
from datetime import datetime
from typing import Any

from flask import flash, redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.events import examples, known, pasted, reading, simulating, words
from webapp.events.drawing import drawn
from webapp.events.editor_views import EventRulePage
from webapp.events.pasted import Unreadable
from webapp.rulebook.reading import RuleRow
from webapp.web.language import translated
from webapp.web.views import can, expose, has_access, permission_name

STORED = 50
TAB = "simulation"


class SimulationView(EventRulePage):
    """Simulating a rule."""

    @expose("/<name>/simulation")
    @has_access
    @permission_name("read")
    def simulation(self, name: str) -> Response:
        """Show the form, with the events of an example or the last that were stored."""
        rule = self.event_rule(name)
        chosen = request.args.get("from", "")
        text, until = examples.text_of(rule.document, chosen)
        if chosen == "stored" and can("read", "Events"):
            text = self._stored(rule)
        return self._page(rule, text, until)

    @expose("/<name>/simulation", methods=["POST"])
    @has_access
    @permission_name("read")
    def simulate(self, name: str) -> Response:
        """Show what the rule would do about the events of the form."""
        rule = self.event_rule(name)
        text, until = request.form.get("events", ""), request.form.get("until", "").strip()
        try:
            found, _given = self._simulated(rule, text, until)
        except Unreadable as error:
            return self._answer(rule, text, until, 422, problem=translated(error.message), line=error.line)
        return self._answer(rule, text, until, result=found)

    @expose("/<name>/simulation/examples")
    @has_access
    @permission_name("read")
    def verdicts(self, name: str) -> Response:
        """Return how the examples of the draft come out."""
        rule = self.event_rule(name)
        problem, found = "", []
        try:
            found = simulating.run_examples(self.house, rule.document)
        except simulating.SimulationRefused as refusal:
            problem = translated(refusal.message)
        return self.page("events/_examples.html", verdicts=found, problem=problem, rule=rule)

    @expose("/<name>/simulation/<int:number>/forget", methods=["POST"])
    @has_access
    @permission_name("update")
    def forget(self, name: str, number: int) -> Response:
        """Take an example out of the draft."""
        rule = self.event_rule(name)
        kept = [one for place, one in enumerate(rule.document.get("tests") or ()) if place != number]
        document = {**{n: v for n, v in rule.document.items() if n != "tests"}, **({"tests": kept} if kept else {})}
        if stale := self.save(rule, document):
            flash(translated(stale.message), "warning")
        return redirect(f"/rules/{name}/{TAB}")

    @expose("/<name>/simulation/keep", methods=["POST"])
    @has_access
    @permission_name("update")
    def keep(self, name: str) -> Response:
        """Keep the events, and what the rule does about them, as an example of the rule."""
        rule = self.event_rule(name)
        text, until = request.form.get("events", ""), request.form.get("until", "").strip()
        try:
            found, given = self._simulated(rule, text, until)
            title = request.form.get("title", "").strip() or _(
                "Example %(number)d", number=len(rule.document.get("tests") or ()) + 1
            )
            example = examples.example_of(title, given, found)
        except Unreadable as error:
            return self._page(rule, text, until, 422, problem=translated(error.message), line=error.line)
        document = deepcopy(rule.document)
        document["tests"] = [*(document.get("tests") or ()), example]
        if stale := self.save(rule, document):
            return self._page(rule, text, until, 409, result=found, stale=stale)
        return redirect(f"/rules/{name}/{TAB}?from={len(document['tests']) - 1}")

    def _simulated(self, rule: RuleRow, text: str, until: str) -> tuple[dict[str, Any], list[Any]]:
        given = pasted.read(text)
        start, end = examples.times(given.items, until)
        try:
            return simulating.simulate(self.house, rule.document, given.items, end, start), given.items
        except simulating.SimulationRefused as refusal:
            raise Unreadable(refusal.message) from None

    def _answer(self, rule: RuleRow, text: str, until: str, status: int = 200, **context: Any) -> Response:
        if self.is_htmx:
            shown = {"rule": rule, **self._shown(rule, text, until), **_told(rule, context)}
            return self.page("events/_simulation.html", **shown)
        return self._page(rule, text, until, status, **context)

    def _page(self, rule: RuleRow, text: str, until: str, status: int = 200, **context: Any) -> Response:
        shown = {**self._shown(rule, text, until), **_told(rule, context)}
        return self.framed("events/simulation.html", rule, TAB, status, **shown)

    def _shown(self, rule: RuleRow, text: str, until: str) -> dict[str, Any]:
        named = [str(one.get("name", "")) for one in known.listed(rule.document, "tests")]
        return {"text": text, "until": until, "examples": named, "words": words, "result": None, "problem": ""}

    def _stored(self, rule: RuleRow) -> str:
        types = known.types(rule.document)
        with self.house.db.read() as tx:
            found = [row for type_ in types for row in reading.events(tx, type_=type_, limit=STORED)]
        rows = sorted(found, key=lambda row: row.at)[-STORED:]
        if not rows:
            flash(_("No event of these types has come in yet."), "info")
        lines = ({"type": row.type, "at": row.at.isoformat(), "data": row.data} for row in rows)
        return "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)


def _told(rule: RuleRow, context: dict[str, Any]) -> dict[str, Any]:
    result = context.get("result")
    if not result:
        return context
    entries = [{**entry, "at": datetime.fromisoformat(entry["at"])} for entry in result["entries"]]
    for entry in entries:
        for name in ("message", "problem"):
            entry[name] = translated(Message.from_json(entry[name])) if entry.get(name) else ""
    labels = examples.labels(rule.document)
    open_keys = {live["key"] for live in result["live"]}
    ended = {key: state for key, state in result["states"].items() if key not in open_keys}
    counts: dict[str, int] = {}
    for state in result["states"].values():
        counts[state] = counts.get(state, 0) + 1
    live = [
        {**one, "timers": [datetime.fromisoformat(timer["due"]) for timer in one["timers"]]} for one in result["live"]
    ]
    drawing = drawn(rule.document, counts)
    return {**context, "entries": entries, "live": live, "ended": ended, "labels": labels, "drawing": drawing}
