"""From records of one side to records of the other. Pure functions over column batches, no I/O."""

from __future__ import annotations

from rules.mapping.compile import Mapping, compile_mapping
from rules.mapping.results import FieldError, Mapped

__all__ = ["FieldError", "Mapped", "Mapping", "compile_mapping"]
