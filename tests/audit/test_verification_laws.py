"""Laws of the check: a log is intact as it was sealed, and whatever is changed in it is found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from webapp.audit.canonical import leaf_of, stamp
from webapp.audit.findings import Kind, Report
from webapp.audit.keys import KeyLine, chained
from webapp.audit.merkle import Frontier
from webapp.audit.notes import Checkpoint, Signer, sign
from webapp.audit.verification import Entry, verify

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
SIGNERS = [Signer("syncline/test", Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32)) for n in range(3)]


@dataclass
class Log:
    """A sealed log in memory."""

    lines: list[KeyLine] = field(default_factory=list)
    notes: list[tuple[int, str]] = field(default_factory=list)
    leaves: list[Entry] = field(default_factory=list)
    size: int = 0

    def keys(self) -> list[KeyLine]:
        return self.lines

    def checkpoints(self) -> list[tuple[int, str]]:
        return self.notes

    def entries(self) -> list[Entry]:
        return self.leaves

    def strays(self) -> list[int]:
        return []

    def pending(self) -> int:
        return 0


def statement(keys: list[str], *signers: Signer) -> str:
    """Return the statement over keys that these have signed."""
    return sign("".join(f"{line}\n" for line in ("syncline audit keys", *keys)), *signers)


def sealed(batches: list[int], keys: int = 1) -> Log:
    """Return a log of these batches, signed by the last of some keys."""
    log, tree, names = Log(), Frontier(), [str(signer.public) for signer in SIGNERS]
    for number in range(keys):
        both = SIGNERS[max(0, number - 1) : number + 1]
        log.lines.append(KeyLine(number + 1, names[number], AT, statement(names[: number + 1], *both)))
    for size in batches:
        for _ in range(size):
            event = {"v": 1, "id": tree.size + 100, "at": stamp(AT), "tag": "t", "after": {"n": tree.size}}
            leaf = leaf_of(event)
            log.leaves.append(Entry(tree.size, tree.size + 100, leaf, event))
            tree.append(leaf)
        note = sign(Checkpoint("syncline/test", tree.size, tree.root(), AT).text, SIGNERS[keys - 1])
        log.notes.append((tree.size, note))
    log.size = tree.size
    return log


LOGS = st.builds(sealed, st.lists(st.integers(1, 9), min_size=1, max_size=5), st.integers(1, 3))


def edit(log: Log, at: int, other: int) -> set[Kind]:
    log.leaves[at] = replace(log.leaves[at], event={**(log.leaves[at].event or {}), "after": {"n": -1 - other}})
    return {Kind.EDITED}


def edit_with_seal(log: Log, at: int, other: int) -> set[Kind]:
    edit(log, at, other)
    log.leaves[at] = replace(log.leaves[at], leaf=leaf_of(log.leaves[at].event or {}))
    return {Kind.REWRITTEN}


def delete_event(log: Log, at: int, _other: int) -> set[Kind]:
    log.leaves[at] = replace(log.leaves[at], event=None)
    return {Kind.DELETED}


def delete_entry(log: Log, at: int, _other: int) -> set[Kind]:
    del log.leaves[at]
    return {Kind.DELETED if at < log.size - 1 else Kind.TRUNCATED}


def delete_and_close_up(log: Log, at: int, _other: int) -> set[Kind]:
    del log.leaves[at]
    log.leaves = [replace(entry, seq=seq) for seq, entry in enumerate(log.leaves)]
    return {Kind.TRUNCATED}


def insert(log: Log, at: int, other: int) -> set[Kind]:
    event = {"v": 1, "id": 5000 + other, "at": stamp(AT)}
    log.leaves.insert(at, Entry(at, 5000 + other, leaf_of(event), event))
    log.leaves = [replace(entry, seq=seq) for seq, entry in enumerate(log.leaves)]
    return {Kind.UNSIGNED}


def exchange(log: Log, at: int, other: int) -> set[Kind]:
    other %= log.size
    if at == other:
        return set()
    one, two = log.leaves[at], log.leaves[other]
    log.leaves[at] = replace(one, event={**(two.event or {}), "id": one.event_id})
    log.leaves[other] = replace(two, event={**(one.event or {}), "id": two.event_id})
    return {Kind.REORDERED}


def cut_off(log: Log, at: int, _other: int) -> set[Kind]:
    del log.leaves[at:]
    return {Kind.TRUNCATED}


def drop_checkpoints(log: Log, _at: int, _other: int) -> set[Kind]:
    del log.notes[-1:]
    return {Kind.UNSIGNED}


def damage_signature(log: Log, at: int, _other: int) -> set[Kind]:
    size, note = log.notes[at % len(log.notes)]
    log.notes[at % len(log.notes)] = (size, note[:-20] + ("A" if note[-20] != "A" else "B") + note[-19:])
    return {Kind.FORGED}


def exchange_keys(log: Log, at: int, _other: int) -> set[Kind]:
    at %= len(log.lines)
    stranger = Signer("syncline/test", Ed25519PrivateKey.generate())
    log.lines[at] = replace(log.lines[at], public=str(stranger.public))
    return {Kind.KEYS}


DEEDS: list[Callable[[Log, int, int], set[Kind]]] = [
    edit, edit_with_seal, delete_event, delete_entry, delete_and_close_up, insert, exchange, cut_off,
    drop_checkpoints, damage_signature, exchange_keys,
]  # fmt: skip


@given(LOGS)
def test_what_was_sealed_is_intact(log: Log):
    """A log of any batches under any number of keys passes, also with each of its own checkpoints kept elsewhere."""
    trusted = [chained(log.lines)[0]]
    report = verify(log, trusted, [note for _, note in log.notes])
    assert report.intact, report.to_json()
    assert (report.size, report.events, report.trusted) == (log.size, log.size, True)
    assert report.elsewhere == len(log.notes)


@given(LOGS, st.sampled_from(DEEDS), st.integers(0, 1000), st.integers(0, 1000))
def test_whatever_is_done_is_named(log: Log, deed: Callable[[Log, int, int], set[Kind]], at: int, other: int):
    """Each deed, at any place of any log, is found under its name; with a checkpoint from elsewhere too."""
    newest = log.notes[-1][1]
    kinds = deed(log, at % log.size, other)
    for kept in ((), (newest,)):
        report = verify(log, (), kept)
        assert report.intact is not bool(kinds)
        assert set(report.counts) >= kinds


@given(st.lists(st.integers(1, 5), min_size=2, max_size=5), st.data())
def test_an_older_state_is_a_roll_back(batches: list[int], data: st.DataObject):
    """Any earlier state of a log is intact in itself, and rolled back for who has kept a later checkpoint."""
    log = sealed(batches)
    older = sealed(batches[: data.draw(st.integers(1, len(batches) - 1))])
    assert verify(older).intact
    assert set(verify(older, (), [log.notes[-1][1]]).counts) == {Kind.ROLLED_BACK}


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=4), st.lists(st.integers(1, 5), min_size=1, max_size=4), st.data()
)
def test_another_history_is_a_fork(batches: list[int], more: list[int], data: st.DataObject):
    """A history that fits itself, signed with the log's own key, is a fork for who has kept an older checkpoint."""
    log, forked = sealed(batches), sealed([*batches, *more])
    at = data.draw(st.integers(0, log.size - 1))
    edit_with_seal(forked, at, 1)
    tree = Frontier()
    notes = []
    for entry in forked.leaves:
        tree.append(entry.leaf)
        if tree.size in dict(forked.notes):
            notes.append((tree.size, sign(Checkpoint("syncline/test", tree.size, tree.root(), AT).text, SIGNERS[0])))
    forked.notes = notes
    assert verify(forked).intact
    assert set(verify(forked, (), [log.notes[-1][1]]).counts) == {Kind.FORKED}


def test_a_report_lists_some_and_counts_all():
    """Thousands of findings make no endless list; an old clock alone is no failure."""
    log = sealed([300])
    for at in range(250):
        edit(log, at, at)
    report = verify(log)
    assert report.counts == {Kind.EDITED: 250}
    assert len(report.findings) == 100
    old = sealed([1, 1])
    event = {**(old.leaves[1].event or {}), "at": stamp(AT - timedelta(hours=2))}
    old.leaves[1] = replace(old.leaves[1], event=event, leaf=leaf_of(event))
    assert Kind.BACKDATED in verify(old).counts
    assert Report(counts={Kind.BACKDATED: 1}).intact
