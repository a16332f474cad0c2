"""First loads with bad records among the good ones: refused by the rule, by a length, by the table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from benchmarks import w1_rules as rules
from benchmarks.w1_bed import SOURCE, TARGET, Bed
from benchmarks.w1_product import Installation, Ran

Site = tuple[Bed, Installation]
_ALL = {"errors": {"stop_after": 1_000_000_000}}


@dataclass(frozen=True)
class Flaw:
    """One kind of bad records: how they are made, what refuses them; `share` of a thousand is bad."""

    name: str
    title: str
    goal: float
    of: str
    rule: dict[str, Any]
    change: str
    share: int
    constraint: str = ""

    @property
    def tables(self) -> tuple[str, ...]:
        """Return the statements that make the target."""
        return (*rules.MAPPED, self.constraint) if self.constraint else rules.MAPPED

    def source(self, _rows: int) -> tuple[str, ...]:
        """Return the statements that make records bad, evenly over all of them."""
        return (f"UPDATE customers SET {self.change} WHERE {self.bad}", "VACUUM ANALYZE customers")

    @property
    def bad(self) -> str:
        """Return the condition of bad records."""
        return f"id % {1000 // self.share} = 77"

    def check(self, site: Site, ran: Ran) -> None:
        """Check that all but the bad records have arrived, and that these are parked."""
        bed = site[0]
        number = bed.ask(SOURCE, f"SELECT count(*) FROM customers WHERE {self.bad}")[0]
        counts = ran.counts
        assert counts["quarantined"] == number > 0, f"{counts}, but {number} are bad"
        assert counts["created"] == bed.rows - number, counts
        good = bed.digest(SOURCE, f"{rules.EXPECTED} WHERE NOT ({self.bad})")
        assert good == bed.digest(TARGET, "SELECT * FROM mapped"), "The good records are not the same on both sides."


_VALID = {"name": "mail", "check": "email.contains('@')", "severity": "quarantine"}

FLAWS = (
    Flaw(
        "rejected", "first load with 8 expressions, 0.1% rejected", 2.0, "psql",
        rules.mapping("rejected", validations=[_VALID], **_ALL), "email = 'none'", 1,
    ),
    Flaw(
        "bad_known", "0.2% bad rows, found by predicates", 1.2, "first_load",
        rules.mapping("bad_known", **_ALL), "name_zh = repeat(name_zh, 10), name_en = repeat('long', 20)", 2,
        "ALTER TABLE mapped ALTER full_name TYPE varchar(60)",
    ),
    Flaw(
        "bad_unknown", "0.2% bad rows, worst case: refused by the table, evenly spread", 3.0, "first_load",
        rules.mapping("bad_unknown", **_ALL), "level = 77", 2, "ALTER TABLE mapped ADD CHECK (level < 10)",
    ),
)  # fmt: skip
"""A rule's own validation; a text that is longer than its column; a value that only the table itself refuses."""
