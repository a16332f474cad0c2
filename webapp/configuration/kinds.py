"""The kinds of documents: how each is checked, stored, read back and deleted, all in the caller's transaction."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from rules.documents import DocumentError, DocumentProblem, validate
from rules.text import msg
from webapp.access import role_documents
from webapp.approvals import settings as approvals
from webapp.approvals import settings_deed
from webapp.configuration.kind import Document, Kind, Writing
from webapp.configuration.rules import RuleKind
from webapp.connections import services as connections
from webapp.connections.catalogue import connector_class
from webapp.entities import services as entities
from webapp.entities.documents import parse, to_document
from webapp.entities.expressions import check_expressions
from webapp.entities.history import Author
from webapp.events import hook_documents, hooks


class ConnectionKind:
    """`kind: connection`."""

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return what is wrong with the document by itself."""
        return [DocumentProblem("/".join(p.path), p.message) for p in connections.problems(document)]

    def placed(self, document: Document, folder: Path) -> dict[str, Any]:
        """Return the document with its paths made absolute."""
        settings = dict(document.get("settings") or {})
        for name in _paths(document):
            settings[name] = str((folder / Path(settings[name]).expanduser()).resolve())
        return {**document, "settings": settings}

    def names(self, tx: sa.Connection) -> list[str]:
        """Return the names of all connections but the hub."""
        return [row.name for row in connections.list_connections(tx) if not row.builtin]

    def read(self, tx: sa.Connection, name: str) -> dict[str, Any] | None:
        """Return the connection's document."""
        row = connections.find_connection(tx, name)
        return None if row is None or row.builtin else connections.to_document(tx, row)

    def write(self, writing: Writing, document: Document, folder: Path) -> bool:
        """Store the connection; in the evaluation profile its file's folder is granted, where it uses paths."""
        granted: tuple[Path, ...] = ()
        if writing.house.settings.profile == "evaluation":
            granted = _granted(document, folder)
        connections.save(writing.tx, writing.house, document, writing.actor, granted)
        return True

    def delete(self, writing: Writing, name: str) -> None:
        """Delete the connection."""
        connections.remove(writing.tx, writing.house, name, writing.actor)


def _paths(document: Document) -> list[str]:
    """Return the names of the settings that hold a path."""
    spec = connector_class(str(document.get("connector", ""))).spec
    settings = document.get("settings") or {}
    return [
        s.name
        for s in spec.settings
        if s.kind.value == "path" and isinstance(settings.get(s.name), str) and settings[s.name]
    ]


def _granted(document: Document, folder: Path) -> tuple[Path, ...]:
    """Return the folders that a document grants: its file's own, or for a path elsewhere the one at or around it."""
    found = []
    for name in _paths(document):
        path = Path(document["settings"][name])
        around = path if path.is_dir() else path.parent
        found.append(folder if path.is_relative_to(folder) else around)
    return tuple(dict.fromkeys(found))


class EntityKind:
    """`kind: entity`."""

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return what is wrong with the document by itself."""
        try:
            return list(check_expressions(parse(document)))
        except DocumentError as error:
            return list(error.problems)

    def placed(self, document: Document, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - it has no paths
        """Return the document."""
        return dict(document)

    def names(self, tx: sa.Connection) -> list[str]:
        """Return the names of all entities, those that others refer to first."""
        found = {e.name: [f.entity for f in e.fields if f.entity] for e in entities.list_entities(tx)}
        return in_order(found)

    def read(self, tx: sa.Connection, name: str) -> dict[str, Any] | None:
        """Return the entity's document."""
        try:
            return to_document(entities.entity(tx, name))
        except entities.NoEntity:
            return None

    def write(self, writing: Writing, document: Document, folder: Path) -> bool:  # noqa: ARG002 - it has no paths
        """Put the definition in force; references to entities that do not exist yet wait for the second round."""
        author = Author(writing.actor, writing.house.clock())
        existing = {entity.name for entity in entities.list_entities(writing.tx)}
        known = {None, document["name"], *existing}
        fields = [field for field in document["fields"] if field.get("entity") in known]
        if document["name"] in existing or len(fields) == len(document["fields"]):
            entities.define_in(writing.tx, document, author, confirm=writing.lossy)
            return True
        entities.define_in(writing.tx, {**document, "fields": fields}, author)
        return False

    def delete(self, writing: Writing, name: str) -> None:
        """Delete the entity; with records in it only where values may be lost."""
        count = writing.tx.scalar(
            sa.select(sa.func.count()).select_from(sa.table(entities.entity(writing.tx, name).table_name))
        )
        if count and not writing.lossy:
            text = msg(
                "The entity '{name}' has {count} records. Add --allow-loss to delete them.", name=name, count=count
            )
            raise DocumentError([DocumentProblem("", text)])
        entities.delete_entity_in(writing.tx, name, Author(writing.actor, writing.house.clock()))


class RoleKind:
    """`kind: role`: roles of one's own; the built-in ones belong to the version."""

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return what is wrong with the document by itself."""
        return list(validate(document, role_documents.document_schema()))

    def placed(self, document: Document, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - it has no paths
        """Return the document."""
        return dict(document)

    def names(self, tx: sa.Connection) -> list[str]:
        """Return the names of all roles that are not built in."""
        return role_documents.names(tx)

    def read(self, tx: sa.Connection, name: str) -> dict[str, Any] | None:
        """Return the role's document."""
        return role_documents.read(tx, name)

    def write(self, writing: Writing, document: Document, folder: Path) -> bool:  # noqa: ARG002 - it has no paths
        """Store the role."""
        role_documents.save(writing.tx, document, writing.actor, writing.house.clock())
        return True

    def delete(self, writing: Writing, name: str) -> None:
        """Delete the role."""
        role_documents.remove(writing.tx, name, writing.actor, writing.house.clock())


def in_order(needs: Mapping[str, list[str]]) -> list[str]:
    """Return the names so that each comes after those that it needs; within a circle by name."""
    done: dict[str, None] = {}

    def visit(name: str, above: frozenset[str]) -> None:
        if name in done or name in above or name not in needs:
            return
        for other in sorted(needs[name]):
            visit(other, above | {name})
        done[name] = None

    for name in sorted(needs):
        visit(name, frozenset())
    return list(done)


class ApprovalsKind:
    """`kind: approvals`: what needs a second person; applied last, so that it does not hold for its own file."""

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return what is wrong with the document by itself."""
        return list(validate(document, approvals.schema()))

    def placed(self, document: Document, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - it has no paths
        """Return the document."""
        return dict(document)

    def names(self, tx: sa.Connection) -> list[str]:
        """Return the name of the one document, where it says anything."""
        return [approvals.NAME] if approvals.current(tx) != approvals.Settings() else []

    def read(self, tx: sa.Connection, name: str) -> dict[str, Any] | None:
        """Return the document."""
        return approvals.to_document(approvals.current(tx)) if name in self.names(tx) else None

    def write(self, writing: Writing, document: Document, folder: Path) -> bool:  # noqa: ARG002 - it has no paths
        """Store the settings."""
        settings_deed.save_in(writing.tx, document, writing.actor, writing.house.clock())
        return True

    def delete(self, writing: Writing, name: str) -> None:
        """Let nothing need a second person any more."""
        nothing = {"kind": approvals.KIND, "name": name}
        settings_deed.save_in(writing.tx, nothing, writing.actor, writing.house.clock())


class HookKind:
    """`kind: web_hook`: inbound web hooks; their keys stay where they are."""

    def problems(self, document: Document) -> list[DocumentProblem]:
        """Return what is wrong with the document by itself."""
        return hook_documents.problems(document)

    def placed(self, document: Document, folder: Path) -> dict[str, Any]:  # noqa: ARG002 - it has no paths
        """Return the document."""
        return dict(document)

    def names(self, tx: sa.Connection) -> list[str]:
        """Return the names of all hooks."""
        return hook_documents.names(tx)

    def read(self, tx: sa.Connection, name: str) -> dict[str, Any] | None:
        """Return the hook's document."""
        return hook_documents.read(tx, name)

    def write(self, writing: Writing, document: Document, folder: Path) -> bool:  # noqa: ARG002 - it has no paths
        """Store the hook."""
        hook_documents.save(writing.tx, document, writing.actor, writing.house.clock())
        return True

    def delete(self, writing: Writing, name: str) -> None:
        """Delete the hook with its keys."""
        hooks.delete_in(writing.tx, name, writing.actor, writing.house.clock())


RULES = ("lookup", "decision_table", "sync", "event_rule")

KINDS: Mapping[str, Kind] = {
    "connection": ConnectionKind(),
    "entity": EntityKind(),
    "role": RoleKind(),
    **{kind: RuleKind(kind) for kind in RULES},
    hooks.KIND: HookKind(),
    approvals.KIND: ApprovalsKind(),
}
"""By name, in the order in which documents are applied: each kind needs only those before it."""
