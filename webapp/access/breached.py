"""Passwords that everybody knows: long ones of a million that were stolen most often, which look safe and are not.

The file is made by tools/breached.py: sorted marks of five bytes each. A password that is not in it is taken for one
that is once in ten million times.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

FILE = Path(__file__).with_name("breached.bin")
SIZE = 5


def mark(password: str) -> bytes:
    """Return what is kept of a password; large and small letters are alike."""
    return hashlib.sha256(password.lower().encode()).digest()[:SIZE]


def is_known(password: str) -> bool:
    """Tell whether a password is one of those that everybody knows."""
    wanted, marks = mark(password), _marks()
    low, high = 0, len(marks) // SIZE
    while low < high:
        middle = (low + high) // 2
        if marks[middle * SIZE : middle * SIZE + SIZE] < wanted:
            low = middle + 1
        else:
            high = middle
    return marks[low * SIZE : low * SIZE + SIZE] == wanted


@functools.cache
def _marks() -> bytes:
    return FILE.read_bytes()
