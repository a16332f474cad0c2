"""The laws of rules that flow one way, where their runs are split into slices: the same histories, the same model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.runs.conftest import PHASES
from tests.runs.test_one_way_laws import HISTORY, RULES, obey

SPLIT = st.tuples(RULES, st.integers(1, 2)).map(
    lambda both: {**both[0], "by": "full", "ahead": True, "split": both[1]}  # one writer at a time has no slices
)


@settings(max_examples=8, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(SPLIT, HISTORY)
def test_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """Workers die and sleep in any slice, persons pause and undo: each run comes to what the model says."""
    obey(asked, steps)


@pytest.mark.soak
@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(SPLIT, HISTORY)
def test_hundreds_of_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """The same for many more."""
    obey(asked, steps)
