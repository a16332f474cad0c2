"""Walking through the pages of a list, with guards against lists that never end or end too early."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import httpx

from connectors.builtin.rest_calls import Answer, Calls, Request, absolute
from connectors.builtin.rest_objects import RestObject
from connectors.errors import Fatal, Forbidden, Misconfigured
from connectors.http_client import same_origin, shown
from connectors.json_records import encode, member
from rules.text import msg

State = dict[str, Any]
_MOST_PAGES = 1_000_000


@dataclass(frozen=True)
class Batch:
    """The records of one answer; `state` asks for it again, `next` for the one behind it, if there may be one."""

    records: list[Any]
    state: State
    next: State | None


@dataclass
class Walk:
    """One walk through a list."""

    calls: Calls
    described: RestObject
    query: Mapping[str, str]
    _seen: set[str] = field(default_factory=set)
    _last: bytes = b""

    def batches(self, state: State | None = None) -> Iterator[Batch]:
        """Yield the answers from a state on, or from the beginning."""
        state = state or self._begin()
        for _ in range(_MOST_PAGES):
            answer = self._call(state)
            records = self._records(answer)
            self._guard(state, records)
            following = self._following(state, answer, records)
            yield Batch(records, state, following)
            if following is None:
                return
            state = following
        raise self._endless()

    def _begin(self) -> State:
        paging = self.described.paging
        if paging.by in ("page", "offset"):
            first = paging.start if paging.start is not None else int(paging.by == "page")
            return {"at": first, "read": 0}
        return {"at": None, "read": 0}

    def _call(self, state: State) -> Answer:
        paging, at = self.described.paging, state["at"]
        name = self.described.name
        if paging.by == "link" and at is not None:
            return self.calls.answer(Request(at, object_name=name))
        query = {**self.described.query, **self.query}
        if paging.by != "none" and paging.size_parameter:
            query[paging.size_parameter] = str(paging.size)
        if paging.by in ("page", "offset", "cursor") and at is not None:
            query[paging.parameter] = str(at)
        return self.calls.answer(Request(self.described.path, query=query, object_name=name))

    def _records(self, answer: Answer) -> list[Any]:
        path = self.described.records
        try:
            found = member(answer.value, path)
        except KeyError as error:
            raise self._no_list(answer, path) from error
        if not isinstance(found, list):
            raise self._no_list(answer, path)
        return found

    def _following(self, state: State, answer: Answer, records: list[Any]) -> State | None:
        """Return the state behind an answer, or None if the list ends there."""
        paging, read = self.described.paging, state["read"] + len(records)
        if paging.by == "none":
            return None
        if paging.by in ("page", "offset"):
            total = self._total(answer)
            if total is not None and read >= total:
                return None
            if not records:
                self._check_total(read, total)
                return None
            return {"at": state["at"] + (1 if paging.by == "page" else len(records)), "read": read}
        target = self._target(answer) if paging.by == "link" else self._cursor(answer, records)
        return None if target is None else {"at": target, "read": read}

    def _total(self, answer: Answer) -> int | None:
        if not self.described.paging.total:
            return None
        try:
            found = member(answer.value, self.described.paging.total)
            return int(found)
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_member(answer, self.described.paging.total) from error

    def _check_total(self, read: int, total: int | None) -> None:
        if total is not None and read < total:
            raise Fatal(
                msg("The list '{name}' ended after {read} of {total} records.",
                    name=self.described.name, read=read, total=total),
                msg("Run again; if it happens always, check how the object is paged."),
                object_name=self.described.name,
            )  # fmt: skip

    def _cursor(self, answer: Answer, records: list[Any]) -> Any:
        paging = self.described.paging
        try:
            found = member(answer.value, paging.next)
        except KeyError as error:
            if len(records) >= paging.size and paging.size_parameter:
                raise self._no_member(answer, paging.next) from error
            return None
        return found if found not in (None, "", False) else None

    def _target(self, answer: Answer) -> str | None:
        paging = self.described.paging
        header = answer.response.links.get("next", {}).get("url")
        found = self._cursor(answer, []) if paging.next else header
        if found is None:
            return None
        target = answer.response.url.join(str(found))
        if not same_origin(httpx.URL(absolute(self.calls.options.base_url, "")), target):
            raise Forbidden(
                msg("The next page of '{name}' is said to be at {url}, which is another service.",
                    name=self.described.name, url=shown(target)),
                msg("Credentials are not sent there. Check the address of the connection."),
                object_name=self.described.name,
            )  # fmt: skip
        secret = set(self.calls.options.query)
        kept = [(name, value) for name, value in parse_qsl(target.query.decode(), keep_blank_values=True)]
        return str(target.copy_with(params=[(name, value) for name, value in kept if name not in secret]))

    def _guard(self, state: State, records: list[Any]) -> None:
        """Notice a list that turns in a circle: the same place again, or the same page twice."""
        place = repr(state["at"])
        content = hashlib.sha256(encode(records)).digest()
        if place in self._seen or (records and content == self._last):
            raise self._endless()
        self._seen.add(place)
        self._last = content

    def _endless(self) -> Fatal:
        return Fatal(
            msg("The list '{name}' does not end: the service sends the same page again.", name=self.described.name),
            msg("Check the paging of the object: the names of the parameters, the first page, the path to the total."),
            object_name=self.described.name,
        )

    def _no_list(self, answer: Answer, path: str) -> Misconfigured:
        return Misconfigured(
            msg("There is no list of records at '{path}' in the answer of {url}.",
                path=path or "-", url=shown(answer.response.url)),
            msg("Correct the member 'records' of the object '{name}'.", name=self.described.name),
            object_name=self.described.name,
        )  # fmt: skip

    def _no_member(self, answer: Answer, path: str) -> Misconfigured:
        return Misconfigured(
            msg("There is nothing at '{path}' in the answer of {url}, so it cannot be known how the list goes on.",
                path=path, url=shown(answer.response.url)),
            msg("Correct the paging of the object '{name}'.", name=self.described.name),
            object_name=self.described.name,
        )  # fmt: skip
