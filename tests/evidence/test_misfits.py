"""Whatever is written into the log's tables or into an export, the check says what does not fit, and does not fail."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from tests.evidence.conftest import WHO
from tests.evidence.test_tampering import changed, exported, log, report_of_file  # noqa: F401 - a fixture
from webapp.audit.canonical import _pieces, encode
from webapp.audit.findings import Kind, Report
from webapp.audit.models import audit_event
from webapp.audit.notes import BadNote, PublicKey
from webapp.audit.sealing import seal_all
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.bundle import Unreadable
from webapp.evidence.checking import check, stored_blobs, stored_rows
from webapp.evidence.signing import signer
from webapp.evidence.stored import StoredLog
from webapp.extensions import House
from webapp.runs.models import run_chunk
from webapp.runs.pipeline.codec import digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
MISFITS: list[Any] = [None, 3, "x", [], {}, {"chunk": "1", "digest": "a"}, {"chunk": 2**70, "digest": "a"},
                      {"chunk": True, "digest": "a"}, {"chunk": 1, "digest": ["a"]}, {"chunk": 1}]  # fmt: skip


def tell(house: House, tag: Tag, after: Any, run_id: int | None = 17) -> None:
    """Write an event and seal it."""
    with house.db.begin() as tx:
        record(tx, WHO, house.clock(), Event(tag, Subject("rule", "r"), after=after, run_id=run_id))
    seal_all(house, signer(house))


def checked(house: House) -> Report:
    """Check the log with all records of runs that are stored."""
    with house.db.read() as tx:
        return check(StoredLog(tx), stored_blobs(tx), rows=stored_rows(tx))


@pytest.mark.parametrize("after", MISFITS)
def test_an_event_that_names_no_part_is_told(log: House, after: Any):  # noqa: F811
    """An event of a part of a run without its number or digest is a finding."""
    tell(log, Tag.RUN_CHUNK, after)
    assert checked(log).counts == {Kind.RUN_CHANGED: 1}


@pytest.mark.parametrize("after", [None, [], {"places": "x"}, {"note": 3}, {"note": "x", "places": [[0, None]]}])
def test_a_removal_that_cannot_be_read_is_told(log: House, after: Any):  # noqa: F811
    """An event of the retention that says nothing that can be read allows nothing."""
    tell(log, Tag.AUDIT_REMOVED, after)
    assert checked(log).counts == {Kind.FORGED: 1}


def test_a_part_is_told_of_once(log: House):  # noqa: F811
    """A second event with another digest covers no exchanged records: both are told of."""
    with log.db.begin() as tx:
        tx.execute(sa.update(run_chunk).values(outcomes=b"other", digest=digest(b"other")))
    tell(log, Tag.RUN_CHUNK, {"chunk": 1, "digest": digest(b"other"), "inputs": None})
    assert checked(log).counts == {Kind.RUN_CHANGED: 2}


def test_records_without_an_event_are_told(log: House, tmp_path: Path):  # noqa: F811
    """A part of a run that was put in is found, online and in an export; one whose event waits is not."""
    row = {"run_id": 18, "state": "done", "token": 1, "outcomes": b"x", "digest": digest(b"x"), "records": 1}
    with log.db.begin() as tx:
        tx.execute(sa.insert(run_chunk).values(**row, no=1, counts={}, at=log.clock()))
    assert checked(log).counts == {Kind.RUN_CHANGED: 1}
    with log.db.begin() as tx:
        after = {"chunk": 1, "digest": digest(b"x"), "inputs": None}
        record(tx, WHO, log.clock(), Event(Tag.RUN_CHUNK, Subject("rule", "r"), after=after, run_id=18))
    found = checked(log)
    assert found.intact, found.to_json()
    assert found.waiting == 1
    assert found.sealed_at is not None
    assert log.clock() - found.sealed_at < timedelta(seconds=1)
    assert report_of_file(exported(log, tmp_path / "log.zip")).waiting == 1


LINES = [
    ("keys.jsonl", '{"no": 1, "public": "a", "at": "yesterday", "statement": "s"}'),
    ("keys.jsonl", '{"no": true, "public": "a", "at": "yesterday", "statement": "s"}'),
    ("entries.jsonl", '{"seq": 1, "event_id": 2, "leaf": "\u00e4"}'),
    ("entries.jsonl", '{"seq": 1, "event_id": 2, "leaf": "", "event": 3}'),
    ("entries.jsonl", '{"a": ' * 100_000),
    ("log.json", '["format"]'),
    ("log.json", '{"format": "syncline-audit/1", "size": 1e999}'),
]


@pytest.mark.parametrize(("name", "line"), LINES)
def test_a_line_that_is_none_is_told(log: House, tmp_path: Path, name: str, line: str):  # noqa: F811
    """An export with a line of another shape is refused in one sentence."""
    with pytest.raises(Unreadable, match="sealed audit log"):
        report_of_file(changed(exported(log, tmp_path / "log.zip"), name, lambda _lines: [line]))


@pytest.mark.parametrize("text", ["a+b+\u00e4", "\ud800+00000000+AQ==", "", "a+b", "\u00e4" * 9])
def test_a_key_that_is_none_is_told(text: str):
    """No text makes reading a public key fail in another way than as a note that is none."""
    with pytest.raises(BadNote):
        PublicKey.parse(text)


@given(JSON)
def test_a_deep_text_is_the_same_text(value: Any):
    """The way for deep events writes what the usual one writes."""
    assert "".join(_pieces({"v": value})).encode("utf-8", "surrogatepass") == encode({"v": value})


def test_a_deep_event_is_sealed(log: House):  # noqa: F811
    """An event as deep as a database can give it back does not stop sealing, and its edit is found."""
    deep = json.loads("[" * 600 + "]" * 600)
    tell(log, Tag.RULE_UPDATED, {"deep": deep}, None)
    assert checked(log).intact
    with log.db.begin() as tx:
        deep = json.loads("[" * 599 + "]" * 599)
        mine = audit_event.c.id == sa.select(sa.func.max(audit_event.c.id)).scalar_subquery()
        tx.execute(sa.update(audit_event).where(mine).values(after={"deep": deep}))
    assert checked(log).counts == {Kind.EDITED: 1}
    assert len(encode({"v": json.loads("[" * 900 + "]" * 900)})) == 1806
