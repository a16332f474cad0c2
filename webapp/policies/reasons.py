"""Why something may be seen or done: what each role says of it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rules.text import Message


@dataclass(frozen=True)
class Reason:
    """What one role says; `line` is the line of its policy (empty: what it may do in the rooms of the console).

    `decided` tells whether it makes the answer what it is; `allows` whether it speaks for it.
    """

    role: str
    line: str
    says: Message
    decided: bool
    allows: bool
    groups: tuple[str, ...] = ()
    """The groups that bring the role; none where the user holds it."""
