"""Walking through the pages of a list, with guards against lists that never end or end too early."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec

from connectors.builtin.paging_ends import Circle, check_total, endless
from connectors.builtin.rest_address import absolute
from connectors.builtin.rest_calls import Answer, Calls, Request
from connectors.builtin.rest_listing import Listing, Raw
from connectors.builtin.rest_objects import RestObject
from connectors.errors import Fatal, Forbidden, Misconfigured
from connectors.http_client import same_origin, shown
from connectors.http_crew import Job
from connectors.http_reply import Reply
from connectors.json_records import decode, encode, member, text_of
from rules.text import msg

State = dict[str, Any]
_MOST_PAGES = 1_000_000


@dataclass(frozen=True)
class Batch:
    """The records of one answer; `state` asks for it again, `next` for the one behind it, if there may be one."""

    records: Sequence[Raw]
    state: State
    next: State | None


@dataclass(frozen=True)
class Asked:
    """What is asked of a list beside its description: parameters of the query and of the body."""

    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, str] = field(default_factory=dict)
    ahead: bool = False
    """All answers will be wanted: the next one is asked for before the last one is worked at."""


@dataclass
class Walk:
    """One walk through a list."""

    calls: Calls
    described: RestObject
    asked: Asked = Asked()
    _direction: int = 0

    def batches(self, state: State | None = None) -> Iterator[Batch]:
        """Yield the answers from a state on, or from the beginning."""
        state = state or self._begin()
        circle = Circle(self.described.name)
        with self.calls.ahead() as answers:
            answers.begin(self._asking(state))
            for _ in range(_MOST_PAGES):
                listing = answers.result().value
                records = self._records(listing)
                circle.check(state["at"], records)
                following = self._following(state, listing, records)
                if following is None:
                    self._check_cap(state["read"] + len(records))
                elif self.asked.ahead:
                    answers.begin(self._asking(following))
                yield Batch(records, state, following)
                if following is None:
                    return
                state = following
                if not self.asked.ahead:
                    answers.begin(self._asking(state))
        raise endless(self.described.name)

    def _begin(self) -> State:
        paging = self.described.paging
        if paging.by in ("page", "offset"):
            first = paging.start if paging.start is not None else int(paging.by == "page")
            return {"at": first, "read": 0}
        return {"at": None, "read": 0}

    def _asking(self, state: State) -> Job[Answer]:
        paging = self.described.paging
        read = partial(Listing, path=self.described.records, others=(paging.total, paging.more, paging.next))
        return self.calls.answering(self._request(state["at"]), read)

    def _request(self, at: Any) -> Request:
        described, paging = self.described, self.described.paging
        known = {"object_name": described.name, "headers": described.headers, "xml": described.format == "xml"}
        if paging.by in ("link", "next_url") and at is not None:
            _refuse_elsewhere(self.calls, described.name, at)  # the address may be one that was kept
            return Request(at, **known)  # type: ignore[arg-type]
        mine: dict[str, Any] = {}
        in_body = paging.place == "body"
        if paging.by != "none" and paging.size_parameter:
            mine[paging.size_parameter] = paging.size
        if paging.by in ("page", "offset", "cursor", "keyset") and at is not None:
            whole = paging.by != "keyset" or (in_body and paging.template == "{value}")
            mine[paging.parameter] = at if whole else paging.template.replace("{value}", str(at))
        query = {**described.query, **self.asked.query, **({} if in_body else {n: str(v) for n, v in mine.items()})}
        body = None
        if described.method == "POST":
            parameters = {**self.asked.body, **(mine if in_body else {})}
            body = encode(placed(described.body, parameters))
        return Request(
            described.path, described.method, query, body, repeatable=True, **known  # type: ignore[arg-type]
        )  # fmt: skip

    def _records(self, listing: Listing) -> list[Raw]:
        path = self.described.records
        try:
            return listing.records(path)
        except KeyError as error:
            if self.described.absent_is_empty:
                return []
            raise self._no_list(listing, path) from error

    def _following(self, state: State, listing: Listing, records: Sequence[Raw]) -> State | None:
        """Return the state behind an answer, or None if the list ends there."""
        paging, read = self.described.paging, state["read"] + len(records)
        if paging.by == "none" or self._last_page(listing, records):
            return None
        total = self._total(listing)
        if total is not None and read >= total:
            return None
        if paging.by in ("page", "offset", "keyset"):
            if not records:
                check_total(self.described.name, read, total)
                return None
            return {"at": self._counted(state, records), "read": read}
        target = self._cursor(listing, records) if paging.by == "cursor" else self._target(listing)
        if target is None:
            check_total(self.described.name, read, total)
            return None
        self._check_direction(state["at"], target)
        return {"at": target, "read": read}

    def _counted(self, state: State, records: Sequence[Raw]) -> Any:
        paging = self.described.paging
        if paging.by == "keyset":
            name = paging.field or self.described.key
            try:
                at = member(decode(records[-1]), self.described.paths.get(name, name))
            except (KeyError, msgspec.DecodeError):
                at = None
            if at in (None, ""):
                raise self._no_field(name)
            return at if isinstance(at, int) else text_of(at)
        return state["at"] + (1 if paging.by == "page" else len(records))

    def _last_page(self, listing: Listing, records: Sequence[Raw]) -> bool:
        """Tell whether the service, or the size of a page, says that this is the last one."""
        paging = self.described.paging
        if paging.more:
            try:
                return listing.at(paging.more) in (False, None, 0, "", "false", "False", "0")
            except KeyError as error:
                raise self._no_member(listing, paging.more) from error
        return paging.ends == "short" and len(records) < paging.size

    def _total(self, listing: Listing) -> int | None:
        if not self.described.paging.total:
            return None
        try:
            return int(listing.at(self.described.paging.total))
        except (KeyError, TypeError, ValueError) as error:
            raise self._no_member(listing, self.described.paging.total) from error

    def _check_cap(self, read: int) -> None:
        if self.described.cap and read >= self.described.cap:
            raise Fatal(
                msg("The list '{name}' has {read} records, and the service stops at {cap}: it is probably incomplete.",
                    name=self.described.name, read=read, cap=self.described.cap),
                msg("Read it in parts, for example by parameters of the object, or describe how it is paged."),
                object_name=self.described.name,
            )  # fmt: skip

    def _check_direction(self, before: Any, after: Any) -> None:
        """Notice numbers of a cursor that go back: what follows was read already."""
        if not (str(before).isdecimal() and str(after).isdecimal()):
            return
        step = (int(after) > int(before)) - (int(after) < int(before))
        if self._direction and step != self._direction:
            raise endless(self.described.name)
        self._direction = step

    def _cursor(self, listing: Listing, records: Sequence[Raw]) -> Any:
        paging = self.described.paging
        try:
            found = listing.at(paging.next)
        except KeyError as error:
            if len(records) >= paging.size and paging.size_parameter and paging.by == "cursor":
                raise self._no_member(listing, paging.next) from error
            return None
        return found if found not in (None, "", False) else None

    def _target(self, listing: Listing) -> str | None:
        response = listing.response
        found = self._cursor(listing, []) if self.described.paging.next else response.links.get("next", {}).get("url")
        if found is None:
            return None
        return link_to(self.calls, self.described.name, response, str(found))

    def _no_field(self, name: str) -> Misconfigured:
        return Misconfigured(
            msg("The last record of a page of '{name}' has no value in '{field}', so the next page is not known.",
                name=self.described.name, field=name),
            msg("Correct the paging of the object '{name}'.", name=self.described.name),
            object_name=self.described.name,
        )  # fmt: skip

    def _no_list(self, listing: Listing, path: str) -> Misconfigured:
        return Misconfigured(
            msg("There is no list of records at '{path}' in the answer of {url}.",
                path=path or "-", url=shown(listing.response.url)),
            msg("Correct the member 'records' of the object '{name}'.", name=self.described.name),
            object_name=self.described.name,
        )  # fmt: skip

    def _no_member(self, listing: Listing, path: str) -> Misconfigured:
        return Misconfigured(
            msg("There is nothing at '{path}' in the answer of {url}, so it cannot be known how the list goes on.",
                path=path, url=shown(listing.response.url)),
            msg("Correct the paging of the object '{name}'.", name=self.described.name),
            object_name=self.described.name,
        )  # fmt: skip


def elsewhere(calls: Calls, link: str) -> bool:
    """Tell whether an address leads to another service than that of the connection."""
    target = httpx.URL(link)
    return target.is_absolute_url and not same_origin(httpx.URL(absolute(calls.options.base_url, "")), target)


def link_to(calls: Calls, name: str, response: Reply, link: str) -> str:
    """Return the whole address of a link in an answer, without what may be secret; refuses one to another service."""
    target = response.url.join(link)
    _refuse_elsewhere(calls, name, str(target))
    secret = calls.credentials.secret_parameters
    kept = [(key, value) for key, value in parse_qsl(target.query.decode(), keep_blank_values=True)]
    return str(target.copy_with(params=[(key, value) for key, value in kept if key not in secret]))


def placed(body: Any, parameters: Mapping[str, Any]) -> Any:
    """Return a body with parameters in it; `page.number` is a member of a member, `filters.0` a part of a list."""
    made: Any = list(body) if isinstance(body, list) else dict(body) if isinstance(body, Mapping) else {}
    for name, value in parameters.items():
        part, _, rest = name.partition(".")
        place: Any = part
        if isinstance(made, list) and part.isdecimal() and int(part) < len(made):
            place = int(part)
        elif isinstance(made, list):
            made = {}
        inner = made[place] if isinstance(made, list) else made.get(place)
        made[place] = placed(inner, {rest: value}) if rest else value
    return made


def _refuse_elsewhere(calls: Calls, name: str, link: str) -> None:
    if elsewhere(calls, link):
        raise Forbidden(
            msg("The next page of '{name}' is said to be at {url}, which is another service.",
                name=name, url=shown(httpx.URL(link))),
            msg("Credentials are not sent there. Check the address of the connection."),
            object_name=name,
        )  # fmt: skip
