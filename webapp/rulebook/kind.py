"""What a kind of rule has to say of itself so that the rulebook can hold rules of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentProblem
from rules.language.library import Library
from webapp.extensions import House

Document = Mapping[str, Any]


def listed(document: Document, name: str) -> list[Document]:
    """Return the objects of a list; a draft may hold anything in its place."""
    held = document.get(name)
    return [one for one in held if isinstance(one, Mapping)] if isinstance(held, list) else []


def _asks_nothing(_house: House, _document: Document, _tx: sa.Connection, _library: Library) -> list[DocumentProblem]:
    return []


@dataclass(frozen=True)
class RuleKind:
    """One kind of rule.

    `structure` says what is wrong with a document by itself, `check` also what does not fit its surroundings (inside a
    transaction no system is asked), `fits` whether what is published works with the given tables (it asks no system and
    tries no tests). `home` is the address of a rule's first page behind /rules/<name>/, `tabs` are its
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
    fits: Callable[[House, Document, sa.Connection, Library], list[DocumentProblem]] = _asks_nothing
