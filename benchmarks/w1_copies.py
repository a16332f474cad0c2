"""Whether another program's copy of the customers of workload W1 is exact, field by field, worked out by PostgreSQL.

A copy may have other types, as long as they hold the same: a wider number, a text of any length, JSON as text. What
has no time zone any more is told as a difference, since whoever reads it has to guess.
"""

from __future__ import annotations

from decimal import Decimal

from benchmarks.customers import SCHEMA
from benchmarks.w1_bed import SOURCE, TARGET, Bed

_KINDS = {
    **dict.fromkeys(("id", "level"), "{}::bigint::text"),
    **dict.fromkeys(("credit_limit", "balance"), "trim_scale({}::numeric)::text"),
    **dict.fromkeys(("created_at", "updated_at"), "({}::timestamptz AT TIME ZONE 'UTC')::text"),
    "score": "{}::float8::text", "is_active": "{}::boolean::text", "attrs": "{}::jsonb::text",
    "birth_date": "{}::date::text",
}  # fmt: skip
_TYPES = """SELECT coalesce(string_agg(attname, ', '), '') FROM pg_attribute WHERE attrelid = '{}'::regclass
AND attnum > 0 AND atttypid = 'timestamp'::regtype AND attname IN ('created_at', 'updated_at')"""


def differences(bed: Bed, table: str, condition: str = "true") -> str:
    """Return what is wrong with a copy of the source, of the rows of a condition only; empty where nothing is.

    Compared are the number of rows, the sums of both amounts, and for each field a sum of hashes over key and value.
    """
    wanted, found = _sums(bed, SOURCE, "customers", "true"), _sums(bed, TARGET, table, condition)
    if wanted["rows"] != found["rows"]:
        return f"{found['rows']:,} rows, not {wanted['rows']:,}"
    wrong = [name for name, value in wanted.items() if found[name] != value]
    (zoneless,) = bed.ask(TARGET, _TYPES.format(table))
    told = [f"other values: {', '.join(wrong)}"] if wrong else []
    return "; ".join([*told, *([f"time zone lost: {zoneless}"] if zoneless else [])])


def _sums(bed: Bed, database: str, table: str, condition: str) -> dict[str, Decimal]:
    asked = ["count(*)", *(f"sum({name}::numeric)" for name in ("credit_limit", "balance"))]
    for name in SCHEMA.names:
        text = _KINDS.get(name, "{}::text").format(name)
        asked.append(f"sum(hashtextextended(id || '|' || coalesce({text}, '<null>'), 42)::numeric)")
    row = bed.ask(database, f"SELECT {', '.join(asked)} FROM {table} WHERE {condition}")
    return dict(zip(("rows", "sum of credit_limit", "sum of balance", *SCHEMA.names), row, strict=True))
