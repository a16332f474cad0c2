"""Checks a sealed log, online or in an export, and says by name what was done to it. Pure: `Evidence` brings the facts.

The order of trust: a public key that the reader has, the keys that it vouches for, the checkpoints that these have
signed, the roots of the tree, the hashes of its leaves, the events. Checkpoints that were kept elsewhere show what
nothing inside the log can show: that all of it was exchanged or put back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Protocol

from rules.text import msg
from webapp.audit.findings import Finding, Kind, Report
from webapp.audit.keys import KeyLine, chained
from webapp.audit.notes import BadNote, Checkpoint, PublicKey, checkpoint
from webapp.audit.walk import Entry, Walk

__all__ = ["Entry", "Evidence", "Finding", "Kind", "Report", "verify"]


class Evidence(Protocol):
    """What is checked."""

    @property
    def size(self) -> int:
        """Return the size of the tree that the log claims."""

    def keys(self) -> Sequence[KeyLine]:
        """Return the public keys, the oldest first."""

    def checkpoints(self) -> Iterable[tuple[int, str]]:
        """Return size and note of all checkpoints, by size."""

    def entries(self) -> Iterable[Entry]:
        """Return all leaves by their place in the tree."""

    def strays(self) -> Iterable[int]:
        """Return the ids of events that should have been sealed and are not."""

    def pending(self) -> int:
        """Return how many events wait to be sealed."""


def verify(evidence: Evidence, trusted: Collection[PublicKey] = (), elsewhere: Collection[str] = ()) -> Report:
    """Check a log from its keys to its events.

    Args:
        evidence: The log.
        trusted: Public keys that the reader has from elsewhere; without one the log vouches for itself.
        elsewhere: Notes of checkpoints that were kept elsewhere.
    """
    report = Report()
    keys = _keys(report, evidence.keys(), trusted)
    known = _signed(report, evidence.checkpoints(), keys)
    kept = _kept(report, elsewhere, keys)
    walk = Walk(report, known, kept, keys)
    for entry in evidence.entries():
        walk.take(entry)
    walk.end(evidence.size)
    report.waiting, report.sealed_at = evidence.pending(), max((one.at for one in known), default=None)
    for event_id in evidence.strays():
        report.add(Kind.INSERTED, msg("Event {id} stands in the log, but not in its seal.", id=event_id))
    return report


def _keys(report: Report, lines: Sequence[KeyLine], trusted: Collection[PublicKey]) -> list[PublicKey]:
    try:
        keys = chained(lines)
    except BadNote as error:
        report.add(Kind.KEYS, msg("The keys do not vouch for each other: {why}.", why=str(error)))
        return list(trusted)
    report.trusted = bool(set(keys) & set(trusted))
    if trusted and not report.trusted:
        report.add(Kind.KEYS, msg("The log is signed by keys that the trusted key does not vouch for."))
        return list(trusted)
    return keys


def _signed(report: Report, notes: Iterable[tuple[int, str]], keys: Collection[PublicKey]) -> list[Checkpoint]:
    found: list[Checkpoint] = []
    for size, note in notes:
        try:
            said = checkpoint(note, keys)
        except BadNote as error:
            report.add(
                Kind.FORGED, msg("The checkpoint over {size} events is not genuine: {why}.", size=size, why=str(error))
            )
            continue
        if said.size != size:
            report.add(
                Kind.FORGED,
                msg("The checkpoint over {size} events was signed over {other} events.", size=size, other=said.size),
            )
            continue
        if any(one.size == size and one.root != said.root for one in found[-1:]):
            text = "Two checkpoints say different things of the first {size} events: there are two logs."
            report.add(Kind.FORKED, msg(text, size=size))
        found.append(said)
    report.checkpoints = len(found)
    return found


def _kept(report: Report, notes: Collection[str], keys: Collection[PublicKey]) -> list[Checkpoint]:
    found = []
    for note in notes:
        try:
            found.append(checkpoint(note, keys))
        except BadNote as error:
            report.add(Kind.FORGED, msg("A checkpoint from elsewhere is not of this log: {why}.", why=str(error)))
    report.elsewhere = len(found)
    return sorted(found, key=lambda one: one.size)
