"""When runs are split, as the form of a rule says it."""

from __future__ import annotations

import pytest

from webapp.rulebook.editing import with_behaviour

DOCUMENT = {"kind": "sync", "name": "large", "direction": "left_to_right"}
ASKED = {"split_asked": "1", "split_over": "500000", "split_every": "250000"}


@pytest.mark.parametrize(
    ("said", "split"),
    [
        ({}, None),
        ({"split": "on"}, {}),
        ({"split": "on", "split_every": "1000"}, {"every": 1000}),
        ({"split": "on", "split_over": "many"}, {"over": "many"}),
    ],
)
def test_what_the_form_says(said, split):
    """Switched off there is no such key; defaults are left out, and what is no number stays for the check to find."""
    assert with_behaviour({**DOCUMENT, "split": {"over": 9}}, {**ASKED, **said}, None).get("split") == split


def test_a_form_that_does_not_ask_changes_nothing():
    """Other forms leave what the rule says as it is."""
    assert with_behaviour({**DOCUMENT, "split": {"over": 9}}, {}, None)["split"] == {"over": 9}
