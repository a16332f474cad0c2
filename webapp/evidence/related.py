"""Under which subjects the log holds values of the same person: a record, its keys in rules, cases about it."""

from __future__ import annotations

from webapp.evidence import trail
from webapp.evidence.persons import Person
from webapp.extensions import House
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
        for name in named:
            found.append(Person("rule", name.rule, column_text(name.key)))
            found += (Person("case", str(number)) for number in tx.scalars(name.cases))
    return list(dict.fromkeys(found))
