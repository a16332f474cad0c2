"""The steps of a record's history that no run did: people's changes, quarantine, decisions of cases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from rules.text import N_, msg
from webapp.audit import personal
from webapp.audit.models import audit_event
from webapp.audit.sentences import sentence
from webapp.audit.tags import Tag
from webapp.cases import history as case_history
from webapp.cases.models import case_item
from webapp.entities import history
from webapp.evidence.places import Place, plain
from webapp.evidence.prover import Check, Prover
from webapp.evidence.trail_steps import Change, Step
from webapp.runs import reading
from webapp.runs.models import pair_case
from webapp.runs.pipeline.codec import column_text

_DEEDS = {
    "opened": N_("A person was asked to decide about it"),
    "dropped": N_("The decision did not hold any more, as values had changed"),
    "used": N_("A run carried out the decision"),
    "resolved": N_("Nothing was left to decide"),
}
_TOLD_BY = {"opened": Tag.CASES_OPENED, "dropped": Tag.CASES_OPENED, "used": Tag.CASES_SETTLED}
_MANY = (Tag.RECORDS_CREATED, Tag.RECORDS_UPDATED, Tag.RECORDS_DELETED, Tag.RECORDS_IMPORTED)
MOST = 500


class Named(NamedTuple):
    """What a rule knows a record by: one key on one of its sides, of which the other may have the same for another."""

    rule: str
    rule_id: int
    side: str
    key: str

    @property
    def cases(self) -> sa.Select[Any]:
        """Return the numbers of the cases about the record."""
        own = pair_case.c.left_key if self.side == "left" else pair_case.c.right_key
        mine = (pair_case.c.rule_id == self.rule_id, own == column_text(self.key))
        query = sa.select(case_item.c.id).join(pair_case, pair_case.c.id == case_item.c.pair_id)
        return query.where(*mine).order_by(case_item.c.id)


class PeopleSteps:
    """Makes steps of the histories of entities, of events and of cases."""

    def __init__(self, tx: sa.Connection, prover: Prover) -> None:
        self._tx, self._prover = tx, prover
        self._told: set[int] = set()
        """Events that a step stands for."""
        self._asked: set[int] = set()
        """Cases whose steps are told: a rule knows both records of a pair, and each leads to the same case."""

    def of(self, own: Iterable[Place], named: Sequence[Named]) -> Iterator[Step]:
        """Yield the steps of Syncline's own records and of what rules know by these names."""
        for place in own:
            yield from self._history(place)
            mine = (audit_event.c.subject_kind == "entity", audit_event.c.subject == place.object)
            yield from self._events(*mine, audit_event.c.record_key == place.key)
        for name in named:
            mine = (audit_event.c.subject_kind == "rule", audit_event.c.subject == name.rule)
            yield from self._events(*mine, audit_event.c.record_key == column_text(name.key), rule=name.rule)
            yield from self._cases(name)

    def _history(self, place: Place) -> Iterator[Step]:
        number = place.number
        for entry in history.of_record(self._tx, place.object, number, MOST):
            before, after = (None if entry[side] is None else plain(entry[side]) for side in ("before", "after"))
            deed = "created" if before is None else "deleted" if after is None else "updated"
            event, checks = self._event_of(place, entry, (before, after))
            done = reading.get(self._tx, entry["run_id"]) if entry["run_id"] else None
            yield Step(
                entry["at"],
                deed,
                entry["actor"],
                self._prover.seal(event, checks),
                (place,),
                (Change(place, before, after),),
                run=done,
                via=entry["actor_kind"],
                url=f"/audit/{event.id}" if event is not None else "",
            )

    def _event_of(self, place: Place, entry: Any, values: tuple[Any, Any]) -> tuple[Any, list[Check]]:
        """Return the event that tells of a change, and whether it tells the same; many records may share one."""
        table = audit_event.c
        mine = (table.subject_kind == "entity", table.subject == place.object, table.at == entry["at"])
        rows = self._tx.execute(sa.select(audit_event).where(*mine).order_by(table.id)).all()
        single = [row for row in rows if row.record_key == place.key and row.id not in self._told]
        if not single:
            many = next((row for row in rows if row.tag in _MANY), None)
            text = msg("The event tells of several records that were changed at once, and not of their values.")
            return many, [Check(holds=True, claim=text), *_by(many, entry)] if many is not None else []
        self._told.add(single[0].id)
        shown = next(personal.shown(self._tx, [single[0]]))
        erased = any(part == {personal.ERASED: True} for side in (shown.before, shown.after) for part in _parts(side))
        if erased:
            return single[0], [Check(holds=True, claim=msg("Personal values were erased from the event."))]
        same = (shown.before, shown.after) == values
        good, bad = N_("The event holds the same values."), N_("The event holds other values than the history.")
        return single[0], [Check(holds=same, claim=msg(good if same else bad)), *_by(single[0], entry)]

    def _events(self, *which: sa.ColumnElement[bool], rule: str = "") -> Iterator[Step]:
        rows = self._tx.execute(sa.select(audit_event).where(*which).order_by(audit_event.c.id).limit(MOST)).all()
        for row, shown in zip(rows, personal.shown(self._tx, rows), strict=True):
            if row.id in self._told:
                continue
            self._told.add(row.id)
            seal = self._prover.seal(row)
            told = Step(row.at, "event", row.actor_name, seal, via=row.actor_kind, rule=rule, url=f"/audit/{row.id}")
            yield Step(**{**vars(told), "what": sentence(row), "reason": shown.reason})

    def _cases(self, name: Named) -> Iterator[Step]:
        for case in self._tx.scalars(name.cases.limit(MOST)).all():
            if case in self._asked:
                continue
            self._asked.add(case)
            for deed in case_history.of_case(self._tx, case):
                if deed.deed in _DEEDS:
                    seal = self._prover.seal(self._case_event(name.rule, deed))
                    told = Step(deed.at, "event", deed.by, seal, rule=name.rule, url=f"/cases/{case}")
                    yield Step(**{**vars(told), "what": msg(_DEEDS[deed.deed])})

    def _case_event(self, rule: str, deed: case_history.Deed) -> Any:
        tag, table = _TOLD_BY.get(deed.deed, Tag.CASES_SETTLED), audit_event.c
        mine = (table.subject_kind == "rule", table.subject == rule, table.tag == tag, table.run_id == deed.run_id)
        found = self._tx.execute(sa.select(audit_event).where(*mine).order_by(table.id)).all()
        return next((row for row in found if row.at >= deed.at), found[-1] if found else None)


def _by(event: Any, entry: Any) -> Iterator[Check]:
    """Yield what does not fit where the history names somebody else than the event."""
    if (event.actor_kind, event.actor_name) != (entry["actor_kind"], entry["actor"]):
        yield Check(holds=False, claim=msg("The event says that {who} did it.", who=event.actor_name))


def _parts(values: Any) -> list[Any]:
    return list(values.values()) if isinstance(values, dict) else []
