"""A house with a sealed log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.houses import Clock, fresh_house
from webapp.audit.sealing import seal_all
from webapp.audit.services import Event, Subject, record
from webapp.audit.tags import Tag
from webapp.evidence.signing import signer
from webapp.extensions import Actor, House

WHO = Actor("user", "wei", "7", "10.0.0.7", "req-1")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def house(tmp_path: Path, metadata_url: str, clock: Clock) -> Iterator[House]:
    with fresh_house(tmp_path / "data", metadata_url) as opened:
        yield House(opened.settings, opened.db, clock)


def write(house: House, count: int, start: int = 0) -> None:
    """Write events in a transaction of their own."""
    with house.db.begin() as tx:
        told = (
            Event(Tag.RULE_UPDATED, Subject("rule", f"r{start + n}"), {"n": n, "f": 1.0}, {"n": n + 1, "名": "值"})
            for n in range(count)
        )
        record(tx, WHO, house.clock(), *told)


def sealed(house: House, *batches: int) -> None:
    """Write and seal batches of events."""
    for number, count in enumerate(batches):
        write(house, count, number * 100)
        seal_all(house, signer(house))
