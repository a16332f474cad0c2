"""Of large sets the pairs that are worth comparing are compared, and few others."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from rules.documents.sync import MatchKind
from rules.reconcile.correlate import blocking, features, index
from tests.rules.reconcile.correlate.people import SYLLABLES
from tests.rules.reconcile.correlate.worlds import alike, match, pairs, same, tier


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Let a few hundred records be a large set."""
    for name, value in {"ALL_PAIRS": 100, "FREQUENT": 10, "_SLICE": 50, "PORTION": 100}.items():
        monkeypatch.setattr(blocking, name, value)
    monkeypatch.setattr(index, "CHUNK", 60)


def companies(count, seed=1):
    chance = random.Random(seed)
    words = ["".join(chance.choices(SYLLABLES, k=3)).capitalize() for _ in range(300)]
    names = [" ".join([*chance.sample(words, 2), chance.choice(["Trading", "Foods", "Steel"])]) for _ in range(count)]
    typed = [name[:place] + name[place + 1 :] for name in names for place in [chance.randrange(len(name))]]
    left = [{"id": str(n), "name": name, "city": f"c{n % 3}"} for n, name in enumerate(names)]
    right = [{"no": str(n), "name": f"{name} GmbH", "city": f"c{n % 3}"} for n, name in enumerate(typed)]
    return left, right


@pytest.mark.parametrize("exact", [[], [same("city")]])
@pytest.mark.parametrize("more", [0, 100])
def test_finds_the_same(monkeypatch, exact, more):
    """Rare features find what comparing all pairs finds, from either side, within exact values and without."""
    left, right = companies(300)
    left = [*left, *({"id": f"x{n}", "name": None, "city": None} for n in range(more))]
    tiers = [tier(*exact, alike("name", 0.85, kind="company"), confidence=0.97)]
    some = match(tiers, left, right)
    monkeypatch.setattr(blocking, "ALL_PAIRS", 10**6)
    assert pairs(some.links) == pairs(match(tiers, left, right).links)
    assert some.links.height > 290


def test_compares_few():
    """Far fewer pairs than all are looked at, each once, and all of a record in one chunk."""
    left, right = companies(300)
    sides = [
        blocking.Side((blocking.Field(_forms(rows), MatchKind.COMPANY, crossing=False),), np.ones(300, np.uint64))
        for rows in (left, right)
    ]
    chunks = list(blocking.Candidates(*sides).chunks())
    met = [pair for a, b in chunks for pair in zip(a.tolist(), b.tolist(), strict=True)]
    assert len(met) == len(set(met)) < 300 * 300 / 5
    assert sum(len(np.unique(a)) for a, _ in chunks) == len({a for a, _ in met})


def _forms(rows):
    return blocking.Forms.of(pl.Series([row["name"].lower() for row in rows]))


def test_chinese_meets_pinyin():
    """Chinese names meet names in Latin letters in large sets too."""
    chance = random.Random(2)
    family, given = "王李张刘陈杨赵黄周吴", "伟芳娜敏静丽强磊军洋艳勇杰娟涛明超霞平刚"
    names = sorted({"".join([chance.choice(family), *chance.sample(given, 2)]) for _ in range(80)})
    left = [{"id": str(n), "name": name, "born": f"19{n:02}-01-01"} for n, name in enumerate(names)]
    read = match([tier(same("name"))], left, [{"no": "0", "name": "x"}])
    assert read.links.is_empty()
    latin = {n: features_of(name) for n, name in enumerate(names)}
    right = [{"no": str(n), "name": name, "born": f"19{n:02}-01-01"} for n, name in latin.items()]
    tiers = [tier(alike("name", 0.9, kind="name"), alike("born", 0.9, kind="date"), confidence=0.97)]
    assert pairs(match(tiers, left, right).links) == {(str(n), str(n)) for n in latin}


def features_of(name):
    from rules.language.functions.pinyin import pinyin_name  # noqa: PLC0415 - reads its tables

    return pinyin_name(name)


def test_too_frequent():
    """A record that shares only what very many share meets its neighbours, and is counted."""
    left = [{"id": str(n), "name": "Ada"} for n in range(60)]
    right = [{"no": f"{n}", "name": "Ada"} for n in range(60)] + [{"no": "z", "name": "Bob"}]
    found = match([tier(alike("name", 0.9, kind="code"), confidence=0.97)], left, right)
    assert found.links.is_empty()
    assert found.disputed["left_key"].n_unique() == 60
    (skipped,) = found.skipped
    assert (skipped.tier, skipped.records) == (0, 60)
    assert skipped.values >= 1


def test_small_groups():
    """Where exact values leave few partners, these are compared in full, also by numbers."""
    left = [{"id": f"{n}", "code": f"{n}", "sum": "100", "name": "x"} for n in range(150)]
    right = [{"no": f"{n}", "code": f"{n}", "sum": "100.1", "name": "x"} for n in range(150)]
    comparisons = [alike("sum", 0.99, kind="number"), alike("name", 0.9)]
    tiers = [tier(same("code"), *comparisons, confidence=0.97)]
    assert match(tiers, left, right).links.height == 150
    assert match([tier(*comparisons, confidence=0.97)], left, right).disputed["left_key"].n_unique() == 150


def test_grams():
    """Runs of characters begin and end with their words; what is missing has none."""
    found = features.grams(pl.Series(["ab", None, "abc", "ab"]), 3)
    assert np.bincount(found.rows).tolist() == [2, 0, 3, 2]
    assert found.hashes[:2].tolist() == found.hashes[-2:].tolist()
    assert len(features.grams(pl.Series([None], dtype=pl.String), 3).rows) == 0


def test_word_pairs():
    """Words that are near each other make a pair in whatever order."""
    found = features.word_pairs(pl.Series(["one two", "two one", None, "one", "one one"]))
    assert found.rows.tolist() == [0, 1]
    assert found.hashes[0] == found.hashes[1]
