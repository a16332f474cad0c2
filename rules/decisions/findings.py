"""What the analysis of a table finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rules.decisions.regions import Region
from rules.language.problems import Severity
from rules.text import Message


class FindingKind(StrEnum):
    """What is remarkable about a table."""

    GAP = "gap"
    OVERLAP = "overlap"
    CONTRADICTION = "contradiction"
    DUPLICATE = "duplicate"
    NEVER = "never"
    NOT_ANALYSED = "not_analysed"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Finding:
    """One remark; `rows` count from 0, `input` is the column that it is about, `region` the part of the space."""

    kind: FindingKind
    severity: Severity
    message: Message
    rows: tuple[int, ...] = ()
    region: Region | None = None
    input: int | None = None


@dataclass(frozen=True)
class Analysis:
    """All remarks on a table, errors first.

    `gaps` and `overlaps` count all there are, also those beyond the ones that are listed; `complete` tells whether the
    analysis came to its end, so that what is not reported is not there.
    """

    findings: tuple[Finding, ...]
    gaps: int
    overlaps: int
    complete: bool
