"""Under which subjects the log holds values of the same person: a record, its keys in rules, cases about it."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa

from webapp.cases.models import case_item
from webapp.evidence import trail
from webapp.evidence.persons import Person
from webapp.extensions import House
from webapp.runs.models import pair_case
from webapp.runs.pipeline.codec import column_text


def of_person(house: House, who: Person) -> list[Person]:
    """Return the person first, then all others that links lead to from the record that the person is."""
    if who.kind not in ("entity", "rule") or who.record is None:
        return [who]
    if who.kind == "entity":
        start = [trail.place_of_record(who.name, who.record)]
    else:
        start = [
            *trail.start_of_pair(house, who.name, "left", who.record),
            *trail.start_of_pair(house, who.name, "right", who.record),
        ]
    with house.db.read() as tx:
        places, named = trail.known_by(tx, start)
        found = [who, *(Person("entity", place.object, place.key) for place in places)]
        for rule, rule_id, key in named:
            found.append(Person("rule", rule, column_text(key)))
            found += _cases(tx, rule_id, key)
    return list(dict.fromkeys(found))


def _cases(tx: sa.Connection, rule_id: int, key: str) -> Iterator[Person]:
    known, table = column_text(key), pair_case.c
    mine = (table.rule_id == rule_id, sa.or_(table.left_key == known, table.right_key == known))
    query = sa.select(case_item.c.id).join(pair_case, pair_case.c.id == case_item.c.pair_id).where(*mine)
    yield from (Person("case", str(number)) for number in tx.scalars(query))
