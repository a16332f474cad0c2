"""A house in which deeds need a second person, and three people: Anna proposes, Ben approves, Carl looks on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.houses import Clock, fresh_house
from tests.webapp.conftest import add_user, admin_client, app, client, events, settings  # noqa: F401
from webapp.access import roles
from webapp.approvals import proposals, settings_deed
from webapp.approvals.deeds import SWITCHES, Deed
from webapp.approvals.errors import SecondPersonNeeded
from webapp.approvals.proposals import Proposal
from webapp.extensions import SYSTEM, Actor, House

CLI = Actor("cli", "root", "0")
ALL = tuple(SWITCHES)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def house(tmp_path: Path, metadata_url: str, clock: Clock) -> Iterator[House]:
    with fresh_house(tmp_path / "data", metadata_url) as opened:
        house = House(opened.settings, opened.db, clock)
        clock.forward(days=-30)
        for name in ("anna", "ben", "carl"):
            add_user(house, name, roles.ADMIN)
        clock.forward(days=30)
        yield house


def who(house: House, name: str) -> Actor:
    """Return a user as who acts."""
    with house.db.read() as tx:
        return Actor(
            "user", name, str(tx.exec_driver_sql(f"SELECT id FROM ab_user WHERE username = '{name}'").scalar())
        )


def ask_for(house: House, *switches: str, **more: Any) -> None:
    """Let these deeds need a second person."""
    document = {"kind": "approvals", "name": "settings", "deeds": {name: {} for name in switches}, **more}
    settings_deed.save(house, document, SYSTEM)


def needed(work: Any) -> Deed:
    """Return the deed that somebody could not do alone."""
    with pytest.raises(SecondPersonNeeded) as caught:
        work()
    return caught.value.deed


def proposed(house: House, actor: Actor, work: Any) -> Proposal:
    """Return the proposal of what somebody could not do alone."""
    return proposals.propose(house, needed(work), actor)
