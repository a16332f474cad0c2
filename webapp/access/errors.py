"""Why a change of users, roles or keys is refused."""

from __future__ import annotations

from rules.text import Message


class Refused(Exception):
    """A value cannot be taken, or the actor may not do it; `field` is the form's field, or empty for the whole."""

    def __init__(self, field: str, message: Message) -> None:
        super().__init__(str(message))
        self.field = field
        self.message = message


class Missing(Exception):
    """There is no such user, role or key."""
