"""Errors grouped by what the caller should do.

ConnectorError
├── Fatal                 stop the run; a person has to act
│   ├── Misconfigured     a setting is wrong
│   ├── AuthFailed        the system refuses our credentials
│   ├── Forbidden         egress, folder or permission rules refuse it
│   └── ObjectMissing     the object or field does not exist (any more)
├── Retriable             try again later
│   ├── Unavailable       no connection, time-out, server error
│   └── RateLimited       the system asks us to wait `after` seconds
├── Fenced                another worker has taken over this run; stop silently
└── RecordRejected        one record is bad; park it and go on
"""

from __future__ import annotations

from rules.text import Message, msg


class ConnectorError(Exception):
    """Something went wrong between us and a system; `message` says what, `remedy` what to do about it."""

    def __init__(self, message: Message, remedy: Message | None = None, *, object_name: str | None = None) -> None:
        super().__init__(str(message))
        self.message = message
        self.remedy = remedy
        self.object_name = object_name

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}" if self.remedy else str(self.message)

    @property
    def advice(self) -> Message:
        """Return what happened and what to do as one message, both parts translatable."""
        if self.remedy is None:
            return self.message
        return msg("{problem} {remedy}", problem=self.message, remedy=self.remedy)


class Fatal(ConnectorError):
    """Stop: a person has to act."""


class Misconfigured(Fatal):
    """A setting is missing or wrong."""


class AuthFailed(Fatal):
    """The system refuses our credentials."""


class Forbidden(Fatal):
    """Egress rules, folder rules or the system's permissions refuse it."""


class ObjectMissing(Fatal):
    """The object or field does not exist (any more)."""


class Retriable(ConnectorError):
    """Try again later."""


class Unavailable(Retriable):
    """No connection, a time-out or a server error."""


class RateLimited(Retriable):
    """The system asks us to wait `after` seconds."""

    def __init__(self, message: Message, *, after: float, object_name: str | None = None) -> None:
        super().__init__(message, object_name=object_name)
        self.after = after


class Fenced(ConnectorError):
    """Another worker has taken over this run."""

    def __init__(self) -> None:
        super().__init__(msg("Another worker has taken over this run."))


class RecordRejected(ConnectorError):
    """One record is bad; `field` names the place where that is known."""

    def __init__(self, message: Message, *, field: str | None = None, object_name: str | None = None) -> None:
        super().__init__(message, object_name=object_name)
        self.field = field
