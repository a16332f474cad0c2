"""Decision tables: compiled, evaluated, explained, analysed, exchanged. Pure functions, no I/O."""

from __future__ import annotations

from rules.decisions.analysis import analyse
from rules.decisions.compile import compile_table
from rules.decisions.compiled import CompiledTable
from rules.decisions.decided import Decided, merge_hits
from rules.decisions.explaining import Explanation
from rules.decisions.findings import Analysis, Finding, FindingKind
from rules.decisions.table_cells import canonical_table

__all__ = [
    "Analysis",
    "CompiledTable",
    "Decided",
    "Explanation",
    "Finding",
    "FindingKind",
    "analyse",
    "canonical_table",
    "compile_table",
    "merge_hits",
]
