"""Reading a table by the database's log of changes: which keys it names, and what their records are now.

The log is read in windows of a bounded number of keys. A window is a function of where it begins and of where the read
ends, so that a later read can go on behind any page of it. A key whose last change is a deletion and that has no record
is gone; one that has no record otherwise was deleted behind the end of the read, and a later read tells of that.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from connectors.builtin.database_read import Reader, Session
from connectors.builtin.database_types import Column, Decoded, convert
from connectors.changes import ChangeLog, Mark
from connectors.spi import Capture, Page, ReadRequest, Reject

WINDOW = 500_000
"""So many keys are held at a time."""
SKIP = "skip"
"""How many changes behind a place a window leaves out: only whole transactions have places of their own."""


@dataclass(frozen=True)
class Window:
    """What a stretch of a log says: keys as texts in the order of their first change, and whether they are deleted.

    `end` is where the next window begins, `last` whether the read ends here. `emptied` says that all records were
    deleted at once. `transactions` names what has to be visible before records are looked up.
    """

    keys: pl.Series
    gone: pl.Series
    end: Mark
    last: bool
    emptied: bool = False
    transactions: frozenset[int] = frozenset()


class Keys:
    """The keys of a window while it is collected; `most` bounds them, half of it at the end of a transaction."""

    def __init__(self, at: Mark, most: int) -> None:
        self.found: dict[Any, bool] = {}
        self.at = at
        self.emptied = False
        self._most = most
        self._skip = int(at.get(SKIP, 0))
        self._count = 0

    def changed(self, key: Any, *, gone: bool) -> None:
        """Take note of a change."""
        self._count += 1
        if self._count > self._skip:
            self.found[key] = gone

    def changed_to(self, old: Any, new: Any) -> None:
        """Take note of a change that may have given a record another key."""
        if old == new:
            self.changed(new, gone=False)
            return
        self._count += 1
        if self._count > self._skip:
            self.found[old] = True
            self.found[new] = False

    def emptied_all(self) -> None:
        """Take note that all records were deleted at once."""
        self.emptied = True
        self.found = dict.fromkeys(self.found, True)

    def committed(self, at: Mark) -> bool:
        """Take note of the end of a transaction; tell whether the window is full."""
        self.at, self._skip, self._count = {**at, SKIP: 0}, 0, 0
        return len(self.found) * 2 >= self._most

    @property
    def full(self) -> bool:
        """Tell whether the window cannot hold more."""
        return len(self.found) >= self._most

    @property
    def end(self) -> Mark:
        """Return where the next window begins."""
        return {**self.at, SKIP: max(self._count, self._skip)}

    @property
    def gone(self) -> pl.Series:
        """Return which of the keys are deleted."""
        return pl.Series(list(self.found.values()), dtype=pl.Boolean)


class WindowLog(ChangeLog):
    """A log of changes that can be read window by window."""

    @abstractmethod
    def start(self) -> Mark:
        """Return a place such that all that is committed later is behind it, and all before can be seen."""

    @abstractmethod
    def end(self) -> Mark:
        """Return the end of the log as of now."""

    @abstractmethod
    def confirm(self, since: Mark) -> None:
        """Let the system forget what is before a place: it is durable elsewhere."""

    def pending(self, since: Mark) -> bool:
        """Tell whether the log has anything for this reader behind a place; True where it cannot be read on."""
        state = self.state(since)
        if state.lost is not None or not state.behind:
            return state.lost is not None
        until, at, over = self.end(), {**since, SKIP: 0}, False
        while not over:
            window = self.window(at, until)
            if window.keys.len() or window.emptied:
                return True
            at, over = window.end, window.last
        return False

    @abstractmethod
    def window(self, at: Mark, until: Mark) -> Window:
        """Return the window that begins at a place, ending at `until` at the latest."""

    @abstractmethod
    def settle(self, window: Window) -> None:
        """Wait until what the window tells of can be seen by everybody."""


Remember = Callable[[str, Callable[[], Window]], Window]
"""Returns the window of a name that was collected last, or collects it."""


class LastWindow:
    """The window that a connector has collected last: a read that goes on behind one of its pages needs it again."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._window: Window | None = None

    def __call__(self, name: str, collect: Callable[[], Window]) -> Window:
        """Return the window of a name."""
        if self._window is None or self._name != name:
            self._name, self._window = None, None  # two would be held otherwise
            self._window = collect()
            self._name = name
        return self._window


@dataclass(frozen=True)
class Follower:
    """Reads one table by its log."""

    log: WindowLog
    reader: Reader
    key: Column
    session: Session
    remember: Remember

    def pages(self, request: ReadRequest, capture: Capture, since: Mark) -> Iterator[Page]:
        """Yield the records that were changed behind a place, and name those that are gone."""
        after = request.after or {}
        if not after:
            self.log.confirm(since)
        until: Mark = dict(after["until"]) if after else self.log.end()
        at: Mark = dict(after["at"]) if after else {**since, SKIP: 0}
        done, over = int(after.get("done", 0)), False
        while not over:
            window = self.remember(_name(capture, request.object, at, until), lambda at=at: self.log.window(at, until))  # type: ignore[misc]
            self.log.settle(window)
            yield from self._window(window, request, (at, until), done)
            at, done, over = window.end, 0, window.last

    def _window(self, window: Window, request: ReadRequest, place: tuple[Mark, Mark], done: int) -> Iterator[Page]:
        at, until = place
        total, size = window.keys.len(), request.page_size
        for start in range(done, max(total, done + 1), size):
            behind = min(start + size, total)
            ended = behind >= total
            page = self._page(window, slice(start, behind), request)
            yield replace(
                page,
                position={"at": window.end if ended else at, "until": until, "done": 0 if ended else behind},
                captured=_mark(window.end if ended else at, until),
                emptied=window.emptied and start == 0,
            )

    def _page(self, window: Window, part: slice, request: ReadRequest) -> Page:
        texts, gone = window.keys[part], window.gone[part]
        own = convert(Decoded(texts), self.key.field).values.alias(self.key.name)
        records, rejects = self.reader.by_keys(self.session, self.key.name, own)
        asked = convert(Decoded(texts), request.schema[self.key.name]).values.alias(self.key.name)
        # in the order of the log, whatever order they are found in
        records = asked.to_frame().join(records, on=self.key.name, how="inner", maintain_order="left")
        records = records.select(request.schema.names)
        dead = asked.filter(gone & ~asked.is_in(records[self.key.name].implode()))
        return Page(records, {}, tuple(rejects), deleted=self._without(dead, own, rejects, request))

    def _without(
        self, dead: pl.Series, own: pl.Series, rejects: Sequence[Reject], request: ReadRequest
    ) -> pl.DataFrame | None:
        """Return the keys of deleted records as rows; a record that cannot be read is there."""
        if rejects and not dead.is_empty():
            alone = self.reader.only(request.schema.select((self.key.name,)))
            there, _ = alone.by_keys(self.session, self.key.name, own)
            dead = dead.filter(~dead.is_in(there[self.key.name].implode()))
        if dead.is_empty():
            return None
        nothing = request.schema.empty().clear(dead.len())
        return nothing.with_columns(dead.alias(self.key.name)).select(request.schema.names)


def _mark(at: Mark, until: Mark) -> Mark:
    """Return the place where a later read goes on: a transaction that was read in part is read again."""
    return {**until, **{name: value for name, value in at.items() if name != SKIP}}


def _name(capture: Capture, name: str, at: Mark, until: Mark) -> str:
    return json.dumps([capture.name, capture.key, name, at, until], sort_keys=True)
