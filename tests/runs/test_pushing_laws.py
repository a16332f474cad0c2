"""A rule that the database carries out comes to the same end as one that Syncline carries out."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs import pushed
from tests.runs.conftest import PHASES, open_world

SEEDS = st.integers(0, 2**32 - 1)
PLACES = {"sqlite": pushed.sqlite, "postgresql": pushed.postgresql}


def history(folder, place, url, seed):
    """Run two rules over the same random records in both ways, while records come and go; return what differs."""
    with open_world(folder) as world, place(world, url) as ask:
        story = pushed.Story(world, ask, seed)
        for round_no in range(3):
            if round_no != 1:
                story.rules()
            story.edit()
            for mode in ("simulate", "live") if round_no else ("live",):
                ends = {name: pushed.told(story, name, story.run(name, mode)) for name in ("pushed", "plain")}
                for what in ends["plain"]:
                    assert ends["pushed"][what] == ends["plain"][what], (what, round_no, mode, seed, story.document)


@pytest.mark.parametrize("kind", PLACES)
@settings(max_examples=3, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_both_ways_come_to_the_same_end(tmp_path_factory, postgres_url, kind, seed):
    """Targets to the character, counts, links, parked records and what is shown are the same, run after run."""
    history(tmp_path_factory.mktemp("pushed"), PLACES[kind], postgres_url, seed)


@pytest.mark.soak
@pytest.mark.parametrize("kind", PLACES)
@settings(max_examples=300, deadline=None, phases=PHASES, suppress_health_check=list(HealthCheck))
@given(seed=SEEDS)
def test_both_ways_always_come_to_the_same_end(tmp_path_factory, postgres_url, kind, seed):
    """The same for some hundred rules."""
    history(tmp_path_factory.mktemp("pushed"), PLACES[kind], postgres_url, seed)
