"""Why a record came out as it did: a rule executed once more on the values it had read. Pure functions, no I/O."""

from __future__ import annotations

from rules.trace.inputs import read_fields

__all__ = ["read_fields"]
