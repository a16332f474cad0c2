"""What is known of rules: rows for lists and pages, versions for runs, schedules for the dispatcher."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from rules.documents.lookup import KIND as LOOKUP
from rules.documents.relations import before
from webapp.rulebook.errors import RuleMissing
from webapp.rulebook.models import rule, rule_version

Document = Mapping[str, Any]
ACTIVE, PAUSED = "active", "paused"


@dataclass(frozen=True)
class PublishedRule:
    """A version of a rule, as runs read it."""

    rule_id: int
    name: str
    version: int
    document: dict[str, Any]
    digest: str
    state: str


@dataclass(frozen=True)
class RuleRow:
    """A rule as lists and pages show it; `published` is the published document, `draft` the edited one or None."""

    id: int
    name: str
    label: str
    kind: str
    state: str
    draft: dict[str, Any] | None
    draft_version: int
    published_version: int | None
    published: dict[str, Any] | None
    published_at: datetime | None
    published_by: str | None
    updated_at: datetime
    updated_by: str
    owner: str | None = None
    """With whose rights it works; None: the installation's, empty: of a user who has been deleted."""

    @property
    def document(self) -> dict[str, Any]:
        """Return what an editor opens: the draft, or else what is published."""
        return deepcopy(self.draft if self.draft is not None else self.published or {})

    @property
    def changed(self) -> bool:
        """Tell whether there is a draft that is not published."""
        return self.draft is not None


@dataclass(frozen=True)
class VersionRow:
    """One published version."""

    version: int
    document: dict[str, Any]
    digest: str
    published_at: datetime
    published_by: str
    note: str


@dataclass(frozen=True)
class ScheduledRule:
    """An active rule with a schedule, for the dispatcher; `before` are the rules that come directly before it."""

    rule_id: int
    name: str
    version: int
    cron: str
    timezone: str
    misfire: str
    before: tuple[str, ...] = ()


_ROWS = (
    sa.select(
        *(
            rule.c[name]
            for name in ("id", "name", "label", "kind", "state", "draft", "draft_version", "published_version")
        ),
        rule_version.c.document.label("published"),
        rule_version.c.published_at,
        rule_version.c.published_by,
        rule.c.updated_at,
        rule.c.updated_by,
        rule.c.owner,
    )
    .select_from(rule)
    .outerjoin(
        rule_version,
        sa.and_(rule_version.c.rule_id == rule.c.id, rule_version.c.version == rule.c.published_version),
    )
)

_VERSIONS = sa.select(
    rule.c.id.label("rule_id"),
    rule.c.name,
    rule_version.c.version,
    rule_version.c.document,
    rule_version.c.digest,
    rule.c.state,
).join_from(rule, rule_version, rule_version.c.rule_id == rule.c.id)


def list_rules(tx: sa.Connection) -> list[RuleRow]:
    """Return all rules by name."""
    return [RuleRow(**row) for row in tx.execute(_ROWS.order_by(rule.c.name)).mappings()]


def find(tx: sa.Connection, name: str) -> RuleRow | None:
    """Return the rule called `name`."""
    row = tx.execute(_ROWS.where(rule.c.name == name)).mappings().first()
    return RuleRow(**row) if row else None


def get(tx: sa.Connection, name: str) -> RuleRow:
    """Return the rule called `name`; raises `RuleMissing`."""
    if found := find(tx, name):
        return found
    raise RuleMissing(name)


def published(tx: sa.Connection, name: str) -> PublishedRule | None:
    """Return what is published of the rule called `name`."""
    query = _VERSIONS.where(rule.c.name == name, rule_version.c.version == rule.c.published_version)
    row = tx.execute(query).mappings().first()
    return PublishedRule(**row) if row else None


def asking(tx: sa.Connection) -> list[PublishedRule]:
    """Return what is published of all rules that can ask tables: lookup tables hold nothing but values."""
    query = _VERSIONS.where(rule_version.c.version == rule.c.published_version, rule.c.kind != LOOKUP)
    return [PublishedRule(**row) for row in tx.execute(query.order_by(rule.c.name)).mappings()]


def version(tx: sa.Connection, name: str, number: int) -> PublishedRule | None:
    """Return version `number` of the rule called `name`."""
    row = tx.execute(_VERSIONS.where(rule.c.name == name, rule_version.c.version == number)).mappings().first()
    return PublishedRule(**row) if row else None


def versions(tx: sa.Connection, name: str) -> list[VersionRow]:
    """Return the versions of the rule called `name`, newest first."""
    columns = [rule_version.c[f] for f in ("version", "document", "digest", "published_at", "published_by", "note")]
    query = sa.select(*columns).join(rule, rule.c.id == rule_version.c.rule_id).where(rule.c.name == name)
    return [VersionRow(**row) for row in tx.execute(query.order_by(rule_version.c.version.desc())).mappings()]


def draft(tx: sa.Connection, name: str) -> dict[str, Any] | None:
    """Return the document that an editor opens: the draft, or else what is published."""
    found = find(tx, name)
    return found.document if found else None


def to_document(row: RuleRow) -> dict[str, Any]:
    """Return the rule as a configuration file holds it: what is published, or else the draft."""
    return deepcopy(row.published if row.published is not None else row.draft or {})


def scheduled(tx: sa.Connection) -> list[ScheduledRule]:
    """Return the active, published rules that have a schedule."""
    query = _VERSIONS.where(rule.c.state == ACTIVE, rule_version.c.version == rule.c.published_version)
    found = []
    for row in tx.execute(query.order_by(rule.c.id)).mappings():
        if plan := row["document"].get("schedule"):
            timezone, misfire = plan.get("timezone", "UTC"), plan.get("misfire", "once")
            head = (row["rule_id"], row["name"], row["version"], plan["cron"], timezone, misfire)
            found.append(ScheduledRule(*head, before(row["document"])))
    return found


def every_version(tx: sa.Connection, name: str) -> list[Document]:
    """Return all documents that were ever published under a name, also of a rule that is deleted."""
    return list(tx.scalars(sa.select(rule_version.c.document).where(rule_version.c.rule_name == name)))


def unscheduled(tx: sa.Connection) -> list[PublishedRule]:
    """Return what is published of the active rules that have no schedule."""
    query = _VERSIONS.where(rule.c.state == ACTIVE, rule_version.c.version == rule.c.published_version)
    found = [PublishedRule(**row) for row in tx.execute(query.order_by(rule.c.id)).mappings()]
    return [row for row in found if not row.document.get("schedule")]


def using_connections(tx: sa.Connection) -> list[tuple[str, str, str]]:
    """Return each connection that a draft or a published document uses, with the name and the title of the rule."""
    return [(name, row.name, row.label) for row in list_rules(tx) for name in sorted({side[0] for side in _sides(row)})]


def using_object(tx: sa.Connection, connection: str, name: str) -> list[str]:
    """Return the names of the rules whose draft or published document uses the object of the connection."""
    return [row.name for row in list_rules(tx) if (connection, name) in _sides(row)]


def _sides(row: RuleRow) -> set[tuple[str, str]]:
    documents = [document for document in (row.draft, row.published) if document]
    sides = [document.get(side) for document in documents for side in ("left", "right")]
    pointed = [part.get("reference") for document in documents for part in _dicts(document.get("validations"))]
    sagas = [saga for document in documents if isinstance(saga := document.get("saga"), dict)]
    steps = [step for saga in sagas for step in _dicts(saga.get("steps"))]
    places = [*_dicts(sides), *steps, *({"connection": "hub", **reference} for reference in _dicts(pointed))]
    return {(str(place.get("connection")), str(place.get("object"))) for place in places}


def _dicts(found: Any) -> list[dict[str, Any]]:
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
