"""The process of event rules: works on events, fires timers, carries actions out. Any number may run; one keeps events.

The engine runs here and nowhere else in a running installation, and this process is never forked: should the engine
crash, the supervisor starts the process again, and everything is where it was.
"""

from __future__ import annotations

import logging
import os
import signal
import threading

import sqlalchemy as sa

from config import Settings
from webapp import tracing
from webapp.entities import hub
from webapp.events import retention, sources
from webapp.events.doers import Doers
from webapp.events.keeper import Keeper
from webapp.events.postman import Postman
from webapp.extensions import House, open_house
from webapp.vault import people

POLL = 0.25
"""Seconds between two looks into the database while nothing happens."""

log = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    house = open_house(settings)
    hub.register(house)
    sources.register()
    people.register(house)
    tracing.begin(settings, "events")
    work(house, stop)
    tracing.end()
    house.db.engine.dispose()


def work(house: House, stop: threading.Event) -> None:
    """Work on events and actions until told to stop."""
    name = f"{os.uname().nodename}:{os.getpid()}"
    keeper, doers, sweeper = Keeper(house, name), Doers(house, name), retention.Sweeper(house)
    postman = Postman(house)
    postman.start()
    try:
        while not stop.is_set():
            if not turn(keeper, doers, sweeper):
                stop.wait(POLL)
    finally:
        postman.close()
        doers.close()
        keeper.close()


def turn(keeper: Keeper, doers: Doers, sweeper: retention.Sweeper) -> bool:
    """Do one round; a database that does not answer is told of and tried again."""
    try:
        worked = keeper.turn()
        worked = doers.turn() > 0 or worked
        sweeper.turn()
    except sa.exc.OperationalError as error:
        log.warning("The work on events will be tried again: %s", error)
        return False
    return worked
