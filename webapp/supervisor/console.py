"""The console's web server: gunicorn with threads, set up from our settings instead of a file of its own."""

from __future__ import annotations

import os
import ssl  # noqa: F401 - gunicorn wants it loaded before the fork
import time
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from config import Settings
from webapp import draining, loading
from webapp.lifeline import die_with_parent
from webapp.supervisor.patience import PatientWorker

GRACE = 2
"""Seconds that requests have to end when the console stops."""


class _Logs(Logger):  # type: ignore[misc]
    """Sends gunicorn's logs where all logs go."""

    def setup(self, cfg: Any) -> None:
        """Set gunicorn's levels, and leave the handlers to `webapp.logs`."""
        super().setup(cfg)
        self.error_log.handlers = []
        self.error_log.propagate = True


class Master(Arbiter):  # type: ignore[misc]
    """The process that listens; told to stop, it is no longer ready but serves on until load balancers have noticed."""

    def handle_term(self) -> None:
        """Wait as long as the settings say, or until it is told again; then stop."""
        draining.begin()
        until = time.monotonic() + self.app.settings.drain_seconds
        while time.monotonic() < until and self.SIG_QUEUE.empty():
            time.sleep(0.05)
        super().handle_term()


class Console(BaseApplication):  # type: ignore[misc]
    """gunicorn for `wsgi:app`."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        super().__init__()

    def load_config(self) -> None:
        """Set gunicorn's options."""
        host = f"[{self.settings.host}]" if ":" in self.settings.host else self.settings.host
        options = {
            "bind": f"{host}:{self.settings.port}",
            "worker_class": PatientWorker,
            "workers": 1,
            "threads": self.settings.web_threads,
            "preload_app": False,
            "timeout": 60,
            "graceful_timeout": max(GRACE, self.settings.drain_seconds),
            "keepalive": 5,
            "sendfile": False,
            "logger_class": _Logs,
            "proc_name": "syncline-web",
            "control_socket_disable": True,
            "worker_tmp_dir": "/dev/shm" if os.path.isdir("/dev/shm") else None,  # noqa: S108 - gunicorn's advice
            "post_fork": _post_fork,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def run(self) -> None:
        """Serve until told to stop."""
        Master(self).run()

    def load(self) -> Any:
        """Return the application; in the worker process, as nothing is preloaded."""
        with loading.for_good():
            import wsgi  # noqa: PLC0415 - building it takes a second and needs the database

        return wsgi.app


def _post_fork(_server: Any, worker: Any) -> None:
    die_with_parent(worker.ppid)()


def serve(settings: Settings) -> None:
    """Serve the console until SIGTERM."""
    Console(settings).run()
