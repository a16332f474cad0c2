"""Rules of all kinds in files: the rule, and beside it whether it is published and whether its schedule rests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentProblem
from rules.text import msg
from webapp.approvals.errors import SecondPersonNeeded
from webapp.configuration.kind import Document, Writing
from webapp.rulebook import services as rulebook
from webapp.rulebook.kinds import KINDS
from webapp.rulebook.reading import PAUSED, RuleRow

BESIDE = ("publish", "paused")
"""Keys that are not the rule's own: `publish: false` keeps it a draft, `paused: true` stops its schedule."""


@dataclass(frozen=True)
class RuleKind:
    """One kind of rule: `kind: sync`, `kind: decision_table` ..."""

    kind: str

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return what is wrong with the document by itself."""
        found = [
            DocumentProblem(key, msg("This has to be true or false."))
            for key in BESIDE
            if not isinstance(document.get(key, False), bool)
        ]
        return [*found, *KINDS[self.kind].structure(_rule(document))]

    def placed(self, document: Document, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - it has no paths
        """Return the document."""
        return dict(document)

    def names(self, tx: sa.Connection) -> list[str]:
        """Return the names of all rules of the kind."""
        return [row.name for row in rulebook.list_rules(tx) if row.kind == self.kind]

    def read(self, tx: sa.Connection, name: str) -> dict[str, Any] | None:
        """Return the rule's document: what is published, or else the draft with `publish: false`."""
        row = rulebook.find(tx, name)
        return None if row is None or row.kind != self.kind else _stored(row)

    def write(self, writing: Writing, document: Document, folder: Path) -> bool:  # noqa: ARG002 - it has no paths
        """Store the rule, publish it unless told otherwise, let its schedule rest if told so."""
        house, tx, actor = writing.house, writing.tx, writing.actor
        rule, name, publish = _rule(document), str(document["name"]), document.get("publish", True)
        row = rulebook.find(tx, name) or rulebook.create(house, rule, actor, tx=tx)
        if row.published is None or row.published != rule or not publish:
            rulebook.save_draft(house, name, rule, actor, tx=tx)
        needed = _published(writing, name) if publish and row.published != rule else None
        if document.get("paused", False) and KINDS[self.kind].pausable:
            rulebook.pause(house, name, actor, tx=tx)
        else:
            rulebook.resume(house, name, actor, tx=tx)
        if needed is not None:
            raise needed
        return True

    def delete(self, writing: Writing, name: str) -> None:
        """Delete the rule."""
        rulebook.delete(writing.house, name, writing.actor, tx=writing.tx)


def _published(writing: Writing, name: str) -> SecondPersonNeeded | None:
    """Publish a rule, or return that a second person has to approve it; what else is stated holds anyhow."""
    try:
        rulebook.publish(writing.house, name, writing.actor, tx=writing.tx)
    except SecondPersonNeeded as needed:
        return needed
    return None


def _rule(document: Document) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in BESIDE}


def _stored(row: RuleRow) -> dict[str, Any]:
    document = rulebook.to_document(row)
    if row.published is None:
        document["publish"] = False
    if row.state == PAUSED:
        document["paused"] = True
    return document
