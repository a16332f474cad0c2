"""Talking to Kafka: partitions are read from where their group stands, and each message is written once."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.builtin.kafka_avro import Avro
from connectors.builtin.queue_message import BATCH_BYTES, Batch, Broker, Message, Outgoing, Scan
from connectors.builtin.queue_network import Place
from connectors.builtin.queue_options import QueueObject
from connectors.builtin.queue_payload import Unreadable
from connectors.egress import check_host
from connectors.errors import AuthFailed, ConnectorError, Fatal, Forbidden, ObjectMissing
from connectors.spi import Context, ObjectInfo
from rules.text import N_, msg
from rules.text import Message as Text

T = TypeVar("T")
_LISTENED = 0.5
_BEGINNING, _DAY = 0, 86_400_000
_FETCHED = BATCH_BYTES // 2
_UNTRUSTED = (KafkaError._SSL,)  # noqa: SLF001 - the library's name of a code
_SIGN_IN = (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED)  # noqa: SLF001
_NOT_ALLOWED = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
                KafkaError.CLUSTER_AUTHORIZATION_FAILED)  # fmt: skip
_NO_TOPIC = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC, KafkaError._UNKNOWN_PARTITION)  # noqa: SLF001


class TopicObject(QueueObject, frozen=True):
    """A topic."""


@contextmanager
def lent(made: Callable[[dict[str, Any]], T], configuration: dict[str, Any]) -> Iterator[list[T]]:
    """Lend a client, as the only item of a list, and let it end in a thread of its own.

    At its end librdkafka waits for its own threads. With encryption that has been seen to last for ever.
    """
    held = [made(configuration)]
    try:
        yield held
    finally:
        threading.Thread(target=held.clear, name="kafka-end", daemon=True).start()


class KafkaBroker(Broker[TopicObject]):
    """One cluster."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        context: Context,
        named: Mapping[str, TopicObject],
        avro: Avro | None = None,
    ) -> None:
        self.avro = avro
        self.place = Place(settings, context, "Kafka")
        self.group = settings.get("group") or "syncline"
        self._mechanism = settings.get("mechanism") or "PLAIN"
        self._tls, self._ca = settings.get("tls") or "disable", settings.get("tls_ca") or ""
        self.named = named
        self._told: list[KafkaError] = []

    def steps(self) -> Iterator[tuple[str, Callable[[], Text]]]:
        """Yield the steps of the connection test."""
        yield N_("Find the server"), self.place.find
        yield N_("Reach the port"), self.place.reach
        yield N_("Look at the topics"), self._looked

    def objects(self) -> list[ObjectInfo]:
        """Return the topics."""
        names = {*self._topics(), *self.named}
        return [ObjectInfo(name, "topic", self.named[name].label if name in self.named else "") for name in names]

    def sample(self, described: TopicObject, most: int) -> list[Message]:
        """Return the first messages that the group has not acknowledged."""
        scan = self.scan(described, None, consume=False)
        try:
            batch = scan.take(most)
        finally:
            scan.close()
        return [] if batch is None else list(batch.messages)

    def scan(self, described: TopicObject, after: Any, *, consume: bool) -> Scan:  # noqa: ARG002 - nothing is taken
        """Begin a scan from where the group stands, or behind a mark."""
        topics = self._topics()
        if described.name not in topics:
            raise ObjectMissing(
                msg("There is no topic '{name}'.", name=described.name), msg("Check the name."),
                object_name=described.name,
            )  # fmt: skip
        return KafkaScan(self, described.name, topics[described.name], after)

    def send(self, described: TopicObject, messages: Sequence[Outgoing]) -> Mapping[int, Text]:
        """Write messages in their order, each of them once, and wait until all replicas in sync have them."""
        refused: dict[int, Text] = {}
        bodies = self._bodies(described, messages, refused)
        with self.told(described.name):
            producer = Producer(
                {**self.configuration(), "enable.idempotence": True, "linger.ms": 5,
                 "message.timeout.ms": int(self.place.context.timeout * 1000)}
            )  # fmt: skip
            for number, body in bodies.items():
                message = messages[number]
                said: dict[str, str | bytes | None] = {"operation": message.op.value, "id": message.id}
                told = partial(self._delivered, refused, (number, message, described.name))
                while True:
                    try:
                        producer.produce(described.name, body or None, key=message.key, headers=said, on_delivery=told)
                        break
                    except BufferError:
                        producer.poll(0.1)
            if producer.flush(self.place.context.timeout + 5):
                raise self.place.lost(msg("no answer to a message"))
        return refused

    def _bodies(
        self, described: TopicObject, messages: Sequence[Outgoing], refused: dict[int, Text]
    ) -> dict[int, bytes]:
        """Return the bodies of messages by their numbers, without those that the topic's schema does not take."""
        if self.avro is None:
            return {number: message.body for number, message in enumerate(messages)}
        found: dict[int, bytes] = {}
        for number, message in enumerate(messages):
            try:
                found[number] = self.avro.from_json(described.name, message.body) if message.body else b""
            except Unreadable as error:
                refused[number] = error.message
        return found

    def close(self) -> None:
        """Hold nothing: consumers end with their scans."""

    def configuration(self) -> dict[str, Any]:
        """Return how clients reach the cluster; raises `Forbidden`, `Unavailable` or `Misconfigured`."""
        place = self.place
        place.address()
        place.encryption()
        signed = bool(place.user)
        encrypted = self._tls != "disable"
        protocol = ("SASL_" if signed else "") + ("SSL" if encrypted else "PLAINTEXT")
        found: dict[str, Any] = {
            "bootstrap.servers": f"{place.host}:{place.port}", "security.protocol": protocol,
            "client.id": "syncline", "socket.timeout.ms": int(place.context.timeout * 1000),
            "error_cb": self._told.append, "log_level": 0, "socket.keepalive.enable": True,
            "broker.address.family": "any", "allow.auto.create.topics": False,
        }  # fmt: skip
        if signed:
            found |= {"sasl.mechanism": self._mechanism, "sasl.username": place.user, "sasl.password": place.password}
        if encrypted:
            checked = self._tls == "verify"
            found |= {"enable.ssl.certificate.verification": checked}
            found |= {"ssl.endpoint.identification.algorithm": "https" if checked else "none"}
            found |= {"ssl.ca.pem": self._ca} if checked and self._ca else {}
            if place.certificate is not None:
                found |= dict(zip(("ssl.certificate.pem", "ssl.key.pem"), place.certificate, strict=True))
        return found

    @contextmanager
    def told(self, topic: str | None = None) -> Iterator[None]:
        """Turn errors of the client into ours."""
        try:
            yield
        except KafkaException as error:
            raise self.meaning(error.args[0], topic) from error

    def meaning(self, error: KafkaError, topic: str | None) -> ConnectorError:
        """Return what an error of the client means."""
        codes = {error.code(), *(told.code() for told in self._told)}
        self._told.clear()
        if codes & set(_SIGN_IN):
            return AuthFailed(self.place.refused(), msg("Check both in the connection's settings."))
        if codes & set(_UNTRUSTED):
            return self.place.untrusted(error.str())
        if codes & set(_NOT_ALLOWED):
            return Forbidden(
                msg("The cluster refuses '{name}': {problem}.", name=topic or "-", problem=error.str()),
                msg("Let the cluster's administrator give the right."),
                object_name=topic,
            )
        if codes & set(_NO_TOPIC):
            return ObjectMissing(
                msg("There is no topic '{name}'.", name=topic or "-"), msg("Check the name."), object_name=topic
            )
        if error.fatal():
            return Fatal(msg("The client of Kafka gives up: {problem}.", problem=error.str()), object_name=topic)
        return self.place.lost(error.str())

    def _topics(self) -> dict[str, list[int]]:
        """Return the partitions of each topic, after the brokers that lead them were found permitted."""
        with self.told(), lent(AdminClient, self.configuration()) as admin:
            found = self._metadata(admin[0])
        for broker in found.brokers.values():
            check_host(str(broker.host), int(broker.port or 0), self.place.context.egress_allow)
        return {n: sorted(t.partitions) for n, t in found.topics.items() if t.error is None and not n.startswith("__")}

    def _metadata(self, admin: AdminClient) -> Any:
        """Return what the cluster says of itself; a refusal is told only to one who listens in between."""
        until = time.monotonic() + self.place.context.timeout
        while True:
            try:
                return admin.list_topics(timeout=min(_LISTENED, max(until - time.monotonic(), 0)))
            except KafkaException:
                admin.poll(0)
                refused = {told.code() for told in self._told} & {*_SIGN_IN, *_UNTRUSTED}
                if refused or time.monotonic() >= until:
                    raise

    def _delivered(
        self, refused: dict[int, Text], sent: tuple[int, Outgoing, str], error: KafkaError | None, _message: Any
    ) -> None:
        number, message, topic = sent
        if error is None:
            return
        if error.code() == KafkaError._MSG_TIMED_OUT:  # noqa: SLF001 - the library's name of a code
            raise KafkaException(error)
        names = {"key": message.key or "-", "topic": topic, "problem": error.str()}
        refused[number] = msg("The record '{key}' was not taken by the topic {topic}: {problem}.", **names)

    def _looked(self) -> Text:
        return msg("Topics: {count}.", count=len(self._topics()))


class KafkaScan(Scan):
    """The messages that were in the partitions of a topic when they were first asked for.

    A mark holds for each partition the offset to go on at, which is what the group's place is set to.
    """

    def __init__(self, broker: KafkaBroker, topic: str, partitions: Sequence[int], after: Any) -> None:
        self.broker, self.topic = broker, topic
        context = broker.place.context
        self._consumer = Consumer(
            {**broker.configuration(), "group.id": broker.group, "enable.auto.commit": False,
             "enable.partition.eof": True,
                "session.timeout.ms": 10_000,
                "max.poll.interval.ms": _DAY, "auto.offset.reset": "earliest", "queued.max.messages.kbytes": 16_384,
             "fetch.message.max.bytes": _FETCHED // max(1, len(partitions)), "fetch.max.bytes": _FETCHED}
        )  # fmt: skip
        with broker.told(topic):
            asked = [TopicPartition(topic, number) for number in partitions]
            stands = {p.partition: p.offset for p in self._consumer.committed(asked, timeout=context.timeout)}
            self._next = {n: max(offset, _BEGINNING) for n, offset in stands.items()}
            self._next |= {int(n): offset for n, offset in (after or {}).items() if offset > self._next.get(int(n), 0)}
            self._consumer.assign([TopicPartition(topic, n, self._next[n]) for n in partitions])
        self._ends: dict[int, int] = {}
        self._open = set(partitions)

    def take(self, most: int) -> Batch | None:
        """Return the next messages of all partitions, in the order of each."""
        found: list[Message] = []
        size, patience = 0, time.monotonic() + self.broker.place.context.timeout
        with self.broker.told(self.topic):
            while self._open and len(found) < most and size < BATCH_BYTES:
                got = self._consumer.consume(min(most - len(found), 500), 0.2)
                if not got and time.monotonic() > patience:
                    raise self.broker.place.lost(msg("no message is delivered"))
                for message in got:
                    size += self._taken(message, found)
        if not found:
            return None
        return Batch(found, {str(number): offset for number, offset in self._next.items()})

    def acknowledge(self, mark: Any) -> None:
        """Set the place of the group, and wait for the answer."""
        places = [TopicPartition(self.topic, int(number), offset) for number, offset in mark.items()]
        with self.broker.told(self.topic):
            for place in self._consumer.commit(offsets=places, asynchronous=False):
                if place.error is not None:
                    raise self.broker.meaning(place.error, self.topic)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _taken(self, message: Any, found: list[Message]) -> int:
        """Take a message if it belongs to the scan, and return its size."""
        error, number = message.error(), message.partition()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - the library's name of a code
                raise KafkaException(error)
            self._open.discard(number)
            return 0
        if number not in self._ends:
            self._ends[number] = self._end(number)
        if number not in self._open:
            return 0
        if message.offset() < self._ends[number]:
            found.append(_message(message))
            self._next[number] = message.offset() + 1
        if message.offset() + 1 >= self._ends[number]:
            self._open.discard(number)
        return len(message.value() or b"")

    def _end(self, number: int) -> int:
        """Return where a partition ended as of the first answer that held messages of it."""
        return int(self._consumer.get_watermark_offsets(TopicPartition(self.topic, number), cached=True)[1])


def _message(message: Any) -> Message:
    _, milliseconds = message.timestamp()
    moment = dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC) if milliseconds > 0 else None
    key = message.key()
    return Message(
        f"{message.topic()}/{message.partition()}/{message.offset()}", message.value() or b"",
        None if key is None else key.decode("utf-8", "backslashreplace"), moment,
        {name: (value or b"").decode("utf-8", "backslashreplace") for name, value in message.headers() or []},
    )  # fmt: skip
