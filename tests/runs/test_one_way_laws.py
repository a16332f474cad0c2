"""The laws of rules that flow one way, on histories that hypothesis makes up.

A history is made of inserts, edits, deletions and other keys in the source, commits that are seen late, edits of others
in the target, owners that records refer to and that come and go by a rule of their own, runs over all and over some
records, simulations, approved plans, undone runs, corrected and replayed records, workers that crash or are paused past
their lease at a named point, persons who pause and resume or publish the rule anew, announcements that come twice and
late, and clocks that jump.

After each run the target, the links, the quarantine and the numbers are those of `one_way_model`. So a run that was
disturbed ends like one that was not, nothing is doubled (the target may have no unique key), fields that the rule does
not name stay as they are, and neither the order of records nor the size of pages, hashes or digests make a difference.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.connectors.databases import promptly
from tests.runs.conftest import PHASES, open_world
from tests.runs.one_way import History
from tests.runs.one_way_model import BAD, OFF, REFUSED
from tests.runs.one_way_rules import postgresql_source, sqlite_source
from tests.runs.test_digests import digested
from tests.runs.test_two_way_laws import POINTS
from webapp.runs.pipeline import packing, steady

KEYS = st.integers(1, 4)
NAMES = st.sampled_from(["x", "y", "é😀", "", None, BAD, REFUSED])
PHONES = st.sampled_from([None, "", "1", "2"])
STATES = st.sampled_from(["on", "on", "off"])
OWNERS = st.sampled_from([None, 1, 2])
PUT = st.tuples(st.just("put"), KEYS, NAMES, PHONES, STATES, OWNERS)
EDITS = [
    st.tuples(st.just("edit"), KEYS, st.just("name"), NAMES),
    st.tuples(st.just("edit"), KEYS, st.just("phone"), PHONES),
    st.tuples(st.just("edit"), KEYS, st.just("status"), STATES),
    st.tuples(st.just("edit"), KEYS, st.just("owner"), OWNERS),
    st.tuples(st.just("late"), KEYS, NAMES, st.integers(1, 4)),
    st.tuples(st.just("drop"), KEYS),
    st.tuples(st.just("rekey"), KEYS, KEYS),
    st.tuples(st.just("own"), st.integers(1, 2), st.sampled_from([None, 1, 2])),
    st.tuples(st.just("unchief"), st.integers(1, 2)),
    st.just(("alter",)),
    st.tuples(st.just("memo"), KEYS, st.one_of(NAMES, st.just(OFF))),
    st.tuples(st.just("spoil"), KEYS, st.sampled_from(["title", "tel", "boss"]), st.sampled_from([None, "7"])),
    st.tuples(st.just("lose"), KEYS),
    st.tuples(st.just("foreign"), KEYS, st.sampled_from(["x", None])),
]
CALLS = st.integers(1, 4)
RUNS = [
    st.tuples(st.just("run")),
    st.tuples(st.just("round")),
    st.tuples(st.just("owners")),
    st.tuples(st.just("crash"), st.sampled_from(POINTS), CALLS, st.booleans()),
    # the last point lies in a transaction, for whose end all others would wait
    st.tuples(st.just("sleep"), st.sampled_from(POINTS[:-1]), CALLS, st.booleans()),
    st.tuples(st.just("hold"), CALLS),
    st.tuples(st.just("look"), st.sampled_from(["simulate", "shadow"])),
    st.tuples(st.just("approve")),
    st.tuples(st.just("undo")),
    st.tuples(st.just("replay"), st.sampled_from(["z", BAD, REFUSED])),
    st.tuples(st.just("keys"), KEYS, KEYS),
    st.tuples(st.just("part"), KEYS),
    st.tuples(st.just("again")),
    st.tuples(st.just("shift"), st.sampled_from([-400 * 86400, -3600, -1, 1, 3600])),
]
BEGINNING = st.lists(PUT, min_size=3, max_size=4, unique_by=lambda step: step[1])
STEPS = st.lists(st.one_of(PUT, *EDITS, *EDITS, *RUNS, *RUNS[:5]), min_size=5, max_size=18)
HISTORY = st.tuples(BEGINNING, STEPS).map(lambda parts: [*parts[0], *parts[1]])
RULES = st.fixed_dictionaries(
    {
        "by": st.sampled_from(["full", "cursor"]),
        "scan": st.booleans(),
        "gone": st.sampled_from(["delete", "deactivate", "unlink", "ignore"]),
        "lost": st.sampled_from(["recreate", "ignore"]),
        "scoped": st.booleans(),
        "leaving": st.sampled_from(["unlink", "ignore", "delete"]),
        "owned": st.booleans(),
        "weak": st.booleans(),
        "checked": st.booleans(),  # digests are not used with validations
        "reverse": st.booleans(),
        "unique": st.booleans(),
        "page": st.sampled_from([1, 2, 100]),
        "ahead": st.booleans(),
        "fast": st.sampled_from(["", "hashes", "digests"]),
    }
)


FOLLOWING = RULES.map(lambda asked: {**asked, "by": "cdc"})


@contextmanager
def history(asked: dict[str, Any], url: str = "") -> Iterator[History]:
    able = replace(SQLite.spec.capabilities, concurrent=asked["ahead"])
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        patch.setattr(SQLite, "spec", replace(SQLite.spec, capabilities=able))
        if asked["page"] == 100:
            patch.setattr(packing, "LEAST", 1)  # columns are kept one by one, and plans name those of the values read
        if asked["fast"]:
            patch.setattr(steady, "LEAST", 0)
        if asked["fast"] == "digests":
            digested(patch)
        world = stack.enter_context(open_world(Path(folder) / "data"))
        yield History(world, asked, stack.enter_context(postgresql_source(world, url) if url else sqlite_source(world)))


def obey(asked: dict[str, Any], steps: list[tuple[Any, ...]], url: str = "") -> None:
    with history(asked, url) as told:
        for step in steps:
            told.play(step)
        told.rest()


@settings(max_examples=20, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(RULES, HISTORY)
def test_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """Whatever happens, each run comes to what the model says, and at rest nothing is written any more."""
    obey(asked, steps)


@settings(max_examples=4, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(asked=FOLLOWING, steps=HISTORY)
def test_histories_that_follow_a_log_obey_the_laws(postgres_url: str, asked: dict[str, Any], steps: list[Any]):
    """The same where the source is read by its log of changes."""
    promptly(postgres_url)
    obey(asked, steps, postgres_url)


@pytest.mark.soak
@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(asked=FOLLOWING, steps=HISTORY)
def test_hundreds_of_histories_that_follow_a_log(postgres_url: str, asked: dict[str, Any], steps: list[Any]):
    """The same for many more."""
    promptly(postgres_url)
    obey(asked, steps, postgres_url)


@pytest.mark.soak
@settings(max_examples=2500, suppress_health_check=list(HealthCheck))
@given(RULES, HISTORY)
def test_thousands_of_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """The same for many more."""
    obey(asked, steps)
