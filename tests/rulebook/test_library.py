"""Published tables, as the threads of one process ask them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from rules.language.library import Lookup
from tests.rulebook.conftest import ANNA
from tests.rulebook.test_askers import CODES
from webapp.extensions import House
from webapp.rulebook import library, services

NAMES = ("codes", "names", "towns")


@pytest.fixture
def tables(house: House) -> House:
    """Return a house with a few published lookup tables."""
    for name in NAMES:
        services.create(house, {**CODES, "name": name, "entries": [["a", name]]}, ANNA)
        services.publish(house, name, ANNA)
    library._parsed.clear()
    return house


@pytest.fixture
def hurry() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def read(house: House, name: str) -> Lookup:
    """Return a table as a request of its own reads it."""
    return library.library(house).lookups[name]


@pytest.mark.usefixtures("hurry")
def test_threads_share_what_is_kept(tables: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads get the table they ask for, even while others push it out of what is kept."""
    monkeypatch.setattr(library, "_KEPT", 1)
    asked = [NAMES[number % 3] for number in range(600)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda name: read(tables, name), asked))
    assert [table.entries["a"] for table in found] == [(name,) for name in asked]
    assert len(library._parsed) == 1


@pytest.mark.usefixtures("hurry")
def test_threads_get_one_table(tables: House) -> None:
    """A table that several threads read at the same time is one table, since programs share it by its identity."""
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _number: read(tables, "codes"), range(16)))
    assert len({id(table) for table in found}) == 1
