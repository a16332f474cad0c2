"""Talking to MQTT brokers: each object has a session of its own, under which the broker keeps its messages."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from connectors.builtin.mqtt_session import Session, forbidden
from connectors.builtin.queue_message import BATCH_BYTES, Batch, Broker, Message, Outgoing, Scan
from connectors.builtin.queue_network import Place
from connectors.builtin.queue_options import QueueObject
from connectors.builtin.queue_payload import TYPES
from connectors.errors import Misconfigured
from connectors.spi import Context, ObjectInfo
from rules.text import N_, msg
from rules.text import Message as Text

_DAY = 86_400
_PAUSE = 0.1
"""Seconds without a message behind which a batch is closed: more may come only once it is acknowledged."""
IN_FLIGHT = 100


class TopicObject(QueueObject, frozen=True):
    """A topic, which may have wildcards, and the one to publish to, which may hold `{key}`."""

    topic: str = ""
    send_to: str = ""
    retain: bool = False

    @property
    def filter(self) -> str:
        """Return the topic that is read."""
        return self.topic or self.name


class MqttBroker(Broker[TopicObject]):
    """One broker."""

    def __init__(self, settings: Mapping[str, Any], context: Context, named: Mapping[str, TopicObject]) -> None:
        self.place = Place(settings, context, "MQTT")
        self.client_id = str(settings.get("client_id") or "syncline")
        self.keep, self.quiet = int(settings.get("keep") or 7) * _DAY, int(settings.get("quiet") or 2)
        self.content_type = TYPES[settings.get("format") or "json"]
        self.named = named

    def steps(self) -> Iterator[tuple[str, Callable[[], Text]]]:
        """Yield the steps of the connection test."""
        yield N_("Find the server"), self.place.find
        yield N_("Reach the port"), self.place.reach
        yield N_("Sign in"), self._signed_in
        yield N_("Subscribe to the topics"), self._subscribed

    def objects(self) -> list[ObjectInfo]:
        """Return the described topics; how many messages wait is not told by brokers."""
        self._signed_in()
        return [
            ObjectInfo(o.name, "topic", o.label, writable=bool(o.send_to) or not _wild(o.filter))
            for o in self.named.values()
        ]

    def sample(self, described: TopicObject, most: int) -> list[Message]:
        """Return the first messages that the broker has kept, and leave them there."""
        scan = MqttScan(self, described)
        try:
            batch = scan.take(most)
        finally:
            scan.close()
        return [] if batch is None else list(batch.messages)

    def scan(self, described: TopicObject, after: Any, *, consume: bool) -> Scan:  # noqa: ARG002 - all is behind any mark
        """Begin a scan of what the broker has kept."""
        return MqttScan(self, described)

    def send(self, described: TopicObject, messages: Sequence[Outgoing]) -> Mapping[int, Text]:
        """Publish messages in their order, a number of them ahead of the broker's answers."""
        topic = described.send_to or described.filter
        if _wild(topic):
            raise Misconfigured(
                msg("'{name}' says not which topic to publish to.", name=described.name),
                msg("Add 'send_to' to its description in the connection's settings."),
                object_name=described.name,
            )
        session = Session(self.place, f"syncline-{uuid.uuid4().hex[:16]}")
        try:
            return self._sent(session, described, topic, messages)
        finally:
            session.close()

    def close(self) -> None:
        """Hold nothing: sessions end with their scans."""

    def session(self, described: TopicObject) -> Session:
        """Return the session under which the broker keeps an object's messages."""
        session = Session(self.place, self.session_id(described), self.keep)
        if not session.subscribe(described.filter):
            session.close()
            raise forbidden(described.name, msg("not authorized"))
        return session

    def session_id(self, described: TopicObject) -> str:
        """Return the name of an object's session."""
        return f"{self.client_id}-{hashlib.sha256(described.filter.encode()).hexdigest()[:12]}"

    def _sent(
        self, session: Session, described: TopicObject, topic: str, messages: Sequence[Outgoing]
    ) -> Mapping[int, Text]:
        refused: dict[int, Text] = {}
        waiting: list[tuple[int, int]] = []

        def settle(down_to: int) -> None:
            while len(waiting) > down_to:
                number, sent = waiting.pop(0)
                code = session.answer(sent)
                if code.is_failure:
                    names = {"key": messages[number].key or "-", "topic": topic, "problem": str(code)}
                    refused[number] = msg("The record '{key}' was not taken by the topic {topic}: {problem}.", **names)

        for number, message in enumerate(messages):
            said = [("operation", message.op.value), ("id", message.id)]
            said += [] if message.key is None else [("key", message.key)]
            place = topic.replace("{key}", message.key or "")
            more = {"UserProperty": said, "ContentType": self.content_type}
            waiting.append((number, session.publish(place, message.body, retain=described.retain, **more)))
            settle(IN_FLIGHT)
        settle(0)
        return refused

    def _signed_in(self) -> Text:
        Session(self.place, f"syncline-{uuid.uuid4().hex[:16]}").close()
        return msg("The broker lets the connection in.")

    def _subscribed(self) -> Text:
        if not self.named:
            raise Misconfigured(msg("No topic is named."), msg("Name the topics in the connection's settings."))
        for described in self.named.values():
            self.session(described).close()
        return msg("Topics: {count}. From now on the broker keeps their messages.", count=len(self.named))


class MqttScan(Scan):
    """The messages that a session holds: those before a mark of our own, which is sent when the scan begins."""

    def __init__(self, broker: MqttBroker, described: TopicObject) -> None:
        self.broker, self.described = broker, described
        self.name, self._number = uuid.uuid4().hex, 0
        self._held: list[tuple[int, list[Any]]] = []
        self._session = broker.session(described)
        self._end = f"syncline/{broker.session_id(described)}/end"
        self._over = False
        if self._session.subscribe(self._end):
            self._session.publish(self._end, self.name.encode())

    def take(self, most: int) -> Batch | None:
        """Return the messages that the broker sends before it waits for acknowledgements."""
        found: list[Any] = []
        size, last = 0, time.monotonic()
        while not self._over and len(found) < most and size < BATCH_BYTES:
            self._session.pump(_PAUSE / 2)
            if not self._session.came:
                if time.monotonic() - last > (_PAUSE if found else self.broker.quiet):
                    break
                continue
            while self._session.came and len(found) < most and not self._over:
                message = self._session.came.popleft()
                last = time.monotonic()
                if message.topic == self._end:
                    self._over = message.payload == self.name.encode()
                    self._session.acknowledge(message)
                else:
                    found.append(message)
                    size += len(message.payload)
        if not found:
            return None
        self._number += 1
        self._held.append((self._number, found))
        return Batch([_message(m, self.described.filter) for m in found], [self.name, self._number])

    def acknowledge(self, mark: Any) -> None:
        """Acknowledge whole batches."""
        scan, number = mark
        while scan == self.name and self._held and self._held[0][0] <= number:
            for message in self._held.pop(0)[1]:
                self._session.acknowledge(message)
            self._session.subscribe(self._end)  # a question that is answered once all this has arrived

    def close(self) -> None:
        """Leave the rest to the broker, which sends it again."""
        self._session.close()


def _message(found: Any, topic: str) -> Message:
    said = getattr(found.properties, "UserProperty", [])
    headers = {"topic": found.topic, **{str(name): str(value) for name, value in said}}
    own = headers.get("id") or hashlib.sha256(found.topic.encode() + b"\0" + found.payload).hexdigest()[:32]
    key = headers.get("key") or _level(found.topic, topic)
    return Message(own, found.payload, key, headers=headers)


def _level(topic: str, pattern: str) -> str | None:
    """Return what stands in a topic for the last `+` of a pattern."""
    parts = pattern.split("/")
    places = [number for number, part in enumerate(parts) if part == "+"]
    levels = topic.split("/")
    return levels[places[-1]] if places and places[-1] < len(levels) else None


def _wild(topic: str) -> bool:
    return any(part in ("+", "#") for part in topic.split("/"))
