"""What can be wrong with a request to this room.

ConnectionProblem
├── ConnectionMissing   there is no such connection
├── ConnectionInvalid   the document has problems, each with its place
├── ConnectionChanged   somebody else has saved it meanwhile
├── ConnectionInUse     rules need it
├── ConnectionBuiltIn   the hub can be neither changed nor deleted
└── UploadRefused       a file cannot be put into the connection's folder
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from rules.text import Message, msg


@dataclass(frozen=True)
class Problem:
    """One problem of a document and its place in it: `("settings", "port")`."""

    path: tuple[str, ...]
    message: Message

    def to_json(self) -> dict[str, Any]:
        """Return a plain form for the API and the command line."""
        return {"at": "/".join(self.path), "detail": str(self.message)}


class Explained(Protocol):
    """An error that says what happened and what to do: of a connector, of the vault."""

    message: Message

    @property
    def remedy(self) -> Message | None:
        """Return what to do."""


def sentence(error: Explained) -> Message:
    """Return what happened and what to do as one message, both parts still translatable."""
    if error.remedy is None:
        return error.message
    return msg("{problem} {remedy}", problem=error.message, remedy=error.remedy)


class ConnectionProblem(Exception):
    """The request is refused; `message` says why and what to do."""

    def __init__(self, message: Message) -> None:
        super().__init__(str(message))
        self.message = message


class ConnectionMissing(ConnectionProblem):
    """There is no such connection."""

    def __init__(self, name: str) -> None:
        super().__init__(msg("There is no connection '{name}'.", name=name))


class ConnectionInvalid(ConnectionProblem):
    """The document has problems."""

    def __init__(self, name: str, problems: Sequence[Problem]) -> None:
        first = problems[0]
        super().__init__(
            msg(
                "The connection '{name}' cannot be saved. {place}: {problem}",
                name=name,
                place=" › ".join(first.path),
                problem=first.message,
            )
        )
        self.problems = tuple(problems)


class ConnectionChanged(ConnectionProblem):
    """Somebody else has saved it meanwhile; `version` is what is stored now."""

    def __init__(self, name: str, by: str, version: int) -> None:
        super().__init__(
            msg(
                "{by} changed the connection '{name}' while you were editing. Reload it, then make your change again.",
                name=name,
                by=by,
            )
        )
        self.version = version


class ConnectionInUse(ConnectionProblem):
    """Rules need it; `users` names them."""

    def __init__(self, name: str, users: Sequence[str]) -> None:
        super().__init__(
            msg(
                "The connection '{name}' is used by {users}. Delete or change that first.",
                name=name,
                users=", ".join(users),
            )
        )
        self.users = tuple(users)


class ConnectionBuiltIn(ConnectionProblem):
    """The hub can be neither changed nor deleted."""

    def __init__(self, name: str) -> None:
        super().__init__(msg("The connection '{name}' is built in; it can be neither changed nor deleted.", name=name))


class UploadRefused(ConnectionProblem):
    """A file cannot be put into the connection's folder."""
