"""One session with an MQTT broker: connected, pumped by the thread that uses it, and told of what goes wrong."""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from connectors.builtin.queue_network import Place
from connectors.errors import AuthFailed, ConnectorError, Forbidden
from rules.text import msg

_STEP = 0.05
_REFUSED = (134, 135)
"""Reason codes: bad user name or password, not authorized."""


class Session:
    """A connection under a client id; `keep` is how many seconds the broker keeps it after it has ended."""

    def __init__(self, place: Place, client_id: str, keep: int = 0) -> None:
        self.place, self.came = place, deque[paho.MQTTMessage]()
        self._ended, self._codes, self._sent = "", dict[int, Any](), dict[int, Any]()
        self._connected: Any = None
        self._client = Checked(place, client_id)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = lambda _client, _data, message: self.came.append(message)
        self._client.on_subscribe = lambda _client, _data, number, codes, _more: self._codes.update({number: codes[0]})
        self._client.on_publish = lambda _client, _data, number, code, _more: self._sent.update({number: code})
        self._connect(keep)

    def pump(self, seconds: float = 0.0) -> None:
        """Exchange with the broker what there is, waiting at most so long for something."""
        if self._client.loop(seconds) != paho.MQTT_ERR_SUCCESS:
            raise self.place.lost(self._ended or msg("the connection broke off"))

    def until(self, done: Callable[[], bool], what: str) -> None:
        """Pump until something has happened; raises `Unavailable` when it takes too long."""
        deadline = time.monotonic() + self.place.context.timeout
        while not done():
            if time.monotonic() > deadline:
                raise self.place.lost(what)
            self.pump(_STEP)

    def subscribe(self, topic: str) -> bool:
        """Ask for the messages of a topic; return whether the broker allows it."""
        number = int(self._client.subscribe(topic, qos=1)[1] or 0)
        self.until(lambda: number in self._codes, "no answer to a subscription")
        return not self._codes.pop(number).is_failure

    def publish(self, topic: str, body: bytes, *, retain: bool = False, **more: Any) -> int:
        """Send a message and return its number; `answer` tells what became of it."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        for name, value in more.items():
            setattr(properties, name, value)
        number = self._client.publish(topic, body, qos=1, retain=retain, properties=properties).mid
        self.pump()
        return int(number)

    def answer(self, number: int) -> Any:
        """Wait until the broker has taken or refused a message, and return the reason code."""
        self.until(lambda: number in self._sent, "no answer to a message")
        return self._sent.pop(number)

    def acknowledge(self, message: paho.MQTTMessage) -> None:
        """Give a message up; what is asked of the broker later is answered behind it."""
        if message.qos:
            self._client.ack(message.mid, message.qos)

    def close(self) -> None:
        """End the connection; the broker keeps the session as long as it was asked to."""
        with suppress(OSError, ValueError):
            self._client.disconnect()
            self._client.loop(0)

    def _connect(self, keep: int) -> None:
        place = self.place
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = keep
        properties.ReceiveMaximum = 1_000
        if place.user:
            self._client.username_pw_set(place.user, place.password or None)
        try:
            self._client.connect(place.host, place.port, keepalive=0, clean_start=keep == 0, properties=properties)
        except OSError as error:
            raise place.lost(error) from error
        deadline = time.monotonic() + place.context.timeout
        while self._connected is None:
            if time.monotonic() > deadline or self._client.loop(_STEP) != paho.MQTT_ERR_SUCCESS:
                break
        try:
            self._admitted()
        except ConnectorError:
            self.close()
            raise

    def _admitted(self) -> None:
        code = self._connected
        if code is None:
            raise self.place.lost(self._ended or msg("it does not answer as an MQTT 5 broker does"))
        if code.value in _REFUSED:
            raise AuthFailed(self.place.refused(), msg("Check both in the connection's settings."))
        if code.is_failure:
            raise self.place.lost(code)

    def _on_connect(self, _client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        self._connected = code

    def _on_disconnect(self, _client: Any, _data: Any, _flags: Any, code: Any, _more: Any) -> None:
        self._ended = str(code)


class Checked(paho.Client):
    """A client that connects to the checked address of its host, encrypted as the settings ask for it."""

    def __init__(self, place: Place, client_id: str) -> None:
        super().__init__(
            CallbackAPIVersion.VERSION2, client_id, protocol=paho.MQTTv5, manual_ack=True, reconnect_on_failure=False
        )
        self._place = place

    def _create_socket_connection(self) -> socket.socket:
        return self._place.open()


def forbidden(name: str, code: object) -> Forbidden:
    """Return the error of a topic that may not be read."""
    return Forbidden(
        msg("The broker refuses the topic of '{name}': {problem}.", name=name, problem=str(code)),
        msg("Let the broker's administrator give the right."),
        object_name=name,
    )
