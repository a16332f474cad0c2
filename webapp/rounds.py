"""What a thread of a process does again and again beside its work, whatever goes wrong in between."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from typing import ClassVar

import sqlalchemy as sa


class Rounds(ABC):
    """One such thread. An error is told of and ends only its round; an `expected` one comes without its traceback."""

    name: ClassVar[str]
    again: ClassVar[str]
    """What the log says of a round that has failed."""
    expected: ClassVar[tuple[type[Exception], ...]] = (sa.exc.OperationalError,)
    at_once: ClassVar[bool] = False
    """Whether the first round begins at the start, not behind the first pause."""

    def __init__(self, pause: float, patience: float | None = None) -> None:
        self.stopping = threading.Event()
        self._pause, self._patience = pause, patience
        self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)

    @abstractmethod
    def turn(self) -> None:
        """Do one round; long ones look at `stopping`."""

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End behind what is at hand; with `patience` wait no more seconds than that."""
        self.stopping.set()
        self._thread.join(self._patience)

    def _work(self) -> None:
        log = logging.getLogger(type(self).__module__)
        ended = not self.at_once and self.stopping.wait(self._pause)
        while not ended:
            try:
                self.turn()
            except self.expected as error:
                log.warning("%s: %s", self.again, error)
            except Exception:
                log.exception(self.again)
            ended = self.stopping.wait(self._pause)
