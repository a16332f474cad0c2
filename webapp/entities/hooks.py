"""Where rooms above the entities hang in what they want to know of changed records; filled once a process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from webapp.extensions import Actor


@dataclass(frozen=True)
class Changed:
    """What happened to records of an entity: `created`, `updated` or `deleted`; of each the fields before and after."""

    entity: str
    deed: str
    ids: Sequence[int]
    versions: Sequence[int]
    before: Sequence[Mapping[str, Any] | None]
    after: Sequence[Mapping[str, Any] | None]
    actor: Actor
    at: datetime


changed: list[Callable[[sa.Connection, Changed], None]] = []
"""Each is called in the transaction of the change."""
