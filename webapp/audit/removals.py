"""What the retention has removed, signed with the key of the log: nobody else can say so of a gap. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from webapp.audit.canonical import instant, stamp
from webapp.audit.notes import BadNote, PublicKey, Signer, opened, sign

_TITLE = "syncline audit removal"


@dataclass(frozen=True)
class Removal:
    """Places that have lost their events, as ranges, and the time up to which events were removed."""

    until: str
    places: list[tuple[int, int]]


def note(signer: Signer, until: datetime, places: Sequence[Sequence[int]]) -> str:
    """Return the signed statement that the events in these ranges of places were removed."""
    return sign(_text(signer.name, stamp(until), places), signer)


def said(event: Mapping[str, Any], keys: Collection[PublicKey], place: int) -> Removal:
    """Return what an event of the retention, in its place of the tree, says rightly.

    Raises:
        BadNote: The log has not signed it, or it speaks of what was not there yet.
    """
    after = event.get("after")
    if not isinstance(after, Mapping) or not isinstance(after.get("note"), str):
        raise BadNote("it has no signature")
    text, signers = opened(after["note"], keys)
    lines = text.removesuffix("\n").split("\n")
    if len(lines) < 3:
        raise BadNote("what is signed is something else")
    title, origin, until = lines[:3]
    places = [_pair(line) for line in lines[3:]]
    if title != _TITLE or origin != signers[0].name or text != _text(origin, until, places):
        raise BadNote("what is signed is something else")
    if after.get("places") != [list(pair) for pair in places] or after.get("before") != until:
        raise BadNote("it says something else than what is signed")
    if any(not 0 <= first <= last < place for first, last in places):
        raise BadNote("it speaks of events that were not there yet")
    try:
        instant(until)
    except ValueError:
        raise BadNote("its time cannot be read") from None
    return Removal(until, places)


def _text(origin: str, until: str, places: Sequence[Sequence[int]]) -> str:
    return "".join(f"{line}\n" for line in (_TITLE, origin, until, *(f"{first}-{last}" for first, last in places)))


def _pair(line: str) -> tuple[int, int]:
    first, _, last = line.partition("-")
    try:
        return int(first), int(last)
    except ValueError:
        raise BadNote("what is signed is something else") from None
