"""Asking for a part of a rule's records: what cannot be meant is refused."""

from __future__ import annotations

import pytest

from tests.cli.conftest import CommandLine


@pytest.mark.parametrize(
    "words", [("--side", "left"), ("--range", "", "1", "9"), ("--where", "x", "--range", "", "1", "")]
)
def test_a_rebaseline_never_silently_means_all(syncline: CommandLine, words: tuple[str, ...]):
    """A side or bounds without a condition or a field are a mistake, not all pairs."""
    result = syncline("rebaseline", "both", "--differing", "left", *words)
    assert result.code == 2
    assert "--where or --range" in result.err
