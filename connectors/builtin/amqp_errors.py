"""What a broker's errors mean."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from pika import exceptions as amqp
from pika.adapters.utils.connection_workflow import AMQPConnectorException

from connectors.builtin.queue_network import Place
from connectors.errors import AuthFailed, ConnectorError, Fatal, Forbidden, Misconfigured, ObjectMissing, Unavailable
from rules.text import msg


@contextmanager
def told(place: Place, queue: str | None = None) -> Iterator[None]:
    """Turn errors of channels and connections into ours."""
    try:
        yield
    except amqp.ChannelClosedByBroker as error:
        raise _closed(error, queue) from error
    except (amqp.AMQPError, OSError) as error:
        raise place.lost(error) from error


class Opening:
    """Turns errors of a connection that is being made into ours."""

    def __init__(self, place: Place, virtual_host: str) -> None:
        self.place, self.virtual_host = place, virtual_host

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None or isinstance(error, ConnectorError):
            return
        if isinstance(error, (amqp.AMQPError, AMQPConnectorException, OSError)):
            raise self._meaning(error) from error

    def _meaning(self, error: BaseException) -> ConnectorError:
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return self.place.untrusted(next(cause for cause in causes if isinstance(cause, ssl.SSLError)))
        if any(isinstance(c, (amqp.ProbableAuthenticationError, amqp.AuthenticationError)) for c in causes):
            return AuthFailed(self.place.refused(), msg("Check both in the connection's settings."))
        if any(isinstance(c, amqp.ConnectionClosedByBroker) and c.reply_code == 530 for c in causes) or any(
            isinstance(c, amqp.ProbableAccessDeniedError) for c in causes
        ):
            return Misconfigured(
                msg("The virtual host '{name}' is not there, or the user '{user}' may not use it.",
                    name=self.virtual_host, user=self.place.user),
                msg("Correct it, or let the broker's administrator give the right."),
            )  # fmt: skip
        if any(isinstance(c, amqp.IncompatibleProtocolError) for c in causes):
            return Misconfigured(
                msg("What answers on port {port} of {host} is not {label}.", **self.place.names), msg("Check the port.")
            )
        return self.place.lost(causes[-1])


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what has led to it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        for inner in getattr(seen, "exceptions", ()):
            yield from _causes(inner)
        seen = seen.__cause__ or seen.__context__


def _closed(error: amqp.ChannelClosedByBroker, queue: str | None) -> ConnectorError:
    names = {"queue": queue or "-", "problem": error.reply_text}
    if error.reply_code == 404:
        return ObjectMissing(
            msg("The broker has not what '{queue}' needs: {problem}.", **names),
            msg("Correct the name, or let it be made."),
            object_name=queue,
        )
    if error.reply_code == 403:
        return Forbidden(
            msg("The broker refuses '{queue}': {problem}.", **names),
            msg("Let the broker's administrator give the right."),
            object_name=queue,
        )
    if error.reply_code == 405:
        return Unavailable(
            msg("The queue '{queue}' is in use by another connection alone: {problem}.", **names), object_name=queue
        )
    if "acknowledgement" in error.reply_text:
        return Unavailable(
            msg("The messages of '{queue}' were held for too long and are delivered again: {problem}.", **names),
            object_name=queue,
        )
    return Fatal(msg("The broker refuses what is asked of '{queue}': {problem}.", **names), object_name=queue)
