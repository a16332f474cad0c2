"""What records have to meet: compiled once, asked of batches. Pure functions, no I/O."""

from __future__ import annotations

from rules.validations.checks import check_validations
from rules.validations.compile import Compiled, compile_validations
from rules.validations.uniqueness import MARKS, Claims, Memory
from rules.validations.validator import Known, Validator
from rules.validations.verdicts import Tally, Verdict, Verdicts

__all__ = [
    "MARKS",
    "Claims",
    "Compiled",
    "Known",
    "Memory",
    "Tally",
    "Validator",
    "Verdict",
    "Verdicts",
    "check_validations",
    "compile_validations",
]
