"""A chart of an event rule as a picture: its places and ways, how many processes are where, where one process is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from webapp.events.form_document import form_of
from webapp.events.layout import HEIGHT as BOX_HEIGHT
from webapp.events.layout import Curve, cut, lay_out, text_width
from webapp.rulebook.translation import translate as _

MOST = 60
LABEL = 130


@dataclass(frozen=True)
class Place:
    """A box of the picture: its corner, its size, what stands in it and what it looks like."""

    name: str
    label: str
    x: float
    y: float
    width: float
    count: int
    classes: str


@dataclass(frozen=True)
class Drawing:
    """A picture; `words` say the same as text."""

    left: float
    width: float
    height: float
    box_height: int
    places: tuple[Place, ...]
    curves: tuple[tuple[Curve, float], ...]
    words: str


def drawn(
    document: Mapping[str, Any],
    counts: Mapping[str, int] | None = None,
    current: str | None = None,
    seen: Collection[str] = (),
) -> Drawing | None:
    """Return the picture of a chart, None for a pattern and for a chart that is too broken or too large to be drawn.

    Args:
        document: of the rule.
        counts: how many processes are in each place.
        current: where the process at hand is.
        seen: where it has been.
    """
    form = form_of(document)
    held = document.get(form)
    places = [p for p in held if isinstance(p, Mapping) and p.get("name")] if isinstance(held, list) else []
    if form == "when" or not 0 < len(places) <= MOST:
        return None
    labels = {str(p["name"]): cut(str(p.get("label") or p["name"]), 176) for p in places}
    start = next((str(p["name"]) for p in places if p.get("initial") is True), str(places[0]["name"]))
    ways = [way for place in places for way in _ways(place, form)]
    layout = lay_out(labels, ways, start)
    out = {way[0] for way in ways}
    boxes = []
    for name, box in layout.boxes.items():
        classes = {
            "is-start": name == start,
            "is-end": name not in out,
            "is-current": name == current,
            "is-seen": name in seen,
        }
        shown = " ".join(key for key, holds in classes.items() if holds)
        corner = (box.x - box.width / 2, box.y - BOX_HEIGHT / 2)
        boxes.append(Place(name, labels[name], *corner, box.width, (counts or {}).get(name, 0), shown))
    curves = tuple((curve, text_width(curve.label, 11.5) + 10) for curve in layout.curves)
    return Drawing(layout.left, layout.width, layout.height, BOX_HEIGHT, tuple(boxes), curves, _words(ways, labels))


def _ways(place: Mapping[str, Any], form: str) -> Iterator[tuple[str, str, str]]:
    for way in place.get("transitions" if form == "states" else "next") or ():
        if isinstance(way, Mapping):
            yield str(place["name"]), str(way.get("to", "")), cut(_label(way), LABEL, 11.5)


def _label(way: Mapping[str, Any]) -> str:
    cause = str(way.get("on") or "") or (_("after %(time)s", time=way["after"]) if way.get("after") else "")
    return " ".join(part for part in (cause, f"[{way['when']}]" if way.get("when") else "") if part)


def _words(ways: list[tuple[str, str, str]], labels: Mapping[str, str]) -> str:
    told = (f"{labels.get(a, a)} → {labels.get(b, b)}" + (f" ({label})" if label else "") for a, b, label in ways)
    return "; ".join(told)
