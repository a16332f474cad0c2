"""Salesforce's change events over long polling (the Bayeux protocol of its Streaming API): one conversation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.salesforce_settings import SalesforceOptions
from connectors.errors import ConnectorError, Unavailable
from connectors.json_records import encode
from connectors.spi import Context
from rules.text import msg

HELD = 130.0
"""Seconds for which an answer is waited for: Salesforce holds a poll for up to 110."""
_HANDSHAKE = {
    "channel": "/meta/handshake", "version": "1.0", "minimumVersion": "1.0",
    "supportedConnectionTypes": ["long-polling"], "ext": {"replay": True},
}  # fmt: skip


class Unsubscribed(Exception):
    """Salesforce does not let us subscribe; the text is what it says."""


@dataclass(frozen=True)
class Event:
    """A change event: its place in the stream, the kind of the change, when it was committed (ms), the records' ids."""

    channel: str
    replay: int
    change: str
    committed: int
    ids: tuple[str, ...]


class Stream:
    """One conversation; Salesforce knows it by its client id and its cookies."""

    def __init__(self, calls: Calls, options: SalesforceOptions, context: Context) -> None:
        patient = replace(calls.options, timeout=max(calls.options.timeout, HELD))
        self._calls = Calls(patient, context)
        self._calls.credentials = calls.credentials
        self._url = f"{options.origin}/cometd/{options.version}"
        self._cookies: dict[str, str] = {}
        self._client = ""

    def close(self) -> None:
        """End the conversation; Salesforce forgets one whose goodbye does not arrive by itself."""
        try:
            if self._client:
                with suppress(ConnectorError):
                    self._say([{"channel": "/meta/disconnect", "clientId": self._client}])
        finally:
            self._client = ""
            self._calls.close()

    def subscribe(self, replays: Mapping[str, int]) -> None:
        """Ask for the events of channels, each behind a place in its stream; raises `Unsubscribed`."""
        (greeted,) = self._of(self._say([_HANDSHAKE]), "/meta/handshake")
        if not greeted.get("successful"):
            raise self._broken(greeted)
        self._client = str(greeted["clientId"])
        for channel, replay in replays.items():
            asked = {
                "channel": "/meta/subscribe", "clientId": self._client, "subscription": channel,
                "ext": {"replay": {channel: replay}},
            }  # fmt: skip
            (told,) = self._of(self._say([asked]), "/meta/subscribe")
            if not told.get("successful"):
                raise Unsubscribed(str(told.get("error") or "-"))

    def events(self, seconds: float) -> list[Event]:
        """Return what comes within some seconds; less time passes where something comes."""
        asked = {
            "channel": "/meta/connect", "clientId": self._client, "connectionType": "long-polling",
            "advice": {"timeout": int(seconds * 1000)},
        }  # fmt: skip
        answer = self._say([asked])
        for told in self._of(answer, "/meta/connect"):
            if not told.get("successful"):
                raise self._broken(told)
        return list(_events(answer))

    def _say(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        headers = {"Content-Type": "application/json", **({"Cookie": cookies} if cookies else {})}
        answer = self._calls.answer(Request(self._url, "POST", body=encode(messages), headers=headers))
        for cookie in answer.response.headers.all.get("set-cookie", ()):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name.strip()] = value.strip()
        return [message for message in answer.value or () if isinstance(message, dict)]

    def _of(self, answer: Sequence[dict[str, Any]], channel: str) -> list[dict[str, Any]]:
        found = [message for message in answer if message.get("channel") == channel]
        if not found:
            raise self._broken({})
        return found

    def _broken(self, told: Mapping[str, Any]) -> Unavailable:
        if str(told.get("error")).startswith("401"):
            self._calls.credentials.renew()
        return Unavailable(
            msg("Salesforce has ended the stream of change events: {said}", said=str(told.get("error") or "-")),
            msg("It is begun again."),
        )


def _events(answer: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
    for message in answer:
        channel, data = str(message.get("channel")), message.get("data")
        if channel.startswith("/meta/") or not isinstance(data, dict):
            continue
        header = data["payload"]["ChangeEventHeader"]
        yield Event(
            channel, int(data["event"]["replayId"]), str(header["changeType"]), int(header["commitTimestamp"]),
            tuple(map(str, header["recordIds"])),
        )  # fmt: skip
