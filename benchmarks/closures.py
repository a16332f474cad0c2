"""Python closures over dictionaries: what one would write by hand, and what everything is compared with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

Row = dict[str, Any]
Closure = Callable[[Row], Any]


def condition() -> Closure:
    """Return the condition of four clauses, a closure each."""
    clauses: list[Closure] = [
        lambda r: r["country"] == "CN",
        lambda r: r["amount"] > 1000.0,
        lambda r: r["status"] in ("new", "open"),
        lambda r: r["name"].startswith("A"),
    ]
    return lambda r: all(clause(r) for clause in clauses)


def written_out() -> Closure:
    """Return the same condition as one expression: the fastest that Python can do."""
    return lambda r: (
        r["country"] == "CN" and r["amount"] > 1000.0 and r["status"] in ("new", "open") and r["name"].startswith("A")
    )


def guarded() -> Closure:
    """Return the condition for records with empty values, as one expression."""
    return lambda r: (
        r["country"] == "CN"
        and r["amount"] is not None
        and r["amount"] > 1000.0
        and r["status"] in ("new", "open")
        and r["name"] is not None
        and r["name"].startswith("A")
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
