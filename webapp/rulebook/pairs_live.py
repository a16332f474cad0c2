"""What the pairs of a two-way rule give for the first records of both sides, while somebody types."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask_babel import gettext as _
from flask_babel import ngettext

from rules.language.library import Library
from rules.schema import Field, Schema
from webapp.rulebook.editing import Form
from webapp.rulebook.pairs import WAYS, numbers, pair_of
from webapp.rulebook.samples import COUNT
from webapp.rulebook.trial import Objects, Tried, try_row
from webapp.rulebook.validation_trial import Examples

_ICONS = {"right": "arrow-right", "left": "arrow-left"}


@dataclass(frozen=True)
class ShownPair:
    """What the page shows beside a pair: icon, what it stands for and the results, for each way that values flow."""

    number: str
    ways: tuple[tuple[str, str, Tried], ...]

    @property
    def doubtful(self) -> bool:
        """Tell whether something is wrong with a value."""
        return any(tried.problems or tried.failed for _icon, _label, tried in self.ways)


def tried_pairs(
    form: Form, given: Mapping[str, Examples], library: Library, connections: tuple[str, str] = ("left", "right")
) -> list[ShownPair]:
    """Return what each submitted pair gives to both sides; `given` are the first records of each side."""
    return [ShownPair(number, _ways(form, number, given, library, connections)) for number in numbers(form)]


def _ways(
    form: Form, number: str, given: Mapping[str, Examples], library: Library, connections: tuple[str, str]
) -> tuple[tuple[str, str, Tried], ...]:
    pair, labels = pair_of(form, number), {"right": _("To the right"), "left": _("To the left")}
    found = []
    for side, way in WAYS.items():
        row = pair.row(side, _field(given[side].schema, getattr(pair, side)))
        if row is not None:
            source = given[way.source]
            records = source.records.head(COUNT)
            objects = Objects(source.schema, given[side].schema, records, library, connections, source.withheld)
            found.append((_ICONS[side], labels[side], try_row(row, way, objects)))
    return tuple(found)


def _field(schema: Schema, name: str) -> Field | None:
    return next((field for field in schema.fields if field.name == name), None)


def summary(shown: list[ShownPair], count: int, may_look: bool) -> str:
    """Return how many pairs there are and need a look, in one or two sentences."""
    filled = sum(1 for pair in shown if pair.ways)
    text = str(ngettext("One pair of fields agrees.", "%(num)d pairs of fields agree.", filled))
    if wrong := sum(1 for pair in shown if pair.doubtful):
        text += " " + str(ngettext("%(num)d needs a look.", "%(num)d need a look.", wrong))
    if not may_look:
        text += " " + str(_("You may not look at records, so there are no examples."))
    elif not count:
        text += " " + str(_("Neither side has records yet, so there are no examples."))
    return text
