"""What those who say who somebody is have in common: the refusal, and which roles groups hold."""

from __future__ import annotations

from collections.abc import Collection

from rules.text import Message, msg


class NotAdmitted(Exception):
    """Somebody is not let in; `message` says why, for them and for the log."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


def roles_of(groups: Collection[str], held: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    """Return the roles that groups hold, by a setting; raises `NotAdmitted` where there are none."""
    found = {role for group, role in held if group == "*" or group in groups}
    if not found:
        raise NotAdmitted(msg("Your groups give you no role here. Ask an administrator."))
    return tuple(sorted(found))
