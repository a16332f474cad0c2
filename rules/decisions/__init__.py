"""Decision tables: compiled, evaluated, explained, analysed, exchanged. Pure functions, no I/O."""

from __future__ import annotations

from rules.decisions.compile import compile_table
from rules.decisions.compiled import CompiledTable
from rules.decisions.decided import Decided, merge_hits
from rules.decisions.table_cells import canonical_table

__all__ = ["CompiledTable", "Decided", "canonical_table", "compile_table", "merge_hits"]
