"""The published JSON Schema of each kind of document: docs/schemas holds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from webapp.access import role_documents
from webapp.approvals import settings as approvals
from webapp.connections import schema as connections
from webapp.entities import document_schema as entities
from webapp.events import hook_documents
from webapp.events import kind as event_rules
from webapp.rulebook.kinds import KINDS

SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "connection": lambda: connections.document_schema(connections.builtin_specs()),
    "entity": entities.document_schema,
    "role": role_documents.document_schema,
    "approvals": approvals.schema,
    "web_hook": hook_documents.schema,
    **{name: kind.schema for name, kind in {**KINDS, event_rules.EVENT_RULE.name: event_rules.EVENT_RULE}.items()},
}
ABOUT: Mapping[str, str] = {
    "connection": "a configured system",
    "entity": "a record type of the hub",
    "role": "a role of your own; the built-in ones cannot be changed",
    "approvals": "which deeds a second person has to approve; see [approvals](approvals.md)",
    "sync": "a sync rule; see [rules](rules.md)",
    "lookup": "a lookup table for expressions; see [lookup tables](rules.md#lookup-tables)",
    "event_rule": "an event rule; see [event rules](event-rules.md)",
    "web_hook": "where another system tells of events; see [web hooks](event-rules.md#web-hooks-from-other-systems)",
    "decision_table": "a decision table; see [decision tables](decision-tables.md)",
}
