"""What a two-way run says of pairs that wait for a person, and how it takes up what the person has answered."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from rules.documents.sync import SyncRule
from rules.reconcile.merge import MergeField
from webapp.runs.pipeline.codec import to_texts


def records_of(frame: pl.DataFrame) -> list[dict[str, Any]]:
    """Return records as plain values: exact texts for decimals and dates."""
    return [json.loads(text) for text in to_texts(frame)]


def conflict(
    rule: SyncRule,
    fields: Sequence[MergeField],
    names: Sequence[str],
    values: Mapping[str, dict[str, Any]],
) -> dict[str, Any]:
    """Return the details of a conflict.

    Args:
        rule: the rule.
        fields: its field pairs.
        names: the numbers of the pairs in question, as text.
        values: plain values: `left`, `right` (the records) and `base` (`l:<number>`, `r:<number>`), empty at a first
            meeting.
    """
    asked = [_field(rule, field, values) for field in fields if field.name in names]
    return {"fields": asked, "left": values["left"], "right": values["right"]}


def _field(rule: SyncRule, field: MergeField, values: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    pair = rule.fields[int(field.name)]
    left, right = field.left or pair.left, field.right or pair.right
    base = values["base"]
    return {
        "index": field.name,
        "field": f"{left} / {right}",
        "left": {"name": left, "value": values["left"].get(left or "")},
        "right": {"name": right, "value": values["right"].get(right or "")},
        "base": {"left": base.get(f"r:{field.name}"), "right": base.get(f"l:{field.name}")} if base else {},
    }


def text(details: Mapping[str, Any]) -> str:
    """Return details as they are stored."""
    return json.dumps(details, ensure_ascii=False, sort_keys=True)


def seen(details: str) -> str:
    """Return the digest of what a person is shown; an answer holds only for it."""
    return hashlib.sha256(details.encode()).hexdigest()
