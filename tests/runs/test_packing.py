"""Columns that several frames of a chunk hold alike are compressed once, and nothing else changes."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.builtin.sqlite import SQLite
from tests.runs.conftest import RULE, World
from tests.runs.test_crash import Killed, dies
from webapp.runs import quarantine
from webapp.runs.pipeline import codec, inputs, packing
from webapp.runs.pipeline.chunk import Chunk
from webapp.runs.pipeline.codec import bodies_of, columns_of, frame_of, pack, unpack
from webapp.runs.pipeline.journal import Journal
from webapp.runs.pipeline.packing import LEAST, Packed

KINDS = {
    pl.Int64(): st.integers(-2, 2),
    pl.UInt64(): st.integers(0, 2),
    pl.String(): st.sampled_from(["", "a", "b", "a\x00"]),
    pl.Binary(): st.sampled_from([b"", b"a"]),
    pl.Boolean(): st.booleans(),
    pl.Float64(): st.sampled_from([0.0, -0.0, 1.5, float("nan"), float("inf")]),
    pl.Decimal(38, 2): st.decimals(-1, 1, places=2),
    pl.Enum(["x", "y"]): st.sampled_from(["x", "y"]),
    pl.List(pl.Int64()): st.lists(st.integers(0, 1), max_size=2),
    pl.Null(): st.none(),
}
names = st.lists(st.sampled_from(["", "a", "b", "c", "ä"]), unique=True, min_size=1)


@st.composite
def frames(draw: st.DrawFn, height: int) -> pl.DataFrame:
    """Return a frame in which few rows differ from those of another one."""
    columns = {}
    for name in draw(names):
        dtype, values = draw(st.sampled_from(list(KINDS.items())))
        some = [draw(st.none() | values), draw(st.none() | values)]
        odd = draw(st.integers(0, height - 1))
        columns[name] = pl.Series([some[row == odd] for row in range(height)], dtype=dtype, strict=False)
    return pl.DataFrame(columns)


def bits(frame: pl.DataFrame) -> list[tuple[str, pl.DataType, list[object]]]:
    """Return all that is in a frame; zeros and their signs are told apart."""
    return [(c.name, c.dtype, [struct.pack("d", v) if isinstance(v, float) else v for v in c.to_list()]) for c in frame]


@given(st.sampled_from([3, LEAST, LEAST + 7]).flatmap(lambda height: st.lists(frames(height), min_size=1, max_size=4)))
def test_frames_are_kept_exactly_whatever_was_compressed_before(several: list[pl.DataFrame]) -> None:
    """A frame comes back bit by bit, also where another one with nearly the same columns was kept before it."""
    packed = Packed()
    for frame in several:
        shared = Packed()
        shared.add(packed)
        blob = pack({"own": frame, "again": frame.clone()}, shared)
        packed.add(shared)
        found = unpack(blob)
        assert bits(found["own"]) == bits(found["again"]) == bits(frame)
        named = frame.columns[::-1][:2]
        assert bits(columns_of(blob, "own", named)) == bits(frame.select(named))
        whole = frame_of(blob, "again")
        assert whole is not None
        assert bits(whole) == bits(frame)
        assert frame_of(blob, "other") is None


def test_a_column_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read and written alike is compressed once for all places where it is kept."""
    done: list[str] = []
    compressed = packing.packed

    def counting(frame: pl.DataFrame) -> bytes:
        done.extend(frame.columns)
        return compressed(frame)

    monkeypatch.setattr(packing, "packed", counting)
    read = pl.DataFrame({"id": range(LEAST), "name": [f"n{i}" for i in range(LEAST)]})
    written = pl.DataFrame({"no": range(LEAST), "title": [f"n{i}" for i in range(LEAST)], "one": [1] * LEAST})
    packed = Packed()
    blobs = pack({"read": read}, packed), pack({"written": written}, packed)
    assert done == ["id", "name", "one"]
    assert unpack(blobs[1])["written"].equals(written)


def test_columns_that_are_held_elsewhere_are_only_named() -> None:
    """A blob that names columns of another one is smaller by these, and comes back whole with them."""
    read = pl.DataFrame({"id": range(LEAST), "name": [f"n{i}" for i in range(LEAST)]})
    written = read.rename({"id": "no", "name": "title"}).with_columns(one=pl.lit(1))
    frames = {"written": written, "few": written.head(2)}
    packed = Packed()
    first = pack({"inputs": read}, packed)
    held = bodies_of(first, "inputs")
    blob = pack(frames, packed, packed.frame(read))
    assert len(pack(frames)) - len(blob) == pytest.approx(sum(len(body) for _, body in held), abs=20)
    found = unpack(blob, {str(name): body for name, body in held})
    assert [found[name].equals(frame) for name, frame in frames.items()] == [True, True]


def test_what_was_kept_as_one_file_is_read_as_ever() -> None:
    """Large frames of earlier versions are one file each: they are read whole, by column, and name no columns."""
    frames = {
        "inputs": pl.DataFrame({"id": range(LEAST), "f": [-0.0] * LEAST}),
        "few": pl.DataFrame({"a": ["x", None]}),
    }
    parts = {name: packing.packed(frame) for name, frame in frames.items()}
    header = json.dumps({name: len(body) for name, body in parts.items()}).encode()
    blob = len(header).to_bytes(4, "big") + header + b"".join(parts.values())
    assert {name: bits(frame) for name, frame in unpack(blob).items()} == {n: bits(f) for n, f in frames.items()}
    assert bits(columns_of(blob, "inputs", ["f"])) == bits(frames["inputs"].select("f"))
    assert [name for name, _ in bodies_of(blob, "inputs")] == [None]


POINTS = [(Journal, "plan", False), (SQLite, "write", False), (Journal, "check_in", True)]


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
@pytest.mark.parametrize(("owner", "name", "before"), POINTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_plan_that_names_columns_is_taken_up_whole(
    world: World, monkeypatch: pytest.MonkeyPatch, direction: str, owner: type, name: str, before: bool
) -> None:
    """Another worker finds what a plan only names beside it: the same is written, linked, parked and kept."""
    named: list[str] = []
    monkeypatch.setattr(packing, "LEAST", 1)
    monkeypatch.setattr(codec, "_lengths", _noting(codec._lengths, named))
    world.customers("Ada", "Bea", "far too long a name for this target", None, "Cid")
    world.rule(direction=direction, fields=[*RULE["fields"][:1], {"left": "name", "right": "title"}, RULE["fields"][2]])
    run_id = world.pages_of(3).request()
    with monkeypatch.context() as patch:
        dies(patch, owner, name, 1, before)
        with pytest.raises(Killed):
            world.work(run_id)
    assert {"id", "name", "phone"} <= set(named)
    world.shift += timedelta(seconds=world.house.settings.lease_seconds + 1)
    assert world.work(run_id, "w2")
    assert world.look(run_id).state == "succeeded"
    assert world.clients() == [(1, "Ada", "+86 1"), (2, "Bea", "+86 2"), (5, "Cid", "+86 5")]
    with world.house.db.read() as tx:
        parked = {entry.left_key: entry.values for entry in quarantine.listing(tx)}
        read = [part.records for part in inputs.stored(tx, run_id) if part.side != "right"]
        kept = pl.concat([records.select("id", "name", "phone") for records in read])
    assert {key: values["phone"] for key, values in parked.items()} == {"3": "+86 3", "4": "+86 4"}
    assert kept["name"].to_list() == ["Ada", "Bea", "far too long a name for this target", None, "Cid"]
    assert not world.run().counts["created"] + world.look(run_id + 1).counts["updated"]


@pytest.mark.parametrize("direction", ["left_to_right", "two_way"])
def test_a_plan_is_compressed_before_it_is_noted(world: World, monkeypatch: pytest.MonkeyPatch, direction: str) -> None:
    """While a chunk waits to be written, nothing of it is compressed any more: that was done a step ahead."""
    noting, late = list[threading.Thread](), list[list[str]]()

    def plan(journal: Journal, chunk: Chunk) -> None:
        noting.append(threading.current_thread())
        planned(journal, chunk)
        noting.pop()

    def counting(frame: pl.DataFrame) -> bytes:
        if threading.current_thread() in noting:
            late.append(frame.columns)
        return compressed(frame)

    planned, compressed = Journal.plan, packing.packed
    monkeypatch.setattr(packing, "LEAST", 1)
    monkeypatch.setattr(Journal, "plan", plan)
    monkeypatch.setattr(packing, "packed", counting)
    world.customers("Ada", "Bea", "Cid", "Dan")
    world.rule(direction=direction, fields=[*RULE["fields"][:1], {"left": "name", "right": "title"}, RULE["fields"][2]])
    world.pages_of(2).run()
    assert len(world.clients()) == 4
    assert late == []


def _noting(work: Callable[..., Any], named: list[str]) -> Callable[..., Any]:
    """Return a function that notes the names of columns that are only named."""

    def noting(*args: Any) -> Any:
        found = work(*args)
        named.extend(length for _, length in (found if isinstance(found, list) else ()) if isinstance(length, str))
        return found

    return noting
