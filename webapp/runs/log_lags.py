"""How far rules are behind the logs that they follow, and what systems keep for them: looked at now and then, and kept.

Pages and metrics show what was kept, so that asking for them asks no system.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from connectors.changes import LogState
from connectors.errors import ConnectorError
from rules.text import Message, msg
from webapp.extensions import House
from webapp.runs import log_keeping
from webapp.runs.log_keeping import KeptLog
from webapp.runs.models import kept_log
from webapp.runs.pipeline.following import KEPT

LATE = 3600.0
"""Seconds behind from which on a log needs somebody's attention."""
NEAR = 0.5
"""The part of its limit from which on what a system keeps needs somebody's attention."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Lag:
    """How a log stood when somebody last looked (None: nobody has yet), and what to do about it (None: nothing)."""

    kept: KeptLog
    at: datetime | None
    place: str = ""
    behind: int = 0
    seconds: float = 0.0
    size: int | None = None
    limit: int | None = None
    problem: Message | None = None

    @property
    def advice(self) -> Message | None:
        """Return what somebody should do, None where all is well."""
        if self.problem is not None:
            return self.problem
        if not self.kept.needed:
            return msg("No rule needs it any more. It is taken away within a minute.")
        if self.size is not None and self.limit is not None and self.size > NEAR * self.limit:
            return msg(
                "The system gives the log up at its limit, and then the next run compares all records. Let the rule run"
                " now, or have an administrator raise max_slot_wal_keep_size."
            )
        if self.size is not None and self.limit is None and self.size > KEPT:
            return msg(
                "The system keeps all of it until the rule has read it, which can fill its disk. Let the rule run now,"
                " have an administrator look for transactions that stay open, and set max_slot_wal_keep_size."
            )
        if self.seconds > LATE:
            return msg("The rule has not read it for long. See whether its runs fail or are paused.")
        return None


def measure(house: House) -> None:
    """Look how all logs stand; a system that does not answer is noted with what it says."""
    with house.db.read() as tx:
        logs = log_keeping.listing(tx)
    for kept in logs:
        try:
            seen = _seen(log_keeping.state(house, kept))
        except ConnectorError as error:
            seen = {"problem": error.message.to_json()}
        with house.db.begin() as tx:
            mine = (kept_log.c.rule_id == kept.rule_id, kept_log.c.side == kept.side)
            tx.execute(sa.update(kept_log).where(*mine).values(seen_at=house.clock(), seen=seen))


def _seen(state: LogState | None) -> dict[str, Any]:
    if state is None:
        return {}
    found = {"behind": state.behind, "seconds": round(state.seconds, 3), "place": state.place}
    found |= {"kept": state.kept, "limit": state.limit}
    return found if state.lost is None else {**found, "problem": state.lost.to_json()}


def lags(tx: sa.Connection, connection: str | None = None) -> list[Lag]:
    """Return how the logs stood, all or those of one connection, by the name of their rule."""
    rows = {(row.rule_id, row.side): row for row in tx.execute(sa.select(kept_log))}
    found = []
    for kept in log_keeping.listing(tx):
        if connection in (None, kept.connection):
            row = rows[kept.rule_id, kept.side]
            found.append(_lag(kept, row.seen_at, row.seen or {}))
    return found


def _lag(kept: KeptLog, at: datetime | None, seen: dict[str, Any]) -> Lag:
    problem = Message.from_json(seen["problem"]) if seen.get("problem") else None
    numbers = (seen.get("behind", 0), seen.get("seconds", 0.0), seen.get("kept"), seen.get("limit"))
    return Lag(kept, at, seen.get("place", ""), *numbers, problem)


def metrics(tx: sa.Connection) -> Iterator[str]:
    """Yield the lines that machines read."""
    found = [lag for lag in lags(tx) if lag.at is not None]
    gauges: list[tuple[str, str, list[tuple[Lag, float | None]]]] = [
        ("behind_bytes", "Bytes written to a followed log since its rule read it.", [(x, x.behind) for x in found]),
        ("behind_seconds", "Seconds since a rule read the log that it follows.", [(x, x.seconds) for x in found]),
        ("kept_bytes", "Bytes of its log that a system keeps for a rule.", [(x, x.size) for x in found]),
        ("limit_bytes", "Bytes at which a system gives a log up.", [(x, x.limit) for x in found]),
        ("ok", "Whether a followed log can be read on (1) or not (0).", [(x, float(not x.problem)) for x in found]),
    ]
    for name, text, values in gauges:
        yield f"# HELP syncline_log_{name} {text}"
        yield f"# TYPE syncline_log_{name} gauge"
        for lag, value in values:
            if value is not None:
                labels = {"rule": lag.kept.rule_name, "side": lag.kept.side, "connection": lag.kept.connection}
                told = ",".join(f'{key}="{_escaped(label)}"' for key, label in labels.items())
                yield f"syncline_log_{name}{{{told}}} {round(value, 3):.12g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
