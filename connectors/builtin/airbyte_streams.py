"""Reading a stream of a manifest: its slices, the pages of each, the records in each answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import httpx
import msgspec

from connectors.builtin import airbyte_components as parts
from connectors.builtin.airbyte_calls import ManifestCalls
from connectors.builtin.airbyte_paths import all_at, with_value, without
from connectors.builtin.airbyte_requests import Draft
from connectors.builtin.airbyte_slices import Slice, Slices
from connectors.builtin.airbyte_words import holds, number_value, text_value, value_of
from connectors.builtin.rest_paging import Batch, State
from connectors.errors import Fatal, Unavailable
from connectors.json_records import encode
from rules.text import msg

_MOST_PAGES = 1_000_000


class StreamReading:
    """Reads one stream."""

    def __init__(self, stream: parts.DeclarativeStream, calls: ManifestCalls) -> None:
        self.stream = stream
        self.calls = calls
        self.config = calls.config

    def batches(self, since: str | None, state: State | None) -> Iterator[Batch]:
        """Yield the answers from a state on: `slice` is the number of a part, `of` its partition, `token` its page."""
        state = state or {"slice": 0, "token": None}
        slices = enumerate(Slices(self.stream, self.config, self._parent).all(since))
        current = next((one for one in slices if one[0] == state["slice"]), None)
        while current is not None:
            number, part = current
            self._same(part, state)
            following = next(slices, None)
            behind = None if following is None else {"slice": following[0], "of": dict(following[1].partition)}
            for records, token, onward in self.pages(part, state.get("token")):
                here = {"slice": number, "of": dict(part.partition), "token": token}
                after = {**here, "token": onward} if onward is not None else behind
                yield Batch([msgspec.Raw(encode(record)) for record in records], here, after)
            current, state = following, behind or {}

    def pages(self, part: Slice, token: Any) -> Iterator[tuple[list[Any], Any, Any]]:
        """Yield the records of each page of a part, with the page's own token and the next one's, None at the end."""
        pager = Pager(self.stream.retriever.paginator, self.config)
        seen: set[str] = set()
        token = pager.first() if token is None else token
        while True:
            if repr(token) in seen or len(seen) == _MOST_PAGES:
                raise self._endless()
            seen.add(repr(token))
            answer = self._asked(part, pager, token, first=token == pager.first())
            value, response = answer if answer is not None else (None, None)
            found, kept = self._records(value, part)
            onward = None if response is None else pager.following(token, found, value, response)
            yield kept, token, onward
            if onward is None:
                return
            token = onward

    def records(self) -> Iterator[Mapping[str, Any]]:
        """Yield all records of the stream."""
        for part in Slices(self.stream, self.config, self._parent).all(None):
            for records, _, _ in self.pages(part, None):
                yield from (record for record in records if isinstance(record, Mapping))

    def _parent(self, stream: parts.DeclarativeStream) -> Iterator[Mapping[str, Any]]:
        return StreamReading(stream, self.calls).records()

    def _asked(self, part: Slice, pager: Pager, token: Any, *, first: bool) -> tuple[Any, httpx.Response] | None:
        requester = self.stream.retriever.requester
        known = {"config": self.config, **part.known, "next_page_token": {"next_page_token": None if first else token}}
        draft = Draft.of(requester, known, "" if first else pager.address(token))
        known["parameters"] = requester.parameters
        part.put(draft, known)
        pager.put(draft, token, known, first=first)
        return self.calls.json(requester, draft, known)

    def _records(self, value: Any, part: Slice) -> tuple[list[Any], list[Any]]:
        """Return what an answer holds, and of it the records that count, as they are to be."""
        selector = self.stream.retriever.record_selector
        known = {"config": self.config, "parameters": selector.extractor.parameters, **part.known}
        path = [text_value(name, known) for name in selector.extractor.field_path]
        found = all_at(value, path)
        condition = selector.record_filter.condition if selector.record_filter else ""
        parameters = selector.record_filter.parameters if selector.record_filter else {}
        kept = []
        for record in found:
            here = {**known, "parameters": parameters, "record": record}
            if selector.transform_before_filtering:
                record = self._transformed(record, part)  # noqa: PLW2901 - the record as it is from here on
                here["record"] = record
            if holds(condition, here):
                kept.append(record if selector.transform_before_filtering else self._transformed(record, part))
        return found, kept

    def _transformed(self, record: Any, part: Slice) -> Any:
        if not isinstance(record, Mapping):
            return record
        for step in self.stream.transformations:
            known = {"config": self.config, "parameters": step.parameters, **part.known, "record": record}
            if not holds(step.condition, known):
                continue
            if isinstance(step, parts.AddFields):
                for added in step.fields:
                    path = [text_value(name, known) for name in added.path]
                    value = _plain(value_of(added.value, {**known, "record": record}))
                    record = with_value(record, path, value) if path else record
            else:
                for pointer in step.field_pointers:
                    record = without(record, pointer)
        return record

    def _same(self, part: Slice, state: State) -> None:
        """Refuse to go on where the parts are others than before."""
        if "of" in state and encode(state["of"]) != encode(dict(part.partition)):
            raise Unavailable(
                msg("The records that '{name}' is read for have changed meanwhile.", name=self.stream.name),
                msg("Run again from the beginning."),
                object_name=self.stream.name,
            )

    def _endless(self) -> Fatal:
        return Fatal(
            msg("The list '{name}' does not end: the service sends the same page again.", name=self.stream.name),
            msg("Check the paginator of the stream in the manifest."),
            object_name=self.stream.name,
        )


class Pager:
    """How the pages of a part follow each other."""

    def __init__(self, paginator: parts.DefaultPaginator | parts.NoPagination, config: Mapping[str, Any]) -> None:
        self.paginator = paginator if isinstance(paginator, parts.DefaultPaginator) else None
        self.strategy = self.paginator.pagination_strategy if self.paginator else None
        self.known = {"config": config, "parameters": self.paginator.parameters if self.paginator else {}}
        size = number_value(self.strategy.page_size, self.known) if self.strategy else None
        self.size = None if size is None else int(size)

    def first(self) -> Any:
        """Return the token of the first page."""
        if isinstance(self.strategy, parts.PageIncrement):
            return self.strategy.start_from_page
        return 0 if isinstance(self.strategy, parts.OffsetIncrement) else ""

    def address(self, token: Any) -> str:
        """Return the address of a next page, "" where the token is no address."""
        named = self.paginator is not None and isinstance(self.paginator.page_token_option, parts.RequestPath)
        return str(token) if named else ""

    def put(self, draft: Draft, token: Any, known: Mapping[str, Any], *, first: bool) -> None:
        """Put the size and the token into a request."""
        if self.paginator is None:
            return
        option = self.paginator.page_token_option
        onward = isinstance(option, parts.RequestPath) and not first
        if not onward:
            draft.put(self.paginator.page_size_option, self.size, known)
        at_once = getattr(self.strategy, "inject_on_first_request", False)
        if isinstance(option, parts.RequestOption) and (not first or at_once):
            draft.put(option, token, known)

    def following(self, token: Any, found: list[Any], value: Any, response: httpx.Response) -> Any:
        """Return the token of the next page, None at the end."""
        short = not found or (self.size is not None and len(found) < self.size)
        if isinstance(self.strategy, parts.PageIncrement):
            return None if short else int(token) + 1
        if isinstance(self.strategy, parts.OffsetIncrement):
            return None if short else int(token) + len(found)
        if isinstance(self.strategy, parts.CursorPagination):
            return self._cursor(self.strategy, found, value, response)
        return None

    def _cursor(self, strategy: parts.CursorPagination, found: list[Any], value: Any, response: httpx.Response) -> Any:
        headers: dict[str, Any] = dict(response.headers.items())
        headers["link"] = response.links
        known = {
            **self.known, "parameters": strategy.parameters, "response": value, "headers": headers,
            "last_record": found[-1] if found else None, "last_page_size": len(found),
        }  # fmt: skip
        if strategy.stop_condition and holds(strategy.stop_condition, known):
            return None
        return value_of(strategy.cursor_value, known) or None


def _plain(value: Any) -> Any:
    """Return a computed value as JSON has it."""
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else str(value)
