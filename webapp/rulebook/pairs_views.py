"""The tab "Fields" of a two-way rule: pairs of fields, each with its direction, values and conflicts."""

from __future__ import annotations

from typing import Any

from flask import redirect, request
from flask_babel import gettext as _
from werkzeug.wrappers import Response

from rules.schema import Schema
from webapp.rulebook import two_way_words, wording
from webapp.rulebook.checking import look
from webapp.rulebook.editing import part_of
from webapp.rulebook.language_help import functions
from webapp.rulebook.pages import RulePage, after_saving, outages
from webapp.rulebook.pairs import SIDES, Pair, lost, open_fields, pairs, with_pairs, with_proposed, without
from webapp.rulebook.scopes import resolve_address, scope_address
from webapp.rulebook.services import RuleRow
from webapp.rulebook.two_way_views import referable


def show_pairs(
    page: RulePage,
    rule: RuleRow,
    document: dict[str, Any],
    status: int = 200,
    *,
    blank: int = 0,
    proposed: int = 0,
    **context: Any,
) -> Response:
    """Show the pairs of a document; the last `proposed` of them are new, and `blank` empty ones follow."""
    seen = {side: look(page.house, document, side) for side in SIDES}
    schemas = {side: found.schema or Schema(()) for side, found in seen.items()}
    known = pairs(document)
    default = str(part_of(document, "conflict").get("default") or "manual")
    shown = {
        "key": part_of(document, "key"),
        "pairs": [*known, *[Pair()] * (blank or (0 if known else 1))],
        "fresh": range(len(known) - proposed, len(known)),
        "schemas": schemas,
        "choices": {side: _choices(document, side, schemas[side]) for side in SIDES},
        "references": referable(page, document),
        "still_open": {side: open_fields(document, side, seen[side].schema) for side in SIDES},
        "outages": outages(*seen.values()),
        "functions": functions(),
        "scopes": {"left": scope_address(document, "left", decided=True), "right": scope_address(document, "right")},
        "resolve_scope": lambda name: resolve_address(document, name),
        "two_way_words": two_way_words,
        "default_policy": dict(two_way_words.policies()).get(default, default),
        "stale": context.pop("stale", None),
        "unsaved": context.pop("unsaved", False),
        "proposed": proposed,
    }
    return page.frame("rulebook/pairs.html", rule, "fields", status, document=document, **shown, **context)


def save_pairs(page: RulePage, rule: RuleRow) -> Response:
    """Save the submitted pairs; the buttons of the table only change what is shown."""
    document, do = with_pairs(rule.document, request.form), request.form.get("do", "")
    if do == "add":
        return show_pairs(page, rule, document, blank=1, unsaved=True)
    if do.startswith("remove-"):
        return show_pairs(page, rule, without(document, do.removeprefix("remove-")), unsaved=True)
    if do == "suggest":
        left, right = (look(page.house, document, side).schema for side in SIDES)
        count = 0
        if left and right:
            document, count = with_proposed(document, left, right)
        return show_pairs(page, rule, document, proposed=count, unsaved=True, asked=True)
    if stale := page.save(rule, document):
        return show_pairs(page, rule, document, 409, stale=stale)
    return redirect(after_saving(rule.name, "fields", "behaviour"))


def _choices(document: dict[str, Any], side: str, schema: Schema) -> list[tuple[str, str]]:
    fields = [(f.name, f"{f.label or f.name} · {wording.type_name(f.type)}") for f in schema.fields]
    gone = [(name, _("%(name)s (not found)", name=name)) for name in lost(document, side, schema)]
    return [("", _("– no field –")), *fields, *gone]
