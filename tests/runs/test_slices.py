"""A run that is split into slices comes to the same end as one that is not, whoever works on them and whatever dies."""

from __future__ import annotations

import random

import pytest

from tests.runs.conftest import open_world
from tests.runs.test_digests import digested
from tests.runs.test_filtering import Story, log, told
from tests.runs.test_steady import DELETING, spoil
from webapp.runs.pipeline import steady
from webapp.runs.slices import leases

SPLIT = {"over": 4, "every": 5}
WIDE = {"left": {"connection": "crm", "object": "customer", "where": "status != 'draft'"}}
RULES = ({}, DELETING, {**WIDE, **DELETING}, {**WIDE, "situations": {"out_of_scope": "delete"}})


def slices(world, run_id):
    with world.house.db.read() as tx:
        return leases.of_run(tx, run_id)


def alone(monkeypatch):
    """Let a worker carry out one slice at a time."""
    monkeypatch.setattr(leases, "leave", lambda *_: True)


def finish(world, run_id, workers=("w1", "w2", "w3")):
    """Let workers take turns until the run has ended."""
    for turn in range(100):
        if not world.look(run_id).active:
            return
        world.work(run_id, workers[turn % len(workers)])
    pytest.fail("the run never ended")


@pytest.mark.parametrize("changes", RULES)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_a_split_run_comes_to_the_same_end(tmp_path, monkeypatch, changes, seed):
    """Target, links, counts, parked records and what is shown are the same, while records come and go between runs."""
    monkeypatch.setattr(steady, "LEAST", 1)
    digested(monkeypatch)
    alone(monkeypatch)
    with open_world(tmp_path / "one") as one, open_world(tmp_path / "other") as other:
        stories = [Story(world.pages_of(4), seed) for world in (one, other)]
        one.rule(**changes)
        other.rule(**changes, split=SPLIT)
        dice = [random.Random(seed) for _ in range(2)]
        for _ in range(2):
            ends = []
            for story, luck in zip(stories, dice, strict=True):
                story.edit()
                spoil(story.world, luck)
                run_id = story.world.request()
                finish(story.world, run_id)
                ends.append(told(story.world, run_id))
            assert len(slices(other, run_id)) > 1, log(other, run_id)
            for one_end, other_end in zip(*ends, strict=True):
                assert one_end == other_end
