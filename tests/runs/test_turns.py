"""Laws of whose turn it is: by priority, one turn a rule, and nobody starves."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rules.documents.policies import Priority
from webapp.runs.turns import BEHIND, ORIGIN, SHARE, Waiting, in_turn, turn_at

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
KINDS = st.sampled_from(["sync", "replay", "part", "verify"])
ACTORS = st.sampled_from(["user", "cli", "key", "system"])
MOST = max(BEHIND.values()) + max(ORIGIN.values())
"""For so long a run lets others go first at the most, where no connection is busy."""


def asked(
    number: int, rule: int, at: datetime, priority: str = "normal", kind: str = "sync", who: str = "system"
) -> Waiting:
    return Waiting(number, rule, at, turn_at(at, priority, kind, who))


@st.composite
def lines(draw: st.DrawFn) -> list[Waiting]:
    """Draw runs that wait, one of each rule, some of whose rules have had a turn."""
    found = []
    for number in range(draw(st.integers(2, 12))):
        at = NOON + timedelta(seconds=draw(st.integers(0, 40_000)))
        one = asked(number, number, at, draw(st.sampled_from(list(Priority))), draw(KINDS), draw(ACTORS))
        last = draw(st.none() | st.integers(0, 40_000))
        used = draw(st.lists(st.sampled_from("abc"), max_size=2, unique=True))
        turn = None if last is None else NOON + timedelta(seconds=last)
        found.append(replace(one, last_turn=turn, connections=tuple(used)))
    return found


def since(one: Waiting) -> datetime:
    return max(one.requested_at, one.last_turn or one.requested_at)


@given(lines(), st.dictionaries(st.sampled_from("abc"), st.integers(0, 8)))
def test_whoever_has_waited_for_long_enough_goes_first(line: list[Waiting], busy: dict[str, int]):
    """However urgent others are, they stand behind a run whose rule has waited longer by what priorities are worth."""
    limit = MOST + SHARE * max(busy.values(), default=0)
    order = in_turn(line, busy)
    assert sorted(one.run_id for one in order) == sorted(one.run_id for one in line)
    for place, one in enumerate(order):
        assert all(since(before) <= since(one) + limit for before in order[:place])


@given(st.sampled_from(list(Priority)), st.sampled_from(list(Priority)), KINDS, KINDS, ACTORS, ACTORS)
def test_of_what_is_asked_for_at_once_the_more_urgent_goes_first(
    one: str, other: str, kind: str, second: str, who: str, whom: str
):
    """Priorities come first; within one a person's click before a schedule, and a backfill last."""
    order = list(Priority)
    ranks = []
    for priority, its_kind, actor in ((one, kind, who), (other, second, whom)):
        origin = 2 if its_kind in ("part", "verify") else 0 if actor in ("user", "cli") else 1
        ranks.append((order.index(Priority(priority)), origin))
    waiting = [asked(1, 1, NOON, one, kind, who), asked(2, 2, NOON, other, second, whom)]
    first = in_turn(waiting, {})[0].run_id
    assert first == (1 if ranks[0] <= ranks[1] else 2)


def simulate(queues: dict[int, deque[Waiting]], turns: int, takes: timedelta) -> list[int]:
    """Let one worker take turns, and return the rules in the order served; a run takes as long as is said."""
    now, last, served = NOON + timedelta(hours=1), dict[int, datetime](), []
    for _ in range(turns):
        heads = [replace(queue[0], last_turn=last.get(rule)) for rule, queue in queues.items() if queue]
        if not heads:
            break
        rule = in_turn([one for one in heads if one.requested_at <= now] or heads, {})[0].rule_id
        queues[rule].popleft()
        last[rule] = now
        served.append(rule)
        now += takes
    return served


@given(st.integers(2, 6), st.integers(1, 3600))
def test_a_rule_with_a_thousand_runs_keeps_nobody_from_a_turn(others: int, seconds: int):
    """All rules that wait get as many turns as the one that has filled the queue, whatever was there first."""
    crowd = deque(asked(number, 0, NOON) for number in range(1000))
    queues = {0: crowd}
    for rule in range(1, others + 1):
        queues[rule] = deque(asked(2000 + 10 * rule + n, rule, NOON + timedelta(minutes=rule)) for n in range(5))
    served = simulate(queues, 5 * (others + 1), timedelta(seconds=seconds))
    counts = Counter(served)
    assert {counts[rule] for rule in range(others + 1)} == {5}


@given(st.integers(10, 600), st.sampled_from(["part", "sync"]))
def test_no_stream_of_clicks_starves_a_backfill(seconds: int, kind: str):
    """Where people click without end, what runs in the background still gets its turn."""
    takes = timedelta(seconds=seconds)
    behind = asked(0, 0, NOON, "background", kind)
    queues = {0: deque([behind])}
    for rule in (1, 2):
        clicks = (asked(rule * 10**6 + n, rule, NOON + takes * n, "urgent", "sync", "user") for n in range(20_000))
        queues[rule] = deque(clicks)
    within = round(MOST / takes) * 3 + 10
    assert 0 in simulate(queues, within, takes)


@given(st.integers(1, 8))
def test_a_busy_connection_lets_others_go_first_for_a_while(busy: int):
    """Of two runs asked for at once the one on the idle system begins; a minute a piece of work, and no longer."""
    slow = replace(asked(1, 1, NOON), connections=("slow",))
    idle = replace(asked(2, 2, NOON + timedelta(seconds=59)), connections=("idle",))
    assert in_turn([slow, idle], {"slow": busy})[0] is idle
    late = asked(3, 3, NOON + busy * SHARE + timedelta(seconds=1))
    assert in_turn([slow, late], {"slow": busy})[0] is slow


@pytest.mark.parametrize("delay", [0, 14, 16])
def test_a_click_goes_before_schedules_of_the_last_quarter_of_an_hour(delay: int):
    """A schedule that has waited for longer than that is not pushed back any more."""
    schedule = asked(1, 1, NOON)
    click = asked(2, 2, NOON + timedelta(minutes=delay), who="user")
    assert in_turn([schedule, click], {})[0] is (click if delay < 15 else schedule)
