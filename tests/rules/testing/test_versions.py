"""Versions on stored values: what each makes of a record, and what they cannot be asked without."""

from __future__ import annotations

import datetime as dt
import json

import polars as pl
import pytest

from rules.documents import parse_sync
from rules.documents.decision_table import parse_decision_table
from rules.language.library import Library
from rules.testing.replay import Came, Fate, Kind, compare
from rules.testing.versions import AskedVersion, Fields, NotStored, SyncVersion, reduced
from tests.rules.trace.test_asked import AT, RULE, SOURCE, TABLE, TARGET, record

STORED = frozenset(SOURCE.names)
PLAIN = {**RULE, "validations": []}


def library(**changes) -> Library:
    return Library(tables={"credit": parse_decision_table({**TABLE, **changes})})


def version(stored=STORED, **changes) -> SyncVersion:
    return SyncVersion(parse_sync({**PLAIN, **changes}), Fields(SOURCE, TARGET, stored), library())


def test_a_record_without_a_decision_is_refused():
    """What a decision cannot decide is refused in the comparison as in a run; out of scope it does not matter."""
    came = version().come(record(name=None), AT)
    assert came.fates.to_list() == [Fate.REFUSED]
    assert "letters" in str(came.reasons[0])
    away = version(left={**RULE["left"], "where": "id > 1"}).come(record(name=None), AT)
    assert (away.fates.to_list(), away.reasons, away.values(0)) == ([Fate.OUT], {}, {})
    failing = [{"left": "id", "right": "no"}, {"right": "title", "to_right": "memo.trim()"}]
    gone = version(left={**RULE["left"], "where": "id > 1"}, fields=failing).come(record(memo=None), AT)
    assert gone.reasons == {}


def test_a_decision_needs_its_values():
    """A decision whose inputs were not kept is named, in whichever way it reads them."""
    by_expression = parse_sync(PLAIN)
    with pytest.raises(NotStored) as refused:
        reduced(by_expression, Fields(SOURCE, TARGET, STORED - {"name"}))
    assert (str(refused.value.part), refused.value.fields) == ("The decision 'credit'", ("name",))
    assert str(refused.value) == "The decision 'credit': name"
    for made in (SyncVersion, lambda *args: AskedVersion("credit", *args)):
        with pytest.raises(NotStored):
            made(by_expression, Fields(SOURCE, TARGET, STORED - {"country"}), library())


def test_a_table_is_compared_as_a_rule_asks_it():
    """Only the outputs of the table itself count; what another decision cannot decide does not."""
    twice = {**PLAIN, "decisions": [*RULE["decisions"], {"table": "other", "inputs": {"letters": "size(memo)"}}]}
    tables = {**library().tables, "other": parse_decision_table({**TABLE, "name": "other"})}
    fields = Fields(SOURCE, TARGET, STORED)
    old = AskedVersion("credit", parse_sync(twice), fields, Library(tables=tables))
    came = old.come(record(memo=None), AT)
    assert (came.fates.to_list(), came.values(0)) == ([Fate.MADE], {"credit.limit": 10})
    asked = AskedVersion("other", parse_sync(twice), fields, Library(tables=tables)).come(record(memo=None), AT)
    assert asked.fates.to_list() == [Fate.REFUSED]


def test_the_right_side_may_be_read():
    """A rule from right to left takes its values from the right side."""
    fields = [{"left": "no", "right": "id"}]
    turned = {**PLAIN, "direction": "right_to_left", "key": {"left": "no", "right": "id"}, "fields": fields}
    made = SyncVersion(parse_sync(turned), Fields(TARGET, SOURCE, STORED), library())
    assert (made.key, made.come(record(), AT).values(0)) == ("id", {"no": 1})
    assert reduced(parse_sync(turned), Fields(TARGET, SOURCE, STORED))[1] == ()
    other = AskedVersion("credit", parse_sync(turned), Fields(TARGET, SOURCE, STORED), library())
    assert other.key == "id"


class Fixed:
    """A version that makes the same of every batch."""

    def __init__(self, came: Came) -> None:
        self.came = came

    def come(self, _batch: pl.DataFrame, _at: dt.datetime) -> Came:
        return self.came


def made(frame: pl.DataFrame, **masks: list[bool]) -> Fixed:
    fates = pl.Series([Fate.MADE.value] * frame.height)
    return Fixed(Came(fates, frame, {}, {name: pl.Series(mask) for name, mask in masks.items()}))


def test_fields_that_are_added_or_left_alone_differ():
    """A field that only one version writes differs; types that changed are compared as text."""
    old = made(pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"]}), b=[True, False, True])
    new = made(pl.DataFrame({"a": ["1", "2", "4"], "b": ["x", "y", "z"]}), b=[True, False, False])
    found = compare(old, new, pl.DataFrame(), AT)
    assert found.kinds.to_list() == [Kind.SAME, Kind.SAME, Kind.DIFFERENT]
    change = next(found.changes(10, pl.Series(["k1", "k2", "k3"])))
    assert (change.number, change.key, change.before, change.after) == (12, "k3", {"a": 3, "b": "z"}, {"a": "4"})
    assert json.loads(json.dumps(change.to_json()))["kind"] == "different"
    more = made(pl.DataFrame({"a": [1, 2, 3], "b": ["x", "y", "z"], "c": [None, None, None]}))
    assert compare(old, more, pl.DataFrame(), AT).counts()["different"] == 3


def test_two_refusals_are_the_same_for_the_same_reason():
    """A record that both versions refuse differs only if the reason does."""
    old, new = version(), version(decisions=[{"table": "credit", "inputs": {"letters": "size(memo)"}}])
    both = pl.concat([record(name=None, memo=None), record(name=None, memo="ok")])
    found = compare(old, old, both, AT)
    assert found.counts()["same"] == 2
    other = compare(old, new, both, AT)
    assert other.kinds.to_list() == [Kind.DIFFERENT, Kind.FIXED]
