"""The quality scale of connectors, computed from what the conformance suite found: bronze, silver, gold, platinum.

The results of the suite lie beside the connector as `quality.json` (see `connectors.testing_quality`). A level holds
where all its criteria are met and all those below. What a kind of system cannot have does not count against it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from functools import cache
from importlib import resources
from typing import Any

from connectors.spi import Capabilities
from rules.text import N_

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"
EVIDENCE = (
    "real_system", "rebuilt_system", "no_system",
    "documented", "bounded_memory", "exactly_once", "deleted_records", "faults", "benchmark",
)  # fmt: skip
"""What a test or a declaration of a conformance class can show beside the laws."""

FILE = "quality.json"


class Level(IntEnum):
    """How far a connector has been shown to be good."""

    UNRATED = 0
    BRONZE = 1
    SILVER = 2
    GOLD = 3
    PLATINUM = 4

    @property
    def word(self) -> str:
        """Return the level's name in small letters."""
        return self.name.lower()


class Answer(StrEnum):
    """Whether a criterion is met."""

    MET = "met"
    UNMET = "unmet"
    NOT_NEEDED = "not_needed"


@dataclass(frozen=True)
class Results:
    """What the suite found about one connector: law -> what became of it, and criterion -> what shows it."""

    laws: Mapping[str, str] = field(default_factory=dict)
    evidence: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """Return how many laws ended like that."""
        return sum(found.partition(":")[0] == outcome for found in self.laws.values())

    @property
    def skipped(self) -> dict[str, str]:
        """Return the skipped laws with their reasons."""
        return {law: found.partition(": ")[2] for law, found in self.laws.items() if found.startswith(SKIPPED)}

    def kept(self, *laws: str) -> bool:
        """Tell whether all these laws ran and were kept."""
        return all(self.laws.get(law) == PASSED for law in laws)


Judge = Callable[[Results, Capabilities], Answer]


@dataclass(frozen=True)
class Criterion:
    """One thing that a level asks for."""

    name: str
    level: Level
    label: str
    judge: Judge


@dataclass(frozen=True)
class Judged:
    """A criterion and whether it is met, with what shows it."""

    criterion: Criterion
    answer: Answer
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rating:
    """The level of a connector, and why."""

    level: Level
    criteria: tuple[Judged, ...]
    results: Results

    @property
    def unmet(self) -> tuple[Judged, ...]:
        """Return what is missing."""
        return tuple(judged for judged in self.criteria if judged.answer is Answer.UNMET)


def rate(results: Results, able: Capabilities) -> Rating:
    """Return the level that the results show."""
    judged = tuple(
        Judged(criterion, criterion.judge(results, able), results.evidence.get(criterion.name, ()))
        for criterion in CRITERIA
    )
    missed = [j.criterion.level for j in judged if j.answer is Answer.UNMET]
    level = Level(min(missed, default=Level.PLATINUM + 1) - 1)
    return Rating(level, judged, results)


def results_of(name: str, package: str) -> Results:
    """Return what the suite found about the connector `name`, which lives in a package; nothing if it never ran."""
    found = _file(package).get(name, {})
    evidence = {criterion: tuple(details) for criterion, details in found.get("evidence", {}).items()}
    return Results(dict(found.get("laws", {})), evidence)


@cache
def _file(package: str) -> Mapping[str, Any]:
    """Return what the file of a package says; a file that is missing or broken says nothing."""
    try:
        connectors = json.loads((resources.files(package) / FILE).read_text("utf-8"))["connectors"]
    except (OSError, ValueError, TypeError, KeyError, ModuleNotFoundError):
        return {}
    return connectors if isinstance(connectors, dict) else {}


def _laws(*names: str) -> Judge:
    return lambda results, _able: _met(results.kept(*names))


def _shown(criterion: str) -> Judge:
    return lambda results, _able: _met(bool(results.evidence.get(criterion)))


def _met(met: bool) -> Answer:
    return Answer.MET if met else Answer.UNMET


def _any(parts: Iterable[bool]) -> Answer:
    return _met(any(parts))


def _conformance(results: Results, _able: Capabilities) -> Answer:
    return _met(results.kept("test_reads_exactly_what_is_there") and not results.count(FAILED))


def _resume(results: Results, able: Capabilities) -> Answer:
    return _met(results.kept("test_messages_come_again" if able.messages else "test_resumes_behind_every_page"))


def _lookup(results: Results, able: Capabilities) -> Answer:
    return Answer.NOT_NEEDED if able.messages else _met(results.kept("test_lookup_finds_by_key"))


def _incremental(results: Results, _able: Capabilities) -> Answer:
    laws = (
        "test_cursor_selects_and_sorts",
        "test_captured_nothing_new",
        "test_messages_that_are_acknowledged_are_gone",
    )
    return _any(results.kept(law) for law in laws)


def _exactly_once(results: Results, able: Capabilities) -> Answer:
    if not (able.create or able.update or able.delete):
        return Answer.NOT_NEEDED
    return _any((results.kept("test_fence_is_known_after_a_crash"), bool(results.evidence.get("exactly_once"))))


def _deletions(results: Results, _able: Capabilities) -> Answer:
    laws = (
        "test_deletions_are_named",
        "test_captured_records_are_those_of_a_plain_read",
        "test_messages_name_what_is_deleted",
    )
    return _any((*(results.kept(law) for law in laws), bool(results.evidence.get("deleted_records"))))


CRITERIA: tuple[Criterion, ...] = (
    Criterion("conformance", Level.BRONZE, N_("Keeps every promise of a connector that it makes"), _conformance),
    Criterion(
        "described",
        Level.BRONZE,
        N_("Describes each of its settings"),
        _laws("test_spec_is_complete", "test_settings_survive_a_form"),
    ),
    Criterion(
        "connection_test",
        Level.SILVER,
        N_("Tests a connection step by step and stops at what is wrong"),
        _laws("test_connection_test_passes", "test_connection_test_stops_at_what_is_wrong"),
    ),
    Criterion(
        "messages",
        Level.SILVER,
        N_("Says in one sentence what went wrong and what to do"),
        _laws("test_errors_are_connector_errors", "test_unknown_object"),
    ),
    Criterion("secrets", Level.SILVER, N_("Never shows a secret"), _laws("test_secrets_stay_secret")),
    Criterion("documented", Level.SILVER, N_("Is documented"), _shown("documented")),
    Criterion("real_system", Level.GOLD, N_("Is tested against a real system of its kind"), _shown("real_system")),
    Criterion("resume", Level.GOLD, N_("Goes on behind any page after a crash"), _resume),
    Criterion(
        "bounded_memory", Level.GOLD, N_("Reads any number of records in little memory"), _shown("bounded_memory")
    ),
    Criterion("incremental", Level.GOLD, N_("Reads only what is new or changed"), _incremental),
    Criterion("lookup", Level.GOLD, N_("Finds records by their keys"), _lookup),
    Criterion("exactly_once", Level.PLATINUM, N_("Writes nothing twice, even after a crash"), _exactly_once),
    Criterion("deleted_records", Level.PLATINUM, N_("Tells by itself which records were deleted"), _deletions),
    Criterion(
        "faults", Level.PLATINUM, N_("Survives lost connections and broken answers, as tests show"), _shown("faults")
    ),
    Criterion("benchmark", Level.PLATINUM, N_("Has a benchmark"), _shown("benchmark")),
)
