"""Events, and what event rules made of them, as who asks may see them: records by the policies of their entities.

An event of an entity's record holds its values, and a rule that hears of it makes keys and actions of them. What other
systems send belongs to no records of ours, and is shown to everybody who may read events.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rules.text import Message
from webapp.connections.permitted import sees_all, withholds_personal
from webapp.events.notices import Line, Notice
from webapp.policies.masks import DOTS
from webapp.policies.rights import Rights
from webapp.rulebook.heard import QUOTED
from webapp.runs.sight import sight_of_run
from webapp.runs.sight_events import Hearing
from webapp.web.storable import natural

if TYPE_CHECKING:
    from webapp.events.reading import ActionRow, EventRow, MatchRow, ProcessRow


class EventSight:
    """What who asks may see of events and of the work of event rules."""

    def __init__(self, tx: sa.Connection) -> None:
        self._tx = tx
        self._hearing = Hearing(tx)

    @property
    def searches(self) -> bool:
        """Tell whether data of events may be searched: whoever may not see all of it would be told of the rest."""
        return self._hearing.everything or (self._hearing.texts and not withholds_personal(self._tx))

    def events(self, rows: Sequence[EventRow]) -> list[EventRow]:
        """Return events as they may be seen."""
        return [self._event(row) for row in rows]

    def _event(self, row: EventRow) -> EventRow:
        if self._hearing.everything or not isinstance(row.data, Mapping):
            return row
        rights = self._hearing.rights_of(row.type)
        if rights is not None:
            return row if sees_all(rights) else replace(row, data=_record(rights, row.data), notes=())
        names = () if self._hearing.texts else QUOTED.get(row.type.partition(".")[0], ())
        quoted = {name: DOTS for name in names if row.data.get(name)}
        return replace(row, data={**row.data, **quoted}) if quoted else row

    def processes(self, rows: Sequence[ProcessRow]) -> list[ProcessRow]:
        """Return processes as they may be seen; their keys are values of what they hear of."""
        return [row if self._hearing.plain(row.rule_name) else replace(row, key=DOTS) for row in rows]

    def matches(self, rows: Sequence[MatchRow]) -> list[MatchRow]:
        """Return matches as they may be seen."""
        return [row if self._hearing.plain(row.rule_name) else replace(row, key=DOTS) for row in rows]

    def actions(self, rows: Sequence[ActionRow]) -> list[ActionRow]:
        """Return actions as they may be seen: what they are given is made of what their rule hears of."""
        return [row if self._hearing.plain(row.rule_name) else _action(row) for row in rows]


def _record(rights: Rights, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of a record that an event holds, of one that may not be seen only which it is."""
    now = {name: value for name, value in data.items() if name != "before"}
    before = data.get("before") or {}
    if not (rights.sees(now) and (not before or rights.sees({**now, **before}))):
        return {name: data[name] for name in ("id", "version") if name in data}
    seen = rights.fields_shown(now)
    return {**seen, "before": rights.fields_shown(before)} if "before" in data else seen


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
    if room != "runs" or natural(number) is None or "why" not in line.message.values:
        return line
    sight = sight_of_run(tx, int(number))
    rule = line.message.values.get("rule")
    return line if sight.everything else replace(line, message=sight.message(line.message, [rule], counts=True))
