"""What records have to meet: conditions, uniqueness, references; and what becomes of those that do not."""

# ruff: noqa: RUF009 - `entry` declares a key, as `dataclasses.field` would
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from rules.documents.problems import DocumentProblem
from rules.documents.shape import NAME, SIDES, entry
from rules.text import N_, msg

_DEEDS = ("check", "unique", "reference")


class OnFailure(StrEnum):
    """What becomes of a record that does not meet a validation."""

    REJECT = "reject"
    QUARANTINE = "quarantine"
    WARN = "warn"


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A value that has to exist elsewhere."""

    field: str = entry("The field whose value has to exist there; an empty one is fine.", minLength=1)
    connection: str = entry("The connection of the other object; `hub` for an entity.", "hub", minLength=1)
    object: str = entry("The other object or entity.", minLength=1)
    key: str = entry("The field of the other object that has to hold the value.", minLength=1)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """One thing that records have to meet: exactly one of `check`, `unique`, `reference`."""

    name: str = entry("The name of the validation, unique in its rule.", pattern=NAME)
    check: str | None = entry("A condition that is true for a good record.", None, minLength=1)
    unique: tuple[str, ...] = entry("Fields whose values occur together only once.", (), maxItems=8)
    reference: Reference | None = entry("A value that has to exist in another object.", None)
    when: str | None = entry("A condition; the validation is asked only where it is true.", None, minLength=1)
    severity: OnFailure = entry(
        "reject: the record is left out; quarantine: parked until someone corrects it; warn: written, and noted.",
        OnFailure.QUARANTINE,
    )
    message: str = entry("What people read when it is not met.", "", maxLength=500)
    side: str | None = entry(
        "The side whose records are asked, as they are read and as they would be written; the one that is read first "
        "if left out. Rules only.",
        None,
        enum=SIDES,
    )


def meaning(validations: Sequence[Validation], path: str = "validations") -> Iterator[DocumentProblem]:
    """Yield what is wrong with the validations whatever they are asked of."""
    seen: set[str] = set()
    for number, validation in enumerate(validations):
        place = f"{path}/{number}"
        if validation.name in seen:
            text = N_("There is a validation '{name}' further up; give this one another name.")
            yield DocumentProblem(f"{place}/name", msg(text, name=validation.name))
        seen.add(validation.name)
        yield from _deed(validation, place)


def _deed(validation: Validation, place: str) -> Iterator[DocumentProblem]:
    given = [deed for deed in _DEEDS if getattr(validation, deed)]
    if not given:
        text = N_("'{name}' asks nothing yet. Give it a condition (check), fields (unique) or a reference.")
        yield DocumentProblem(place, msg(text, name=validation.name))
    for deed in given[1:]:
        text = N_("'{name}' has {first} and {second}; a validation asks one thing. Make two of it.")
        yield DocumentProblem(f"{place}/{deed}", msg(text, name=validation.name, first=given[0], second=deed))
    for number, name in enumerate(validation.unique):
        if name in validation.unique[:number]:
            yield DocumentProblem(f"{place}/unique/{number}", msg("'{field}' stands here twice.", field=name))
