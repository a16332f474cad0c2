"""The kinds of rules: what each is called, how its documents are checked, and where its pages are.

A kind of a room above this one is registered by that room (`register`), so that the rulebook stores, versions, checks
and lists it without knowing what it does.
"""

from __future__ import annotations

from rules.documents import sync_schema
from rules.text import N_
from webapp.rulebook import checking
from webapp.rulebook.editing import part_of
from webapp.rulebook.kind import Document, RuleKind
from webapp.rulebook.tables import DECISION_TABLE, LOOKUP

SYNC = "sync"


def _sides(document: Document) -> str:
    sides = (part_of(document, side) for side in ("left", "right"))
    arrow = {"right_to_left": "←", "two_way": "↔"}.get(str(document.get("direction")), "→")
    return f" {arrow} ".join(f"{side.get('connection') or '?'} › {side.get('object') or '?'}" for side in sides)


_SYNC_RULE = RuleKind(
    name=SYNC,
    label=N_("Sync rule"),
    about=N_("Keeps two systems in agreement: which records belong together and which field fills which."),
    icon="arrow-left-right",
    structure=checking.structure,
    check=checking.check,
    schema=sync_schema,
    lead=_sides,
    new="/rules/new",
    tabs=(
        ("fields", N_("Fields")),
        ("validations", N_("Validations")),
        ("behaviour", N_("Behaviour")),
        ("tests", N_("Tests")),
    ),
    runs=True,
    pausable=True,
    fits=checking.fits,
)
KINDS: dict[str, RuleKind] = {kind.name: kind for kind in (_SYNC_RULE, DECISION_TABLE, LOOKUP)}


def register(kind: RuleKind) -> None:
    """Add a kind of rule."""
    KINDS[kind.name] = kind


def kind_of(document: Document) -> RuleKind:
    """Return the kind of a document; one without a known kind is taken for a sync rule, whose check refuses it."""
    return KINDS.get(str(document.get("kind", SYNC)), KINDS[SYNC])
