"""From records of one side to records of the other. Pure functions over column batches, no I/O."""

from __future__ import annotations

from rules.mapping.compile import FieldError, Mapped, Mapping, compile_mapping

__all__ = ["FieldError", "Mapped", "Mapping", "compile_mapping"]
