"""Where rooms above the runs hang in what they want to know of their ends; filled once a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa


@dataclass(frozen=True)
class Ended:
    """How a run has ended; `token` tells its ends apart, since it may be resumed."""

    run_id: int
    rule_name: str
    mode: str
    state: str
    token: int
    counts: Mapping[str, int]
    message: str
    at: datetime


ended: list[Callable[[sa.Connection, Ended], None]] = []
"""Each is called in the transaction that ends the run."""
