"""Laws of threads that do something again and again."""

from __future__ import annotations

import threading

import pytest

from webapp.rounds import Rounds


class Failing(Rounds):
    """Fails in every round, each time in another way."""

    name, again, expected = "failing", "It will be tried again", (OSError,)

    def __init__(self) -> None:
        super().__init__(0.01)
        self.turns, self.enough = 0, threading.Event()

    def turn(self) -> None:
        """Fail."""
        self.turns += 1
        if self.turns >= 4:
            self.enough.set()
        raise OSError("away") if self.turns % 2 else ValueError("unexpected")


def test_no_error_ends_the_rounds(caplog: pytest.LogCaptureFixture) -> None:
    """What goes wrong is told, with its traceback where nobody expected it, and the next round comes; then it ends."""
    rounds = Failing()
    rounds.start()
    assert rounds.enough.wait(10)
    rounds.close()
    told = [(record.levelname, record.exc_info is not None) for record in caplog.records[:2]]
    assert told == [("WARNING", False), ("ERROR", True)]
    assert "failing" not in {thread.name for thread in threading.enumerate()}
