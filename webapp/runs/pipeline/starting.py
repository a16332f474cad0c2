"""Where the sides of a run are read from: behind the last run, by a field that grows or by their system's log."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from connectors.spi import Capture, Connector
from rules.documents.sync import Detect, DetectBy, Side
from rules.schema import Schema
from webapp.runs.pipeline import cursors, following, kept_logs
from webapp.runs.pipeline.codec import typed_value
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.reading import Start, cursor_of
from webapp.runs.pipeline.retry import Retry


class Starts:
    """Where the sides of one run are read from; each is worked out once, when it is first asked for."""

    def __init__(self, journal: Journal, installation: str, retry: Retry) -> None:
        self._journal = journal
        self._claim = journal.claim
        self._installation = installation
        self._retry = retry
        self._known: dict[str, Start | None] = {}
        self._noted: dict[str, Any] = {}

    def one_way(self, reader: Connector, place: tuple[Side, str, str], schema: Schema, detect: Detect) -> Start | None:
        """Return where the source is read from; `place` is the side, its key field and its name; None: everything."""
        side, key, name = place
        if name not in self._known:
            since = self._since(cursors.name_of(side, detect), self._claim.since)
            start = self._start(reader, ((side.connection, side.object), key, name), schema, (detect, since))
            self._known[name] = start
            noted = _begun(start, since)
            if noted != self._claim.since:
                self._journal.note(since=noted)
        return self._known[name]

    def of_both(self, reader: Connector, place: tuple[Side, str, str], schema: Schema, detect: Detect) -> Start | None:
        """Return where a side of a rule that reads both is read from."""
        side, key, name = place
        if name not in self._known:
            since = self._since(cursors.name_of(side, detect, name), (self._claim.since or {}).get(name))
            start = self._start(reader, ((side.connection, side.object), key, name), schema, (detect, since))
            self._known[name] = start
            self._noted[name] = _begun(start, since)
            self._journal.note(since=self._noted)
        return self._known[name]

    def move(self, name: str, since: dict[str, Any]) -> None:
        """Let the source of the side `name` be read from another place in its log from now on."""
        start = self._known[name]
        if isinstance(start, Capture):
            self._known[name] = replace(start, since=since)

    def _since(self, name: str, begun: Any) -> Any:
        """Return where a run has begun; a new one begins where the last one has ended."""
        if begun is not None or self._claim.chunks:
            return begun
        with self._journal.house.db.read() as tx:
            return cursors.stored(tx, self._claim, name)

    def _start(
        self, reader: Connector, place: tuple[tuple[str, str], str, str], schema: Schema, found: tuple[Detect, Any]
    ) -> Start | None:
        detect, since = found
        (connection, name), key, side = place
        if detect.by is not DetectBy.CDC:
            typed = typed_value(schema, detect.field, since) if detect.field else None
            return cursor_of(detect, key, typed)
        capture = Capture(following.name_of(self._installation, self._claim.rule_name, side), key, since)
        log, resumed = reader.change_log(name, capture), self._claim.chunks > 0
        start = self._retry(lambda: following.followed(log, capture, self._journal.log, resumed=resumed))
        if start.since is None:
            kept_logs.note(self._journal, side, (connection, name), start)
        return start


def _begun(start: Start | None, since: Any) -> Any:
    """Return what a run notes of where it has begun."""
    if isinstance(start, Capture):
        return None if start.since is None else dict(start.since)
    return since
