"""A draft that several people publish at the same moment, on either database."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from tests.houses import fresh_house
from webapp.extensions import Actor
from webapp.rulebook import services
from webapp.rulebook.errors import RulebookError

AT_ONCE = 4
LOOKUP = {
    "kind": "lookup", "name": "raced", "key": {"name": "code"}, "columns": [{"name": "name"}],
    "entries": [["CN", "China"]],
}  # fmt: skip


def test_a_draft_becomes_one_version(metadata_url: str, tmp_path: Path):
    """Whoever is later is told that the draft has changed, or gets the number of the version that is there."""
    found = list[Any]([None] * AT_ONCE)
    with fresh_house(tmp_path, metadata_url) as house:
        services.create(house, LOOKUP, Actor("cli", "test"))
        barrier = threading.Barrier(AT_ONCE)

        def publish(place: int) -> None:
            barrier.wait()
            try:
                found[place] = services.publish(house, "raced", Actor("cli", "test"))
            except RulebookError as error:
                found[place] = error

        threads = [threading.Thread(target=publish, args=(place,)) for place in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with house.db.read() as tx:
            assert [one.version for one in services.versions(tx, "raced")] == [1]
    assert all(one == 1 or isinstance(one, RulebookError) for one in found), found
    assert 1 in found
