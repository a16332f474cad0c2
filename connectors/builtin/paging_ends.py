"""What is told of a list that never ends, or ends too early."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from connectors.errors import Fatal
from rules.text import msg


@dataclass
class Circle:
    """Notices that a list turns in a circle: the same place again, or the same page twice."""

    name: str
    _seen: set[str] = field(default_factory=set)
    _last: Any = None

    def check(self, place: Any, content: Any) -> None:
        """Take a page: where it begins, and what tells it from another (nothing for an empty one)."""
        if repr(place) in self._seen or (content and content == self._last):
            raise endless(self.name)
        self._seen.add(repr(place))
        self._last = content


def endless(name: str) -> Fatal:
    """Return the error for a list that turns in a circle."""
    return Fatal(
        msg("The list '{name}' does not end: the service sends the same page again.", name=name),
        msg("Check the paging of the object: the names of the parameters, the first page, the path to the total."),
        object_name=name,
    )


def check_total(name: str, read: int, total: int | None) -> None:
    """Refuse the end of a list behind which there have to be more records; `total` is None where nobody counts them."""
    if total is not None and read < total:
        raise Fatal(
            msg("The list '{name}' ended after {read} of {total} records.", name=name, read=read, total=total),
            msg("Run again; if it happens always, check how the object is paged."),
            object_name=name,
        )
