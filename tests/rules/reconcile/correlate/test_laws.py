"""What holds for whatever records and tiers there are."""

from __future__ import annotations

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tests.rules.reconcile.correlate.worlds import alike, match, pairs, same, tier

WORDS = [
    "Ada Lovelace",
    "ada lovelace",
    "Ada Lovelacc",
    "Lovelace, Ada",
    "王伟",
    "Wang Wei",
    "王玮",
    "Bob",
    "Bobb",
    "  ",
    "",
]
texts = st.one_of(st.none(), st.sampled_from(WORDS))
codes = st.one_of(st.none(), st.sampled_from(["1", "2", "3", "", " "]))
TIERS = [
    tier(same("code")),
    tier(same("name", "normalised", kind="name"), confidence=0.98),
    tier(alike("name", 0.7, kind="name"), alike("code", 0.0, kind="code", weight=0.5), confidence=0.97),
    tier(alike("name", 0.5), confidence=0.9, confidence_from=0.5),
]
tier_lists = st.lists(st.sampled_from(TIERS), min_size=1, max_size=4, unique_by=lambda t: t["confidence"])


@st.composite
def sides(draw, key):
    rows = draw(st.lists(st.tuples(texts, codes), max_size=7))
    return [{key: f"{key}{n}", "name": name, "code": code} for n, (name, code) in enumerate(rows)]


lefts, rights = sides("id"), sides("no")


def everything(found):
    return [frame.rows() for frame in (found.links, found.doubtful, found.disputed)]


@given(tier_lists, lefts, rights, st.randoms(use_true_random=False))
def test_order(tiers, left, right, order: random.Random):
    """The order in which records come changes nothing."""
    mixed = [order.sample(rows, len(rows)) for rows in (left, right)]
    assert everything(match(tiers, left, right)) == everything(match(tiers, *mixed))


@given(tier_lists, lefts, rights)
def test_one_to_one(tiers, left, right):
    """No record has two links, and what is linked is neither doubtful nor disputed."""
    found = match(tiers, left, right)
    for side in ("left_key", "right_key"):
        linked = found.links[side].to_list()
        assert max(Counter(linked).values(), default=1) == 1
        for other in (found.doubtful, found.disputed):
            assert not set(linked) & set(other[side])
    assert not set(found.doubtful["left_key"]) & set(found.disputed["left_key"])


@given(lefts, rights)
def test_exact_is_a_join(left, right):
    """An exact tier links the values that occur once on each side; all others that meet are disputed."""
    found = match([tier(same("code"))], left, right)
    counts = [Counter(row["code"] for row in rows if (row["code"] or "").strip()) for rows in (left, right)]
    met = {(a["id"], b["no"]) for a in left for b in right if a["code"] == b["code"] and (a["code"] or "").strip()}
    code = {row["id"]: row["code"] for row in left}
    once = {pair for pair in met if all(count[code[pair[0]]] == 1 for count in counts)}
    assert pairs(found.links) == once
    assert pairs(found.disputed) == met - once
    assert found.doubtful.is_empty()


@given(tier_lists, lefts, rights)
def test_better_tier(tiers, left, right):
    """What the surest tiers decide stays, whatever tiers follow them."""
    ordered = sorted(tiers, key=lambda t: -t["confidence"])
    whole = match(ordered, left, right)
    for upto in range(1, len(ordered)):
        some = match(ordered[:upto], left, right)
        assert pairs(some.links) <= pairs(whole.links)
        assert not set(some.disputed["left_key"]) & set(whole.links["left_key"])


@given(tier_lists, lefts, rights)
def test_mirror(tiers, left, right):
    """Seen from the other side, all is the same with the sides swapped."""
    here = match(tiers, left, right)
    renamed = [
        [{new: row[old], "name": row["name"], "code": row["code"]} for row in rows]
        for rows, old, new in ((right, "no", "id"), (left, "id", "no"))
    ]
    there = match(tiers, *renamed, from_side="right")
    turned = [{(b, a) for a, b in pairs(frame)} for frame in (there.links, there.doubtful, there.disputed)]
    assert turned == [pairs(frame) for frame in (here.links, here.doubtful, here.disputed)]


@given(tier_lists, lefts, rights)
def test_nothing_matches_nothing(tiers, left, right):
    """A record without values has no partner."""
    found = match(tiers, left, right)
    empty = {row["id"] for row in left if not (row["name"] or "").strip() and not (row["code"] or "").strip()}
    for frame in (found.links, found.doubtful, found.disputed):
        assert not empty & set(frame["left_key"])
