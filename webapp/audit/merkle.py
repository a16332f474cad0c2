"""Merkle trees of RFC 9162 (section 2.1): roots, and proofs that something is in a tree or that a tree has only grown.

Pure: where hashes are stored is the caller's matter. A perfect subtree of `2**level` leaves is named by its level and
its number among those of its level; every `STEP`th level is stored, the others are worked out from it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, reduce

HASH = 32
STEP = 8
EMPTY = hashlib.sha256(b"").digest()
"""The root of a tree without leaves."""

_KEPT = 65_536

Read = Callable[[int, int, int], Sequence[bytes]]
"""(level, number of the first, how many) -> hashes of perfect subtrees, for levels that are multiples of `STEP`."""


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of a node; its first byte tells it from a leaf."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """The right edge of a growing tree: the roots of its largest perfect subtrees, from the left."""

    size: int = 0
    edge: list[bytes] = field(default_factory=list)

    @classmethod
    def load(cls, size: int, stored: bytes) -> Frontier:
        """Return a frontier from what `dump` gave; raises `ValueError` where it does not fit its size."""
        if len(stored) != HASH * size.bit_count():
            raise ValueError("the edge does not fit the size of the tree")
        return cls(size, [stored[at : at + HASH] for at in range(0, len(stored), HASH)])

    def dump(self) -> bytes:
        """Return the frontier as it is stored beside its size."""
        return b"".join(self.edge)

    def append(self, leaf: bytes) -> list[tuple[int, int, bytes]]:
        """Add the hash of a leaf; return (level, number, hash) of the subtrees to store that it completes."""
        made, level, number, top = [], 0, self.size, leaf
        while number & 1:
            top = node_hash(self.edge.pop(), top)
            level, number = level + 1, number >> 1
            if level % STEP == 0:
                made.append((level, number, top))
        self.edge.append(top)
        self.size += 1
        return made

    def root(self) -> bytes:
        """Return the root of the tree as it is now."""
        return reduce(lambda right, left: node_hash(left, right), reversed(self.edge)) if self.edge else EMPTY


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Return the root over hashes of leaves."""
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root()


class Tree:
    """A stored tree that gives proofs."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def root(self, size: int) -> bytes:
        """Return the root over the first `size` leaves."""
        return self._range(0, size) if size else EMPTY

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """Return the proof that the leaf `index` is in the tree of the first `size` leaves."""
        if not 0 <= index < size:
            raise ValueError("the leaf is not in the tree")
        path, start, end = [], 0, size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start = middle
        return path[::-1]

    def consistency(self, first: int, second: int) -> list[bytes]:
        """Return the proof that the tree of `first` leaves is the beginning of that of `second` leaves."""
        if not 0 <= first <= second:
            raise ValueError("the first tree is not the smaller one")
        if first in (0, second):
            return []
        path, start, end, whole = [], 0, second, True
        while first != end:
            middle = start + _split(end - start)
            if first <= middle:
                path.append(self._range(middle, end))
                end = middle
            else:
                path.append(self._range(start, middle))
                start, whole = middle, False
        return [*([] if whole else [self._range(start, end)]), *path[::-1]]

    def _range(self, start: int, end: int) -> bytes:
        count = end - start
        if count & (count - 1) == 0:
            level = count.bit_length() - 1
            return self._subtree(level, start >> level)
        middle = start + _split(count)
        return node_hash(self._range(start, middle), self._range(middle, end))

    def _subtree(self, level: int, number: int) -> bytes:
        rest = level % STEP
        found = list(self._read(level - rest, number << rest, 1 << rest))
        if len(found) != 1 << rest:
            raise ValueError("hashes of the tree are missing")
        while len(found) > 1:
            found = [node_hash(*found[at : at + 2]) for at in range(0, len(found), 2)]
        return found[0]


class Remembering(Tree):
    """A tree for many proofs: what was worked out is kept."""

    def __init__(self, read: Read) -> None:
        super().__init__(read)
        self._known = lru_cache(maxsize=_KEPT)(super()._range)

    def _range(self, start: int, end: int) -> bytes:
        return self._known(start, end)


def _split(count: int) -> int:
    """Return the largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


def included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Tell whether a proof shows that a leaf is in a tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def consistent(first: int, second: int, roots: tuple[bytes, bytes], proof: Sequence[bytes]) -> bool:
    """Tell whether a proof shows that the tree of `second` leaves begins with that of `first` (RFC 9162, 2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first in (0, second):
        return not proof and (roots[0] == roots[1] if first else roots[0] == EMPTY)
    steps = [roots[0], *proof] if first & (first - 1) == 0 else list(proof)
    return bool(steps) and _grown(first - 1, second - 1, roots, steps)


def _grown(at: int, last: int, roots: tuple[bytes, bytes], steps: Sequence[bytes]) -> bool:
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, step)
        at, last = at >> 1, last >> 1
    return last == 0 and (old, new) == roots
