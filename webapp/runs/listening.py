"""Listening to the systems whose logs of changes rules follow, so that what is committed there starts a run at once.

One thread a connection hears which objects are changed, another one starts the runs. A change that nobody has heard,
since nobody listened, is in the log: whoever begins to listen looks there first, and so does whoever sees a run end.
Several processes may listen; a rule has one run at a time. Rules that have a schedule keep to it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa

from connectors.errors import ConnectorError
from webapp.connections.services import open_connector
from webapp.extensions import House
from webapp.rulebook.reading import unscheduled
from webapp.runs import log_keeping
from webapp.runs.log_keeping import KeptLog
from webapp.runs.models import run
from webapp.runs.pipeline.staying import CHANGES
from webapp.runs.requests import RunRefused, start

PAUSE = 2.0
"""Seconds after which a silent system is heard of."""
GATHER = 0.02
"""Seconds for which what is changed together is gathered."""
AGAIN = 10.0
"""Seconds until a system that cannot be listened to is tried again; until then its logs are looked into."""
BUSY, HELD = 0.1, 5.0
"""Seconds between two looks at a rule that is at work, and at one whose last run did not end well."""
REST = timedelta(seconds=60)
"""So long after a run that failed no other one is started by a change."""
_EVER = datetime.fromtimestamp(0, UTC)

log = logging.getLogger(__name__)


@dataclass
class _Due:
    """A log in which something is new, or may be: when that was heard, and when to see to it."""

    kept: KeptLog
    heard: datetime
    at: float


class Listening:
    """The listeners of one process."""

    def __init__(self, house: House, announce: Callable[[], object]) -> None:
        """Begin to start runs; `announce` tells that one waits."""
        self._house, self._announce = house, announce
        self._listeners: dict[str, _Listener] = {}
        self._wanted: set[tuple[int, str]] = set()
        self._due: dict[tuple[int, str], _Due] = {}
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="start runs on changes", daemon=True)
        self._thread.start()

    def refresh(self) -> None:
        """Listen to all systems that rules follow as they are published now, and to no others."""
        wanted = followed(self._house)
        with self._changed:
            self._wanted = {(kept.rule_id, kept.side) for logs in wanted.values() for kept in logs}
            self._due = {place: due for place, due in self._due.items() if place in self._wanted}
        for name in [*self._listeners]:
            listener = self._listeners[name]
            if listener.logs != wanted.get(name) or not listener.thread.is_alive():
                self._listeners.pop(name).stop.set()
        for name in wanted.keys() - self._listeners.keys():
            self._listeners[name] = _Listener(self._house, name, wanted[name], self.hear)

    def hear(self, logs: Sequence[KeptLog], heard: datetime) -> None:
        """Take note that something may be new in logs."""
        with self._changed:
            for kept in logs:
                place = (kept.rule_id, kept.side)
                if place in self._wanted:  # who was told to stop listening may hear once more
                    known = self._due.get(place, _Due(kept, _EVER, 0.0))
                    at = max(known.at, heard.timestamp())  # one that is at work is not looked at for each change
                    self._due[place] = _Due(kept, max(known.heard, heard), at)
            self._changed.notify()

    def close(self) -> None:
        """Stop listening; what still waits for a system after a moment ends with the process."""
        self._stop.set()
        for listener in self._listeners.values():
            listener.stop.set()
        with self._changed:
            self._changed.notify()
        for listener in self._listeners.values():
            listener.thread.join(2 * PAUSE)

    def _work(self) -> None:
        while not self._stop.is_set():
            with self._changed:
                now = self._house.clock().timestamp()
                ready = [due for due in self._due.values() if due.at <= now]
                if not ready:
                    first = min((due.at - now for due in self._due.values()), default=PAUSE)
                    self._changed.wait(min(PAUSE, max(0.01, first)))
                    continue
            for due in ready:
                self._see_to(due)

    def _see_to(self, due: _Due) -> None:
        try:
            wait = self._begin(due)
        except (ConnectorError, sa.exc.OperationalError) as error:
            log.warning("rule %s: its log cannot be looked into: %s", due.kept.rule_name, error)
            wait = AGAIN
        with self._changed:
            place = (due.kept.rule_id, due.kept.side)
            if self._due.get(place) is not due:
                return  # something more was heard meanwhile
            if wait is None:
                del self._due[place]
            else:
                due.at = self._house.clock().timestamp() + wait

    def _begin(self, due: _Due) -> float | None:
        """Start a run if there is something for it; return when to look again, None when there is nothing more."""
        house, kept = self._house, due.kept
        with house.db.read() as tx:
            mine = (run.c.rule_id == kept.rule_id, run.c.mode == "live", run.c.kind != "verify")
            last = tx.execute(sa.select(run.c.state, run.c.ended_at).where(*mine).order_by(run.c.id.desc())).first()
            since = log_keeping.since(tx, kept)
        if since is None:
            return None
        if last is not None and (wait := _held(last.state, last.ended_at, house.clock())):
            return wait
        ended = last.ended_at if last is not None and last.ended_at else _EVER
        if due.heard <= ended and not self._pending(kept, since):
            return None
        try:
            number = start(house, kept.rule_name, "live", CHANGES)
        except RunRefused as refusal:
            log.info("rule %s: not started by a change: %s", kept.rule_name, refusal.message)
            return HELD
        log.debug("rule %s: run %s was started by a change", kept.rule_name, number)
        self._announce()
        return BUSY  # once it has ended, the log is looked into

    def _pending(self, kept: KeptLog, since: Mapping[str, object]) -> bool:
        with open_connector(self._house, kept.connection) as connector:
            return connector.change_log(kept.object, kept.capture).pending(dict(since))


class _Listener:
    """Hears of the changes in one system."""

    def __init__(
        self, house: House, name: str, logs: Sequence[KeptLog], hear: Callable[[Sequence[KeptLog], datetime], None]
    ) -> None:
        self.logs = logs
        self.stop = threading.Event()
        self._house, self._name, self._hear = house, name, hear
        self.thread = threading.Thread(target=self._work, name=f"listen to {name}", daemon=True)
        self.thread.start()

    def _work(self) -> None:
        while not self.stop.is_set():
            self._hear(self.logs, _EVER)  # what came while nobody listened is in the logs
            try:
                self._listen()
            except (ConnectorError, NotImplementedError, sa.exc.OperationalError) as error:
                log.warning("connection %s cannot be listened to: %s", self._name, error)
                self.stop.wait(AGAIN)

    def _listen(self) -> None:
        objects = sorted({kept.object for kept in self.logs})
        with (
            open_connector(self._house, self._name) as connector,
            contextlib.closing(connector.changed(objects, PAUSE)) as heard,
        ):
            next(heard)
            self._hear(self.logs, _EVER)
            for names in heard:
                if self.stop.is_set():
                    return
                if names:
                    self._hear([kept for kept in self.logs if kept.object in names], self._house.clock())
                    self.stop.wait(GATHER)


def followed(house: House) -> dict[str, list[KeptLog]]:
    """Return by connection the logs whose changes start runs: of active rules without a schedule that have run.

    A rule that reads its other side as a whole would do so for each change; it waits for its schedule or a person.
    """
    found: dict[str, list[KeptLog]] = defaultdict(list)
    with house.db.read() as tx:
        rules = {row.rule_id: row.document for row in unscheduled(tx)}
        for kept in log_keeping.listing(tx):
            wanted = kept.needed and kept.rule_id in rules and not _reads_whole(rules[kept.rule_id])
            if wanted and log_keeping.since(tx, kept) is not None:
                found[kept.connection].append(kept)
    return dict(found)


def _reads_whole(document: Mapping[str, object]) -> bool:
    detect = document.get("detect")
    sides = [(detect.get(side) or {}) if isinstance(detect, dict) else {} for side in ("left", "right")]
    return document.get("direction") == "two_way" and any(side.get("by", "full") == "full" for side in sides)


def _held(state: str, ended: datetime | None, now: datetime) -> float:
    """Return how long to wait before a rule is looked at again whose last run is in this state; 0: not at all."""
    if state in ("queued", "running"):
        return BUSY
    if state == "suspended":
        return HELD
    return HELD if state == "failed" and ended is not None and now - ended < REST else 0.0
