"""Reading entities as pages of typed records, and seeing to it that no page is lost or met twice."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.builtin.odata_expand import asked, cut_off, values
from connectors.builtin.odata_model import ENTITY_KEY
from connectors.builtin.odata_service import Service, Subject
from connectors.casting import Places, short, typed
from connectors.errors import Fatal, Misconfigured, ObjectMissing, Unavailable
from connectors.json_records import encode
from connectors.sorted_changes import Sought, since_of, sorted_changes
from connectors.spi import Cursor, Page, ReadRequest, Reject
from rules.schema import Schema
from rules.text import Message, msg

Entity = Mapping[str, Any]
TRACK = "odata.track-changes"
_DELTAS = ("@odata.deltaLink", "@deltaLink")
_LINKS = ("@odata.nextLink", "@nextLink", "__next")
_COUNTS = ("@odata.count", "@count", "__count")
_MOST = 1_000_000


@dataclass(frozen=True)
class State:
    """Where a list goes on: how many were read, of how many, the last key, and the link to the next page.

    `delta` is the link to what is changed since the list was `begun`, if the service was asked to track that.
    """

    read: int = 0
    total: int | None = None
    last: str = ""
    link: str = ""
    done: bool = False
    delta: str = ""
    begun: float = 0.0


@dataclass(frozen=True)
class Batch:
    """The entities of one answer; `before` asks for it again, `behind` for the one that follows."""

    entities: list[Any]
    before: State
    behind: State


class Walk:
    """One walk through a set, or the part of it that meets a filter."""

    def __init__(
        self, service: Service, subject: Subject, names: Sequence[str], wanted: str = "", *, track: bool = False
    ) -> None:
        self.service, self.subject, self.track = service, subject, track
        own = [subject.described.filter, wanted]
        filters = [f"({text})" if len(list(filter(None, own))) > 1 else text for text in own if text]
        self.query = asked(subject.set, names, old=service.model.old)
        if filters:
            self.query["$filter"] = " and ".join(filters)
        paging = service.options.paging
        self.skips = paging == "skip" or (paging == "auto" and service.model.old)
        self._links: set[str] = set()

    def batches(self, state: State | None = None) -> Iterator[Batch]:
        """Yield the answers from a state on, or from the beginning."""
        state = state or State(begun=round(time.time(), 3) if self.track else 0.0)
        for _ in range(_MOST):
            batch = self._skipped(state) if self.skips and not state.link else self._linked(state)
            yield batch
            if batch.behind.done:
                return
            state = batch.behind
        raise self._endless()  # pragma: no cover - a million pages

    def _linked(self, state: State) -> Batch:
        """Return the answer at a link, or the first one."""
        if state.link:
            if state.link in self._links:
                raise self._endless()
            self._links.add(state.link)
            path = self.service.following(self.subject.set.name, state.link)
            value = self.service.value(self.service.at(path, self.subject.name, self._prefer))
        else:
            value = self._value(self.query) if self.track else self._first({})
        entities, link, delta = parts_of(value, self.subject.name)
        total = state.total if state.link else _count(value)
        last = self._key(entities) or state.last
        behind = State(state.read + len(entities), total, last, link, not link, delta, state.begun)
        if self.skips:
            return Batch(entities, state, replace(behind, done=self._complete(behind) and not link))
        if not link:
            self._check_whole(behind)
        return Batch(entities, state, behind)

    def _skipped(self, state: State) -> Batch:
        """Return the answer behind those read; it begins with the last of them, so that a shift is seen."""
        overlap = 1 if state.read else 0
        size = self.service.options.page_size
        window = {
            "$skip": str(state.read - overlap), "$top": str(size + overlap),
            "$orderby": ",".join(f"{name} asc" for name in self.subject.set.key),
        }  # fmt: skip
        value = self._first(window) if not state.read else self._value({**self.query, **window})
        entities, link, _ = parts_of(value, self.subject.name)
        if overlap:
            self._check(entities, state)
            entities = entities[1:]
        total = _count(value) if not state.read else state.total
        behind = State(state.read + len(entities), total, self._key(entities) or state.last, link)
        ended = not link and (self._complete(behind) if total is not None else not entities)
        if not link and not entities and not ended:
            self._check_whole(behind)
            ended = True
        return Batch(entities, state, replace(behind, done=ended))

    def _check_whole(self, behind: State) -> None:
        """Refuse a list that ended too early: there are more than were read, also as of now."""
        if behind.total is None or self._complete(behind):
            return
        total = _count(self._first({"$top": "1"}))
        if total is None or behind.read < total:
            raise self._incomplete(behind)

    def _complete(self, behind: State) -> bool:
        return behind.total is not None and behind.read >= behind.total

    def _check(self, entities: list[Any], state: State) -> None:
        first = self._key(entities[:1])
        if first == state.last:
            return
        raise Unavailable(
            msg("'{name}' has changed while it was read, or the service ignores $skip: behind {count} records there is"
                " another one than before.", name=self.subject.name, count=state.read),
            msg("It is read again; if this happens always, let the service divide the list (setting 'Paging')."),
            object_name=self.subject.name,
        )  # fmt: skip

    def _first(self, window: Mapping[str, str]) -> Any:
        """Return the first answer, with the number of all where the service tells it."""
        count = {"$inlinecount": "allpages"} if self.service.model.old else {"$count": "true"}
        try:
            return self._value({**self.query, **window, **count})
        except Fatal as error:
            if type(error) is not Fatal:
                raise
        return self._value({**self.query, **window})

    def _value(self, query: Mapping[str, str]) -> Any:
        name = self.subject.set.name
        return self.service.value(self.service.request(name, query, self.subject.name, self._prefer))

    @property
    def _prefer(self) -> str:
        if self.service.model.old or self.skips:
            return ""
        return f"{f'{TRACK},' if self.track else ''}odata.maxpagesize={self.service.options.page_size}"

    def _key(self, entities: Sequence[Any]) -> str:
        if not entities or not isinstance(entities[-1], dict):
            return ""
        return encode([entities[-1].get(name) for name in self.subject.set.key]).decode()

    def _incomplete(self, state: State) -> Fatal:
        return Fatal(
            msg("'{name}' ended after {count} of {total} records, so it is not complete.",
                name=self.subject.name, count=state.read, total=state.total),
            msg("Ask for smaller pages, or by the other kind of paging."),
            object_name=self.subject.name,
        )  # fmt: skip

    def _endless(self) -> Fatal:
        return Fatal(
            msg("The pages of '{name}' lead in a circle.", name=self.subject.name),
            msg("Ask for them by $top and $skip (setting 'Paging')."),
            object_name=self.subject.name,
        )


def parts_of(value: Any, name: str) -> tuple[list[Any], str, str]:
    """Return the entities of an answer, the link to the next ones, and the one to later changes (empty where none)."""
    found, link, delta = value, "", ""
    if isinstance(value, dict):
        link = next((str(value[n]) for n in _LINKS if value.get(n)), "")
        delta = next((str(value[n]) for n in _DELTAS if value.get(n)), "")
        found = value.get("value", value.get("results"))
    if not isinstance(found, list):
        raise Misconfigured(
            msg("The answer for '{name}' is no list of entities.", name=name),
            msg("Check that the address leads to the root of an OData service."),
            object_name=name,
        )
    return found, link, delta


class Rows:
    """Makes records of entities."""

    def __init__(self, subject: Subject, schema: Schema) -> None:
        self.subject, self.schema = subject, schema
        missing = [n for n in schema.names if n not in subject.set.properties and n != ENTITY_KEY]
        if missing:
            raise ObjectMissing(
                msg("The object '{name}' has no field '{field}'.", name=subject.name, field=missing[0]),
                msg("Read the fields of the connection again."),
                object_name=subject.name,
            )
        own = [n for n in schema.names if n in subject.set.properties]
        keys = [n for n in subject.set.key if n not in own] if ENTITY_KEY in schema else []
        self._read = Schema((*(schema[n] for n in own), *(subject.set.properties[n].field for n in keys)))
        self.names = self._read.names
        self._lists = any(path and not path[1] for path in (subject.set.properties[n].path for n in self.names))

    def page(self, entities: Sequence[Any], first: int = 1) -> Page:
        """Return entities as a page of typed records; what does not fit becomes a reject."""
        good, bad = list[tuple[int, Entity]](), list[Reject]()
        for number, entity in enumerate(entities, first):
            wrong = self._wrong(entity)
            if wrong is None:
                good.append((number, entity))
            else:
                bad.append(Reject(_place(number), _shown(entity), wrong))
        places = Places(lambda row: _place(good[row][0]), lambda row: _shown(good[row][1]))
        raw = pl.DataFrame([
            pl.Series(name, values(self.subject.set.properties[name], good), pl.String) for name in self.names
        ])  # fmt: skip
        frame, rejects, _ = typed(raw, self._read, places)
        if ENTITY_KEY in self.schema:
            keys = [self.subject.key_text(row) for row in frame.select(self.subject.set.key).iter_rows(named=True)]
            frame = frame.with_columns(pl.Series(ENTITY_KEY, keys, pl.String))
        return Page(frame.select(self.schema.names), {}, (*bad, *rejects), first)

    def _wrong(self, entity: Any) -> Message | None:
        if not isinstance(entity, dict):
            return msg("This is not a JSON object with fields.")
        return cut_off(self.subject.set, self.names, entity) if self._lists else None


class Reading:
    """One scan of an object."""

    def __init__(self, service: Service, request: ReadRequest, *, track: bool = False) -> None:
        self.service, self.request, self.track = service, request, track
        self.subject = service.subject(request.object)
        self.rows = Rows(self.subject, request.schema)

    def pages(self) -> Iterator[Page]:
        """Yield the pages behind the request's position, at least one."""
        cursor = self.request.cursor
        if cursor is None:
            return self._all()
        wanted = self._since(cursor)
        walk = Walk(self.service, self.subject, self.rows.names, wanted)
        found = (self.rows.page(batch.entities, batch.before.read + 1) for batch in walk.batches())
        return sorted_changes(found, self.request, cursor, Sought(wanted))

    def _all(self) -> Iterator[Page]:
        after = dict(self.request.after or {})
        skip, state = int(after.get("skip", 0)), State(**after["state"]) if "state" in after else State()
        if state.done:
            yield Page(self.request.schema.empty(), after)
            return
        size = self.request.page_size
        for batch in Walk(self.service, self.subject, self.rows.names, track=self.track).batches(state):
            for start in range(skip, max(len(batch.entities), 1), size):
                part = batch.entities[start : start + size]
                whole = start + size >= len(batch.entities)
                if not part and batch.before.read:
                    continue
                place = batch.behind if whole else batch.before
                position = {"state": dict(vars(place)), "skip": 0 if whole else start + size}
                yield replace(self.rows.page(part, batch.before.read + start + 1), position=position)
            skip = 0

    def _since(self, cursor: Cursor) -> str:
        """Return the filter for a cursor, as far as the service compares the field as we do."""
        since = since_of(self.request, cursor)
        found = self.subject.set.properties.get(cursor.field)
        if since is None or found is None or not found.kind.ordered:
            return ""
        later = f"{cursor.field} ge {found.kind.literal(since)}"
        return f"{later} or {cursor.field} eq null" if found.field.nullable else later


def _count(value: Any) -> int | None:
    if not isinstance(value, dict):
        return None
    found = next((str(value[name]) for name in _COUNTS if value.get(name) is not None), "")
    return int(found) if found.isdigit() else None


def _place(number: int) -> str:
    return f"record {number}"


def _shown(entity: Any) -> str:
    return short(encode(entity).decode(), 300)
