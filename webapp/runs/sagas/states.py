"""How far sagas and their steps are. Pure.

A saga is *working* until all its steps are confirmed (*done*), or one of them was refused for good. Then it is
*compensating*: what was confirmed is taken back, the last step first, until nothing is left (*compensated*) or a step
cannot be taken back (*stuck*), which a person ends. A step is an *intent* from before it is sent until its answer is
known.
"""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """How far a saga is."""

    WORKING = "working"
    COMPENSATING = "compensating"
    DONE = "done"
    COMPENSATED = "compensated"
    STUCK = "stuck"
    GIVEN_UP = "given_up"


class StepState(StrEnum):
    """How far a step is. `KEPT`: nothing is taken back of it; `TAKEN`: a person has put it in order."""

    INTENT = "intent"
    CONFIRMED = "confirmed"
    COMPENSATED = "compensated"
    KEPT = "kept"
    STUCK = "stuck"
    TAKEN = "taken"


class Op(StrEnum):
    """What a step does to its record; `SAME`: it found it as it is to be."""

    CREATE = "create"
    UPDATE = "update"
    SAME = "same"


class Way(StrEnum):
    """How a step is taken back; `ASK`: only a person can tell whether the record is ours."""

    DELETE = "delete"
    RESTORE = "restore"
    UPDATE = "update"
    NONE = "none"
    ASK = "ask"


OPEN = (State.WORKING, State.COMPENSATING, State.STUCK)
"""While a saga is one of these, its record is not written by another one."""
LEFT = (StepState.CONFIRMED, StepState.STUCK)
"""A step that is one of these has not been taken back."""
SENT = (*LEFT, StepState.INTENT)
"""Of a step that is one of these, something may be there."""
