"""A console that is told to stop lets load balancers know first, and ends what it has begun."""

from __future__ import annotations

import signal
import time

import pytest

import config
from tests.supervisor.conftest import Installation, wait_for
from webapp import draining
from webapp.supervisor.console import Console, Master

DRAIN = 4.0


def test_a_console_serves_on_until_load_balancers_have_noticed(installation: Installation) -> None:
    """It is not ready from the signal on and serves as before; only after the time to drain it goes, and not sooner."""
    installation.more["SYNCLINE_DRAIN_SECONDS"] = str(int(DRAIN))
    installation.start()
    console = installation.child("web")
    assert console is not None
    assert installation.page("/readyz") == 200
    told = time.monotonic()
    console.terminate()
    wait_for(lambda: installation.page("/readyz") == 503, DRAIN, "the console to say that it is not ready")
    assert installation.page("/readyz?stopping=404") == 404
    assert (installation.page("/healthz"), installation.page("/login/")) == (200, 200)
    console.wait(30)
    assert time.monotonic() - told >= DRAIN
    wait_for(lambda: installation.page("/readyz") == 200, what="the console after its restart")


def test_told_twice_it_stops_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to wait for load balancers who does not want to."""
    monkeypatch.setattr(draining, "begin", lambda: None)
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("it waited"))
    master = Master(Console(config.from_environment({"SYNCLINE_DRAIN_SECONDS": "300"})))
    master.signal(signal.SIGTERM, None)
    with pytest.raises(StopIteration):
        master.handle_term()
