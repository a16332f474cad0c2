"""The laws of rules that flow one way and go by what both sides agreed on last, on histories that hypothesis makes up.

Histories and disturbances are those of `test_two_way_laws`: edits and deletions on both sides, workers that crash or
are paused past their lease at a named point, announcements that come late and twice, clocks that jump. For every linked
pair it is worked out what a run has to come to, by the values of both sides and by what both last agreed on:

- a change of the source arrives; an edit of the target stays until its source changes, and then the rule says who wins
- a strong field is always enforced
- what is gone from either side, or out of scope, is dealt with as the rule says, edits against deletions included
- the source is never written; a deactivated record keeps all but its mark
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rules.documents import parse_sync
from rules.reconcile.agreement import needs_agreement
from tests.runs.conftest import PHASES, RULE
from tests.runs.test_two_way_laws import HISTORY, History, Record, Side, obey, same_as_undisturbed
from webapp.runs.pipeline.pairs import LINK, Pairs

Base = tuple[tuple[Any, Any], ...]
"""What each field of the source, and of the target, held when both last agreed."""
FREE = object()
"""A value of which nothing is said."""
OTHER = {"left": "right", "right": "left"}
RULES = st.fixed_dictionaries(
    {
        "conflict": st.sampled_from([None, "case", "merge", "ignore"]),
        "policy": st.sampled_from(["manual", "left", "right"]),
        "gone": st.sampled_from(["case", "delete", "deactivate", "unlink", "ignore"]),
        "lost": st.sampled_from(["recreate", "case", "delete", "unlink", "ignore"]),
        "edit": st.sampled_from([None, "case", "delete"]),
        "alone": st.sampled_from(["ignore", "delete"]),
        "leaving": st.sampled_from([None, None, "unlink", "ignore", "delete", "deactivate", "case"]),
        "strong": st.booleans(),
        "correlate": st.booleans(),
        "reverse": st.booleans(),
        "by": st.sampled_from(["full", "cursor"]),
        "page": st.sampled_from([1, 2, 100]),
        "unique": st.sampled_from([("left", "right"), ()]),
        "ahead": st.booleans(),
    }
)

LEAVING: dict[str, Any] = {
    "conflict": None, "policy": "manual", "gone": "case", "lost": "recreate", "edit": None, "alone": "ignore",
    "leaving": "deactivate", "strong": False, "correlate": False, "reverse": True, "by": "full", "page": 1,
    "unique": ("left", "right"), "ahead": False,
}  # fmt: skip
DELETING = {"reverse": False, "alone": "delete"}  # all of the target is read too


class Agreeing(History):
    """A source, a target, and what both agreed on, as far as it can be told from outside."""

    agreed: dict[tuple[int, int], Base] = {}  # noqa: RUF012 - set anew with each run

    @property
    def source(self) -> str:
        return "right" if self.asked["reverse"] else "left"

    @property
    def target(self) -> str:
        return OTHER[self.source]

    def rule(self) -> dict[str, Any]:
        asked, way = self.asked, f"{self.source}_to_{self.target}"
        said = {
            f"deleted_{self.source}": asked["gone"], f"deleted_{self.target}": asked["lost"],
            f"unmatched_{self.target}": asked["alone"], "linked_conflict": asked["conflict"],
            "edit_vs_delete": asked["edit"], "out_of_scope": asked["leaving"],
        }  # fmt: skip
        made = {
            **super().rule(),
            "direction": way,
            "situations": {name: action for name, action in said.items() if action is not None},
            "deletes": {"detect": "full_scan", "deactivate": {self.target: {"field": "memo", "value": "closed"}}},
        }
        if asked["leaving"]:
            made[self.source]["where"] = "a != 'x'"
        if asked["strong"]:
            made["fields"][2] |= {"strength": "strong", "direction": way}
        if asked["correlate"]:
            made["correlate"] = [{"match": [{"left": "a", "right": "a"}]}]
        if not needs_agreement(parse_sync({**RULE, **made})):
            made["situations"]["edit_vs_delete"] = asked["edit"] = "case"
        return made

    def kept(self, side: str, before: Any, after: Any) -> bool:
        marks = "deactivate" in (self.asked["gone"], self.asked["leaving"])
        marked = after == ("closed",) and side == self.target and marks
        return marked or bool(before == after)

    def ends(self, state: tuple[Side, Side]) -> tuple[Side, Side]:
        """Return the records of the source and those of the target."""
        return state if self.source == "left" else (state[1], state[0])

    def judge(self, now: tuple[Side, Side]) -> None:
        """Hold what a run has done to linked pairs against what the rule says, and that it left the source alone."""
        (source, target), (kept, made) = self.ends(now), self.ends(self.state())
        bases = {}
        for pair, base in self.agreed.items():
            own, other = source.get(pair[0]), target.get(pair[1])
            wanted, bases[pair] = self._wanted(base, own, other)
            found = (kept.get(pair[0]), made.get(pair[1]))
            assert _fits(found[0], wanted[0]), (pair, base, own, other, found, wanted)
            assert _fits(found[1], wanted[1]), (pair, base, own, other, found, wanted)
        assert all(source.get(key) == record for key, record in kept.items()), (source, kept)
        assert len(kept) == len(source) or "delete" in (self.asked["lost"], self.asked["edit"])
        self.agreed = dict(self._still_agreed(bases, kept, made))

    def _wanted(
        self, base: Base, own: Record | None, other: Record | None
    ) -> tuple[tuple[Record | None, Record | None], Base]:
        if own is not None and own[0] == "x" and self.asked["leaving"]:
            return (own, None if self.asked["leaving"] == "delete" else other), base
        if own is not None and other is not None:
            fields = [self._field(number, *values) for number, values in enumerate(zip(base, own, other, strict=True))]
            whole = any(conflict for _, _, conflict in fields) and self.asked["conflict"] in ("case", "ignore")
            free = [FREE if whole and not conflict else value for value, _, conflict in fields]
            return (own, tuple(free)), base if whole else tuple(now for _, now, _ in fields)  # type: ignore[return-value]
        return self._widowed(base, own, other), base

    def _field(self, number: int, base: tuple[Any, Any], own: Any, other: Any) -> tuple[Any, tuple[Any, Any], bool]:
        """Return what the target has to hold, what both agree on then, and whether it is a conflict."""
        strong = number == 1 and self.asked["strong"]
        changed, edited = own != base[0], other != base[1]
        if own == other or strong or (changed and not edited):
            return own, (own, own), False
        if not (changed and edited):
            return other, base, False
        winner = self.source if self.asked["conflict"] is None else self.asked["policy"]
        if self.asked["conflict"] in ("case", "ignore") or winner == "manual":
            return other, base, True
        return (own, (own, own), False) if winner == self.source else (other, (own, other), False)

    def _widowed(self, base: Base, own: Record | None, other: Record | None) -> tuple[Any, Any]:
        """Return both sides of a pair of which a record is gone."""
        if own is None and other is None:
            return None, None
        if own is None:
            edited = any(value != held for value, (_, held) in zip(other or (), base, strict=True))
            action = (self.asked["edit"] or "case") if edited else self.asked["gone"]
            return None, None if action == "delete" else other
        edited = any(value != held for value, (held, _) in zip(own, base, strict=True))
        action = self.asked["edit"] if edited and self.asked["edit"] else self.asked["lost"]
        return {"recreate": (own, own), "delete": (None, None)}.get(action, (own, None))

    def _still_agreed(self, bases: dict[tuple[int, int], Base], source: Side, target: Side) -> Any:
        """Yield the linked pairs whose agreement is known, with it."""
        for pair in self._linked():
            own, other = source.get(pair[0]), target.get(pair[1])
            if own is None or other is None:
                continue
            before = bases.get(pair)
            if own == other:
                yield pair, tuple((value, value) for value in own)
            elif before is not None:
                values = zip(own, other, before, strict=True)
                yield pair, tuple((one, one) if one == two else held for one, two, held in values)

    def _linked(self) -> list[tuple[int, int]]:
        """Return the keys of source and target of the linked pairs; they are one to one."""
        with self.world.house.db.read() as tx:
            rows = Pairs.load(tx, 1, "").rows
        linked = rows.filter(rows["op"] == LINK).select(f"{self.source}_key", f"{self.target}_key").rows()
        assert len({own for own, _ in linked}) == len({other for _, other in linked}) == len(linked), linked
        return [(self.number(int(own)), self.number(int(other))) for own, other in linked]


def _fits(found: Record | None, wanted: Any) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return all(two is FREE or one == two for one, two in zip(found, wanted, strict=True))


@settings(max_examples=20, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(RULES, HISTORY)
@example(LEAVING, [("put", "right", 1, "x", None), ("run",)])  # out of scope, never linked: nothing to deactivate
@example(LEAVING, [("put", "right", 4, None, None), ("run",), ("edit", "right", 4, "a", "x"), ("run",)])
@example(LEAVING | DELETING, [("put", "left", 4, None, None), ("run",), ("edit", "left", 4, "a", "x"), ("run",)])
def test_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """Whatever happens, each run does to each pair what the rule says, and at rest nothing is written any more."""
    obey(asked, steps, Agreeing)


@settings(max_examples=8, suppress_health_check=list(HealthCheck), phases=PHASES)
@given(RULES, HISTORY)
def test_disturbances_make_no_difference(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """Crashes, pauses past the lease, late and doubled announcements, clocks that jump: the end is the same."""
    same_as_undisturbed(asked, steps, Agreeing, mirrored=not asked["correlate"])


@pytest.mark.soak
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(RULES, HISTORY)
def test_thousands_of_histories_obey_the_laws(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """The same for many more."""
    obey(asked, steps, Agreeing)


@pytest.mark.soak
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
@given(RULES, HISTORY)
def test_disturbances_make_no_difference_to_thousands_of_histories(asked: dict[str, Any], steps: list[tuple[Any, ...]]):
    """The same for many more."""
    same_as_undisturbed(asked, steps, Agreeing, mirrored=not asked["correlate"])
