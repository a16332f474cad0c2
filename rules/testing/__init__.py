"""A rule's own tests, how far they reach, and two versions of a rule on the same records. Pure functions, no I/O."""

from __future__ import annotations

from rules.testing.results import Aspect, Coverage, Difference, Point, Tested, TestResult
from rules.testing.sync import SyncTests
from rules.testing.tables import TableTests

__all__ = [
    "Aspect",
    "Coverage",
    "Difference",
    "Point",
    "SyncTests",
    "TableTests",
    "TestResult",
    "Tested",
]
