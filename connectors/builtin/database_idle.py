"""Connections to databases that stay open between the runs of one process, with the statements worked out for them.

Opening one costs the server a process and Syncline a look at everything that the server then knows anew; a rule that
runs every minute and finds nothing would do little else. Only a process that says how long (`KEPT.begin`) keeps any.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from connectors.spi import Context

_LOOKS = 4
"""How often it is looked what has been kept for too long, within the time for which things are kept."""


class _Idle(NamedTuple):
    key: str
    since: float
    engine: sa.Engine


class KeptEngines:
    """Engines that nobody uses at the moment, each with the connection that it last had."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._idle: list[_Idle] = []
        self._lock = threading.Lock()

    def begin(self, seconds: float) -> None:
        """Keep engines from now on, each so long at the most."""
        self._seconds = seconds
        threading.Thread(target=self._watch, name="kept connections", daemon=True).start()

    def take(self, key: str) -> sa.Engine | None:
        """Return an engine that was given back under this key and whose connection is alive."""
        with self._lock:
            found = next((idle for idle in reversed(self._idle) if idle.key == key), None)
            if found is None:
                return None
            self._idle.remove(found)
        if not _alive(found.engine):
            found.engine.dispose()
            return None
        return found.engine

    def give(self, key: str, engine: sa.Engine) -> None:
        """Keep an engine that nobody uses any more, or let it go."""
        if not self._seconds:
            engine.dispose()
            return
        with self._lock:
            self._idle.append(_Idle(key, time.monotonic(), engine))

    def sweep(self) -> None:
        """Let go of what has been kept for too long."""
        oldest = time.monotonic() - self._seconds
        with self._lock:
            gone = [idle for idle in self._idle if idle.since <= oldest]
            self._idle = [idle for idle in self._idle if idle.since > oldest]
        for idle in gone:
            idle.engine.dispose()

    def end(self) -> None:
        """Keep nothing any more."""
        self._seconds = 0.0
        self.sweep()

    def _watch(self) -> None:
        while self._seconds:
            time.sleep(self._seconds / _LOOKS)
            self.sweep()


KEPT = KeptEngines()
"""Those of this process."""


def key_of(connector: type, settings: Mapping[str, Any], allowed: Context) -> str:
    """Return what connectors that may use each other's connections have in common; no secret can be read from it."""
    told = f"{connector.__qualname__} {json.dumps(settings, sort_keys=True, default=str)} {allowed}"
    return hashlib.sha256(told.encode()).hexdigest()


def _alive(engine: sa.Engine) -> bool:
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("SELECT 1")
    except Exception:  # noqa: BLE001 - whatever it is, a new connection tells it better
        return False
    return True
