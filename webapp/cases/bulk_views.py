"""Deciding about many records at once: the selection, what would be done, the decision."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl

import sqlalchemy as sa
from flask import flash, redirect, request
from flask_babel import gettext as _
from flask_babel import ngettext
from werkzeug.wrappers import Response

from rules.text import Message
from webapp.cases import deciding, services, words
from webapp.cases.case_page import CasePage
from webapp.cases.deciding import Waiting
from webapp.cases.listing import Filter
from webapp.cases.pair_page import view
from webapp.cases.preview import Written, written
from webapp.cases.services import Wanted
from webapp.rulebook.side_names import SideNames, side_names
from webapp.runs import pair_cases
from webapp.runs.pair_choices import RECORD, ChoiceRefused
from webapp.wake import announce
from webapp.web.request import whole_number
from webapp.web.views import expose, has_access, permission_name

EXAMPLES = 3


@dataclass(frozen=True)
class Group:
    """Cases of one rule and situation: for them one choice means the same."""

    rule: str
    situation: str
    count: int
    choices: tuple[tuple[str, Message], ...]
    chosen: str
    names: SideNames
    examples: tuple[Example, ...] = ()

    @property
    def name(self) -> str:
        """Return what the choice of the group is called in the form."""
        return f"choice:{self.rule}:{self.situation}"


@dataclass(frozen=True)
class Example:
    """One case of a group, with what would be written."""

    case: int
    subject: str
    writes: tuple[Written, ...]


class BulkView(CasePage):
    """Decisions about many records."""

    @expose("/bulk", methods=["POST"])
    @has_access
    @permission_name("update")
    def bulk(self) -> Any:
        """Show the selection with its choices, what they would do (`step=preview`), or carry them out (`step=do`)."""
        wanted, step = self._wanted(), request.form.get("step", "")
        with self.house.db.read() as tx:
            waiting = deciding.select(tx, wanted, deciding.MOST + 1)
            groups = list(self._groups(tx, waiting[: deciding.MOST], preview=step == "preview"))
            selected = services.count(tx, replace(wanted, state="open"))
        if not waiting:
            flash(_("None of these cases waits for a decision about a record."), "danger")
            return redirect(_back())
        chosen = {(group.rule, group.situation): _parsed(group.chosen) for group in groups if group.chosen}
        if step == "do" and chosen:
            return self._carry_out(waiting[: deciding.MOST], chosen)
        count = sum(group.count for group in groups if group.chosen)
        problem = _("Choose what to do for at least one group.") if step and not chosen else ""
        context = {
            "groups": groups,
            "count": count,
            "preview": step == "preview" and bool(chosen),
            "problem": problem,
            "kept": _kept(request.form.getlist("case"), waiting),
            "marks": " ".join(f"{one.case}:{one.mark}" for one in waiting[: deciding.MOST]),
            "back": _back(),
            "more": len(waiting) > deciding.MOST,
            "most": deciding.MOST,
            "others": selected - len(waiting),
            "situations": words.SITUATIONS,
            "names": {group.name: group.names for group in groups},
        }
        return self.page("cases/bulk.html", 422 if problem else 200, **context)

    @expose("/bulk/assign", methods=["POST"])
    @has_access
    @permission_name("update")
    def assign(self) -> Any:
        """Give the selected cases to somebody."""
        number = services.assign_many(self.house, self._wanted(), request.form.get("assignee") or None, self.actor)
        flash(ngettext("%(num)d case is assigned.", "%(num)d cases are assigned.", number), "success")
        return redirect(_back())

    def _wanted(self) -> Wanted:
        """Return which cases are selected: the ticked ones, or all that the list's filter finds."""
        if request.form.get("all") != "yes":
            return Wanted("open", cases=tuple(request.form.getlist("case", type=whole_number)))
        asked = dict(parse_qsl(request.form.get("address", "").lstrip("?")))
        chosen = Filter.of({**asked, "before": ""}).wanted(self.actor.name, self.house.clock())
        return replace(chosen, upto=request.form.get("upto", type=whole_number))

    def _groups(self, tx: sa.Connection, waiting: Sequence[Waiting], *, preview: bool) -> Iterator[Group]:
        by_group: dict[tuple[str, str], list[Waiting]] = {}
        for one in waiting:
            by_group.setdefault(one.group, []).append(one)
        for (rule, situation), cases in by_group.items():
            first = cases[0].seen
            names = side_names(tx, pair_cases.document_of(tx, first))
            choices = tuple(_choices(situation, first, names))
            chosen = request.form.get(f"choice:{rule}:{situation}", "")
            group = Group(rule, situation, len(cases), choices, chosen, names)
            if preview and group.chosen:
                group = replace(group, examples=tuple(self._examples(tx, cases, _parsed(group.chosen))))
            yield group

    def _examples(self, tx: sa.Connection, cases: Sequence[Waiting], simple: Mapping[str, str]) -> Iterator[Example]:
        for one in cases[:EXAMPLES]:
            shown = view(self.house, tx, one.seen)
            try:
                choice = deciding.whole_choice(one.seen, shown.known.document, simple)
            except ChoiceRefused:
                continue
            yield Example(one.case, words.subject(one.seen, shown.names), tuple(written(one.seen, choice, shown.known)))

    def _carry_out(self, waiting: Sequence[Waiting], chosen: Mapping[tuple[str, str], Mapping[str, str]]) -> Response:
        looked_at = list(_looked_at(waiting))
        done = deciding.decide_many(self.house, looked_at, chosen, self.actor)
        left = sum(one.group in chosen for one in waiting) - len(done.cases)
        announce(self.house.settings)
        number = len(done.cases)
        flash(ngettext("%(num)d case is decided.", "%(num)d cases are decided.", number), "success")
        if left:
            text = ngettext(
                "%(num)d case could not be decided so and stays open.",
                "%(num)d cases could not be decided so and stay open.",
                left,
            )
            flash(text, "warning")
        return redirect(_back())


def _choices(situation: str, first: Any, names: SideNames) -> Iterator[tuple[str, Message]]:
    """Yield what may be chosen for a group: the value in the form, and its words."""
    for choice in deciding.choices_for_many(situation):
        if "take" in choice:
            yield f"take:{choice['take']}", words.take_all(names.of(choice["take"]))
        elif choice[RECORD] == "link":
            yield "record:link", words.link_best(names.of(words.other(words.present(first))))
        else:
            yield f"record:{choice[RECORD]}", words.deed_label(choice[RECORD], first, names)


def _parsed(text: str) -> dict[str, str]:
    name, _colon, value = text.partition(":")
    return {name: value} if name in ("take", RECORD) else {}


def _kept(ticked: Sequence[str], waiting: Sequence[Waiting]) -> list[tuple[str, str]]:
    """Return the selection as fields of a form; cases that come later are not swept in."""
    if request.form.get("all") != "yes":
        return [("case", number) for number in ticked]
    upto = request.form.get("upto") or str(max((one.case for one in waiting), default=0))
    return [("all", "yes"), ("address", request.form.get("address", "")), ("upto", upto)]


def _looked_at(waiting: Sequence[Waiting]) -> Iterator[Waiting]:
    """Yield those that are as they were when it was shown what will be written."""
    if "marks" not in request.form:
        yield from waiting
        return
    marks = {*request.form.get("marks", "").split()}
    yield from (one for one in waiting if f"{one.case}:{one.mark}" in marks)


def _back() -> str:
    asked = dict(parse_qsl(request.form.get("address", "").lstrip("?")))
    return Filter.of(asked).address()
