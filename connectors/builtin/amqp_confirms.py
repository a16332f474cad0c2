"""Publishing to RabbitMQ with many messages on their way: the broker confirms them in batches, in any order.

Waiting for each message alone costs a round trip, and with a quorum queue a write to disk, for each of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.spec import Basic

from connectors.errors import ConnectorError
from rules.text import Message as Text
from rules.text import msg

IN_FLIGHT = 1_000
"""So many messages wait for their confirmation at a time."""
_PAUSE = 0.005
"""Seconds between two looks at what was confirmed: the library waits for other events than these."""


class Confirms:
    """The messages of one channel that are on their way; nobody has taken those in `unroutable` and `rejected`."""

    def __init__(self, channel: BlockingChannel, seconds: float, lost: Callable[[Text], ConnectorError]) -> None:
        self._channel, self._seconds, self._lost = channel, seconds, lost
        self._sent = 0
        self._waiting: set[int] = set()
        self._numbers: dict[str, int] = {}
        self.unroutable: set[int] = set()
        self.rejected: set[int] = set()
        channel.add_on_return_callback(self._returned)
        # the blocking channel itself can only wait for one message after the other
        channel._impl.confirm_delivery(self._told)  # noqa: SLF001

    def publish(self, exchange: str, key: str, body: bytes, properties: pika.BasicProperties) -> None:
        """Send a message; its number is how many were sent before."""
        self._numbers[properties.message_id] = self._sent
        self._waiting.add(self._sent)
        self._sent += 1
        self._channel.basic_publish(exchange, key, body, properties, mandatory=True)
        if len(self._waiting) >= IN_FLIGHT:
            self._wait(IN_FLIGHT // 2)

    def finish(self) -> None:
        """Wait until it is known of all messages what became of them."""
        self._wait(0)

    def _wait(self, most: int) -> None:
        patience, known = time.monotonic() + self._seconds, len(self._waiting)
        while len(self._waiting) > most:
            if not self._channel.is_open:
                raise self._channel._closing_reason or self._lost(msg("the channel was closed"))  # noqa: SLF001
            self._channel.connection.process_data_events(time_limit=_PAUSE)
            if len(self._waiting) < known:
                patience, known = time.monotonic() + self._seconds, len(self._waiting)
            elif time.monotonic() > patience:
                raise self._lost(msg("messages are not confirmed"))

    def _told(self, frame: Any) -> None:
        method = frame.method
        last = method.delivery_tag - 1
        told = {number for number in self._waiting if number <= last} if method.multiple else {last}
        self._waiting -= told
        if isinstance(method, Basic.Nack):
            self.rejected |= told

    def _returned(self, _channel: Any, _method: Any, properties: pika.BasicProperties, _body: bytes) -> None:
        number = self._numbers.get(properties.message_id or "")
        if number is not None:
            self.unroutable.add(number)
