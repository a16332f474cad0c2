"""How a rule finds partners is checked against the fields of both objects."""

from __future__ import annotations

from typing import Any

import pytest

from rules.documents import parse_sync
from rules.documents.check_correlation import check_correlation
from rules.documents.sync import SideName
from rules.schema import FieldType
from tests.rules.reconcile.correlate.worlds import HEAD, alike, same, schema, tier

FIELDS = schema(
    "id", ["name", "flag", "born", "score"], flag=FieldType.BOOLEAN, born=FieldType.DATE, score=FieldType.DECIMAL
)


@pytest.mark.parametrize(
    ("one", "found"),
    [
        (tier(alike("name")), []),
        (tier(alike("born"), alike("score"), threshold=0.5, confidence_from=0.7), []),
        (tier(same("flag")), []),
        (tier(same("name", "normalised", kind="date"), alike("name", kind="number")), []),
        (
            tier(alike("flag")),
            [("match/0/left", "'flag' is boolean, which can only be compared by exact.")],
        ),
        (
            tier(same("name"), same("born", "normalised", kind="number")),
            [("match/1/kind", "'born' is date, which is never compared as a number.")],
        ),
        (
            tier(alike("score", kind="date")),
            [("match/0/kind", "'score' is decimal, which is never compared as a date.")],
        ),
        (
            tier(alike("name"), confidence=0.7, confidence_from=0.8),
            [("confidence_from", "confidence_from must not be higher than confidence.")],
        ),
        (
            tier(same("name"), confidence=0.5),
            [("confidence", "Matches of this tier are never used: its confidence is below review, 0.6.")],
        ),
        (
            tier(same("name"), threshold=0.5, confidence_from=0.7),
            [
                ("threshold", "threshold has no effect: nothing in this tier is compared by similarity."),
                ("confidence_from", "confidence_from has no effect: nothing in this tier is compared by similarity."),
            ],
        ),
        (tier(same("nam")), [("match/0/left", "There is no field 'nam' in c o. Did you mean 'name'?")]),
    ],
)
def test_tiers(one: dict[str, Any], found: list[tuple[str, str]]) -> None:
    """Each mistake is told at its path; a side whose fields are not known is not checked."""
    rule = parse_sync({**HEAD, "correlate": [one]})
    problems = list(check_correlation(rule, {SideName.LEFT: FIELDS}))
    assert [(p.path.removeprefix("correlate/0/"), str(p.message)) for p in problems] == found
