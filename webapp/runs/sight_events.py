"""What who asks may see of what event rules hear of: events of records hold their values, others may quote some."""

from __future__ import annotations

import sqlalchemy as sa

from rules.schema import Schema
from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asking, rights_to, sees_all, whole
from webapp.policies.rights import Rights
from webapp.rulebook import reading as rulebook
from webapp.rulebook.heard import QUOTED, entity_of, types
from webapp.runs.sight import known_schema


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
        entity = entity_of(type_)
        if entity is None:
            return None
        if entity not in self._rights:
            schema = known_schema(self._tx, HUB, entity) or Schema(())
            self._rights[entity] = rights_to(self._tx, HUB, entity, schema)
        return self._rights[entity]

    def plain(self, rule_name: str) -> bool:
        """Tell whether a rule has never heard of anything that may not be seen in full, whatever a draft says now."""
        if self.everything:
            return True
        if rule_name not in self._rules:
            known = [*rulebook.every_version(self._tx, rule_name), rulebook.draft(self._tx, rule_name) or {}]
            self._rules[rule_name] = all(self._heard(type_) for document in known for type_ in types(document))
        return self._rules[rule_name]

    def _heard(self, type_: str) -> bool:
        rights = self.rights_of(type_)
        if rights is not None:
            return sees_all(rights)
        return self.texts or type_.partition(".")[0] not in QUOTED
