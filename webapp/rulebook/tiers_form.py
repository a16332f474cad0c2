"""How unlinked records find each other: the tiers as a page shows them, templates, and back to the document."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rules.reconcile.correlate.presets import Preset, presets
from webapp.rulebook.editing import Document, Form, listed, set_or_drop
from webapp.rulebook.shares import number, share
from webapp.web.storable import natural

_SHARES = (("confidence", 1.0), ("confidence_from", None), ("threshold", 0.0), ("margin", 0.02))


def with_tiers(document: Document, form: Form, *, keep: bool = False) -> Document:
    """Return the document with the submitted tiers; `keep` keeps those that are still empty, while a page is edited."""
    if not form.get("tiers_asked"):
        return document
    old = listed(document, "correlate")
    made = [_tier(_at(old, n), form, n, keep=keep) for n in _numbers(form, "tier-")]
    new = dict(document)
    set_or_drop(new, "correlate", [tier for tier in made if keep or tier["match"]], [])
    return new


def stepped(document: Document, do: str, form: Form) -> Document:
    """Return the document after a button of the tiers: `tier-add`, `tier-remove-0`, `match-add-0`, `preset-person`."""
    tiers = [dict(tier) for tier in listed(document, "correlate")]
    verb, _sign, number_text = do.rpartition("-")
    place = natural(number_text)
    place = place if place is not None and place < len(tiers) else None
    if do == "tier-add":
        tiers.append({"match": [{}], "confidence": 0.9})
    elif do.startswith("preset-"):
        tiers = [*tiers, *preset_tiers(number_text, form)]
    elif verb == "tier-remove" and place is not None:
        del tiers[place]
    elif verb == "match-add" and place is not None:
        tiers[place]["match"] = [*listed(tiers[place], "match"), {}]
    new = dict(document)
    set_or_drop(new, "correlate", tiers, [])
    return new


def preset_tiers(name: str, form: Form) -> list[dict[str, Any]]:
    """Return the tiers of a template for the fields that the form chose on both sides."""
    preset = next((p for p in presets() if p.name == name), None)
    return preset.tiers(chosen_fields(preset, form)) if preset else []


def chosen_fields(preset: Preset, form: Form) -> Mapping[str, tuple[str, str]]:
    """Return which of a template's fields are chosen on both sides."""
    found = {
        field.name: (
            form.get(f"preset-{preset.name}-{field.name}-left", ""),
            form.get(f"preset-{preset.name}-{field.name}-right", ""),
        )
        for field in preset.fields
    }
    return {name: pair for name, pair in found.items() if all(pair)}


def _tier(old: Mapping[str, Any], form: Form, place: str, *, keep: bool) -> Document:
    known = listed(old, "match")
    matches = [_match(_at(known, n), form, f"{place}-{n}") for n in _numbers(form, f"match-{place}-")]
    tier = {**old, "match": [match or {} for match in matches if keep or match]}
    for name, default in _SHARES:
        set_or_drop(tier, name, share(form.get(f"{name}-{place}", ""), old.get(name), default), default)
    return tier


def _match(old: Mapping[str, Any], form: Form, place: str) -> Document | None:
    left, right = form.get(f"match_left-{place}", ""), form.get(f"match_right-{place}", "")
    if not left and not right:
        return None
    match = dict(old)
    for name, value in (("left", left), ("right", right)):
        set_or_drop(match, name, value, "")
    how = form.get(f"how-{place}") or "exact"
    set_or_drop(match, "how", how, "exact")
    set_or_drop(match, "kind", form.get(f"kind-{place}", "") if how != "exact" else "", "")
    if how == "similarity":
        set_or_drop(match, "threshold", share(form.get(f"alike-{place}", ""), old.get("threshold"), 0.9), 0.9)
        set_or_drop(match, "weight", number(form.get(f"weight-{place}", ""), old.get("weight"), 1.0), 1.0)
    else:
        match.pop("threshold", None)
        match.pop("weight", None)
    return match


def _numbers(form: Form, start: str) -> list[str]:
    found = [key.removeprefix(start) for key in form if key.startswith(start)]
    return [number for number in found if natural(number) is not None]


def _at(known: Any, place: str) -> Mapping[str, Any]:
    return known[int(place)] if int(place) < len(known) else {}
