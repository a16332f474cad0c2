"""What a check has found. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """How well something is."""

    OK = "ok"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True)
class Finding:
    """What a check says of one thing, and what to do where it is not well."""

    check: str
    state: State
    said: str
    todo: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the command line prints it."""
        return asdict(self)


def ok(check: str, said: str) -> Finding:
    """Return that something is well."""
    return Finding(check, State.OK, said)


def warning(check: str, said: str, todo: str) -> Finding:
    """Return that something should be looked at."""
    return Finding(check, State.WARNING, said, todo)


def bad(check: str, said: str, todo: str) -> Finding:
    """Return that something does not work, or will not for long."""
    return Finding(check, State.BAD, said, todo)


def unless(found: Collection[Finding], check: str, said: str) -> Iterator[Finding]:
    """Yield what was found, or that nothing was."""
    yield from found or [ok(check, said)]
