"""Talking to Redis or Valkey: streams are read by a consumer group and added to."""

from __future__ import annotations

import datetime as dt
import socket
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import redis
from redis import exceptions as failed
from redis.backoff import NoBackoff
from redis.retry import Retry

from connectors.builtin.queue_message import BATCH_BYTES, Batch, Broker, Message, Outgoing, Scan
from connectors.builtin.queue_network import Place
from connectors.builtin.queue_options import QueueObject
from connectors.errors import AuthFailed, ConnectorError, Fatal, Forbidden, Misconfigured, ObjectMissing
from connectors.json_records import encode
from connectors.spi import Context, ObjectInfo
from rules.text import N_, msg
from rules.text import Message as Text

CONSUMER = "syncline"
FIRST, MOST = 64, 4096
Entry = tuple[bytes, Mapping[bytes, bytes] | None]


class StreamObject(QueueObject, frozen=True):
    """A stream; with `max_length`, old entries are given up when it gets longer than about that."""

    max_length: int | None = None


class StreamBroker(Broker[StreamObject]):
    """One database of a server."""

    def __init__(self, settings: Mapping[str, Any], context: Context, named: Mapping[str, StreamObject]) -> None:
        self.place = Place(settings, context, "Redis")
        self.database = int(settings.get("database") or 0)
        self.group = settings.get("group") or "syncline"
        self.payload = str(settings.get("payload_field") or "payload").encode()
        self.key = str(settings.get("key_field") or "key").encode()
        self.claim_after = int(settings.get("claim_after") or 600)
        self.named = named

    @cached_property
    def client(self) -> Any:
        """Return the client; it connects with its first command."""
        place = self.place
        return redis.Redis(
            connection_pool=redis.ConnectionPool(
                connection_class=Checked, place=place, host=place.host, port=place.port, db=self.database,
                username=place.user or None, password=place.password or None, socket_timeout=place.context.timeout,
                client_name="syncline", retry=Retry(NoBackoff(), 0), protocol=2, max_connections=4,
            )
        )  # fmt: skip

    @contextmanager
    def told(self, stream: str | None = None) -> Iterator[None]:
        """Turn errors of the client into ours."""
        try:
            yield
        except failed.RedisError as error:
            raise self._meaning(error, stream) from error

    def steps(self) -> Iterator[tuple[str, Callable[[], Text]]]:
        """Yield the steps of the connection test."""
        yield N_("Find the server"), self.place.find
        yield N_("Reach the port"), self.place.reach
        yield N_("Sign in"), self._signed_in
        yield N_("Look at the streams"), self._looked

    def objects(self) -> list[ObjectInfo]:
        """Return the streams with the number of entries that the group has not acknowledged."""
        with self.told():
            found = {_text(name) for name in self.client.scan_iter(count=1000, _type="stream")}
            names = found | set(self.named)
            return [
                ObjectInfo(name, "stream", self._label(name), self._waiting(name) if name in found else 0)
                for name in names
            ]

    def sample(self, described: StreamObject, most: int) -> list[Message]:
        """Return the first entries that there still are."""
        self.end(described.name)
        with self.told(described.name):
            return [self.message(entry) for entry in self.client.xrange(described.name, count=most)]

    def scan(self, described: StreamObject, after: Any, *, consume: bool) -> Scan:
        """Begin a scan up to the newest entry."""
        name, end = described.name, self.end(described.name)
        if not consume:
            return Look(self, name, end, after)
        with self.told(name):
            self._join(name)
            if after is not None:
                self._give_up(name, after)
            self._claim(name)
        return Take(self, name, end)

    def send(self, described: StreamObject, messages: Sequence[Outgoing]) -> Mapping[int, Text]:
        """Add entries in their order, each command answered."""
        with self.told(described.name):
            for start in range(0, len(messages), MOST):
                pipe = self.client.pipeline(transaction=False)
                for message in messages[start : start + MOST]:
                    values = {self.payload: message.body, "operation": message.op.value, "id": message.id}
                    values |= {} if message.key is None else {self.key: message.key}
                    pipe.xadd(described.name, values, maxlen=described.max_length, approximate=True)
                pipe.execute()
        return {}

    def close(self) -> None:
        """Close the connections."""
        if "client" in self.__dict__:
            self.client.close()
            self.client.connection_pool.disconnect()

    def message(self, entry: Entry) -> Message:
        """Return an entry as a message."""
        name, values = _text(entry[0]), dict(entry[1] or {})
        time = dt.datetime.fromtimestamp(_order(name)[0] / 1000, dt.UTC) if _order(name)[0] < 2**42 else None
        key = values.get(self.key)
        if self.payload in values:
            body = values.pop(self.payload)
        else:
            body = encode({_text(n): _text(v) for n, v in values.items()})
        headers = {_text(n): _text(v) for n, v in values.items()}
        return Message(name, body, None if key is None else _text(key), time, headers)

    def end(self, stream: str) -> tuple[int, int]:
        """Return the newest entry's place; raises `ObjectMissing`."""
        with self.told(stream):
            if not self.client.exists(stream):
                raise ObjectMissing(
                    msg("There is no stream '{name}'.", name=stream), msg("Check the name."), object_name=stream
                )
            return _order(_text(self.client.xinfo_stream(stream)["last-generated-id"]))

    def delivered(self, stream: str) -> str:
        """Return up to where entries were delivered to the group."""
        found = [g for g in self.client.xinfo_groups(stream) if _text(g["name"]) == self.group]
        return _text(found[0]["last-delivered-id"]) if found else "0-0"

    def pending(self, stream: str, after: str, most: int) -> list[str]:
        """Return entries that were delivered to us and not acknowledged, behind a place."""
        if not any(_text(g["name"]) == self.group for g in self.client.xinfo_groups(stream)):
            return []
        found = self.client.xpending_range(stream, self.group, f"({after}", "+", most, consumername=CONSUMER)
        return [_text(entry["message_id"]) for entry in found]

    def _join(self, stream: str) -> None:
        try:
            self.client.xgroup_create(stream, self.group, id="0")
        except failed.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _give_up(self, stream: str, mark: str) -> None:
        """Acknowledge what an earlier worker has made durable and could not acknowledge any more."""
        last = "0-0"
        while names := [n for n in self.pending(stream, last, 1000) if _order(n) <= _order(mark)]:
            self.client.xack(stream, self.group, *names)
            last = names[-1]

    def _claim(self, stream: str) -> None:
        """Take over what other consumers have left behind."""
        start: Any = "0-0"
        while True:
            start, *_ = self.client.xautoclaim(
                stream, self.group, CONSUMER, self.claim_after * 1000, start_id=start, count=1000, justid=False
            )
            if _text(start) == "0-0":
                return

    def _waiting(self, stream: str) -> int:
        found = [g for g in self.client.xinfo_groups(stream) if _text(g["name"]) == self.group]
        lag = found[0].get("lag") if found else None
        return int(self.client.xlen(stream) if lag is None else lag + found[0]["pending"])

    def _label(self, name: str) -> str:
        return self.named[name].label if name in self.named else ""

    def _signed_in(self) -> Text:
        with self.told():
            self.client.ping()
        return msg("Database {number} is open.", number=self.database)

    def _looked(self) -> Text:
        found = self.objects()
        return msg("Streams: {count}. Entries that wait: {messages}.", count=len(found),
                   messages=sum(o.records or 0 for o in found))  # fmt: skip

    def _meaning(self, error: failed.RedisError, stream: str | None) -> ConnectorError:
        text = str(error)
        if isinstance(error, failed.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
            return AuthFailed(self.place.refused(), msg("Check both in the connection's settings."))
        if isinstance(error, failed.NoPermissionError) or text.startswith("NOPERM"):
            return Forbidden(
                msg("The server refuses this user a command: {problem}.", problem=text),
                msg("Let the server's administrator give the right."),
                object_name=stream,
            )
        if isinstance(error, (failed.ConnectionError, failed.TimeoutError, failed.BusyLoadingError)):
            return self.place.lost(error)
        if text.startswith(("LOADING", "MASTERDOWN", "READONLY", "CLUSTERDOWN", "TRYAGAIN", "OOM")):
            return self.place.lost(error)
        if stream is None:
            return Misconfigured(msg("The server refuses: {problem}.", problem=text), msg("Check the database number."))
        return Fatal(
            msg("The server refuses what is asked of the stream '{name}': {problem}.", name=stream, problem=text),
            object_name=stream,
        )


class Checked(redis.Connection):
    """A connection to the checked address, encrypted as the settings ask for it."""

    def __init__(self, place: Place, **more: Any) -> None:
        super().__init__(**more)  # type: ignore[no-untyped-call]
        self._place = place

    def _connect(self) -> socket.socket:
        return self._place.open()


class Entries(Scan):
    """Entries up to the one that was the newest when the scan began, in parts that fit into memory."""

    def __init__(self, broker: StreamBroker, stream: str, end: tuple[int, int]) -> None:
        self.broker, self.stream, self.end = broker, stream, end
        self._step, self._last = FIRST, "0-0"

    def take(self, most: int) -> Batch | None:
        """Return the next entries."""
        found: list[Message] = []
        size = 0
        with self.broker.told(self.stream):
            while len(found) < most and size < BATCH_BYTES:
                entries = self._some(min(self._step, most - len(found)))
                if not entries:
                    break
                got = [self.broker.message(entry) for entry in entries]
                found += got
                size += sum(len(message.body) for message in got)
                self._step = max(1, min(MOST, 2 * self._step, BATCH_BYTES // 2 // max(1, size // len(found))))
        return Batch(found, found[-1].id) if found else None

    @abstractmethod
    def _some(self, most: int) -> list[Entry]:
        """Return at most so many of the next entries."""


class Take(Entries):
    """Entries that the group takes: first those that came back, then new ones."""

    def __init__(self, broker: StreamBroker, stream: str, end: tuple[int, int]) -> None:
        super().__init__(broker, stream, end)
        self._came_back = True
        self._held: deque[str] = deque()

    def acknowledge(self, mark: Any) -> None:
        """Acknowledge all entries up to one."""
        done = []
        while self._held and _order(self._held[0]) <= _order(mark):
            done.append(self._held.popleft())
        with self.broker.told(self.stream):
            for start in range(0, len(done), 1000):
                self.broker.client.xack(self.stream, self.broker.group, *done[start : start + 1000])

    def _some(self, most: int) -> list[Entry]:
        found: list[Entry] = []
        if self._came_back:
            found = self._read(self._last, most)
            self._came_back = bool(found)
        while not found and not self._came_back and (new := self._read(">", most)):
            found = [entry for entry in new if _order(_text(entry[0])) <= self.end]
            if len(found) < len(new):
                break  # the others wait for the next run
        return found

    def _read(self, place: str, most: int) -> list[Entry]:
        """Return entries behind a place that still hold something; those that were deleted are given up."""
        while True:
            answer = self.broker.client.xreadgroup(
                self.broker.group, CONSUMER, {self.stream: place}, count=most, noack=False
            )
            entries: list[Entry] = answer[0][1] if answer else []
            if not entries:
                return []
            self._last = _text(entries[-1][0])
            there = [entry for entry in entries if entry[1]]
            lost = [_text(entry[0]) for entry in entries if not entry[1]]
            if lost:
                self.broker.client.xack(self.stream, self.broker.group, *lost)
            if there:
                self._held.extend(_text(entry[0]) for entry in there)
                return there
            place = self._last if place != ">" else place


class Look(Entries):
    """Entries that the group would take, left where they are."""

    def __init__(self, broker: StreamBroker, stream: str, end: tuple[int, int], after: Any) -> None:
        super().__init__(broker, stream, end)
        self._last = "0-0" if after is None else str(after)
        with broker.told(stream):
            self._delivered = broker.delivered(stream)

    def acknowledge(self, mark: Any) -> None:
        """Do nothing: nothing was taken."""

    def _some(self, most: int) -> list[Entry]:
        client = self.broker.client
        if _order(self._last) < _order(self._delivered):
            names = self.broker.pending(self.stream, self._last, most)
            self._last = names[-1] if names else self._delivered
            found = [entry for name in names for entry in client.xrange(self.stream, name, name)]
            if found:
                return found
            return self._some(most)
        entries: list[Entry] = client.xrange(self.stream, f"({self._last}", f"{self.end[0]}-{self.end[1]}", most)
        if entries:
            self._last = _text(entries[-1][0])
        return entries


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _order(name: str) -> tuple[int, int]:
    milliseconds, _, number = name.partition("-")
    return int(milliseconds), int(number)
