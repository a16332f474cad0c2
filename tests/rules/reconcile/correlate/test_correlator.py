"""Partners are found as a person would expect."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import polars as pl
import pytest

from rules.reconcile.correlate import Matches, deciding
from rules.reconcile.correlate.matches import SCHEMA
from rules.schema import FieldType, Schema
from tests.rules.reconcile.correlate.worlds import alike, correlator, match, pairs, same, schema, tier


def found(comparison, left, right, **more):
    """Tell whether two values are linked by one comparison."""
    rows = [{"id": "a", comparison["left"]: left}], [{"no": "b", comparison["right"]: right}]
    return not match([tier(comparison, **more)], *rows).links.is_empty()


NORMALISED = [
    ("text", "Müller  Straße", "MULLER-STRASSE", True),
    ("text", "ＡＢＣ　１２", "abc 12", True),
    ("text", "臺灣", "台湾", True),
    ("text", "Berlin", "Bern", False),
    ("text", "...", "...", False),
    ("name", "Lovelace, Ada", "ada lovelace", True),
    ("name", "王伟", "Wang Wei", True),
    ("name", "曾国", "Zeng Guo", True),
    ("name", "吕布", "Lu Bu", True),
    ("name", "Wei Wang", "王玮", True),
    ("name", "王伟", "王玮", False),
    ("name", "王 伟", "王伟", True),
    ("company", "Meier & Söhne GmbH & Co. KG", "Meier und Sohne", False),
    ("company", "Meier & Söhne GmbH & Co. KG", "MEIER & SOHNE", True),
    ("company", "Acme Co., Ltd.", "ACME", True),
    ("company", "S.A.", "SA", True),
    ("company", "上海百度有限公司", "上海百度股份有限公司", True),
    ("company", "有限公司", "股份有限公司", False),
    ("company", "百度有限公司", "Baidu Ltd", True),
    ("company", "㈱日立", "日立株式会社", True),
    ("code", "DE 123-456", "de123456", True),
    ("phone", "+86 138 0013 8000", "13800138000", True),
    ("phone", "0086-138-0013-8000", "8613800138000", True),
    ("phone", "+49 (0)30 901820", "030 / 90 18 20", True),
    ("phone", "+49 30 901820", "+43 30 901820", False),
    ("phone", "+49 30 901820", "+49 30 901821", False),
    ("phone", "030 901820", "(030) 901820", True),
    ("phone", "call me", "call me", False),
    ("email", " Ada@Example.COM", "ada@example.com", True),
    ("email", " ", " ", False),
    ("date", "1990-01-31", "31.01.1990", True),
    ("date", "19900131", "1990年1月31日", True),
    ("date", "1/31/1990", "1990/1/31", True),
    ("date", "1990-01-31T08:00:00", "1990-01-31", True),
    ("date", "soon", "soon", False),
    ("number", "1,200.50", "+1200.500", True),
    ("number", "-0.50", "-.5", True),
    ("number", "-0", "0", True),
    ("number", "12", "12.01", False),
    ("number", "1.200,50", "1.200,50", False),
]


@pytest.mark.parametrize(("kind", "left", "right", "same_"), NORMALISED)
def test_normalised(kind, left, right, same_):
    """What people read as the same is the same, and nothing else, from either side."""
    comparison = same("value", "normalised", kind=kind)
    assert found(comparison, left, right) is same_
    assert found(comparison, right, left) is same_


ALIKE = [
    ("text", 0.85, "12 Stanley Street", "12 Stanley Stret", True),
    ("text", 0.95, "Street Stanley", "Stanley Street", True),
    ("text", 0.85, "Berlin", "Madrid", False),
    ("name", 0.85, "Catherine Smith", "Katherine Smith", True),
    ("name", 0.9, "张三丰", "Zhang Sanfeng", True),
    ("name", 0.9, "张三", "李四", False),
    ("company", 0.85, "Nordic Steel Trading GmbH", "Nordic Stel Trading", True),
    ("company", 0.85, "华为技术有限公司", "华为技术（深圳）", False),
    ("code", 0.85, "5304218", "5304281", True),
    ("phone", 0.9, "+86 138 0013 8000", "138 0013 8001", True),
    ("email", 0.9, "ada@example.com", "ada@exmaple.com", True),
    ("date", 0.9, "1990-03-04", "1990-04-03", True),
    ("date", 0.9, "1990-03-04", "1909-03-04", True),
    ("date", 0.9, "1990-03-04", "1991-03-04", False),
    ("date", 0.85, "1990-03-04", "1991-03-04", True),
    ("date", 0.5, "1990-03-04", "1871-12-25", False),
    ("number", 0.99, "100", "100.5", True),
    ("number", 0.99, "100", "-100", False),
    ("number", 0.99, "0", "0.0", True),
]


@pytest.mark.parametrize(("kind", "threshold", "left", "right", "close"), ALIKE)
def test_similarity(kind, threshold, left, right, close):
    """Values that differ like typing errors are alike, others are not, from either side."""
    comparison = alike("value", threshold, kind=kind)
    assert found(comparison, left, right) is close
    assert found(comparison, right, left) is close


def world(left_type: FieldType, right_type: FieldType) -> tuple[Schema, Schema]:
    return schema("id", ["v"], id=FieldType.INTEGER, v=left_type), schema("no", ["v"], v=right_type)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((FieldType.INTEGER, 42), (FieldType.TEXT, "42")),
        ((FieldType.INTEGER, 42), (FieldType.DECIMAL, Decimal("42.00"))),
        ((FieldType.FLOAT, 42.5), (FieldType.TEXT, "42.5")),
        ((FieldType.DATE, date(1990, 1, 31)), (FieldType.TEXT, "1990-01-31")),
        ((FieldType.BOOLEAN, True), (FieldType.TEXT, "true")),
    ],
)
def test_types(left, right):
    """An exact comparison holds between types, and keys are texts whatever they are."""
    schemas = world(left[0], right[0])
    frames = [
        pl.DataFrame({"id": [7, None], "v": [left[1]] * 2}, schema=schemas[0].dtypes()),
        pl.DataFrame({"no": ["x"], "v": [right[1]]}, schema=schemas[1].dtypes()),
    ]
    one = correlator([tier(same("v"))], *schemas)
    assert one.match(*frames).links.rows() == [("7", "x", 1.0, 0)]
    assert dict(one.match(*(frame.clear() for frame in frames)).links.schema) == SCHEMA


def test_not_a_number():
    """What is not a number equals nothing, not even itself."""
    schemas = world(FieldType.FLOAT, FieldType.FLOAT)
    frames = [
        pl.DataFrame({k: [v], "v": [float("nan")]}, schema=s.dtypes())
        for k, v, s in zip(("id", "no"), (1, "x"), schemas, strict=True)
    ]
    assert correlator([tier(same("v"))], *schemas).match(*frames).links.is_empty()


def test_kind_of_the_fields():
    """Without a kind, dates and numbers are compared as such, also beside text; all else is text."""
    left = schema("id", ["v"], v=FieldType.DATE)
    frame = pl.DataFrame({"id": ["a"], "v": [date(1990, 3, 4)]}, schema=left.dtypes())
    right = schema("no", ["v"])
    other = pl.DataFrame({"no": ["b"], "v": ["03.04.1990"]}, schema=right.dtypes())
    assert correlator([tier(alike("v", 0.9))], left, right).match(frame, other).links.height == 1
    number = schema("no", ["v"], v=FieldType.INTEGER)
    other = pl.DataFrame({"no": ["b"], "v": [19900304]}, schema=number.dtypes())
    assert correlator([tier(alike("v", 0.9))], left, number).match(frame, other).links.height == 1


def test_needs():
    """A correlator says which fields it needs, and whether values can be looked up instead of compared."""
    sides = schema("id", ["a", "b"]), schema("no", ["c", "d"])
    plain = correlator([tier({"left": "a", "right": "c"})], *sides)
    assert plain.fields == ({"a"}, {"c"})
    assert not plain.needs_candidates
    more = correlator([tier({"left": "a", "right": "c"}, {"left": "b", "right": "d", "how": "normalised"})], *sides)
    assert more.fields == ({"a", "b"}, {"c", "d"})
    assert more.needs_candidates


def test_several_comparisons():
    """All comparisons of a tier have to hold."""
    tiers = [tier(same("city"), alike("name", 0.8), confidence=0.97)]
    left = [{"id": "1", "city": "Rome", "name": "Ada Lovelace"}, {"id": "2", "city": None, "name": "Bob Ross"}]
    right = [
        {"no": "x", "city": "Paris", "name": "Ada Lovelace"},
        {"no": "y", "city": "Rome", "name": "Ada Lovelacc"},
        {"no": "z", "city": None, "name": "Bob Ross"},
    ]
    assert pairs(match(tiers, left, right).links) == {("1", "y")}


def test_missing_is_neutral():
    """A similarity without a value says nothing, but half of the weight has to speak."""
    tiers = [tier(alike("name", weight=2), alike("city"), alike("street"), confidence=0.97)]
    left = [{"id": "1", "name": "Ada Lovelace", "city": None, "street": "Long Lane"}]
    assert match(tiers, left, [{"no": "x", "name": "Ada Lovelace", "city": "Rome", "street": None}]).links.height == 1
    assert match(tiers, left, [{"no": "x", "name": None, "city": "Rome", "street": "Long Lane"}]).links.is_empty()
    assert match(tiers, left, [{"no": "x", "name": "Ada Lovelace", "street": "Short Way"}]).links.is_empty()


def test_weights():
    """The tier's threshold is met by the mean, in which heavier similarities count more."""
    left = [{"id": "1", "name": "Ada Lovelace", "city": "Rome"}]
    right = [{"no": "x", "name": "Ada Lovelace", "city": "Oslo"}]
    for weight, links in ((3, 1), (1, 0)):
        tiers = [tier(alike("name", 0, weight=weight), alike("city", 0), confidence=0.97, threshold=0.8)]
        assert match(tiers, left, right).links.height == links


def test_confidence():
    """At `auto_link` a pair is linked, from `review` on it is doubtful; the confidence grows with the likeness."""
    tiers = [tier(alike("name", 0.8, kind="code"), confidence=1.0, confidence_from=0.5)]
    left = [{"id": "1", "name": "abcdefghij"}]
    for name, ending, confidence in (
        ("abcdefghij", "links", 1.0),
        ("abcdefghi", "doubtful", 0.75),
        ("abcdefgh", "doubtful", 0.5),
        ("abcdefg", "", 0),
    ):
        result = match(tiers, left, [{"no": "x", "name": name}], review=0.5)
        rows = {kind: getattr(result, kind).rows() for kind in ("links", "doubtful", "disputed")}
        assert {kind: [round(row[2], 6) for row in found_] for kind, found_ in rows.items() if found_} == (
            {ending: [confidence]} if ending else {}
        )
    always = [tier(alike("name", 1.0, kind="code"), confidence=1.0, confidence_from=0.5)]
    assert match(always, left, [{"no": "x", "name": "abcdefghij"}]).links["confidence"].to_list() == [1.0]


def test_clearly_better():
    """A partner wins where it is more alike by the margin; else both are disputed."""
    left = [{"id": "1", "name": "Nordic Steel Trading"}]
    right = [{"no": "x", "name": "Nordic Steel Trading"}, {"no": "y", "name": "Nordic Steal Trading"}]
    tiers = [tier(alike("name", 0.8, kind="company"), confidence=0.97)]
    assert pairs(match(tiers, left, right).links) == {("1", "x")}
    wide = [tier(alike("name", 0.8, kind="company"), confidence=0.97, margin=0.2)]
    result = match(wide, left, right)
    assert result.links.is_empty()
    assert result.disputed.select("left_key", "right_key").rows() == [("1", "x"), ("1", "y")]


def test_two_want_one():
    """Two records that are as good for a third are disputed; a better one takes it, and frees the way for others."""
    tiers = [tier(alike("name", 0.8, kind="code"), confidence=0.97)]
    same_name = [{"id": "1", "name": "abcdefghij"}, {"id": "2", "name": "abcdefghij"}]
    result = match(tiers, same_name, [{"no": "x", "name": "abcdefghij"}])
    assert (result.links.height, pairs(result.disputed)) == (0, {("1", "x"), ("2", "x")})
    better = [{"id": "1", "name": "abcdefghij"}, {"id": "2", "name": "abcdefghiz"}]
    right = [{"no": "x", "name": "abcdefghij"}, {"no": "y", "name": "abcdefgxyz"}]
    assert pairs(match([tier(alike("name", 0.6, kind="code"), confidence=0.97)], better, right).links) == {
        ("1", "x"),
        ("2", "y"),
    }


def test_disputed_waits():
    """Who would be linked to a record that better tiers dispute waits too; a doubtful pair stays a candidate."""
    tiers = [
        tier(same("code")),
        tier(alike("name", 0.8, kind="code"), confidence=0.97),
        tier(alike("name", 0.5, kind="code"), confidence=0.7),
    ]
    left = [
        {"id": "1", "code": "A", "name": None},
        {"id": "2", "code": "A", "name": None},
        {"id": "3", "code": None, "name": "abcdefghij"},
        {"id": "4", "code": None, "name": "abcdef"},
    ]
    right = [{"no": "x", "code": "A", "name": "abcdefghij"}]
    result = match(tiers, left, right)
    assert result.links.is_empty()
    assert result.disputed.rows() == [("1", "x", 1.0, 0), ("2", "x", 1.0, 0), ("3", "x", 0.97, 1)]
    assert result.doubtful.rows() == [("4", "x", 0.7, 2)]


def test_best_first():
    """A person sees a record's candidates best first, each once, by its surest tier."""
    tiers = [
        tier(alike("name", 0.9, kind="code"), confidence=0.8),
        tier(alike("name", 0.5, kind="code"), confidence=0.9, confidence_from=0.6),
    ]
    left = [{"id": "1", "name": "abcdefghij"}]
    right = [
        {"no": n, "name": name}
        for n, name in (("w", "abcdefghix"), ("x", "abcdexxxxx"), ("y", "abcdefghij"), ("z", "zzz"))
    ]
    assert match(tiers, left, right).doubtful.select("right_key", "tier").rows() == [("y", 1), ("w", 1), ("x", 1)]


def test_chains_end(monkeypatch):
    """A chain that frees one record after the other ends; what is still open then is disputed."""
    chain = pl.DataFrame(
        [(n // 2 + n % 2, n // 2, 0.5 + n * 0.03, 1.0) for n in range(12)], schema=deciding.PAIRS, orient="row"
    )
    links, rest = deciding.settle(chain, 0.02)
    assert (links.height, rest.height) == (6, 0)
    monkeypatch.setattr(deciding, "ROUNDS", 2)
    links, rest = deciding.settle(chain, 0.02)
    assert links.height == 2
    assert rest.height > 0


def test_nothing():
    """Without tiers, nothing is found."""
    nothing = match([], [{"id": "1"}], [{"no": "x"}])
    assert nothing.links.equals(Matches().links)
    assert (nothing.doubtful.height, nothing.disputed.height, nothing.skipped) == (0, 0, ())


def test_frequent_values():
    """A value that hundreds share is disputed, with a few candidates of each record."""
    left = [{"id": f"{n:03}", "code": "n/a"} for n in range(60)]
    right = [{"no": f"{n:03}", "code": "n/a"} for n in range(300)] + [{"no": "x", "code": "once"}]
    result = match([tier(same("code"))], [*left, {"id": "y", "code": "once"}], right)
    assert pairs(result.links) == {("y", "x")}
    counts = result.disputed.group_by("left_key").len()
    assert counts.height == 60
    assert counts["len"].max() <= 10
