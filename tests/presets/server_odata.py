"""What the rebuilt OData services have in common: reading $filter, $select, $skip and $top strictly."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import Any

from tests.presets.server import Asked, Row, Vendor

_TEST = re.compile(r"(\w+) (eq|ge|gt|le|lt) (.+)")
_LITERAL = re.compile(r"'(.*)'|datetime'([\d:T.-]+)'|(null)|([\d-]{10}T[\d:.]+Z)|(-?[\d.]+)")


class ODataVendor(Vendor):
    """A vendor that answers questions of OData about its rows."""

    def chosen(self, asked: Asked, name: str, *more: str) -> list[Row]:
        """Return the rows that $filter wants, in the order of $orderby."""
        self.only(asked.query, "$select", "$filter", "$orderby", "$top", "$skip", "$skiptoken", *more)
        rows = list(self.rows[name].values())
        wanted = asked.query.get("$filter", "")
        if wanted:
            rows = [row for row in rows if self._meets(row, wanted)]
            self.filtered += "ge " in wanted
        for part in reversed(asked.query.get("$orderby", "").split(",") if "$orderby" in asked.query else []):
            field, _, way = part.strip().partition(" ")
            assert way in ("", "asc")
            rows.sort(key=lambda row: str(row[field]))
        return rows

    def selected(self, asked: Asked, rows: Sequence[Row], properties: Sequence[str]) -> list[Row]:
        """Return the wanted properties of rows."""
        names = asked.query["$select"].split(",") if "$select" in asked.query else list(properties)
        unknown = [name for name in names if name not in properties]
        if unknown:
            raise self.wrong(f"Could not find a property named '{unknown[0]}'")
        return [{name: row[name] for name in names} for row in rows]

    def _meets(self, row: Row, wanted: str) -> bool:
        text = wanted[1:-1] if wanted.startswith("(") and wanted.endswith(")") else wanted
        return any(self._met(row, part.strip("() ")) for part in text.split(" or "))

    def _met(self, row: Row, test: str) -> bool:
        found = _TEST.fullmatch(test)
        if not found or found[1] not in row:
            raise self.wrong(f"Syntax error in '{test}'")
        value, given = row[found[1]], self.literal(found[3])
        if value is None or given is None:
            return found[2] == "eq" and value == given
        mine: Any = self.comparable(value)
        order = (mine > given) - (mine < given)
        return order in {"eq": (0,), "ge": (0, 1), "gt": (1,), "le": (-1, 0), "lt": (-1,)}[found[2]]

    def literal(self, text: str) -> Any:
        """Return the value of a literal."""
        found = _LITERAL.fullmatch(text)
        if not found:
            return text
        quoted, old, null, moment, number = found.groups()
        if null:
            return None
        if old or moment:
            stamp = dt.datetime.fromisoformat(old or moment)
            return stamp if stamp.tzinfo else stamp.replace(tzinfo=dt.UTC)
        return float(number) if number else quoted.replace("''", "'")

    def comparable(self, value: Any) -> Any:
        """Return the value of a property, to be compared with a literal."""
        if isinstance(value, str) and re.fullmatch(r"[\d-]{10}T[\d:.]+Z", value):
            return dt.datetime.fromisoformat(value)
        if isinstance(value, str) and value.startswith("/Date("):
            return dt.datetime.fromtimestamp(int(value[6:-2]) / 1000, dt.UTC)
        return value
