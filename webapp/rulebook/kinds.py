"""The kinds of rules: what each is called, how its documents are checked, and where its pages are.

A kind of a room above this one is registered by that room (`register`), so that the rulebook stores, versions, checks
and lists it without knowing what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentProblem, sync_schema
from rules.text import N_
from webapp.extensions import House
from webapp.rulebook import checking

Document = Mapping[str, Any]
SYNC = "sync"


@dataclass(frozen=True)
class RuleKind:
    """One kind of rule.

    `structure` says what is wrong with a document by itself, `check` also what does not fit its surroundings (inside a
    transaction no system is asked). `home` is the address of a rule's first page behind /rules/<name>/, `tabs` are its
    own pages (address, label), `lead` describes a document in one line. `runs` tells whether it is started as a run,
    `pausable` whether it does something by itself.
    """

    name: str
    label: str
    about: str
    icon: str
    structure: Callable[[Document], list[DocumentProblem]]
    check: Callable[[House, Document, sa.Connection | None], list[DocumentProblem]]
    schema: Callable[[], dict[str, Any]]
    lead: Callable[[Document], str]
    new: str
    home: str = ""
    tabs: tuple[tuple[str, str], ...] = ()
    runs: bool = False
    pausable: bool = False


KINDS: dict[str, RuleKind] = {}


def register(kind: RuleKind) -> None:
    """Add a kind of rule."""
    KINDS[kind.name] = kind


def kind_of(document: Document) -> RuleKind:
    """Return the kind of a document; one without a known kind is taken for a sync rule, whose check refuses it."""
    return KINDS.get(str(document.get("kind", SYNC)), KINDS[SYNC])


def check(house: House, document: Document, tx: sa.Connection | None = None) -> list[DocumentProblem]:
    """Return what keeps the document from being published, and what to look at (warnings)."""
    return kind_of(document).check(house, document, tx)


def _sides(document: Document) -> str:
    sides = (document.get(side) or {} for side in ("left", "right"))
    arrow = {"right_to_left": "←", "two_way": "↔"}.get(str(document.get("direction")), "→")
    return f" {arrow} ".join(f"{side.get('connection') or '?'} › {side.get('object') or '?'}" for side in sides)


register(
    RuleKind(
        name=SYNC,
        label=N_("Sync rule"),
        about=N_("Keeps two systems in agreement: which records belong together and which field fills which."),
        icon="arrow-left-right",
        structure=checking.structure,
        check=checking.check,
        schema=sync_schema,
        lead=_sides,
        new="/rules/new",
        tabs=(("fields", N_("Fields")), ("behaviour", N_("Behaviour"))),
        runs=True,
        pausable=True,
    )
)
