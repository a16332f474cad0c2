"""Laws of writing and of fences; each is skipped where the connector does not claim the capability."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from connectors.errors import Fenced, ObjectMissing
from connectors.spi import Connector, Context, Fence, WriteResult
from connectors.testing_sample import KEY, TITLE, VERSION, ConformanceBase, Settings, same
from rules.schema import Change, Op, Schema

_CHANGES = {"update", "delete", "existing", "fence"}
_NEEDS = {"create": "create", "update": "update", "delete": "delete", "fence": "transactions"}


class WriteLaws(ConformanceBase):
    """Creating, changing, deleting and being refused."""

    @pytest.fixture(autouse=True)
    def _needs_capability(self, request: pytest.FixtureRequest) -> None:
        for word, capability in _NEEDS.items():
            if word in request.node.name.split("_") and not getattr(self.connector.spec.capabilities, capability):
                pytest.skip(f"the connector does not claim '{capability}'")
        if self.connector.spec.capabilities.messages and _CHANGES & set(request.node.name.split("_")):
            pytest.skip("what was sent as a message is not changed")

    def test_create_round_trip(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """What is written is read again, with every extreme value."""
        self.seed(settings, sample, sample.empty())
        result = self.write(source, sample, Change(Op.CREATE, KEY, records))
        assert not result.failures
        assert same(self.content(settings, context, sample), records.sort(KEY))

    def test_create_adds_to_what_is_there(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """Creating records leaves the others alone."""
        self.seed(settings, sample, records.head(2))
        self.write(source, sample, Change(Op.CREATE, KEY, records.tail(-2)))
        assert same(self.content(settings, context, sample), records.sort(KEY))

    def test_update_sets_only_what_is_given(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, seeded: pl.DataFrame
    ) -> None:
        """An update changes the given fields of the given records, also to null, and nothing else."""
        some = seeded.sort(KEY).head(3)
        new = some.select(KEY, pl.lit("新 title").alias(TITLE), pl.lit(None, dtype=pl.Int64).alias(VERSION))
        assert not self.write(source, sample, Change(Op.UPDATE, KEY, new)).failures
        assert same(self.content(settings, context, sample), seeded.update(new, on=KEY, include_nulls=True).sort(KEY))

    def test_update_writes_every_type(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, seeded: pl.DataFrame
    ) -> None:
        """An update can set every field to every value."""
        moved = seeded.with_columns(pl.exclude(KEY).reverse())
        assert not self.write(source, sample, Change(Op.UPDATE, KEY, moved)).failures
        assert same(self.content(settings, context, sample), moved.sort(KEY))

    def test_delete_removes_only_what_is_named(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, seeded: pl.DataFrame
    ) -> None:
        """A delete removes the named records and no other."""
        gone = seeded.sort(KEY).head(2)
        assert not self.write(source, sample, Change(Op.DELETE, KEY, gone.select(KEY))).failures
        assert same(self.content(settings, context, sample), seeded.sort(KEY).tail(-2))

    def test_create_update_delete_in_one_call(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, seeded: pl.DataFrame
    ) -> None:
        """Several changes of a call are done in their order."""
        ordered = seeded.sort(KEY)
        created = ordered.head(1).with_columns(pl.lit(1000, dtype=pl.Int64).alias(KEY))
        updated = created.select(KEY, pl.lit("second").alias(TITLE))
        changes = (
            Change(Op.CREATE, KEY, created),
            Change(Op.UPDATE, KEY, updated),
            Change(Op.DELETE, KEY, ordered.select(KEY).head(1)),
        )
        assert not self.write(source, sample, *changes).failures
        expected = pl.concat([ordered.tail(-1), created.update(updated, on=KEY)])
        assert same(self.content(settings, context, sample), expected)

    def test_update_of_absent_record_fails_alone(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, seeded: pl.DataFrame
    ) -> None:
        """A record that is no longer there is a failure; the others are written."""
        keys = [seeded[KEY][0], 999_999, seeded[KEY][1]]
        new = pl.DataFrame({KEY: keys, TITLE: ["a", "b", "c"]})
        result = self.write(source, sample, Change(Op.UPDATE, KEY, new))
        assert failed(result) == [(0, 1)]
        expected = seeded.update(new, on=KEY).sort(KEY)
        assert same(self.content(settings, context, sample), expected)

    def test_delete_of_absent_record_fails_alone(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, seeded: pl.DataFrame
    ) -> None:
        """A record that is no longer there is a failure; the others are deleted."""
        keys = pl.DataFrame({KEY: [999_999, seeded[KEY][0]]})
        assert failed(self.write(source, sample, Change(Op.DELETE, KEY, keys))) == [(0, 0)]
        assert same(self.content(settings, context, sample), seeded.tail(-1).sort(KEY))

    def test_create_of_existing_key_fails_alone(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """A second record with a key that exists is refused; the others are written."""
        self.seed(settings, sample, records.head(1))
        result = self.write(source, sample, Change(Op.CREATE, KEY, records))
        assert failed(result) == [(0, 0)]
        assert str(result.failures[0].message)
        assert same(self.content(settings, context, sample), records.sort(KEY))

    def test_create_refused_records_fail_alone(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """Records that the system refuses are returned with a reason; all others are durable."""
        bad = self._bad(records)
        self.seed(settings, sample, sample.empty())
        half = records.height // 2
        mixed = pl.concat([records.head(half), bad, records.tail(-half)])
        result = self.write(source, sample, Change(Op.CREATE, KEY, mixed))
        assert failed(result) == [(0, half)]
        assert str(result.failures[0].message)
        assert same(self.content(settings, context, sample), records.sort(KEY))

    def test_update_refused_records_fail_alone(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, seeded: pl.DataFrame
    ) -> None:
        """An update that the system refuses leaves its record as it was; all others are durable."""
        names = [KEY, *(self.refused() or {})]
        bad = self._bad(seeded.head(1)).with_columns(seeded[KEY].head(1)).select(names)
        good = seeded.slice(1, 1).select(names)
        result = self.write(source, sample, Change(Op.UPDATE, KEY, pl.concat([bad, good])))
        assert failed(result) == [(0, 0)]
        assert same(self.content(settings, context, sample), seeded.sort(KEY))

    def test_create_in_unknown_object(self, source: Connector, sample: Schema, records: pl.DataFrame) -> None:
        """Writing into an object that does not exist says so."""
        with pytest.raises(ObjectMissing, match="no_such_object"):
            source.write("no_such_object", sample, [Change(Op.CREATE, KEY, records)])

    def write(self, source: Connector, schema: Schema, *changes: Change, fence: Fence | None = None) -> WriteResult:
        """Write and finish as a run does, checking the shape of the result."""
        result = source.write(self.object_name, schema, changes, fence)
        source.finish(self.object_name)
        for index, keys in enumerate(result.keys):
            assert keys is None or keys.len() == changes[index].records.height
        return result

    def _bad(self, records: pl.DataFrame) -> pl.DataFrame:
        refused = self.refused()
        if refused is None:
            pytest.skip("the system refuses nothing")
        values: dict[str, Any] = {KEY: 777, **refused}
        return records.tail(1).with_columns(
            pl.lit(value, dtype=records.schema[name]).alias(name) for name, value in values.items()
        )


class FenceLaws(WriteLaws):
    """One writer at a time, and knowing after a crash what is durable."""

    def test_fence_is_known_after_a_crash(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """Another connector sees which chunks are durable, whatever token it holds itself."""
        self.seed(settings, sample, sample.empty())
        assert source.applied(Fence("rule", 1, 7, 0)) in {False, None}
        self.write(source, sample, Change(Op.CREATE, KEY, records.head(1)), fence=Fence("rule", 1, 7, 3))
        with self.connect(settings, context) as other:
            known = {
                (run, chunk): other.applied(Fence("rule", 2, run, chunk)) for run in (6, 7, 8) for chunk in (2, 3, 4)
            }
            assert other.applied(Fence("other rule", 2, 7, 3)) is False
        assert {key for key, applied in known.items() if applied} == {(7, 2), (7, 3)}
        assert None not in known.values()

    def test_fence_stops_the_older_writer(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """After a higher token was seen, a write with a lower one is refused as a whole; scopes are independent."""
        self.seed(settings, sample, sample.empty())
        self.write(source, sample, Change(Op.CREATE, KEY, records.slice(0, 1)), fence=Fence("rule", 5, 1, 0))
        with self.connect(settings, context) as stale, pytest.raises(Fenced):
            stale.write(self.object_name, sample, [Change(Op.CREATE, KEY, records.slice(1, 1))], Fence("rule", 4, 1, 1))
        assert same(self.content(settings, context, sample), records.head(1))
        self.write(source, sample, Change(Op.CREATE, KEY, records.slice(2, 1)), fence=Fence("rule", 5, 1, 1))
        self.write(source, sample, Change(Op.CREATE, KEY, records.slice(3, 1)), fence=Fence("other", 1, 1, 1))
        assert self.content(settings, context, sample).height == 3

    def test_fence_is_taken_over_by_who_asks_what_arrived(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """In a scope that is new or known, an older writer is refused from then on, and what is durable stays known."""
        if type(source).arrived is Connector.arrived:
            pytest.skip("the system has no transactions that could be under way")
        self.seed(settings, sample, sample.empty())
        self.write(source, sample, Change(Op.CREATE, KEY, records.head(1)), fence=Fence("known", 1, 1, 3))
        with self.connect(settings, context) as other:
            assert [other.arrived(Fence(scope, 2, 1, 3)) for scope in ("new", "known", "known")] == [False, True, True]
        for scope in ("new", "known"):
            late = [Change(Op.CREATE, KEY, records.slice(1, 1))]
            with self.connect(settings, context) as stale, pytest.raises(Fenced):
                stale.write(self.object_name, sample, late, Fence(scope, 1, 1, 4))
        assert same(self.content(settings, context, sample), records.head(1))
        self.write(source, sample, Change(Op.CREATE, KEY, records.slice(1, 1)), fence=Fence("new", 2, 1, 4))

    def test_fence_is_not_moved_by_a_failed_call(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """A call that fails as a whole is not applied."""
        self.seed(settings, sample, sample.empty())
        fence = Fence("rule", 1, 1, 0)
        with pytest.raises(ObjectMissing):
            source.write("no_such_object", sample, [Change(Op.CREATE, KEY, records)], fence)
        assert not source.applied(fence)

    def test_fence_hides_its_table(
        self, settings: Settings, context: Context, source: Connector, sample: Schema, records: pl.DataFrame
    ) -> None:
        """What Syncline keeps in the system is no object of the system."""
        self.seed(settings, sample, records)
        before = [found.name for found in source.objects()]
        self.write(source, sample, fence=Fence("rule", 1, 1, 0))
        with self.connect(settings, context) as other:
            assert [found.name for found in other.objects()] == before


def failed(result: WriteResult) -> list[tuple[int, int]]:
    """Return (change, row) of the refused records, in order."""
    return sorted((failure.change, failure.row) for failure in result.failures)
