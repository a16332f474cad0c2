"""Why a record came out as it did: a rule executed once more on the values it had read. Pure functions, no I/O."""

from __future__ import annotations

from rules.trace.decisions import DecisionTrace
from rules.trace.expression import Tracer
from rules.trace.inputs import named_fields, read_fields
from rules.trace.record import FieldTrace, RecordTrace, RecordTracer, complete
from rules.trace.steps import Role, State, Step, plain
from rules.trace.validations import ValidationTrace

__all__ = [
    "DecisionTrace",
    "FieldTrace",
    "RecordTrace",
    "RecordTracer",
    "Role",
    "State",
    "Step",
    "Tracer",
    "ValidationTrace",
    "complete",
    "named_fields",
    "plain",
    "read_fields",
]
