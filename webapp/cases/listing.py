"""The filter of the list of cases: from the address to what is wanted, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from webapp.cases.services import Wanted

AGES: Mapping[str, timedelta] = {"1d": timedelta(days=1), "7d": timedelta(days=7), "30d": timedelta(days=30)}
NOBODY = "-"
"""Stands for cases that nobody has."""


@dataclass(frozen=True)
class Filter:
    """What a reader of the list has chosen; empty means any."""

    state: str = "open"
    rule: str = ""
    situation: str = ""
    assignee: str = ""
    age: str = ""
    mine: bool = False
    before: int | None = None

    @classmethod
    def of(cls, asked: Mapping[str, str]) -> Filter:
        """Return the filter of an address; what it does not know is left out."""
        before = asked.get("before", "")
        return cls(
            "closed" if asked.get("state") == "closed" else "open",
            asked.get("rule", "")[:63],
            asked.get("situation", "")[:24],
            asked.get("assignee", "")[:128],
            asked.get("age", "") if asked.get("age") in AGES else "",
            asked.get("mine") == "1",
            int(before) if before.isdecimal() and len(before) < 19 else None,
        )

    def wanted(self, me: str, now: datetime) -> Wanted:
        """Return which cases are wanted."""
        who = me if self.mine else self.assignee
        return Wanted(
            self.state,
            None,
            self.rule or None,
            None if who in ("", NOBODY) else who,
            self.before,
            self.situation or None,
            now - AGES[self.age] if self.age else None,
            nobodys=who == NOBODY,
        )

    def address(self, **changes: str | int | None) -> str:
        """Return the address of the list with this filter, some of it changed."""
        return f"/cases/{self.query(**changes)}"

    def query(self, **changes: str | int | None) -> str:
        """Return the part of the address behind the path."""
        parts: dict[str, str | int | None] = {
            "state": "" if self.state == "open" else self.state,
            "rule": self.rule,
            "situation": self.situation,
            "assignee": self.assignee,
            "age": self.age,
            "mine": "1" if self.mine else "",
            **changes,
        }
        text = urlencode({name: value for name, value in parts.items() if value})
        return f"?{text}" if text else ""

    @property
    def narrow(self) -> bool:
        """Tell whether the filter leaves anything out of what its tab shows."""
        return bool(self.rule or self.situation or self.assignee or self.age)
