"""The expression language: CEL with a business profile. Pure functions, no I/O."""

from __future__ import annotations

from rules.language.problems import ExpressionError, Problem, Severity
from rules.language.program import Evaluated, Program, RowError, compile_expression

__all__ = ["Evaluated", "ExpressionError", "Problem", "Program", "RowError", "Severity", "compile_expression"]
