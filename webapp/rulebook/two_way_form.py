"""What a two-way rule does, as a page shows it, and from the submitted page back to the document. Pure functions.

Shares of 1 are shown and typed as percent.
"""

from __future__ import annotations

from copy import deepcopy

from webapp.rulebook.deletions_form import Schemas, set_deletes
from webapp.rulebook.editing import (
    Document,
    Form,
    part_of,
    set_errors,
    set_or_drop,
    set_schedule,
)
from webapp.rulebook.guarantee import with_transaction
from webapp.rulebook.limits_form import with_limits
from webapp.rulebook.pairs import SIDES
from webapp.rulebook.promises_form import with_promises
from webapp.rulebook.shares import share
from webapp.rulebook.situations import defaults_of
from webapp.rulebook.tiers_form import with_tiers

DIRECTIONS = ("left_to_right", "right_to_left", "two_way")


def with_two_way(document: Document, form: Form, cron: str | None, schemas: Schemas, *, keep: bool = False) -> Document:
    """Return the document with what the page "What happens" of a two-way rule says; `keep` keeps empty tiers."""
    new = deepcopy(document)
    for side in SIDES:
        new[side] = part_of(new, side)
        set_or_drop(new[side], "where", form.get(f"where_{side}", "").strip(), "")
    _set_detection(new, form)
    _set_situations(new, form)
    _set_conflict(new, form)
    set_deletes(new, form, schemas)
    new = with_transaction(with_promises(with_limits(with_tiers(new, form, keep=keep), form), form), form)
    set_or_drop(new, "auto_link", share(form.get("auto_link", ""), new.get("auto_link"), 0.95), 0.95)
    set_or_drop(new, "review", share(form.get("review", ""), new.get("review"), 0.6), 0.6)
    set_errors(new, form)
    set_schedule(new, form, cron)
    if form.get("explain_asked"):
        set_or_drop(new, "explain", bool(form.get("explain")), True)
    return new


def with_direction(document: Document, form: Form) -> Document:
    """Return the document with the chosen direction; a name in it that is none stays until another one is chosen."""
    if form.get("direction") in DIRECTIONS and form["direction"] != document.get("direction", DIRECTIONS[0]):
        document = dict(document)
        set_or_drop(document, "direction", form["direction"], DIRECTIONS[0])
    return document


def _set_detection(document: Document, form: Form) -> None:
    detect = part_of(document, "detect")
    for side in SIDES:
        found = part_of(detect, side)
        set_or_drop(found, "by", form.get(f"detect_{side}") or found.get("by", "full"), "full")
        set_or_drop(found, "field", form.get(f"detect_field_{side}", ""), "")
        if found.get("by") == "cursor":
            set_or_drop(found, "tie", form.get(f"tie_{side}", ""), "")
            set_or_drop(found, "overlap", form.get(f"overlap_{side}", "").strip() or "5m", "5m")
        set_or_drop(detect, side, found, {})
    set_or_drop(document, "detect", detect, {})


def _set_situations(document: Document, form: Form) -> None:
    chosen, usual = part_of(document, "situations"), defaults_of(document)
    for name, action in usual.items():
        wanted = form.get(f"situation-{name}")
        if wanted and (name in chosen or wanted != action):
            chosen[name] = wanted
    set_or_drop(document, "situations", chosen, {})


def _set_conflict(document: Document, form: Form) -> None:
    conflict = part_of(document, "conflict")
    set_or_drop(conflict, "default", form.get("conflict_default") or "manual", "manual")
    set_or_drop(conflict, "skew", form.get("conflict_skew", "").strip() or "2s", "2s")
    set_or_drop(conflict, "tie", form.get("conflict_tie") or "left", "left")
    set_or_drop(document, "conflict", conflict, {})
