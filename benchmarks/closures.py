"""Python closures over dictionaries: what everything is compared with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

Row = dict[str, Any]
Closure = Callable[[Row], Any]


def _field(name: str) -> Closure:
    return lambda r: r[name]


def _constant(value: Any) -> Closure:
    return lambda _r: value


def _and(a: Closure, b: Closure) -> Closure:
    return lambda r: a(r) and b(r)


def _equal(a: Closure, b: Closure) -> Closure:
    return lambda r: a(r) == b(r)


def _more(a: Closure, b: Closure) -> Closure:
    return lambda r: a(r) > b(r)


def _in(a: Closure, b: Closure) -> Closure:
    return lambda r: a(r) in b(r)


def _starts(a: Closure, b: Closure) -> Closure:
    return lambda r: a(r).startswith(b(r))


def _filled(a: Closure) -> Closure:
    return lambda r: a(r) is not None


def condition(*, nulls: bool = False) -> Closure:
    """Return the condition as an engine in Python builds it from a rule: a closure for each part of the expression."""
    amount, name = _field("amount"), _field("name")
    more, starts = _more(amount, _constant(1000.0)), _starts(name, _constant("A"))
    if nulls:
        more, starts = _and(_filled(amount), more), _and(_filled(name), starts)
    status = _in(_field("status"), _constant(("new", "open")))
    return _and(_and(_and(_equal(_field("country"), _constant("CN")), more), status), starts)


def written_out(*, nulls: bool = False) -> Closure:
    """Return the same condition as one hand-written expression: the fastest that Python can do."""
    if nulls:
        return lambda r: (
            r["country"] == "CN"
            and r["amount"] is not None
            and r["amount"] > 1000.0
            and r["status"] in ("new", "open")
            and r["name"] is not None
            and r["name"].startswith("A")
        )
    return lambda r: (
        r["country"] == "CN" and r["amount"] > 1000.0 and r["status"] in ("new", "open") and r["name"].startswith("A")
    )


def mapping() -> Closure:
    """Return the mapping of twelve fields, a closure each."""
    fields: dict[str, Closure] = {
        "no": lambda r: r["number"],
        "title": lambda r: r["name"].strip().upper(),
        "whole_name": lambda r: r["name"].strip() + " (" + r["surname"] + ")",
        "mail": lambda r: r["email"].strip().lower(),
        "sex": lambda r: 1 if r["gender"] == "M" else 2 if r["gender"] == "F" else 0,
        "age": lambda r: 2026 - r["born"].year,
        "free": lambda r: r["limit"] - r["amount"],
        "gross": lambda r: r["amount"] * 1.19,
        "state": lambda r: "inactive" if not r["active"] else "vip" if r["score"] > 700.0 else "normal",
        "town": lambda r: r["city"],
        "phone": lambda r: r["phone"].replace(" ", "").replace("-", ""),
        "country": lambda r: r["country"],
    }
    return lambda r: {name: field(r) for name, field in fields.items()}


def with_dates(rows: list[Row]) -> list[Row]:
    """Return the rows with their dates as dates."""
    return [{**row, "born": date.fromisoformat(row["born"])} for row in rows]


def table(rows: list[tuple[str, int, int, int, int]]) -> Closure:
    """Return a decision table as conditions that are tried one after the other."""

    def row(country: str, low: int, high: int, level: int) -> Closure:
        return lambda r: r["country"] == country and low <= r["amount"] < high and r["level"] == level

    tried = [(row(*line[:4]), line[4]) for line in rows]

    def decide(record: Row) -> int | None:
        for test, result in tried:
            if test(record):
                return result
        return None

    return decide
