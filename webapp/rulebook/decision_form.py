"""The decision tables that a rule asks, as inputs of a form such as `decisions-1-input-country`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from webapp.rulebook.reading import RuleRow

TABLE = "decision_table"
_NUMBER = re.compile(r"^decisions-(\d+)-table$")


@dataclass(frozen=True)
class AskedTable:
    """One decision table that a rule asks: input -> expression, and the outputs that can be used like fields."""

    table: str
    name: str
    label: str
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    known: bool
    side: str = ""


def tables(rules: Sequence[RuleRow]) -> dict[str, RuleRow]:
    """Return the published decision tables by name."""
    return {rule.name: rule for rule in rules if rule.kind == TABLE and rule.published is not None}


def asked(document: Mapping[str, Any], known: Mapping[str, RuleRow]) -> list[AskedTable]:
    """Return the decision tables that a document asks."""
    found = document.get("decisions")
    items = found if isinstance(found, Sequence) and not isinstance(found, str) else ()
    return [_asked(item, known) for item in items if isinstance(item, Mapping)]


def documents_of(form: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the decisions that the inputs describe."""
    numbers = sorted(int(m[1]) for m in map(_NUMBER.match, form) if m)
    return [_document(form, number) for number in numbers]


def _document(form: Mapping[str, str], number: int) -> dict[str, Any]:
    start = f"decisions-{number}-"
    decision: dict[str, Any] = {"table": form[f"{start}table"]}
    name = form.get(f"{start}name", "").strip()
    if name and name != decision["table"]:
        decision["name"] = name
    if form.get(f"{start}side"):
        decision["side"] = form[f"{start}side"]
    given = {k.removeprefix(f"{start}input-"): form[k].strip() for k in form if k.startswith(f"{start}input-")}
    inputs = {column: text for column, text in given.items() if text and text != column}
    return {**decision, **({"inputs": inputs} if inputs else {})}


def _asked(item: Mapping[str, Any], known: Mapping[str, RuleRow]) -> AskedTable:
    table = str(item.get("table") or "")
    row = known.get(table)
    held = item.get("inputs")
    given: Mapping[str, Any] = held if isinstance(held, Mapping) else {}
    published = (row.published or {}) if row else {}
    columns = [str(column.get("name")) for column in published.get("inputs", ())] or list(given)
    outputs = tuple(str(column.get("name")) for column in published.get("outputs", ()))
    inputs = tuple((column, str(given.get(column) or "")) for column in columns)
    name = str(item.get("name") or "")
    return AskedTable(
        table, name, row.label if row else "", inputs, outputs, row is not None, str(item.get("side") or "")
    )
