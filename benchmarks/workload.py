"""What the rules benchmark works on: records, a condition, a mapping and decision tables, from a fixed seed.

Only the standard library is used, since the peers read this in an environment of their own.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

COUNTRIES = ("CN", "DE", "US", "FR", "JP", "BR", "IN", "GB")
STATUSES = ("new", "open", "closed", "lost", "paid")
NAMES = ("Ada", "Bea", "Anton", "Cleo", "王伟", "Dora", "Amélie", "Émile", "Zoë", "Alan")
CITIES = ("北京", "Berlin", "Lyon", "Kyōto", "São Paulo", "Leeds")

CONDITION = "country == 'CN' && amount > 1000.0 && status in ['new', 'open'] && name.startsWith('A')"
GUARDED = (
    "country == 'CN' && amount != null && amount > 1000.0 && status in ['new', 'open']"
    " && name != null && name.startsWith('A')"
)
MAPPING = {
    "no": "number",
    "title": "name.trim().upper()",
    "whole_name": "name.trim() + ' (' + surname + ')'",
    "mail": "email.trim().lower()",
    "sex": "gender == 'M' ? 1 : (gender == 'F' ? 2 : 0)",
    "age": "2026 - year(born)",
    "free": "limit - amount",
    "gross": "amount * 1.19",
    "state": "!active ? 'inactive' : (score > 700.0 ? 'vip' : 'normal')",
    "town": "city",
    "phone": "phone.replace(' ', '').replace('-', '')",
    "country": "country",
}
"""Target field -> expression: 12 fields, four of them copies."""
AMOUNTS = (0, 100, 500, 1000, 2500, 5000, 7500, 9000)
LEVELS = tuple(range(8))


def records(count: int, nulls: float = 0.0, seed: int = 42) -> list[dict[str, Any]]:
    """Return records; `nulls` is the share of empty values in amount and name."""
    rng = random.Random(seed)
    first = date(1950, 1, 1)
    made = []
    for number in range(count):
        row: dict[str, Any] = {
            "number": number,
            "country": COUNTRIES[rng.randrange(8)],
            "amount": rng.randrange(0, 1_000_000) / 100,
            "status": STATUSES[rng.randrange(5)],
            "name": f" {NAMES[rng.randrange(10)]} {number % 997} " if rng.random() < 0.5 else NAMES[rng.randrange(10)],
            "surname": NAMES[rng.randrange(10)],
            "email": f" First.Last{number}@Example.com",
            "gender": "MF-"[rng.randrange(3)],
            "born": (first + timedelta(days=rng.randrange(20_000))).isoformat(),
            "limit": float(rng.randrange(10_000)),
            "active": rng.random() < 0.9,
            "score": float(rng.randrange(300, 900)),
            "city": CITIES[rng.randrange(6)],
            "phone": f"+86 1{rng.randrange(10**9):010d}"[:9] + "-" + f"{number % 10_000:04d}",
            "level": rng.randrange(8),
        }
        if nulls:
            for name in ("amount", "name"):
                row[name] = None if rng.random() < nulls else row[name]
        made.append(row)
    return made


def table_rows(count: int) -> list[tuple[str, int, int, int, int]]:
    """Return rows `country, amount from, amount to, level, discount` that do not overlap, in a shuffled order.

    A table of 512 would be complete; the last rows are left out, and a record that none of them covers gets nothing.
    """
    rng = random.Random(7)
    ends = (*AMOUNTS[1:], 1_000_000)
    rows = [
        (country, low, high, level, 0)
        for country in COUNTRIES
        for low, high in zip(AMOUNTS, ends, strict=True)
        for level in LEVELS
    ]
    rng.shuffle(rows)
    return [(*row[:4], number % 40) for number, row in enumerate(rows[:count])]
