"""Tiers that an editor can offer for persons and for companies; what it puts into the rule are plain tiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rules.text import N_, Message, msg

Chosen = Mapping[str, tuple[str, str]]
"""Name of a preset's field -> (left field, right field)."""


@dataclass(frozen=True)
class PresetField:
    """A field that a preset can compare: what it holds, and how much it tells about who a record is.

    `role` is `number` for what should be one's own, else `name` or `date`: what has to confirm an equal number.
    A pair is not sure where the values are less alike than `least`.
    """

    name: str
    label: Message
    kind: str
    weight: float
    role: str = ""
    least: float = 0.0


@dataclass(frozen=True)
class Preset:
    """A template for `correlate`: what is alike from `sure` on is linked, from `likely` on shown to a person."""

    name: str
    label: Message
    fields: tuple[PresetField, ...]
    sure: float
    likely: float

    def tiers(self, chosen: Chosen) -> list[dict[str, Any]]:
        """Return the tiers for the chosen fields, as a document has them; fields that are not chosen are left out."""
        fields = [field for field in self.fields if field.name in chosen]
        tiers = [tier for field in fields if field.role == "number" for tier in self._numbers(field, fields, chosen)]
        if len(fields) > 1:
            sure = [_alike(field, chosen, field.least) for field in fields]
            likely = [_alike(field, chosen, 0.0) for field in fields]
            tiers.append({"match": sure, "confidence": 0.98, "threshold": self.sure})
            tiers.append({"match": likely, "confidence": 0.9, "confidence_from": 0.6, "threshold": self.likely})
        return tiers

    def _numbers(self, number: PresetField, fields: list[PresetField], chosen: Chosen) -> list[dict[str, Any]]:
        """Return the tiers of an equal number, confirmed by the names or by a date where there are such fields."""
        equal = _pair(number, chosen) | {"how": "normalised", "kind": number.kind}
        confirming = [[field for field in fields if field.role == role] for role in ("name", "date")]
        matches = [[_alike(field, chosen, 0.75) for field in some] for some in confirming if some] or [[]]
        return [{"match": [equal, *match], "confidence": 1.0} for match in matches]


def _pair(field: PresetField, chosen: Chosen) -> dict[str, Any]:
    return dict(zip(("left", "right"), chosen[field.name], strict=True))


def _alike(field: PresetField, chosen: Chosen, threshold: float) -> dict[str, Any]:
    how = {"how": "similarity", "kind": field.kind, "threshold": threshold, "weight": field.weight}
    return _pair(field, chosen) | how


def presets() -> tuple[Preset, ...]:
    """Return the templates that are shipped."""
    return _PERSON, _COMPANY


# Given names have to be a little alike in a sure pair, or twins would be one person.
_PERSON = Preset(
    "person",
    msg("Person"),
    (
        PresetField("identity", msg(N_("Identity or social security number")), "code", 4.0, "number"),
        PresetField("birth_date", msg(N_("Date of birth")), "date", 3.0, "date"),
        PresetField("surname", msg(N_("Family name")), "name", 2.0, "name"),
        PresetField("given_name", msg(N_("Given name")), "name", 2.0, "name", 0.5),
        PresetField("full_name", msg(N_("Whole name")), "name", 4.0, "name", 0.7),
        PresetField("email", msg(N_("E-mail address")), "email", 3.0),
        PresetField("phone", msg(N_("Phone number")), "phone", 3.0),
        PresetField("street", msg(N_("Street")), "text", 2.0),
        PresetField("place", msg(N_("Place")), "text", 1.0),
        PresetField("postcode", msg(N_("Postcode")), "code", 1.0),
    ),
    sure=0.7,
    likely=0.6,
)
_COMPANY = Preset(
    "company",
    msg("Company"),
    (
        PresetField("tax_number", msg(N_("Tax or registration number")), "code", 4.0, "number"),
        PresetField("name", msg(N_("Company name")), "company", 4.0, "name", 0.7),
        PresetField("email", msg(N_("E-mail address")), "email", 2.0),
        PresetField("phone", msg(N_("Phone number")), "phone", 2.0),
        PresetField("street", msg(N_("Street")), "text", 2.0),
        PresetField("place", msg(N_("Place")), "text", 1.0),
        PresetField("postcode", msg(N_("Postcode")), "code", 1.0),
    ),
    sure=0.85,
    likely=0.7,
)
