"""What a web service itself tells of its changes: the member `delta` of an object (`rest_objects.Delta`)."""

from __future__ import annotations

from functools import partial

import msgspec

from connectors.builtin.delta_links import LinkLog, Part
from connectors.builtin.rest_calls import Calls, Request
from connectors.builtin.rest_listing import Listing
from connectors.builtin.rest_objects import Delta, RestObject
from connectors.builtin.rest_paging import elsewhere, link_to
from connectors.changes import Mark
from connectors.errors import Fatal, Misconfigured
from connectors.http_client import shown
from connectors.json_records import decode, member, text_of
from connectors.spi import Capture
from connectors.told_changes import ToldLog
from rules.text import Message, msg


class DeltaLog(LinkLog, ToldLog):
    """What a service tells of the changes of one object."""

    def __init__(self, calls: Calls, described: RestObject, capture: Capture) -> None:
        super().__init__(described.name, capture, described.key)
        self.calls, self.described = calls, described

    def refused(self) -> Message | None:
        """Say where no such list is described."""
        if self.described.delta is not None:
            return None
        return msg(
            "The connection does not describe how its service tells what was changed in '{object}'. Let the rule read"
            " what is new by a field, or compare all records.",
            object=self.name,
        )

    def start(self) -> Mark:
        """Return a place such that all that is changed later is behind it."""
        delta = self._delta
        request = Request(delta.path, query={**delta.query, **delta.latest}, object_name=self.name)
        part = self._part(request)
        while not part.last:
            part = self.part(part.link)
        return self.mark(part.link)

    def part(self, link: str) -> Part:
        """Return what the service tells at an address, which may have been kept since before the connection changed."""
        if elsewhere(self.calls, link):
            raise Fatal(
                msg("The connection has another address than when it was told what was changed in '{object}'.",
                    object=self.name),
                msg("Start the run again: it compares all records."),
                object_name=self.name,
            )  # fmt: skip
        return self._part(Request(link, object_name=self.name))

    @property
    def _delta(self) -> Delta:
        delta = self.described.delta
        if delta is None:
            raise Misconfigured(self.missing()[0], object_name=self.name)
        return delta

    def _part(self, request: Request) -> Part:
        delta = self._delta
        read = partial(Listing, path=delta.records, others=(delta.next, delta.link))
        listing: Listing = self.calls.answer(request, read).value
        try:
            entries = [decode(record) for record in listing.records(delta.records)]
        except KeyError as error:
            raise self._none(listing, delta.records) from error
        keys: dict[str, bool] = {}
        for entry in entries:
            keys[self._key_of(entry)] = isinstance(entry, dict) and delta.removed in entry
        following = self._link(listing, delta.next) if delta.next else None
        link = following or self._link(listing, delta.link)
        if link is None:
            raise self._none(listing, delta.link)
        return Part(keys, link_to(self.calls, self.name, listing.response, link), following is None)

    def _key_of(self, entry: object) -> str:
        try:
            key = text_of(member(entry, self.described.paths.get(self.described.key, self.described.key)))
        except KeyError:
            key = None
        if not key:
            raise Misconfigured(
                msg("The service tells of a change in '{object}' without its '{key}'.",
                    object=self.name, key=self.described.key),
                msg("Correct the member 'delta' of the object '{name}'.", name=self.name),
                object_name=self.name,
            )  # fmt: skip
        return key

    def _link(self, listing: Listing, path: str) -> str | None:
        try:
            found = listing.at(path)
        except (KeyError, msgspec.DecodeError):
            return None
        return str(found) if found else None

    def _none(self, listing: Listing, path: str) -> Misconfigured:
        return Misconfigured(
            msg("There is nothing at '{path}' in the answer of {url}, so it cannot be known what was changed.",
                path=path or "-", url=shown(listing.response.url)),
            msg("Correct the member 'delta' of the object '{name}'.", name=self.name),
            object_name=self.name,
        )  # fmt: skip
