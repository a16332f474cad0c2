"""How much of a field is seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from webapp.policies.masks import Mask

DENY = "deny"
_MASK = "mask"


class Access(IntEnum):
    """What one may do with a field's values; more includes less."""

    HIDE = 0
    MASK = 1
    READ = 2
    WRITE = 3


@dataclass(frozen=True)
class Level:
    """What a line says of a field; `denied` is hidden whatever other roles say."""

    access: Access
    mask: Mask | None = None
    denied: bool = False

    @property
    def text(self) -> str:
        """Return how policies write it."""
        if self.denied:
            return DENY
        return f"{_MASK}:{self.mask.value}" if self.mask else self.access.name.lower()


WRITE, READ, HIDE = Level(Access.WRITE), Level(Access.READ), Level(Access.HIDE)
DENIED = Level(Access.HIDE, denied=True)
MASKED = Level(Access.MASK, Mask.ALL)
LEVELS: dict[str, Level] = {
    "write": WRITE,
    "read": READ,
    **{f"{_MASK}:{mask.value}": Level(Access.MASK, mask) for mask in Mask},
    "hide": HIDE,
    DENY: DENIED,
}
"""Every word that a line may say of a field."""
PERSONAL: dict[str, Level] = {"read": WRITE, _MASK: MASKED, "hide": HIDE}
"""What a policy may say of personal fields: the most that is seen of those that no line names."""


def best(first: Level, second: Level) -> Level:
    """Return what of two roles shows more; of two masks that which hides less, and else always the same one."""
    return max(first, second, key=_order)


def least(first: Level, second: Level) -> Level:
    """Return what of two levels shows less."""
    return min(first, second, key=_order)


def _order(level: Level) -> tuple[Access, int]:
    return level.access, list(Mask).index(level.mask) if level.mask else 0
