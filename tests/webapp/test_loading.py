"""Loading code without looking for garbage among it."""

from __future__ import annotations

import gc
import importlib

import pytest

from webapp import loading


def fail(kept: list[list[bool]]) -> None:
    with loading.for_good():
        kept += [[gc.isenabled()] for _ in range(1000)]
        importlib.import_module("webapp.no_such_room")


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_looked_for_again(enabled: bool) -> None:
    """What is loaded is left alone from then on, also if loading fails; the collector goes on as it was."""
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        frozen = gc.get_freeze_count()
        kept: list[list[bool]] = []
        with pytest.raises(ModuleNotFoundError):
            fail(kept)
        assert kept[0] == [False]
        assert gc.isenabled() is enabled
        assert gc.get_freeze_count() >= frozen + len(kept)
    finally:
        (gc.enable if before else gc.disable)()
