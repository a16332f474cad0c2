"""Talking to RabbitMQ: queues are looked at, read and given up, messages are sent and confirmed.

A batch is read on a channel of its own, which may hold no more messages than the batch: so memory is bounded, whole
batches are given up at once, and closing the connection puts all others back where they were.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import logging
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError, ChannelClosedByBroker

from connectors.builtin.amqp_confirms import Confirms
from connectors.builtin.amqp_errors import Opening, told
from connectors.builtin.queue_message import BATCH_BYTES, Batch, Broker, Message, Outgoing, Scan
from connectors.builtin.queue_network import Place
from connectors.builtin.queue_options import QueueObject
from connectors.builtin.queue_payload import TYPES
from connectors.errors import Misconfigured
from connectors.spi import Context, ObjectInfo
from rules.text import N_, msg
from rules.text import Message as Text

MOST, CHANNELS = 4096, 1_500
_QUIET = 0.2
"""Seconds without a delivery behind which it is looked whether others have taken the rest of a queue."""
logging.getLogger("pika").setLevel(logging.CRITICAL)  # what it logs as errors is told by those that are raised


class AmqpObject(QueueObject, frozen=True):
    """A queue, and where messages to it are sent; without an exchange they go to the queue itself.

    With `declare`, a queue that is not there is made: durable, of the kind `type`, and with a dead-letter exchange.
    """

    exchange: str = ""
    routing_key: str = ""
    declare: bool = False
    type: str = ""
    dead_letter_exchange: str = ""
    dead_letter_routing_key: str = ""


class AmqpBroker(Broker[AmqpObject]):
    """One virtual host of a broker."""

    def __init__(self, settings: Mapping[str, Any], context: Context, named: Mapping[str, AmqpObject]) -> None:
        self.place = Place(settings, context, "RabbitMQ")
        self.virtual_host = settings.get("virtual_host") or "/"
        self.key_header = settings.get("key_header") or "key"
        self.content_type = TYPES[settings.get("format") or "json"]
        self.named = named
        self._connection: pika.BlockingConnection | None = None
        self.opened = 0
        """How many connections were opened, one after the other."""

    def steps(self) -> Iterator[tuple[str, Callable[[], Text]]]:
        """Yield the steps of the connection test."""
        yield N_("Find the server"), self.place.find
        yield N_("Reach the port"), self.place.reach
        yield N_("Sign in"), self._signed_in
        yield N_("Look at the queues"), self._looked

    def objects(self) -> list[ObjectInfo]:
        """Return the described queues with the number of messages that are ready."""
        with told(self.place):
            return [ObjectInfo(o.name, "queue", o.label, self._count(o)) for o in self.named.values()]

    def sample(self, described: AmqpObject, most: int) -> list[Message]:
        """Return the first messages; closing the channel puts them back."""
        self._count(described)
        with told(self.place, described.name):
            channel = self.channel()
            found: list[Message] = []
            while len(found) < most:
                method, properties, body = channel.basic_get(described.name)
                if method is None:
                    break
                found.append(self.message(method, properties, body))
            channel.close()
        return found

    def scan(self, described: AmqpObject, after: Any, *, consume: bool) -> Scan:  # noqa: ARG002 - all is behind any mark
        """Begin a scan of the messages that are ready now."""
        return AmqpScan(self, described.name, self._count(described))

    def send(self, described: AmqpObject, messages: Sequence[Outgoing]) -> Mapping[int, Text]:
        """Publish messages in their order; the broker confirms many at a time."""
        self._count(described)
        key = described.routing_key or ("" if described.exchange else described.name)
        with told(self.place, described.name):
            channel = self.channel()
            confirms = Confirms(channel, self.place.context.timeout, self.place.lost)
            for message in messages:
                route = key.replace("{key}", message.key or "")
                confirms.publish(described.exchange, route, message.body, self._properties(message))
            confirms.finish()
            channel.close()
        lost = {number: self._unroutable(described, messages[number]) for number in confirms.unroutable}
        return {**lost, **{number: self._rejected(described, messages[number]) for number in confirms.rejected}}

    def close(self) -> None:
        """Close the connection, which puts back what is not acknowledged."""
        connection, self._connection = self._connection, None
        if connection is not None and connection.is_open:
            with contextlib.suppress(AMQPError):  # it may be gone already
                connection.close()

    def channel(self) -> BlockingChannel:
        """Return a new channel, over a new connection where the last one broke off."""
        if self._connection is None or not self._connection.is_open:
            self._connection = self._open()
            self.opened += 1
        return self._connection.channel()

    def message(self, method: Any, properties: Any, body: bytes) -> Message:
        """Return a delivered message; without an id of its own it is known by what it holds."""
        headers = {str(n): _text(v) for n, v in (properties.headers or {}).items()}
        own = (
            properties.message_id
            or hashlib.sha256(
                b"\0".join((body, headers.get(self.key_header, "").encode(), method.routing_key.encode()))
            ).hexdigest()[:32]
        )
        time = None if properties.timestamp is None else dt.datetime.fromtimestamp(properties.timestamp, dt.UTC)
        return Message(own, body, headers.get(self.key_header), time, headers)

    def _open(self) -> pika.BlockingConnection:
        place, context = self.place, self.place.encryption()
        seconds = place.context.timeout
        with Opening(place, self.virtual_host):
            return pika.BlockingConnection(pika.ConnectionParameters(
                place.address(), place.port, self.virtual_host,
                pika.PlainCredentials(place.user or "guest", place.password or "guest", erase_on_connect=False),
                ssl_options=None if context is None else pika.SSLOptions(context, place.host),
                heartbeat=0, blocked_connection_timeout=seconds, socket_timeout=seconds, stack_timeout=seconds,
                connection_attempts=1, client_properties={"connection_name": "syncline"},
                tcp_options={"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3},
            ))  # fmt: skip

    def ready(self, queue: str) -> int:
        """Return how many messages are ready in a queue."""
        channel = self.channel()
        count = channel.queue_declare(queue, passive=True).method.message_count
        channel.close()
        return int(count)

    def _count(self, described: AmqpObject) -> int:
        """Return how many messages are ready in a queue, which is made first where that is wanted."""
        with told(self.place, described.name):
            try:
                return self.ready(described.name)
            except ChannelClosedByBroker as error:
                if error.reply_code != 404 or not described.declare:
                    raise
            channel = self.channel()
            channel.queue_declare(described.name, durable=True, arguments=_arguments(described))
            channel.close()
            return self.ready(described.name)

    def _properties(self, message: Outgoing) -> pika.BasicProperties:
        headers = {"operation": message.op.value} | ({} if message.key is None else {self.key_header: message.key})
        return pika.BasicProperties(
            content_type=self.content_type, delivery_mode=2, message_id=message.id, headers=headers, app_id="syncline"
        )

    def _unroutable(self, described: AmqpObject, message: Outgoing) -> Text:
        return msg(
            "The record '{key}' was not taken: the exchange {exchange} sends it to no queue. Bind a queue to it, or"
            " correct the routing key of '{queue}'.",
            **_names(described, message),
        )

    def _rejected(self, described: AmqpObject, message: Outgoing) -> Text:
        return msg(
            "The record '{key}' was not taken: the broker refuses it for the exchange {exchange}, maybe because the"
            " queue is full.",
            **_names(described, message),
        )

    def _signed_in(self) -> Text:
        with told(self.place):
            self.channel().close()
        return msg("The virtual host '{name}' is open.", name=self.virtual_host)

    def _looked(self) -> Text:
        found = self.objects()
        if not found:
            raise Misconfigured(msg("No queue is named."), msg("Name the queues in the connection's settings."))
        return msg("Queues: {count}. Messages that wait: {messages}.", count=len(found),
                   messages=sum(o.records or 0 for o in found))  # fmt: skip


class AmqpScan(Scan):
    """The messages that were ready in a queue when the scan began."""

    def __init__(self, broker: AmqpBroker, queue: str, left: int) -> None:
        self.broker, self.queue, self.left = broker, queue, left
        self.name, self._step = uuid.uuid4().hex, 1
        self._held: list[tuple[int, list[BlockingChannel]]] = []
        self._number, self._opened = 0, broker.opened

    def take(self, most: int) -> Batch | None:
        """Return the next messages, on channels that hold no others."""
        found: list[Message] = []
        channels: list[BlockingChannel] = []
        size = 0
        held = sum(len(batch) for _, batch in self._held)
        with told(self.broker.place, self.queue):
            while self.left and len(found) < most and size < BATCH_BYTES and held + len(channels) < CHANNELS:
                wanted = min(self._step, most - len(found), self.left)
                channel, got = self._some(wanted)
                channels.append(channel)
                found += got
                size += sum(len(message.body) for message in got)
                self.left = self.left - len(got) if len(got) == wanted else 0
                average = max(1, size // max(1, len(found)))
                self._step = max(1, min(MOST, 2 * self._step, BATCH_BYTES // 2 // average))
        if not found:
            return None
        self._number += 1
        self._held.append((self._number, channels))
        return Batch(found, [self.name, self._number])

    def acknowledge(self, mark: Any) -> None:
        """Acknowledge whole channels; messages of an earlier connection come again, as nobody can give them up."""
        scan, number = mark
        if scan != self.name:
            return
        with told(self.broker.place, self.queue):
            while self._held and self._held[0][0] <= number:
                for channel in self._held.pop(0)[1]:
                    channel.basic_ack(0, multiple=True)
                    channel.close()

    def close(self) -> None:
        """Close the channels, which puts the messages back."""
        for _, channels in self._held:
            for channel in channels:
                if channel.is_open:
                    with contextlib.suppress(AMQPError):  # then the broker puts them back by itself
                        channel.close()
        self._held.clear()

    def _some(self, wanted: int) -> tuple[BlockingChannel, list[Message]]:
        """Return a channel that holds at most so many messages, and these; fewer where no more is delivered."""
        channel = self.broker.channel()
        if self.broker.opened != self._opened:  # the broker has put back what was held
            raise self.broker.place.lost(msg("it was renewed"))
        channel.basic_qos(prefetch_count=wanted)
        found: list[Message] = []
        patience = time.monotonic() + self.broker.place.context.timeout
        for method, properties, body in channel.consume(self.queue, inactivity_timeout=_QUIET):
            if method is None:
                if not self.broker.ready(self.queue):
                    break
                if time.monotonic() > patience:
                    raise self.broker.place.lost(msg("no message is delivered"))
                continue
            found.append(self.broker.message(method, properties, body))
            if len(found) == wanted:
                break
        return channel, found


def _names(described: AmqpObject, message: Outgoing) -> dict[str, str]:
    return {"key": message.key or "-", "queue": described.name, "exchange": described.exchange or "(default)"}


def _arguments(described: AmqpObject) -> dict[str, str]:
    named = {
        "x-queue-type": described.type,
        "x-dead-letter-exchange": described.dead_letter_exchange,
        "x-dead-letter-routing-key": described.dead_letter_routing_key,
    }
    return {name: value for name, value in named.items() if value}


def _text(value: Any) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
