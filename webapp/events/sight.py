"""Events, and what event rules made of them, as who asks may see them: records by the policies of their entities.

An event of an entity's record holds its values, and a rule that hears of it makes keys and actions of them. What other
systems send belongs to no records of ours, and is shown to everybody who may read events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rules.schema import Schema
from rules.text import Message
from webapp.connections.catalogue import HUB
from webapp.connections.permitted import asking, rights_to, sees_all, whole, withholds_personal
from webapp.events import known
from webapp.events.notices import Line, Notice
from webapp.policies.masks import DOTS
from webapp.policies.rights import Rights
from webapp.rulebook import reading as rulebook
from webapp.runs.sight import known_schema, sight_of_run

if TYPE_CHECKING:
    from webapp.events.reading import ActionRow, EventRow, MatchRow, ProcessRow

_RECORD = "record."
_QUOTED: Mapping[str, tuple[str, ...]] = {"case": ("title", "subject"), "run": ("message",), "rule": ("message",)}
"""By the first word of a type, what may quote values of records."""


class EventSight:
    """What who asks may see of events and of the work of event rules."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx
        self.everything = asking().system
        self._rights: dict[str, Rights] = {}
        self._rules: dict[str, bool] = {}
        self._all_texts: bool | None = None

    @property
    def texts(self) -> bool:
        """Tell whether sentences about records, and titles of cases, may be seen as they are."""
        if self._all_texts is None:
            self._all_texts = self.everything or whole(self._tx)
        return self._all_texts

    @property
    def searches(self) -> bool:
        """Tell whether data of events may be searched: whoever may not see all of it would be told of the rest."""
        return self.everything or (self.texts and not withholds_personal(self._tx))

    def events(self, rows: Sequence[EventRow]) -> list[EventRow]:
        """Return events as they may be seen."""
        return [self._event(row) for row in rows]

    def _event(self, row: EventRow) -> EventRow:
        if self.everything or not isinstance(row.data, Mapping):
            return row
        first = row.type.partition(".")[0]
        if row.type.startswith(_RECORD):
            return replace(row, data=self._record(_entity_of(row.type), row.data), notes=())
        quoted = {} if self.texts else {name: DOTS for name in _QUOTED.get(first, ()) if row.data.get(name)}
        return replace(row, data={**row.data, **quoted}) if quoted else row

    def _record(self, entity: str, data: Mapping[str, Any]) -> dict[str, Any]:
        rights = self._of(entity)
        if sees_all(rights):
            return dict(data)
        now = {name: value for name, value in data.items() if name != "before"}
        before = data.get("before") or {}
        if not (rights.sees(now) and (not before or rights.sees({**now, **before}))):
            return {name: data[name] for name in ("id", "version") if name in data}
        seen = rights.fields_shown(now)
        return {**seen, "before": rights.fields_shown(before)} if "before" in data else seen

    def _of(self, entity: str) -> Rights:
        if entity not in self._rights:
            schema = known_schema(self._tx, HUB, entity) or Schema(())
            self._rights[entity] = rights_to(self._tx, HUB, entity, schema)
        return self._rights[entity]

    def _plain(self, rule_name: str) -> bool:
        """Tell whether a rule hears of nothing that may not be seen in full."""
        if self.everything:
            return True
        if rule_name not in self._rules:
            self._rules[rule_name] = all(map(self._heard, known.types(rulebook.draft(self._tx, rule_name) or {})))
        return self._rules[rule_name]

    def _heard(self, type_: str) -> bool:
        if type_.startswith(_RECORD):
            return sees_all(self._of(_entity_of(type_)))
        return self.texts or type_.partition(".")[0] not in _QUOTED

    def processes(self, rows: Sequence[ProcessRow]) -> list[ProcessRow]:
        """Return processes as they may be seen; their keys are values of what they hear of."""
        return [row if self._plain(row.rule_name) else replace(row, key=DOTS) for row in rows]

    def matches(self, rows: Sequence[MatchRow]) -> list[MatchRow]:
        """Return matches as they may be seen."""
        return [row if self._plain(row.rule_name) else replace(row, key=DOTS) for row in rows]

    def actions(self, rows: Sequence[ActionRow]) -> list[ActionRow]:
        """Return actions as they may be seen: what they are given is made of what their rule hears of."""
        return [row if self._plain(row.rule_name) else _action(row) for row in rows]


def _entity_of(type_: str) -> str:
    return type_.split(".")[1] if type_.count(".") > 1 else ""


def _action(row: ActionRow) -> ActionRow:
    args = {name: DOTS if value not in (None, "", [], {}) else value for name, value in row.args.items()}
    problem = row.problem and _dotted(row.problem)
    return replace(row, key=DOTS, args=args, result=row.result and DOTS, problem=problem)


def _dotted(message: Message) -> Message:
    values = {n: _dotted(v) if isinstance(v, Message) else v and DOTS for n, v in message.values.items()}
    return Message(message.template, values)


def seen_notice(tx: sa.Connection, one: Notice) -> Notice:
    """Return a notice as who asks may see it: why a run has stopped may quote values of records."""
    return replace(one, lines=tuple(_line(tx, line) for line in one.lines))


def _line(tx: sa.Connection, line: Line) -> Line:
    room, _, number = line.path.strip("/").partition("/")
    if room != "runs" or not number.isdigit() or "why" not in line.message.values:
        return line
    sight = sight_of_run(tx, int(number))
    rule = line.message.values.get("rule")
    return line if sight.everything else replace(line, message=sight.message(line.message, [rule], counts=True))
