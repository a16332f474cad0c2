"""`syncline up`: everything that one machine needs, started in order and watched."""

from __future__ import annotations

import http.client
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import structlog

from config import Settings, environment
from webapp import logs
from webapp.supervisor import preflight, valkey
from webapp.supervisor.errors import UNUSABLE
from webapp.supervisor.instance import only_instance
from webapp.supervisor.programs import Program
from webapp.supervisor.watch import Stage, Stopped, Watch

log = structlog.get_logger("syncline.supervisor")

Say = Callable[[str], None]
GRACE = {"init": 1.0, "web": 2.5, "scheduler": 2.0, "worker": 4.0, "events": 2.0}
"""Seconds between SIGTERM and SIGKILL; with Redis at most ten in all."""
RANKS = {"init": 0, "web": 1, "scheduler": 2, "events": 2, "worker": 3}
"""The order in which processes stop."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - replaced, not bound


def up(settings: Settings, say: Say, *, prepare: tuple[str, ...] = ()) -> None:
    """Start everything, tell `say` where the console is, and watch until told to stop.

    Args:
        settings: of the installation.
        say: prints a line for the person at the terminal.
        prepare: arguments of a `syncline` command to be run once everything runs, such as loading the demo.
    """
    preflight.data_folder(settings)
    with only_instance(settings.data):
        logs.configure(settings, "supervisor")
        preflight.check(settings)
        say(f"Starting Syncline on the data folder {settings.data} ...")
        with Watch() as watch:
            try:
                _start(watch, settings, say, prepare)
                watch.run()
            except Stopped:
                pass
            say("Stopping ...")
        say("Stopped. All data is kept.")


def _start(watch: Watch, settings: Settings, say: Say, prepare: tuple[str, ...]) -> None:
    folder = logs.folder(settings)
    if settings.embedded_redis:
        trouble = f"See {folder / 'redis.log'}."
        watch.start(Stage((valkey.program(settings),), lambda: valkey.answers(settings.redis), 20, trouble))
    web = Stage((_program("web", settings),), lambda: _healthy(settings), 120, f"See {folder / 'web.log'}.")
    init = Task(watch, "init", ("init", "--json"), settings)
    if preflight.is_prepared(settings):  # then both may go on at the same time
        watch.start(web)
    first = init.result()
    try:
        if "web" not in watch.children:
            watch.start(web)
        workers = tuple(_program("worker", settings, f"worker-{n}") for n in range(1, settings.workers + 1))
        events = _syncline("events", ("events", "work"), settings, grace=GRACE["events"])
        watch.start(Stage((*workers, _program("scheduler", settings), events)))
        if prepare:
            Task(watch, "prepare", prepare, settings).result()
        log.info("Ready", url=url(settings))
        say(f"\nSyncline is ready: {url(settings)}")
    finally:  # it is made once, so it is shown even if the start fails later
        if first.get("password"):
            say(f"Sign in as {first['username']} with the password: {first['password']}")
            say(f"It is shown only this once. 'syncline user reset-password {first['username']}' makes a new one.")
    say(f"Ctrl-C stops everything. Logs are in {folder}.\n")


class Task:
    """A `syncline` command that ends by itself; it prints JSON, and tells of its own failure itself."""

    def __init__(self, watch: Watch, name: str, arguments: tuple[str, ...], settings: Settings) -> None:
        """Start the command."""
        self.watch, self.name = watch, name
        self._reading, writing = os.pipe()
        try:
            watch.launch(_syncline(name, arguments, settings, grace=GRACE["init"], stdout=writing))
        finally:
            os.close(writing)

    def result(self) -> dict[str, Any]:
        """Wait for the end and return what it printed."""
        with open(self._reading, encoding="utf-8") as output:
            if self.watch.finish(self.name):
                raise SystemExit(UNUSABLE)
            text = output.read().strip()
        found: dict[str, Any] = json.loads(text) if text else {}
        return found


def url(settings: Settings) -> str:
    """Return the console's address for a browser on this machine."""
    host = ANYWHERE.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _program(command: str, settings: Settings, name: str = "") -> Program:
    arguments = (command, "--name", name) if name else (command,)
    drain = 2 * settings.drain_seconds if command == "web" else 0
    return _syncline(name or command, arguments, settings, grace=GRACE[command] + drain)


def _syncline(
    name: str, arguments: tuple[str, ...], settings: Settings, *, grace: float, stdout: int | None = None
) -> Program:
    argv = (sys.executable, "-m", "webapp.cli", *arguments)
    env = environment(SYNCLINE_DATA=str(settings.data))
    rank = RANKS.get(name.partition("-")[0], 0)
    root = str(preflight.ROOT)
    return Program(name, argv, env, grace, rank, cwd=root, restart=stdout is None, stdout=stdout)


def _healthy(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(ANYWHERE.get(settings.host, settings.host), settings.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
