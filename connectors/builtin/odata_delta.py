"""What a service of version 4 tells of changes: the delta links that it gives out to who asks it to track them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import polars as pl

from connectors.builtin.delta_links import LinkLog, Part
from connectors.builtin.odata_read import TRACK, Reading, parts_of
from connectors.builtin.odata_service import Service, Subject
from connectors.casting import cast
from connectors.errors import Misconfigured
from connectors.spi import Capture, Page, ReadRequest
from rules.text import Message, msg

_CONTEXTS, _IDS = ("@odata.context", "@context"), ("id", "@id", "@odata.id")
_REMOVED = ("@removed", "@odata.removed")
_LITERAL = r"\w*'(?:[^']|'')*'|[^'(),=]+"
_KEY = re.compile(rf"(?:^|/)[\w.]+\(((?:\w+=)?(?:{_LITERAL})(?:,\w+=(?:{_LITERAL}))*)\)$")
_TYPED = re.compile(r"(?:\w+=)?(?:guid|datetimeoffset|datetime|time|binary|duration)?'(.*)'", re.DOTALL | re.IGNORECASE)


class ODataLog(LinkLog):
    """What a service tells of the changes of one object."""

    def __init__(self, service: Service, name: str, capture: Capture) -> None:
        self.service = service
        self.subject: Subject = service.subject(name)
        super().__init__(name, capture, self.subject.set.schema.key[0])

    def refused(self) -> Message | None:
        """Ask for a list in the way of a first read, and say so where the service does not track its changes."""
        if not self.service.model.old and self.service.options.paging != "skip":
            query = {"$select": ",".join(self.subject.set.key)}
            request = self.service.request(self.subject.set.name, query, self.name, f"{TRACK},odata.maxpagesize=1")
            answer = self.service.calls.answer(request)
            applied = answer.response.headers.get("preference-applied", "")
            if "track-changes" in applied or parts_of(answer.value, self.subject.name)[2]:
                return None
        return msg(
            "The service does not tell what was changed in '{object}' (odata.track-changes). Let the rule read what is"
            " new by a field, or compare all records.",
            object=self.name,
        )

    def part(self, link: str) -> Part:
        """Return what the service tells at an address."""
        path = self.service.following(self.subject.set.name, link)
        entries, following, delta = parts_of(self.service.value(self.service.at(path, self.name)), self.name)
        if not (following or delta):
            raise self._without(msg("The service does not say where its changes go on."))
        keys, lost = dict[str, bool](), None
        for entry in entries:
            if not _context(entry).endswith(("/$link", "/$deletedLink")):
                key = self._key_of(entry)
                if key:
                    keys[key] = _gone(entry)
                else:
                    lost = self._named(entry)
        return Part(keys, following or delta, not following, lost)

    def _key_of(self, entry: Mapping[str, Any]) -> str:
        """Return the key of a changed entity as the rule has it; empty where it cannot be known."""
        names = self.subject.set.key
        if all(entry.get(name) is not None for name in names) and not (_gone(entry) and names == ("id",)):
            return self._text(entry)
        told = self._named(entry)
        if "://" not in told and not told.startswith(("/", f"{self.subject.set.name}(")):
            return told  # no address: what the service knows the entity by
        found = _KEY.search(unquote(told.partition("?")[0]))
        if found is None:
            return ""
        return found[1] if len(names) > 1 else _bare(found[1])

    def _named(self, entry: Mapping[str, Any]) -> str:
        return next((str(entry[name]) for name in _IDS if entry.get(name)), "")

    def _text(self, entry: Mapping[str, Any]) -> str:
        """Return the key of an entity whose key properties are told."""
        texts = {n: self.subject.set.properties[n].kind.read(entry[n]) for n in self.subject.set.key}
        if len(texts) == 1:
            return next(iter(texts.values())) or ""
        fields = {name: self.subject.set.properties[name].field for name in texts}
        values = {name: cast(pl.Series(name, [text], pl.String), fields[name])[0] for name, text in texts.items()}
        return self.subject.key_text(values)

    def _without(self, message: Message) -> Misconfigured:
        return Misconfigured(
            message, msg("Let the rule read what is new by a field, or compare all records."), object_name=self.name
        )


def tracked(log: ODataLog, request: ReadRequest) -> Iterator[Page]:
    """Yield all records, as a first read does; behind the last page it is known from where changes are told."""
    for page in Reading(log.service, replace(request, capture=None), track=True).pages():
        state = page.position["state"]
        if state["done"] and not state["delta"]:
            raise Misconfigured(log.refused() or msg("The service has given no delta link."), object_name=log.name)
        mark = {"link": state["delta"], "time": state["begun"]}
        yield replace(page, captured=mark if state["done"] and not page.position["skip"] else None)


def _context(entry: Mapping[str, Any]) -> str:
    return next((str(entry[name]) for name in _CONTEXTS if entry.get(name)), "")


def _gone(entry: Mapping[str, Any]) -> bool:
    return _context(entry).endswith("/$deletedEntity") or any(name in entry for name in _REMOVED)


def _bare(literal: str) -> str:
    """Return the value of a key literal; `id=7` is another way to write it."""
    found = _TYPED.fullmatch(literal)
    return found[1].replace("''", "'") if found else literal.rpartition("=")[2]
