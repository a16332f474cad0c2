"""Where the places of a chart stand: in ranks from above to below, ways as curves around the places between.

Ranks come from the longest way that does not go back (Sugiyama, Tagawa and Toda 1981); the order within a rank from
the middle of the neighbours above; ways back run along the right side.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

HEIGHT = 44
GAP_X = 46
GAP_Y = 82
MARGIN = 14
NARROW, WIDE = 104, 210
_VIA = 26
_LANE = 30


@dataclass(frozen=True)
class Box:
    """A place: its middle, its width, its rank."""

    x: float
    y: float
    width: float
    rank: int


@dataclass(frozen=True)
class Curve:
    """A way: the path, and where its label stands."""

    path: str
    x: float
    y: float
    label: str


@dataclass(frozen=True)
class Layout:
    """The whole picture; `left` is where it begins."""

    left: float
    width: float
    height: float
    boxes: Mapping[str, Box]
    curves: Sequence[Curve]


Way = tuple[str, str, str]
"""From, to, label."""


def text_width(text: str, size: float = 13.0) -> float:
    """Return about how wide a text is."""
    return sum(size if unicodedata.east_asian_width(char) in "WF" else size * 0.55 for char in text)


def cut(text: str, width: float, size: float = 13.0) -> str:
    """Return as much of a text as fits into a width."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


def lay_out(labels: Mapping[str, str], ways: Sequence[Way], start: str) -> Layout:
    """Return where places and ways stand; ways to places that there are not are left out."""
    names = [start, *(name for name in labels if name != start)]
    ways = [way for way in ways if way[0] in labels and way[1] in labels]
    ahead = _ahead(names, ways)
    ranks = _ranks(names, ahead)
    rows, chains = _rows(names, ahead, ranks)
    widths = {name: min(WIDE, max(NARROW, text_width(labels[name]) + 36)) for name in names}
    order = _ordered(rows, chains)
    boxes, width = _boxes(order, widths)
    curves = [_curve(chain, boxes, label) for chain, label in chains]
    back = [way for way in ways if (way[0], way[1]) not in {(a, b) for a, b, _ in ahead}]
    for number, way in enumerate(back):
        lane = width + _LANE * (number % 4 + 1)
        curves.append(_around(boxes[way[0]], boxes[way[1]], lane, way[2]))
    curves = _apart(curves)
    right = max([width + (_LANE * min(len(back), 4)), *(c.x + text_width(c.label, 11) / 2 + 8 for c in curves)])
    left = min([0.0, *(c.x - text_width(c.label, 11) / 2 - 8 for c in curves)])
    height = max(box.y for box in boxes.values()) + HEIGHT / 2 + MARGIN
    placed = {name: boxes[name] for name in names}
    return Layout(left - MARGIN, right - left + 2 * MARGIN, height, placed, curves)


def _ahead(names: Sequence[str], ways: Sequence[Way]) -> list[Way]:
    """Return the ways that do not lead back to where one has been, seen from the start; loops are none of them."""
    found: list[Way] = []
    state: dict[str, int] = {}
    out: dict[str, list[Way]] = {name: [] for name in names}
    for way in ways:
        out[way[0]].append(way)
    for root in names:
        stack = [(root, iter(out[root]))] if root not in state else []
        state.setdefault(root, 1)
        while stack:
            name, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                state[name] = 2
                stack.pop()
            elif state.get(step[1]) != 1:
                found.append(step)
                if step[1] not in state:
                    state[step[1]] = 1
                    stack.append((step[1], iter(out[step[1]])))
    return found


def _ranks(names: Sequence[str], ahead: Sequence[Way]) -> dict[str, int]:
    ranks = dict.fromkeys(names, 0)
    for _ in names:
        before = dict(ranks)
        for source, target, _label in ahead:
            ranks[target] = max(ranks[target], ranks[source] + 1)
        if ranks == before:
            break
    return ranks


Chain = tuple[list[str], str]


def _rows(names: Sequence[str], ahead: Sequence[Way], ranks: Mapping[str, int]) -> tuple[list[list[str]], list[Chain]]:
    """Return the rows with a stand-in wherever a way passes a rank, and the ways through them; twins share a label."""
    rows: list[list[str]] = [[] for _ in range(max(ranks.values()) + 1)]
    for name in names:
        rows[ranks[name]].append(name)
    labels: dict[tuple[str, str], list[str]] = {}
    for source, target, label in ahead:
        labels.setdefault((source, target), []).append(label)
    chains: list[Chain] = []
    for (source, target), told in labels.items():
        chain = [source]
        for rank in range(ranks[source] + 1, ranks[target]):
            chain.append(f"\x00{len(chains)}/{rank}")
            rows[rank].append(chain[-1])
        chains.append(([*chain, target], " / ".join(filter(None, dict.fromkeys(told)))))
    return rows, chains


def _ordered(rows: list[list[str]], chains: Sequence[Chain]) -> list[list[str]]:
    above: dict[str, list[str]] = {}
    below: dict[str, list[str]] = {}
    for chain, _label in chains:
        for upper, lower in pairwise(chain):
            above.setdefault(lower, []).append(upper)
            below.setdefault(upper, []).append(lower)
    for turn in range(6):
        near, order = (above, rows) if turn % 2 == 0 else (below, rows[::-1])
        for fixed, row in pairwise(order):
            seats = {name: seat / max(len(fixed) - 1, 1) for seat, name in enumerate(fixed)}
            own = {name: seat / max(len(row) - 1, 1) for seat, name in enumerate(row)}
            row.sort(key=lambda name: _middle([seats[n] for n in near.get(name, ()) if n in seats], own[name]))
    return rows


def _middle(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _boxes(rows: Sequence[Sequence[str]], widths: Mapping[str, float]) -> tuple[dict[str, Box], float]:
    spans = [sum(widths.get(name, _VIA) for name in row) + GAP_X * (len(row) - 1) for row in rows]
    width = max(spans)
    boxes: dict[str, Box] = {}
    for rank, (row, span) in enumerate(zip(rows, spans, strict=True)):
        x = (width - span) / 2
        for name in row:
            own = widths.get(name, _VIA)
            boxes[name] = Box(x + own / 2, MARGIN + HEIGHT / 2 + rank * (HEIGHT + GAP_Y), own, rank)
            x += own + GAP_X
    return boxes, width


def _curve(chain: Sequence[str], boxes: Mapping[str, Box], label: str) -> Curve:
    points = [(boxes[name].x, boxes[name].y) for name in chain]
    first, last = points[0], points[-1]
    stops = [(first[0], first[1] + HEIGHT / 2), *points[1:-1], (last[0], last[1] - HEIGHT / 2)]
    path = f"M{stops[0][0]:.0f} {stops[0][1]:.0f}"
    for (ax, ay), (bx, by) in pairwise(stops):
        middle = (ay + by) / 2
        path += f" C{ax:.0f} {middle:.0f} {bx:.0f} {middle:.0f} {bx:.0f} {by:.0f}"
    (ax, ay), (bx, by) = stops[0], stops[1]
    return Curve(path, ax * 0.4 + bx * 0.6, ay * 0.45 + by * 0.55, label)


def _apart(curves: Sequence[Curve]) -> list[Curve]:
    """Return the ways with their labels moved up or down so that none covers another."""
    placed: list[Curve] = []
    for curve in sorted(curves, key=lambda one: -text_width(one.label)):
        tries = (replace(curve, y=curve.y + shift) for shift in (0, -20, 20, -36, 12))
        placed.append(next((one for one in tries if not any(_cover(one, other) for other in placed)), curve))
    return placed


def _cover(one: Curve, other: Curve) -> bool:
    wide = (text_width(one.label, 11.5) + text_width(other.label, 11.5)) / 2 + 12
    return bool(one.label and other.label) and abs(one.x - other.x) < wide and abs(one.y - other.y) < 19


def _around(source: Box, target: Box, lane: float, label: str) -> Curve:
    start, end = source.x + source.width / 2, target.x + target.width / 2
    low, high = (source.y + 8, target.y - 8) if source is target else (source.y, target.y)
    path = f"M{start:.0f} {low:.0f} C{lane:.0f} {low:.0f} {lane:.0f} {high:.0f} {end:.0f} {high:.0f}"
    return Curve(path, (start + end) / 8 + lane * 0.75, (low + high) / 2, label)
