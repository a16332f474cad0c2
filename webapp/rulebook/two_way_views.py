"""The tab "What happens" of a two-way rule: situations, partners, conflicts, deletions, limits."""

from __future__ import annotations

from typing import Any

from flask import redirect, request
from werkzeug.wrappers import Response

from rules.reconcile.correlate.presets import presets
from rules.schema import Field, Schema
from webapp.rulebook import shares, timetable, two_way_words, wording
from webapp.rulebook.checking import look
from webapp.rulebook.editing import default_text, listed, part_of
from webapp.rulebook.language_help import functions
from webapp.rulebook.limits_form import guard_lines
from webapp.rulebook.pages import RulePage, after_saving, outages
from webapp.rulebook.pairs import SIDES
from webapp.rulebook.promises_form import promises
from webapp.rulebook.relations_form import before_choices, named_after, reference_choices, with_order
from webapp.rulebook.scopes import scope_address
from webapp.rulebook.services import RuleRow
from webapp.rulebook.situations import defaults_of, two_way_choices
from webapp.rulebook.suggest import suggest
from webapp.rulebook.tiers_form import stepped
from webapp.rulebook.two_way_form import with_direction, with_two_way

_STEPS = ("tier-", "match-", "preset-")


def show_two_way(
    page: RulePage, rule: RuleRow, document: dict[str, Any], status: int = 200, stale: Any = None, opened: str = ""
) -> Response:
    """Show what a two-way rule does; `opened` is the template whose fields are being chosen."""
    seen = {side: look(page.house, document, side) for side in SIDES}
    schemas = {side: found.schema or Schema(()) for side, found in seen.items()}
    shown = {
        **behaviour_context(page, document),
        "schemas": schemas,
        "outages": outages(*seen.values()),
        "situations": _situations(document),
        "detect": {side: part_of(part_of(document, "detect"), side) for side in SIDES},
        "deletes": part_of(document, "deletes"),
        "asked_sides": SIDES,
        "deactivate": {side: part_of(part_of(part_of(document, "deletes"), "deactivate"), side) for side in SIDES},
        "conflict": part_of(document, "conflict"),
        "tiers": listed(document, "correlate"),
        "presets": presets(),
        "preset_values": _preset_values(schemas),
        "opened": opened,
        "percent": shares.percent,
        "plain": shares.plain,
        "default_text": default_text,
        "functions": functions(),
        "scopes": {side: scope_address(document, side) for side in SIDES},
        "stale": stale,
    }
    return page.frame("rulebook/two_way.html", rule, "behaviour", status, document=document, **shown)


def save_two_way(page: RulePage, rule: RuleRow) -> Response:
    """Save what a two-way rule does; the buttons of the tiers only change what is shown."""
    do = request.form.get("do", "")
    step = do.startswith(_STEPS)
    plan = timetable.plan_from_form(request.form, request.form.getlist("schedule_days"))
    schemas = {side: look(page.house, rule.document, side).schema for side in SIDES}
    document = with_two_way(rule.document, request.form, timetable.cron_of(plan), schemas, keep=step)
    if step:
        return show_two_way(page, rule, stepped(document, do, request.form))
    document = with_direction(with_after(document), request.form)
    if stale := page.save(rule, document):
        return show_two_way(page, rule, document, 409, stale)
    return redirect(after_saving(rule.name, "behaviour", ""))


def behaviour_context(page: RulePage, document: dict[str, Any]) -> dict[str, Any]:
    """Return what the page needs for limits, direction, schedule and errors, for every direction."""
    schedule = part_of(document, "schedule")
    return {
        "guards": guard_lines(document),
        "drift": part_of(document, "drift"),
        "promised": promises(document),
        "words": two_way_words,
        "policy": part_of(document, "errors"),
        "plan": timetable.plan_of(schedule.get("cron")),
        "schedule": schedule,
        "zone": schedule.get("timezone") or page.house.settings.timezone,
        "zones": timetable.zones(),
        "timetable": timetable,
        "before_choices": _before_choices(page, document),
        "named_after": named_after(document),
        "directions": [(value, label) for value, _icon, label, _text in two_way_words.rule_directions()],
    }


def referable(page: RulePage, document: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the rules whose records the fields of a rule may refer to."""
    with page.house.db.read() as tx:
        return reference_choices(tx, document)


def with_after(document: dict[str, Any]) -> dict[str, Any]:
    """Return the document with the rules that the submitted form says come before it."""
    return with_order(document, request.form.getlist("after"), asked="after_asked" in request.form)


def _before_choices(page: RulePage, document: dict[str, Any]) -> list[tuple[str, str]]:
    with page.house.db.read() as tx:
        return before_choices(tx, document)


def schemas_of(page: RulePage, document: dict[str, Any]) -> dict[str, Schema]:
    """Return the fields of both sides, none where they are not known."""
    return {side: look(page.house, document, side).schema or Schema(()) for side in SIDES}


def deletes_context(page: RulePage, document: dict[str, Any], source: str, target: str) -> dict[str, Any]:
    """Return what the page of a rule that flows one way needs for deletions in its source."""
    deletes = part_of(document, "deletes")
    gone = next(one for one in _situations(document) if one["name"] == f"deleted_{source}")
    return {
        "deletes": deletes,
        "deactivate": {target: part_of(part_of(deletes, "deactivate"), target)},
        "asked_sides": (source,),
        "schemas": schemas_of(page, document),
        "scopes": {source: scope_address(document, source)},
        "gone": gone,
        "default_text": default_text,
    }


def _situations(document: dict[str, Any]) -> list[dict[str, Any]]:
    names = [wording.side_name(document, side) for side in SIDES]
    chosen, usual, allowed = part_of(document, "situations"), defaults_of(document), two_way_choices()
    return [
        {
            "name": name,
            "question": question,
            "value": chosen.get(name) or usual.get(name, ""),
            "usual": usual.get(name, ""),
            "choices": [(action, labels[action]) for action in allowed[name]],
        }
        for name, question, labels in two_way_words.situations(names[0], names[1])
    ]


def _preset_values(schemas: dict[str, Schema]) -> dict[str, dict[str, dict[str, str]]]:
    """Return template -> its field -> side -> the field of that side that looks like it and is no key."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    for preset in presets():
        wanted = Schema(tuple(Field(_LOOKS_LIKE.get(f.name, f.name)) for f in preset.fields))
        names = {_LOOKS_LIKE.get(f.name, f.name): f.name for f in preset.fields}
        found[preset.name] = {f.name: {} for f in preset.fields}
        for side, schema in schemas.items():
            for one in suggest(_without_keys(schema), wanted, set()):
                found[preset.name][names[one.target]][side] = one.source
    return found


def _without_keys(schema: Schema) -> Schema:
    return Schema(tuple(Field(field.name) for field in schema.fields if field.name not in schema.key))


_LOOKS_LIKE = {
    "identity": "id_card_no",
    "surname": "last_name",
    "given_name": "first_name",
    "full_name": "name",
    "tax_number": "tax_no",
    "place": "city",
}
