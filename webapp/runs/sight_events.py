"""What who asks may see of what event rules hear of: events of records hold their values, others may quote some."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from rules.schema import Schema
from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asking, rights_to, sees_all, whole
from webapp.policies.rights import Rights
from webapp.rulebook import reading as rulebook
from webapp.runs.sight import known_schema

_RECORD = "record."
QUOTED: Mapping[str, tuple[str, ...]] = {"case": ("title", "subject"), "run": ("message",), "rule": ("message",)}
"""By the first word of a type of events, what may quote values of records."""


class Hearing:
    """What who asks may see of types of events; each is looked up once."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx
        self.everything = asking().system
        self._rights: dict[str, Rights] = {}
        self._rules: dict[str, bool] = {}
        self._texts: bool | None = None

    @property
    def texts(self) -> bool:
        """Tell whether sentences about records, and titles of cases, may be seen as they are."""
        if self._texts is None:
            self._texts = self.everything or whole(self._tx)
        return self._texts

    def rights_of(self, type_: str) -> Rights | None:
        """Return the rights to the records that events of a type are about; None where they are about none."""
        if not type_.startswith(_RECORD) or type_.count(".") < 2:
            return None
        entity = type_.split(".")[1]
        if entity not in self._rights:
            schema = known_schema(self._tx, HUB, entity) or Schema(())
            self._rights[entity] = rights_to(self._tx, HUB, entity, schema)
        return self._rights[entity]

    def plain(self, rule_name: str) -> bool:
        """Tell whether a rule hears of nothing that may not be seen in full."""
        if self.everything:
            return True
        if rule_name not in self._rules:
            self._rules[rule_name] = all(map(self._heard, _types(rulebook.draft(self._tx, rule_name) or {})))
        return self._rules[rule_name]

    def _heard(self, type_: str) -> bool:
        rights = self.rights_of(type_)
        if rights is not None:
            return sees_all(rights)
        return self.texts or type_.partition(".")[0] not in QUOTED


def _types(document: Mapping[str, Any]) -> Iterator[str]:
    events = document.get("events")
    for one in events.values() if isinstance(events, Mapping) else ():
        if isinstance(one, Mapping) and isinstance(one.get("type"), str):
            yield one["type"]
