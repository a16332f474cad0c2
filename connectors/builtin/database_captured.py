"""Databases whose log of changes can be read."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from functools import cached_property

from connectors.builtin.database_changes import Follower, LastWindow, WindowLog
from connectors.builtin.database_check import ServerDatabase
from connectors.builtin.database_read import column_of
from connectors.changes import ChangeLog
from connectors.spi import Capture, Page, ReadRequest
from connectors.told_changes import everything


class CapturedDatabase(ServerDatabase):
    """A database that tells by its log which records were changed."""

    @abstractmethod
    def log(self, name: str, capture: Capture) -> WindowLog:
        """Return the log of a table for one reader."""

    def change_log(self, name: str, capture: Capture) -> ChangeLog:
        """Return the log of a table for one reader."""
        return self.log(name, capture)

    def read(self, request: ReadRequest) -> Iterator[Page]:
        """Yield pages, by the log where the request asks for that."""
        capture = request.capture
        if capture is None:
            yield from super().read(request)
            return
        log = self.log(request.object, capture)
        if capture.since is None or "from" in (request.after or {}):
            yield from everything(super().read, request, log.start)
            return
        key = column_of(self._table(request.object), capture.key)
        follower = Follower(log, self._reader(request), key, lambda: self.session(request.object), self._windows)
        yield from follower.pages(request, capture, dict(capture.since))

    @cached_property
    def _windows(self) -> LastWindow:
        return LastWindow()
