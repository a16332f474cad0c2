"""The adapter: what the engine may and may not be given, and that its limits are never met."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from rules.events.engine import DurableCharts, DurablePatterns, Ruleset
from rules.events.interface import MAX_FIELDS, Chart, EngineFailed, Form, Pattern, TooLarge

LINE = Chart(3, ((0, 1), (1, 2), (1, 1), (1, 0)))


def test_more_keys_than_the_engine_takes() -> None:
    """3,000 keys stay open at once although the engine dies of 1,025; each finds its own partner."""
    engine = DurablePatterns(Pattern(Form.SEQUENCE, 2))
    for number in range(3000):
        assert engine.event(f"客户 {number}", number, [0]) is None
    for number in range(3000):
        assert engine.event(f"客户 {number}", 3000 + number, [1]) == ((number,), (3000 + number,))
        assert engine.open(f"客户 {number}") == 0


def test_more_processes_than_the_engine_takes() -> None:
    """1,500 keys walk through a chart at once, each in its own state."""
    engine = DurableCharts(LINE)
    for number in range(1500):
        engine.enter(str(number), 0)
    assert {engine.move(str(number), 0) for number in range(1500)} == {1}
    assert [engine.move(str(number), 1 + number % 3) for number in range(6)] == [2, 1, 0, 2, 1, 0]
    for number in range(1500):
        engine.leave(str(number))
    engine.enter("0", 2)


@pytest.mark.parametrize("residents", [1, 2, 64])
def test_a_key_may_leave_the_engine_at_any_time(residents: int) -> None:
    """What is open comes back in its order, however few keys fit inside."""
    engine = DurablePatterns(Pattern(Form.COUNT, 1, 3), residents)
    found = [engine.event(key, 10 * n + k, [0]) for n in range(1, 4) for k, key in enumerate("abc")]
    assert found == [None] * 6 + [((10, 20, 30),), ((11, 21, 31),), ((12, 22, 32),)]


def test_the_latest_that_fit_are_taken() -> None:
    """Of several events that could stand at a place, the latest does."""
    engine = DurablePatterns(Pattern(Form.ALL, 2))
    assert [engine.event("a", number, [0]) for number in (1, 2, 3)] == [None] * 3
    assert engine.event("a", 4, [1]) == ((3,), (4,))
    engine.expire("a", 2)
    assert engine.event("a", 5, [1]) == ((1,), (5,))


def test_one_event_stands_at_one_place() -> None:
    """An event that fits two places of a pattern needs a second one beside it."""
    engine = DurablePatterns(Pattern(Form.ALL, 2))
    assert engine.event("a", 1, [0, 1]) is None
    assert engine.event("a", 2, [0, 1]) is not None
    assert engine.open("a") == 0


def test_waits() -> None:
    """A wait keeps its key open until it ends; it is not mixed up with events."""
    engine = DurablePatterns(Pattern(Form.ANY, 2), 1)
    assert engine.event("a", 1, [1]) == ((), (1,))
    engine.wait("a", -1)
    assert engine.event("a", 2, [0]) == ((2,), ())
    engine.wait("b", -2)
    assert (engine.open("a"), engine.open("b"), engine.open("c")) == (1, 1, 0)
    engine.end_wait("a", -1)
    with pytest.raises(EngineFailed, match="not open"):
        engine.end_wait("a", -1)


@pytest.mark.parametrize("value", [float("nan"), 1.5, "text", {"a": 1}, [1], None, True, 2**53, -(2**60)])
def test_only_whole_numbers_get_in(value: Any) -> None:
    """Whatever could end the engine is refused before."""
    ruleset = Ruleset({"r": {"all": [{"m": {"a": 1}}], "run": "r"}})
    with pytest.raises(EngineFailed, match="must not get into"):
        ruleset.post(1, {"a": value})
    assert [name for name, _ in ruleset.post(1, {"a": 1})] == ["r"]


def test_names_and_sizes_are_checked() -> None:
    """Fields need names that are plain words, and there are at most 250 of them."""
    ruleset = Ruleset({"r": {"all": [{"m": {"a": 1}}], "run": "r"}})
    for name in ("$and", "a b", "", "a.b"):
        with pytest.raises(EngineFailed):
            ruleset.post(1, {name: 1})
    with pytest.raises(EngineFailed, match="takes 250"):
        ruleset.post(1, {f"a{n}": 1 for n in range(MAX_FIELDS + 1)})


def test_a_chart_that_is_too_large_is_refused() -> None:
    """The engine takes 400 rules in a ruleset."""
    with pytest.raises(TooLarge, match="the engine takes 400"):
        DurableCharts(Chart(150, tuple((0, n) for n in range(150))))


def test_what_the_engine_refuses_is_a_failure() -> None:
    """A message that no rule knows, a key that is not there, a move from elsewhere: the engine is not trusted after."""
    ruleset = Ruleset({"r": {"all": [{"m": {"a": 1}}], "run": "r"}})
    with pytest.raises(EngineFailed, match="refused"):
        ruleset.post(1, {"b": 1})
    with pytest.raises(EngineFailed, match="forget"):
        ruleset.drop(99)
    charts = DurableCharts(LINE)
    charts.enter("a", 0)
    with pytest.raises(EngineFailed, match="begun already"):
        charts.enter("a", 0)
    with pytest.raises(EngineFailed, match="not in the state"):
        charts.move("a", 1)


@pytest.mark.parametrize("fired", [[("other", {})], [("match", {}), ("match", {})]])
def test_an_unexpected_answer_is_a_failure(monkeypatch, fired: list[Any]) -> None:
    """If the engine fires something else than it was asked for, it is thrown away."""
    patterns, charts = DurablePatterns(Pattern(Form.ALL, 2), 1), DurableCharts(LINE, 1)
    patterns.event("a", 1, [0])
    charts.enter("a", 0)
    monkeypatch.setattr(Ruleset, "post", lambda *_: fired)
    with pytest.raises(EngineFailed):
        patterns.event("a", 2, [1])
    with pytest.raises(EngineFailed):
        patterns.expire("a", 1)
    with pytest.raises(EngineFailed):
        patterns.wait("a", -1)
    with pytest.raises(EngineFailed):
        charts.move("a", 0)


def test_what_fires_when_it_is_put_back_is_a_failure(monkeypatch) -> None:
    """What is open never fires by itself."""
    engine = DurablePatterns(Pattern(Form.ALL, 2), 1)
    engine.event("a", 1, [0])
    engine.event("b", 2, [0])
    post = Ruleset.post

    def fires(self: Ruleset, place: int, fields: dict[str, int]) -> Any:
        return post(self, place, fields) or [("match", {})]

    monkeypatch.setattr(Ruleset, "post", fires)
    with pytest.raises(EngineFailed, match="put back"):
        engine.event("a", 3, [1])


def test_the_engine_is_imported_in_one_place() -> None:
    """Whoever wants another engine changes one module."""
    root = Path(__file__).resolve().parents[3]
    paths = [path for folder in ("rules", "connectors", "webapp") for path in (root / folder).rglob("*.py")]
    importing = [path for path in paths if re.search(r"^(from|import) durable\b", path.read_text("utf-8"), flags=re.M)]
    assert importing == [root / "rules" / "events" / "engine.py"]
