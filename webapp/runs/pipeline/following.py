"""Sides that are fed by their system's log of changes: where a run goes on in it, and what it has to say about that.

A log that cannot be read on from where the last run ended does not tell of all changes. Then the run reads everything,
as a first one does, and the log is kept anew from before that.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from dataclasses import replace

from connectors.changes import ChangeLog, LogState
from connectors.spi import Capture
from rules.text import N_, Message, msg

KEPT = 1 << 30
"""From so many bytes on that a system keeps for a rule, its runs warn."""
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_PLAIN = re.compile(r"[^a-z0-9]+")
_LONGEST = 32

Tell = Callable[[str, Message], None]


def name_of(installation: str, rule_name: str, side: str) -> str:
    """Return the name under which a system keeps its log for one side of a rule; rules are told apart by a checksum."""
    plain = _PLAIN.sub("_", rule_name.lower())[:_LONGEST].strip("_")
    return f"syncline_{installation[:6]}_{plain}_{zlib.crc32(rule_name.encode()):08x}_{side[0]}"


def followed(log: ChangeLog, capture: Capture, tell: Tell, *, resumed: bool) -> Capture:
    """Return where a run goes on in a log; one that was begun earlier has been asked for that already."""
    if capture.since is not None:
        state = LogState() if resumed else log.state(dict(capture.since))
        if state.lost is None:
            _tell(state, tell)
            return capture
        text = N_("{reason} So the log does not tell of all changes. This run compares all records.")
        tell("warning", msg(text, reason=state.lost))
        capture = replace(capture, since=None)
    made = log.keep()
    if made is not None:
        tell("info", made)
    return capture


def _tell(state: LogState, tell: Tell) -> None:
    if state.behind:
        text = msg(
            "The log of changes has grown by {size} since it was read {seconds} s ago.",
            size=size_text(state.behind), seconds=round(state.seconds),
        )  # fmt: skip
        tell("info", text)
    if state.kept is not None and state.kept > KEPT:
        text = msg(
            "The database keeps {size} of its log for this rule. Let the rule run more often, or have an administrator"
            " look for transactions that stay open.",
            size=size_text(state.kept),
        )
        tell("warning", text)


def size_text(count: float) -> str:
    """Return a number of bytes for people."""
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} {_UNITS[-1]}"
