"""The walk through the leaves of a sealed log: each against its event, the tree against its checkpoints. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from rules.text import msg
from webapp.audit import places, removals
from webapp.audit.canonical import instant, leaf_of
from webapp.audit.findings import Kind, Report
from webapp.audit.merkle import HASH, Frontier
from webapp.audit.notes import BadNote, Checkpoint, PublicKey
from webapp.audit.tags import Tag

LATE = timedelta(hours=1)
"""So much older than a checkpoint that does not hold it an event may claim to be: clocks differ."""
COMPARED = 50
"""So many events that do not fit their seals are looked at for whether they were exchanged."""


@dataclass(frozen=True)
class Entry:
    """A leaf of the tree and its event; None where the event is not there any more."""

    seq: int
    event_id: int
    leaf: bytes
    event: Mapping[str, Any] | None


class Walk:
    """Goes through the leaves once, and holds roots against checkpoints on its way."""

    def __init__(
        self, report: Report, known: Sequence[Checkpoint], kept: Sequence[Checkpoint], keys: Collection[PublicKey] = ()
    ) -> None:
        self.report = report
        self.keys = keys
        self.tree = Frontier()
        self.known: dict[int, Checkpoint] = {}
        for one in known:
            self.known[one.size] = one
        self.kept: dict[int, list[Checkpoint]] = {}
        for one in kept:
            self.kept.setdefault(one.size, []).append(one)
        self.largest = max(self.known, default=0)
        self.count = 0
        self.broken = False
        self.since = (Frontier(), list[tuple[int, bytes]]())
        """The tree at the last checkpoint, and the leaves since."""
        self.sealed_at: Checkpoint | None = None
        self.altered: list[Entry] = []
        self.gone: list[list[int]] = []
        self.allowed: list[tuple[int, int]] = []
        self.holes: list[tuple[int, int]] = []
        self.late: list[int] = []
        self.restores: list[tuple[int, str]] = []
        """From which size on events of before are not in this log, and when the log was put back."""
        self.strange: list[Checkpoint] = []
        """Checkpoints kept elsewhere that say otherwise of what is here."""
        self._look()

    def take(self, entry: Entry) -> None:
        """Take the next leaf."""
        if entry.seq != self.count:
            self._strayed(entry.seq)
        self._check(entry)
        self.tree.append(entry.leaf if len(entry.leaf) == HASH else bytes(HASH))
        self.since[1].append((entry.event_id, entry.leaf))
        self.count = max(self.count, entry.seq + 1)
        self._look()

    def end(self, claimed: int) -> None:
        """Say what only the end shows."""
        report = self.report
        report.size, report.root = self.count, self.tree.root().hex()
        self._tell_order()
        self._tell_altered()
        self._tell_gone()
        self._tell_end(claimed)
        self._tell_restores()
        for one in self.strange:
            if not self._dropped(one):
                text = "A checkpoint kept elsewhere says otherwise of the first {size} events: this is another log."
                report.add(Kind.FORKED, msg(text, size=one.size))
        for size in sorted(size for size in self.kept if size > self.count):
            if not all(map(self._dropped, self.kept[size])):
                text = "A checkpoint kept elsewhere speaks of {said} events, and the log has {size}: it was put back."
                report.add(Kind.ROLLED_BACK, msg(text, said=size, size=self.count))

    def _tell_restores(self) -> None:
        """Tell of backups that were put back, as the log itself says."""
        for size, at in self.restores:
            text = "A backup with {size} sealed events was put back on {at}: what came after it is not in this log."
            self.report.add(Kind.RESTORED, msg(text, size=size, at=at))

    def _dropped(self, kept: Checkpoint) -> bool:
        """Tell whether a checkpoint is of what was in the log between a backup and the day when it was put back."""
        return any(size < kept.size and kept.at <= _time(at, kept) for size, at in self.restores)

    def _strayed(self, seq: int) -> None:
        """Note places that are passed over, or that come too late."""
        self.broken = True
        if seq > self.count:
            self.holes.append((self.count, seq - 1))
        else:
            self.late.append(seq)

    def _check(self, entry: Entry) -> None:
        if entry.event is None:
            places.extend(self.gone, entry.seq)
            return
        self.report.events += 1
        if leaf_of(entry.event) != entry.leaf or entry.event.get("id") != entry.event_id:
            self.altered.append(entry)
            return
        if entry.event.get("tag") == Tag.AUDIT_REMOVED:
            self._allow(entry, entry.event)
        if entry.event.get("tag") == Tag.INSTALLATION_RESTORED:
            said = entry.event.get("after") or {}
            self.restores.append((int(said.get("sealed") or 0), str(entry.event.get("at", ""))))
        self._look_back(entry)

    def _allow(self, entry: Entry, event: Mapping[str, Any]) -> None:
        """Take up what the retention has removed, if the log has signed it."""
        try:
            found = removals.said(event, self.keys, entry.seq)
        except BadNote as error:
            text = "Event {id} says that events were removed, but this is not genuine: {why}."
            self.report.add(Kind.FORGED, msg(text, id=entry.event_id, why=str(error)))
            return
        self.allowed += found.places
        self.report.removed_until = max(self.report.removed_until, found.until)

    def _look_back(self, entry: Entry) -> None:
        """Tell of an event that claims to be older than a checkpoint that does not hold it."""
        before, at = self.sealed_at, str((entry.event or {}).get("at", ""))
        if before is not None and before.at - _time(at, before) > LATE:
            text = "Event {id} gives its time as {at}, but was not there when {size} events were sealed at {sealed}."
            sealed = before.at.isoformat(timespec="seconds")
            self.report.add(Kind.BACKDATED, msg(text, id=entry.event_id, at=at, size=before.size, sealed=sealed))

    def _look(self) -> None:
        """Hold the tree against the checkpoints of its size."""
        size = self.tree.size
        said = self.known.get(size)
        root = self.tree.root() if said or size in self.kept else b""
        if said is not None:
            if said.root != root and not self.broken:
                self._tell_root(said)
            self.sealed_at = said
            self.since = (Frontier(size, list(self.tree.edge)), [])
        for kept in self.kept.get(size, ()):
            forked = said is not None and said.root != kept.root
            if forked or (kept.root != root and not self.broken):
                self.strange.append(kept)

    def _tell_root(self, said: Checkpoint) -> None:
        start, leaves = self.since
        self.broken = True
        first, last = start.size + 1, said.size
        if self._sorted_root(start, leaves) == said.root:
            text = "The seals of the events in places {first} to {last} were put into another order."
            self.report.add(Kind.REORDERED, msg(text, first=first, last=last))
            return
        text = "Events in places {first} to {last} were exchanged together with their seals: no checkpoint fits them."
        self.report.add(Kind.REWRITTEN, msg(text, first=first, last=last))

    @staticmethod
    def _sorted_root(start: Frontier, leaves: Iterable[tuple[int, bytes]]) -> bytes:
        tree = Frontier(start.size, list(start.edge))
        for _event_id, leaf in sorted(leaves):
            tree.append(leaf)
        return tree.root()

    def _tell_order(self) -> None:
        for seq in self.late:
            self.report.add(Kind.REORDERED, msg("The event in place {place} stands elsewhere.", place=seq + 1))
        came = places.merged((seq, seq) for seq in self.late)
        for first, last in self.holes:
            for start, end in places.without(first, last, came):
                text = "The events in places {first} to {last} were deleted together with their seals."
                self.report.add(Kind.DELETED, msg(text, first=start + 1, last=end + 1))

    def _tell_altered(self) -> None:
        moved = self._exchanged()
        for entry in self.altered:
            if entry.event_id in moved:
                self.report.add(Kind.REORDERED, msg("Event {id} stands in the place of another.", id=entry.event_id))
            else:
                self.report.add(Kind.EDITED, msg("Event {id} was changed after it was sealed.", id=entry.event_id))

    def _exchanged(self) -> set[int]:
        """Return the events that hold what another one held when it was sealed."""
        some = self.altered[:COMPARED]
        places = {other.leaf: other.event_id for other in some}
        return {
            entry.event_id
            for entry in some
            for own in (leaf_of({**(entry.event or {}), "id": other.event_id}) for other in some)
            if places.get(own, entry.event_id) != entry.event_id
        }

    def _tell_gone(self) -> None:
        allowed = places.merged(self.allowed)
        for first, last in self.gone:
            for start, end in places.without(first, last, allowed):
                text = "The events in places {first} to {last} were deleted, and no retention has removed them."
                self.report.add(Kind.DELETED, msg(text, first=start + 1, last=end + 1))
        self.report.removed = sum(last - first + 1 for first, last in self.gone)

    def _tell_end(self, claimed: int) -> None:
        most = max(self.largest, claimed)
        if most > self.count:
            text = "The last {count} events were cut off: the seal speaks of {said}."
            self.report.add(Kind.TRUNCATED, msg(text, count=most - self.count, said=most))
        elif self.count > self.largest:
            text = "No checkpoint covers the last {count} sealed events."
            self.report.add(Kind.UNSIGNED, msg(text, count=self.count - self.largest))


def _time(text: str, before: Checkpoint) -> datetime:
    """Return the time of an event; what is no time is not judged."""
    try:
        return instant(text)
    except (ValueError, OverflowError):
        return before.at
