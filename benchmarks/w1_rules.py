"""The rules and the tables of workload W1."""

from __future__ import annotations

from typing import Any

from benchmarks.customers import SCHEMA
from benchmarks.w1_bed import SOURCE, TARGET

MAPPED = (
    """CREATE TABLE mapped (id bigint PRIMARY KEY, customer_no varchar(20) NOT NULL, name_en varchar(80),
full_name varchar(140), email varchar(120), phone varchar(32), sex smallint, birth_date date, age smallint,
address varchar(200), city varchar(40), country char(2), free numeric(14,2), score double precision, level smallint,
status varchar(10), attrs jsonb, remark text, created_at timestamptz, updated_at timestamptz)""",
    "CREATE INDEX mapped_updated ON mapped (updated_at, id)",
)
"""The target of the mapping, with the same index as the customers, which `psql` copies."""
EXPRESSIONS = {
    "name_en": ("name_en", "name_en.trim().upper()"),
    "full_name": ("name_zh", "name_zh + ' (' + name_en + ')'"),
    "email": ("email", "email.trim().lower()"),
    "phone": ("phone", "phone == null ? null : phone.replace(' ', '').replace('-', '')"),
    "sex": ("gender", "gender == 'M' ? 1 : (gender == 'F' ? 2 : 0)"),
    "age": ("birth_date", "birth_date == null ? null : 2026 - year(birth_date)"),
    "free": ("credit_limit", "credit_limit - balance"),
    "status": ("is_active", "!is_active ? 'inactive' : (score != null && score > 700.0 ? 'vip' : 'normal')"),
}
COPIED = (
    "id", "customer_no", "birth_date", "address", "city", "country", "score", "level", "attrs", "remark", "created_at",
    "updated_at",
)  # fmt: skip
EXPECTED = """SELECT id, customer_no, upper(trim(name_en)), name_zh || ' (' || name_en || ')', lower(trim(email)),
regexp_replace(phone, '[ -]', '', 'g'), CASE gender WHEN 'M' THEN 1 WHEN 'F' THEN 2 ELSE 0 END, birth_date,
2026 - extract(year FROM birth_date)::int, address, city, country, credit_limit - balance, score, level,
CASE WHEN NOT is_active THEN 'inactive' WHEN score > 700 THEN 'vip' ELSE 'normal' END, attrs, remark, created_at,
updated_at FROM customers"""
"""What the target of the mapping has to hold, worked out by PostgreSQL in the source."""

TWO_WAY = tuple(name for name in SCHEMA.names if name not in ("level", "gender", "updated_at"))
CLIENTS = (
    """CREATE TABLE clients (id bigint PRIMARY KEY, customer_no varchar(20) NOT NULL, name_zh varchar(40),
name_en varchar(80), email varchar(120), phone varchar(32), sex smallint, birth_date date, address varchar(200),
city varchar(40), country char(2), credit_limit numeric(14,2), balance numeric(14,2), score double precision,
rank smallint, is_active boolean, attrs jsonb, remark text, created_at timestamptz,
changed_at timestamptz NOT NULL DEFAULT clock_timestamp())""",
    "CREATE INDEX clients_changed ON clients (changed_at, id)",
)
"""The other side of the two-way rule: it notes itself when a record was changed, as systems do."""
AGREED = (
    f"""SELECT {", ".join(TWO_WAY)}, level + 1,
CASE gender WHEN 'M' THEN 1 WHEN 'F' THEN 2 ELSE 0 END FROM customers""",
    f"SELECT {', '.join(TWO_WAY)}, rank, sex FROM clients",
)
"""What both sides of the two-way rule have to hold alike."""


def stamped(table: str, field: str) -> tuple[str, str]:
    """Return what lets a table note the time of each update, whoever makes it."""
    body = f"BEGIN NEW.{field} := clock_timestamp(); RETURN NEW; END"
    return (
        f"CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $${body}$$",
        f"CREATE TRIGGER stamp BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION stamp()",
    )


def _rule(name: str, table: str, fields: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "kind": "sync",
        "name": name,
        "left": {"connection": SOURCE, "object": "customers"},
        "right": {"connection": TARGET, "object": table},
        "direction": "left_to_right",
        "key": {"left": "id", "right": "id"},
        "fields": fields,
        **more,
    }


def copying(name: str, **more: Any) -> dict[str, Any]:
    """Return a rule without mapping."""
    return _rule(name, "customers", [{"left": field, "right": field} for field in SCHEMA.names], **more)


def mapping(name: str, **more: Any) -> dict[str, Any]:
    """Return a rule with 12 copied and 8 computed fields."""
    computed = [{"left": left, "right": right, "to_right": text} for right, (left, text) in EXPRESSIONS.items()]
    return _rule(name, "mapped", [*({"left": field, "right": field} for field in COPIED), *computed], **more)


def both_ways(name: str) -> dict[str, Any]:
    """Return a two-way rule: 17 copied fields, two that are computed in both directions, a cursor on both sides."""
    fields: list[dict[str, Any]] = [{"left": field, "right": field} for field in TWO_WAY]
    sex = {"left": "gender", "right": "sex", "to_right": EXPRESSIONS["sex"][1]}
    fields += [
        {**sex, "to_left": "sex == 1 ? 'M' : (sex == 2 ? 'F' : null)"},
        {"left": "level", "right": "rank", "to_right": "level + 1", "to_left": "rank - 1"},
    ]
    detect = {
        "left": {"by": "cursor", "field": "updated_at", "tie": "id", "overlap": "1s"},
        "right": {"by": "cursor", "field": "changed_at", "tie": "id", "overlap": "1s"},
    }
    return _rule(name, "clients", fields, detect=detect) | {"direction": "two_way"}


BY_CURSOR = {"left": {"by": "cursor", "field": "updated_at", "tie": "id", "overlap": "1s"}}
"""Changes are found by when they were made."""
DELETING: dict[str, Any] = {"deletes": {"detect": "full_scan"}, "situations": {"deleted_left": "delete"}}
"""Records that are gone from the source are deleted."""


def mutation(rows: int) -> tuple[str, ...]:
    """Return the changes of 7%: 5% updated, 1% deleted, 1% new."""
    columns = ", ".join(SCHEMA.names)
    fresh = {
        "id": f"id + {rows}",
        "customer_no": f"'C' || lpad((id + {rows})::text, 9, '0')",
        "email": f"'copy.' || (id + {rows}) || '@example.com'",
        "created_at": "timestamptz '2026-03-01 00:00:00+00' + id * interval '1 second'",
        "updated_at": "timestamptz '2026-03-01 00:00:00+00' + id * interval '1 second'",
    }
    values = ", ".join(fresh.get(name, name) for name in SCHEMA.names)
    return (
        """UPDATE customers SET balance = balance + 1, level = (level + 1) % 10,
phone = '+86 1' || lpad((id * 7919 % 10000000000)::text, 10, '0'),
updated_at = timestamptz '2026-01-01 00:00:00+00' + id * interval '1 second' WHERE id % 20 = 7""",
        "DELETE FROM customers WHERE id % 100 = 50",
        f"INSERT INTO customers ({columns}) SELECT {values} FROM"
        f" (SELECT * FROM customers ORDER BY id LIMIT {rows // 100}) lowest",
        "ANALYZE customers",
    )
