"""A rule's own tests: a record that goes in, and what has to come out."""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from rules.documents.shape import entry

TO_RIGHT, TO_LEFT = "to_right", "to_left"


class Ending(StrEnum):
    """What becomes of the record of a test."""

    MAPPED = "mapped"
    OUT_OF_SCOPE = "out_of_scope"
    REJECTED = "rejected"
    QUARANTINED = "quarantined"


@dataclass(frozen=True)
class RuleTest:
    """One example; only the fields that `expect` names are compared."""

    name: str = entry("What the example shows, unique in its rule.", minLength=1, maxLength=200)
    given: Mapping[str, Any] = entry("Field -> value of the record that is read; fields left out are empty.")
    expect: Mapping[str, Any] | None = entry("Field -> value of the record that is written.", None)
    ending: Ending = entry("What becomes of the record.", Ending.MAPPED)
    error: str | None = entry("A part of the reason why the record is not written.", None, minLength=1)
    direction: str | None = entry(
        "to_left: `given` is a record of the right side; the way that the rule flows if left out, to_right if both.",
        None,
        enum=[TO_RIGHT, TO_LEFT],
    )
