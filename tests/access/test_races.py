"""The same deed by the same person many times at once, on either database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask

from tests.webapp.conftest import PASSWORD, add_user, events
from webapp.access import keys, models, users
from webapp.access.errors import Refused
from webapp.access.keys import NewKey
from webapp.extensions import Actor, House

AT_ONCE = 4


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Return what work comes to that is done several times at the same moment; a refusal is a result."""
    barrier, found = threading.Barrier(AT_ONCE), list[Any]([None] * AT_ONCE)

    def run(number: int) -> None:
        barrier.wait()
        try:
            found[number] = work(number)
        except Refused as refusal:
            found[number] = refusal

    threads = [threading.Thread(target=run, args=(number,)) for number in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_of_changes_from_the_same_password_one_is_taken(app: Flask, house: House):
    """Who changes a password has to know the one that holds at that moment, not one that has just been changed."""
    ann = add_user(house, "ann", "Viewer")
    actor = Actor("user", "ann", str(ann))
    at_once(lambda number: users.change_own_password(house, ann, PASSWORD, f"another-{number}-horse-battery", actor))
    assert len(events(house, "access:user:password_changed")) == 1


def test_a_key_that_is_replaced_at_once_has_a_successor_each(app: Flask, house: House):
    """Whoever replaces a key at the same moment gets one that works, and no two have the same name."""
    ann = add_user(house, "ann", "Admin")
    actor = Actor("user", "ann", str(ann))
    keys.create_key(house, NewKey("program", ("runs:read",), 1), actor)
    with house.db.read() as tx:
        number = tx.scalar(sa.select(models.access_key.c.id))
    found = at_once(lambda _number: keys.rotate_key(house, number, timedelta(hours=1), actor))
    assert all(isinstance(one, (tuple, Refused)) for one in found), found
    with house.db.read() as tx:
        names = list(tx.scalars(sa.select(models.access_key.c.name)))
    assert len(set(names)) == len(names)
