"""How rebuilt services remember what was changed, and tell it by links."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any


class GoneError(Exception):
    """The service does not know the place any more."""


@dataclass
class DeltaLinks:
    """What was changed, in its order; `forgotten` is up to where it is not known any more."""

    log: list[tuple[Any, bool]] = field(default_factory=list)
    forgotten: int = 0

    def changed(self, keys: Iterable[Any]) -> None:
        self.log += [(key, False) for key in keys]

    def removed(self, keys: Iterable[Any]) -> None:
        self.log += [(key, True) for key in keys]

    @property
    def latest(self) -> str:
        """The token of now."""
        return str(len(self.log))

    def part(self, token: str, size: int) -> tuple[list[tuple[Any, bool]], str, bool]:
        """Return the entries behind a token, the token of the next part or of a later time, and whether it is that."""
        start, _, end = token.partition("-")
        if int(start) < self.forgotten:
            raise GoneError
        until = int(end or len(self.log))
        behind = min(int(start) + size, until)
        over = behind >= until
        return self.log[int(start) : behind], str(until) if over else f"{behind}-{until}", over
