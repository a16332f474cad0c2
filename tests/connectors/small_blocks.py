"""Blocks of files so small that few records fill many."""

from __future__ import annotations

from types import ModuleType

import pytest

from connectors.builtin import files_format


def small_blocks(patch: pytest.MonkeyPatch, module: ModuleType, count: int) -> None:
    """Let a module begin with blocks of so many bytes, and go on with ones as small."""
    for one in (module, files_format):
        patch.setattr(one, "FIRST_BLOCK", count)
