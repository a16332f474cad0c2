"""The cases of workload W1: what is made ready, what is measured, and how its result is checked.

Cases that stand on each other share a scenario (first load, nothing changed, changes), which is played in order on
fresh databases; a case that is asked for alone is reached by playing its scenario up to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks import w1_flawed as flawed
from benchmarks import w1_rules as rules
from benchmarks.w1_bed import SOURCE, TARGET, Bed, customers_table
from benchmarks.w1_product import Installation, Ran

PIPE = "times psql COPY into COPY"
Site = tuple[Bed, Installation]


@dataclass(frozen=True)
class Case:
    """One measured run of a rule.

    Attributes:
        name: What it is called on the command line.
        title: What it is called in the table.
        goal: The most that it may take: times `of`, or seconds where that is empty.
        of: Another case, by whose time the time is divided; that of `psql` if left out.
        before: What changes the data, which is not measured.
        check: Looks whether the result is right; raises `AssertionError`.
        listed: Whether it is reported, or only leads to the next case.
    """

    name: str
    title: str
    goal: float | None
    check: Callable[[Site, Ran], None]
    before: Callable[[Site], None] = lambda _site: None
    of: str = "psql"
    listed: bool = True


@dataclass(frozen=True)
class Scenario:
    """Cases that are played in order: `tables` of a fresh target, changes of a fresh source, a rule."""

    name: str
    tables: tuple[str, ...]
    rule: Mapping[str, Any]
    cases: tuple[Case, ...]
    source: Callable[[int], tuple[str, ...]] = lambda _rows: ()

    def prepare(self, bed: Bed) -> None:
        """Make both databases."""
        bed.renew(*self.tables)
        changes = self.source(bed.rows)
        if changes:
            bed.run(SOURCE, *changes)

    def play(self, site: Site, last: str) -> Iterator[tuple[Case, Ran]]:
        """Yield the cases up to the last one that is wanted, each with what it took."""
        bed, product = site
        for name in (SOURCE, TARGET):
            product.connect(name, "postgresql", bed.settings(name))
        product.publish(self.rule)
        for case in self.cases:
            case.before(site)
            bed.settle()
            ran = product.run(self.rule["name"])
            case.check(site, ran)
            yield case, ran
            if case.name == last:
                return


def counted(ran: Ran, **expected: int) -> None:
    """Check the counts of a run; those that are not named have to be 0, but for read."""
    found = {name: number for name, number in ran.counts.items() if number and name != "read"}
    wanted = {name: number for name, number in expected.items() if number}
    assert found == wanted, f"counted {found}, expected {wanted}"


def same(bed: Bed, source: str, target: str) -> None:
    """Check that a query of the source and one of the target give the same rows."""
    left, right = bed.digest(SOURCE, source), bed.digest(TARGET, target)
    assert left == right, f"{left[0]} rows in the source, {right[0]} in the target, and they are not the same"


def copied(site: Site, ran: Ran) -> None:
    """Check a first load without mapping."""
    counted(ran, created=site[0].rows)
    same(site[0], "SELECT * FROM customers", "SELECT * FROM customers")


def mapped(site: Site, ran: Ran) -> None:
    """Check a first load with the mapping."""
    counted(ran, created=site[0].rows)
    same(site[0], rules.EXPECTED, "SELECT * FROM mapped")


def unchanged(site: Site, ran: Ran) -> None:
    """Check a run that has read everything and found nothing to do."""
    counted(ran, unchanged=site[0].rows)
    same(site[0], rules.EXPECTED, "SELECT * FROM mapped")


def at_rest(site: Site, ran: Ran) -> None:
    """Check a run by cursor that has found nothing to do."""
    assert ran.counts["read"] <= 1 + site[0].rows // 1000, ran.counts
    counted(ran, unchanged=ran.counts["read"])
    same(site[0], rules.EXPECTED, "SELECT * FROM mapped")


def mutate(site: Site) -> None:
    """Change 7% of the source."""
    site[0].run(SOURCE, *rules.mutation(site[0].rows))


def followed(site: Site, ran: Ran) -> None:
    """Check that the changes of 7% have arrived, with the deleted records."""
    rows = site[0].rows
    expected = {"created": rows // 100, "updated": rows // 20, "deleted": rows // 100}
    same(site[0], rules.EXPECTED, "SELECT * FROM mapped")
    counted(ran, **expected, unchanged=ran.counts["read"] - rows // 100 - rows // 20)


def joined(site: Site, ran: Ran) -> None:
    """Check a first load of the two-way rule; the side that was empty is read as well."""
    counted(ran, created=site[0].rows, unchanged=ran.counts["read"] - site[0].rows)
    same(site[0], *rules.AGREED)


def edit_both(site: Site) -> None:
    """Change 2% of each side, and 0.1% on both sides to different values of one field."""
    bed = site[0]
    bed.run(SOURCE, "UPDATE customers SET phone = 'left ' || id WHERE id % 50 = 3")
    bed.run(TARGET, "UPDATE clients SET balance = balance + 1 WHERE id % 50 = 28")
    bed.run(TARGET, "UPDATE clients SET phone = 'right ' || id WHERE id % 1000 = 503")


def merged(site: Site, ran: Ran) -> None:
    """Check that each edit has reached the other side, and that conflicts wait and are the only difference."""
    bed = site[0]
    conflicts = bed.rows // 1000
    settled = " WHERE id % 1000 <> 503"
    same(bed, rules.AGREED[0] + settled, rules.AGREED[1] + settled)
    left, right = (bed.ask(place, f"SELECT count(*) FROM {table} WHERE phone LIKE '{side} %' AND id % 1000 = 503")
                   for place, table, side in ((SOURCE, "customers", "left"), (TARGET, "clients", "right")))  # fmt: skip
    assert (*left, *right) == (conflicts, conflicts), (left, right)
    assert ran.counts["updated"] == 2 * (bed.rows // 50) - conflicts, ran.counts
    assert ran.counts["cases"] == conflicts, ran.counts


def _load(check: Callable[[Site, Ran], None]) -> Case:
    return Case("load", "first load before it", None, check, listed=False)


BY_CURSOR_ONLY = "nothing changed, cursor alone on a warm worker"
SCENARIOS: Sequence[Scenario] = (
    Scenario(
        "copying", customers_table("customers"), rules.copying("copying"),
        (Case("pass_through", "pass-through without mapping", 1.15, copied),),
    ),
    Scenario(
        "comparing", rules.MAPPED, rules.mapping("comparing", **rules.DELETING),
        (
            Case("first_load", "first load with 8 expressions, one-way", 1.5, mapped),
            Case("nothing_full_first", "nothing changed, full compare, the first one", None, unchanged),
            Case("nothing_full", "nothing changed, full compare", 0.65, unchanged),
            Case("delta_full", "7% delta, full compare", 1.2, followed, mutate),
        ),
    ),
    Scenario(
        "scanning", rules.MAPPED, rules.mapping("scanning", detect=rules.BY_CURSOR, **rules.DELETING),
        (
            _load(mapped),
            Case("nothing_cursor_scan", "nothing changed, cursor with delete scan", 0.4, at_rest),
            Case("delta_cursor", "7% delta, cursor with delete scan", 0.8, followed, mutate),
        ),
    ),
    Scenario(
        "following", rules.MAPPED, rules.mapping("following", detect=rules.BY_CURSOR),
        (
            _load(mapped),
            Case("cursor_cold", "the same, the first time", None, at_rest, listed=False),
            Case("nothing_cursor", BY_CURSOR_ONLY, 0.05, at_rest, of=""),
        ),
    ),
    Scenario(
        "meeting", (*rules.CLIENTS, *rules.stamped("clients", "changed_at")), rules.both_ways("meeting"),
        (
            Case("two_way_load", "first load of a two-way rule", 2.0, joined),
            Case("two_way_delta", "two-way, 2% changed on each side, 0.1% conflicts, cursor on both", 1.0, merged,
                 edit_both),
        ),
        lambda _rows: rules.stamped("customers", "updated_at"),
    ),
    *(
        Scenario(flaw.name, flaw.tables, flaw.rule, (Case(flaw.name, flaw.title, flaw.goal, flaw.check, of=flaw.of),),
                 flaw.source)
        for flaw in flawed.FLAWS
    ),
)  # fmt: skip
